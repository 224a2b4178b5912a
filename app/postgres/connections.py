"""Connections to the database that are given up when nobody is at the other end."""

import socket
from contextlib import suppress
from typing import Any

import asyncpg

END_SECONDS = 1
"""For the server to end what it is asked to cancel, and for a connection to be closed in order."""
SILENT_SECONDS, PROBE_SECONDS, PROBES = 5, 2, 3
"""After what silence the system asks whether the other side is there, how often, how many times."""


class Connection(asyncpg.Connection):  # type: ignore[misc]  # the driver has no types
    """A connection that waits for no server that says nothing."""

    def __init__(
        self, protocol: Any, transport: Any, loop: Any, addr: Any, config: Any, params: Any
    ) -> None:
        super().__init__(protocol, transport, loop, addr, config, params)
        _watch(transport.get_extra_info("socket"), int(params.server_settings["tcp_user_timeout"]))

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  # as the parent
        """Close in order if that is soon done; whatever happens, it is closed after."""
        await super().close(timeout=min(timeout or END_SECONDS, END_SECONDS))

    async def _cancel(self, *waiters: Any) -> None:
        """Ask the server to end a statement; the driver would wait for its answer for too long."""
        giving_up = self._loop.call_later(END_SECONDS, self.terminate)
        try:
            await super()._cancel(*waiters)
        finally:
            giving_up.cancel()


def _watch(connected: socket.socket | None, unheard_ms: int) -> None:
    """Have the system find out that the other side is gone, where it can."""
    if connected is None or connected.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", SILENT_SECONDS),
        ("TCP_KEEPINTVL", PROBE_SECONDS),
        ("TCP_KEEPCNT", PROBES),
        ("TCP_USER_TIMEOUT", unheard_ms),
    ):
        with suppress(AttributeError, OSError):  # not every system has all of them
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
