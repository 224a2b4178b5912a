"""Whose key a request carries: remembered for a while, asked of the database by one at a time.

Whoever has no key can make the database be asked by inventing some. So one connection is all that
is used for it; who waits for it too long is told to come again, and keys that were good before are
not kept waiting by those that were never seen.
"""

import asyncio
import hashlib
from functools import partial
from time import monotonic

from app.edge.admission import Admission, Ticket
from app.errors import Unauthorized
from app.postgres.db import Database, ReadSession
from app.postgres.sqlstates import from_database
from app.services.access import key_texts, keys
from app.services.access.keys import Principal

PRINCIPAL_SECONDS = 10.0
"""How long a key is remembered, and so how long a revoked one may be obeyed."""
UNKNOWN_SECONDS = 2.0
_MANY = 10_000
_AT_ONCE, _IN_FLIGHT, _WAIT_SECONDS = 1, 200, 1.0

Mark = bytes


def credentials_of(authorization: str) -> str | None:
    """Return the key of an Authorization header."""
    scheme, _, key = authorization.partition(" ")
    return key if key and scheme.lower() == "bearer" else None


def _mark(key: str) -> Mark:
    # A hash, so that no secret lies about in memory.
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


class Recognition:
    """What a process remembers of keys."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.known: dict[Mark, tuple[float, Principal]] = {}
        """Whose key it is, and until when that is remembered."""
        self._unknown: dict[Mark, float] = {}
        self._asking: dict[Mark, asyncio.Task[Principal | None]] = {}
        self._turns = Admission(_AT_ONCE, _IN_FLIGHT, _WAIT_SECONDS)

    def remembered(self, authorization: str) -> Principal | None:
        """Return whose key this is if that was asked a moment ago."""
        key = credentials_of(authorization)
        kept = self.known.get(_mark(key)) if key is not None else None
        return kept[1] if kept is not None and monotonic() < kept[0] else None

    async def of(self, authorization: str | None) -> Principal:
        """Return whose key this is.

        Raises
        ------
        Unauthorized
            If there is none, or it is unknown, revoked or expired.
        """
        key = None if authorization is None else credentials_of(authorization)
        if key is None:
            raise Unauthorized
        mark, clock = _mark(key), monotonic()
        kept = self.known.get(mark)
        if kept is not None and clock < kept[0]:
            principal: Principal | None = kept[1]
        elif key_texts.read(key) is None or clock < self._unknown.get(mark, 0.0):
            principal = None
        else:
            principal = await self._ask_once(mark, key)
        if principal is None:
            raise Unauthorized("The API key is unknown, expired or revoked.")
        return principal

    async def _ask_once(self, mark: Mark, key: str) -> Principal | None:
        """Ask, together with all who ask the same meanwhile."""
        task = self._asking.get(mark)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(mark, key))
            self._asking[mark] = task
            task.add_done_callback(partial(self._asked, mark))
        return await asyncio.shield(task)

    def _asked(self, mark: Mark, task: "asyncio.Task[Principal | None]") -> None:
        del self._asking[mark]
        if not task.cancelled():
            task.exception()  # seen, even if all who asked have left

    async def _ask(self, mark: Mark, key: str) -> Principal | None:
        ticket = Ticket("known" if mark in self.known else "unknown", "recognise", short=True)
        await self._turns.enter(ticket)
        try:
            async with self._database.reads() as session:
                principal = await keys.recognise(ReadSession(session), key)
        except Exception as error:
            raise from_database(error) or error from error
        finally:
            self._turns.leave(ticket)
        self._remember(mark, principal)
        return principal

    def _remember(self, mark: Mark, principal: Principal | None) -> None:
        for kept in (self.known, self._unknown):
            if len(kept) >= _MANY:
                kept.clear()
        if principal is None:
            self.known.pop(mark, None)
            self._unknown[mark] = monotonic() + UNKNOWN_SECONDS
        else:
            lasts = PRINCIPAL_SECONDS if principal.lasts is None else principal.lasts
            self.known[mark] = monotonic() + min(PRINCIPAL_SECONDS, lasts), principal
