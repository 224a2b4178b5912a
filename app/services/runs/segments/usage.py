"""When segments were asked for last: noted in memory, written now and then beside the requests."""

from collections.abc import Iterable

from sqlalchemy import text

from app.postgres.db import WriteSession

_used: set[str] = set()
_WRITE = text(
    "UPDATE segments SET last_used_at = now() FROM (SELECT code FROM segments"
    " WHERE code = ANY(CAST(:codes AS text[])) ORDER BY code FOR UPDATE SKIP LOCKED) AS used"
    " WHERE segments.code = used.code"
)


def note(codes: Iterable[str]) -> None:
    """Note that somebody has asked for segments, or for what names them."""
    _used.update(codes)


async def write(session: WriteSession) -> None:
    """Write that these were used just now; what another holds waits for the next time."""
    used = sorted(_used)
    _used.difference_update(used)
    if used:
        await session.execute(_WRITE, {"codes": used})
