"""A part under its lease: kept while the part is worked on, and the work ended if it is in vain.

It is in vain once another worker has the part, and where an answer was lost in a network that says
nothing: who waits for it would wait until the limit of a statement, which for parts is long. So it
is asked, on another connection, whether the server is at work on what it was asked.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from time import perf_counter
from typing import Any

from app.postgres.db import ReadSession, Spent, WriteSession, fetch_row, spent_var
from app.services.operations import parts
from app.services.operations.parts import LeaseLost, Part

SILENT_SECONDS = 8.0
"""How long an answer is waited for before it is asked whether there will be one."""
BEAT_SECONDS = 10.0
"""For a beat: the database is not there if it has not answered by then."""

# While rows are copied in, and between messages of one statement, a server waits for its client.
_IS_SILENT = (
    "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1"
    " AND (state IS NULL OR state NOT LIKE 'idle%')"
    " AND NOT coalesce(state = 'active' AND wait_event = 'ClientRead'"
    " AND query NOT ILIKE 'copy%', false))"
)


async def backend(session: ReadSession) -> int:
    """Return which process of the server works for a session, as long as its transaction lasts."""
    row = await fetch_row(session, "SELECT pg_backend_pid()")
    return 0 if row is None else int(row[0])


class Lease:
    """The lease of one part.

    `write` opens a session of its own; `answered` is told whenever the database has answered it.
    """

    def __init__(
        self,
        part: Part,
        write: Callable[[], AbstractAsyncContextManager[WriteSession]],
        answered: Callable[[], None],
    ) -> None:
        self._part, self._write, self._answered = part, write, answered
        self._spent = Spent()
        self._is_lost = False
        self.backend: int | None = None
        """Which process of the server the part is worked on with, once that is known."""

    async def hold(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work as long as it is of use.

        Raises
        ------
        LeaseLost
            If another worker has the part by now.
        TimeoutError
            If what the database was asked has no answer any more.
        """
        working = asyncio.create_task(self._counted(work))
        heart = asyncio.create_task(self._beat(working))
        try:
            await asyncio.wait((working,))
        finally:
            heart.cancel()
            working.cancel()  # if who waits here is
        if not working.cancelled():
            working.result()
        elif self._is_lost:
            raise LeaseLost("another worker has the part by now")
        else:
            raise TimeoutError("the answer of the database was lost")

    async def _counted(self, work: Awaitable[None]) -> None:
        spent_var.set(self._spent)
        await work

    async def _beat(self, working: asyncio.Task[None]) -> None:
        while True:
            await asyncio.sleep(parts.LEASE.total_seconds() / 3)
            with contextlib.suppress(Exception):  # another beat comes before the lease runs out
                async with asyncio.timeout(BEAT_SECONDS), self._write() as session:
                    self._is_lost = not await parts.extend_lease(session, self._part)
                    in_vain = self._is_lost or await self._waits_in_vain(session)
                self._answered()
                if in_vain:
                    working.cancel()
                    return

    async def _waits_in_vain(self, session: ReadSession) -> bool:
        since = self._spent.asked_at
        if since is None or self.backend is None or perf_counter() - since < SILENT_SECONDS:
            return False
        row = await fetch_row(session, _IS_SILENT, self.backend)
        # Unless it has been answered in the meantime.
        return row is not None and bool(row[0]) and self._spent.asked_at == since
