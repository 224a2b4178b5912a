"""The fence between those who write by what all go by, and who puts something else in its place.

Nobody waits for a lock. A writer takes its customers, and in a later statement reads the version in
force; whoever raises the version commits, and then waits until all have ended who had taken
customers by then. Of those that begin later, each reads the new version. See `docs/decisions/0043`.
"""

import asyncio
from collections.abc import Sequence

from app.postgres.db import ReadSession, fetch_row, fetch_rows

# A writer has the lock of the table from before the snapshot of the statement that takes customers
# to its end; prepared transactions are among them.
_WRITERS = (
    "SELECT DISTINCT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND relation = CAST('customers' AS regclass) AND mode = 'RowExclusiveLock'"
    " AND pid IS DISTINCT FROM pg_backend_pid()"
)
_ANY_LEFT = f"SELECT count(*) FROM ({_WRITERS} AND virtualtransaction = ANY($1::text[])) AS left_"  # noqa: S608  # ours
_POLL_SECONDS = 0.02


async def writers(session: ReadSession) -> list[str]:
    """Return the transactions that have taken customers and have not ended."""
    return [row[0] for row in await fetch_rows(session, _WRITERS)]


async def have_ended(session: ReadSession, begun: Sequence[str], seconds: float) -> bool:
    """Wait until transactions have ended; False if some have not after so long."""
    until = asyncio.get_running_loop().time() + seconds
    while begun and await _left(session, begun):
        if asyncio.get_running_loop().time() >= until:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True


async def _left(session: ReadSession, begun: Sequence[str]) -> int:
    row = await fetch_row(session, _ANY_LEFT, list(begun))
    return 0 if row is None else int(row[0])
