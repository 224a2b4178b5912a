"""Which connections are open, whose head is awaited, and who is closed to make room for others."""

import asyncio
import resource
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from app.config import Settings
from app.errors import AppError

LINGERING = 256
"""Refused connections that may be open besides, until their callers have read why."""
_PATIENCE_SECONDS = 1.0
"""How old a head must be, for its connection to be closed to make room for a new one."""
_OTHER_FILES = 200

Refusal = Callable[[str, str, str | None], AppError | None]
"""Says by method, path and authorization how a request is refused that need not be read."""

Shed = Callable[[bytes, list[tuple[bytes, bytes]]], bytes | None]
"""Returns the answer to what need not even be parsed."""


class Connection(Protocol):
    """A connection, as far as it can be ended."""

    def leave(self) -> None:
        """Close it while nothing is under way."""

    def time_out(self) -> None:
        """End it because it was silent for too long."""


class Door:
    """What the connections of one process have in common."""

    def __init__(
        self, settings: Settings, refusal: Refusal, shed: Shed = lambda _data, _fields: None
    ) -> None:
        self.most = min(settings.connections, _descriptors(settings.connections))
        self.refusal = refusal
        self.shed = shed
        self.head_seconds = settings.head_seconds
        self.heads: dict[Connection, float] = {}
        """Whose head is awaited, or the rest of a body nobody reads; the longest first."""
        self.idle: dict[Connection, float] = {}
        """Who may ask again; the longest first."""
        self._idle_seconds = settings.keep_alive_seconds
        self._period = min(1.0, self.head_seconds / 4, self._idle_seconds / 4)
        self._sweeping = False

    def make_room(self) -> bool:
        """Close the connection that is missed least; say whether there was one."""
        if self.idle:
            next(iter(self.idle)).leave()
            return True
        oldest = next(iter(self.heads), None)
        if oldest is None or monotonic() - self.heads[oldest] < _PATIENCE_SECONDS:
            return False
        oldest.leave()
        return True

    def await_head(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        """Give a connection its time for a head, or for a body that is not wanted any more."""
        self.idle.pop(connection, None)
        self.heads[connection] = monotonic()
        self._watch(loop)

    def rest(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        """Keep a connection for another request."""
        self.heads.pop(connection, None)
        self.idle[connection] = monotonic()
        self._watch(loop)

    def forget(self, connection: Connection) -> None:
        """Look after a connection no more."""
        self.heads.pop(connection, None)
        self.idle.pop(connection, None)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(self._period, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweeping = False
        if self.heads or self.idle:
            self._watch(loop)
        now = monotonic()
        for waiting, seconds in ((self.heads, self.head_seconds), (self.idle, self._idle_seconds)):
            for connection in [each for each, since in waiting.items() if now - since > seconds]:
                connection.time_out()


def _descriptors(wanted: int) -> int:
    """Raise the limit of open files as far as needed and allowed; return what it leaves."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + LINGERING + _OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(soft - LINGERING - _OTHER_FILES, 10)
