"""When keys were used last: noted in memory, written now and then beside the requests."""

from dataclasses import dataclass, field

from sqlalchemy import text

from app.postgres.db import WriteSession

EVERY_SECONDS = 60.0
_WRITE = text(
    "UPDATE api_keys SET last_used_at = now() FROM (SELECT key_id FROM api_keys"
    " WHERE key_id = ANY(CAST(:key_ids AS text[])) ORDER BY key_id FOR UPDATE SKIP LOCKED) AS used"
    " WHERE api_keys.key_id = used.key_id"
)


@dataclass(slots=True)
class Usage:
    """The keys that were used since that was written last."""

    used: set[str] = field(default_factory=set)

    def note(self, key_id: str) -> None:
        self.used.add(key_id)

    async def write(self, session: WriteSession) -> None:
        """Write that these keys were used just now; what another holds waits for the next time."""
        used, self.used = self.used, set()
        if used:
            await session.execute(_WRITE, {"key_ids": sorted(used)})
