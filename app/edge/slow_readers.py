"""Cuts off callers who take nothing of their answer.

What is sent waits for its reader in memory, and an export in the database as well. A server that
waits for ever is stopped by whoever asks and never reads.
"""

import asyncio
import fcntl
import logging
import sys
import termios
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LEAST_BYTES = 4_096
"""What a reader must take in the time; less is no progress."""

logger = logging.getLogger("clm.connections")


class PatientProtocol(HttpToolsProtocol):
    """HTTP on a connection whose reader has some time for each bit of what is sent."""

    write_seconds: ClassVar[float] = 30.0
    _watch: asyncio.TimerHandle | None = None
    _untaken = 0

    def pause_writing(self) -> None:
        """Begin to watch: more waits to be taken than a connection holds."""
        super().pause_writing()
        self._begin_watch()

    def resume_writing(self) -> None:
        """End the watch."""
        super().resume_writing()
        self._end_watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the watch with the connection."""
        self._end_watch()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, also if the end of an answer is never taken."""
        super().timeout_keep_alive_handler()
        if self._watch is None and self.transport.get_write_buffer_size():
            self._begin_watch()

    @property
    def lags(self) -> bool:
        """Say whether more waits for the reader than a connection holds."""
        return self._watch is not None

    def cut_off(self) -> None:
        """End the connection without waiting for its reader."""
        self.transport.abort()

    def _begin_watch(self) -> None:
        self._end_watch()
        self._untaken = untaken(self.transport)
        self._watch = self.loop.call_later(self.write_seconds, self._look)

    def _end_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _look(self) -> None:
        """Cut the reader off, or look again later if it took something."""
        if self._untaken - untaken(self.transport) >= LEAST_BYTES:
            self._begin_watch()
            return
        self._watch = None
        logger.warning("reader cut off", extra={"untaken_bytes": self._untaken})
        self.cut_off()


def untaken(transport: asyncio.Transport) -> int:
    """Return how many bytes the reader has yet to take, those of the operating system included.

    Of its own buffer alone a slow reader seems to take nothing for minutes, and then much.
    """
    waiting = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    try:
        sent = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    except (AttributeError, OSError, ValueError):
        return waiting
    return waiting + int.from_bytes(sent, sys.byteorder)
