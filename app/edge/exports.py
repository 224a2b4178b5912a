"""Exports: answers as long as a whole run, for readers who may take as long as they like.

Each holds a connection of the database until its last line is taken. So few run at once, who comes
when they do is told to come again rather than to wait, and the slots of other requests stay theirs.
Readers who take nothing are cut off by their connection (`app/edge/slow_readers.py`).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.errors import ExportsBusy
from app.postgres.sqlstates import from_database
from app.telemetry import metrics

MOST_SECONDS = 1800.0
"""How long an export may take, however steadily it is read."""
LEAVE_SLOT = "leave_slot"
"""Where the state of a request holds what gives its slot back before it ends."""

logger = logging.getLogger("clm.exports")


class Exports:
    """How many exports may begin."""

    def __init__(self, most: int) -> None:
        self._free = most

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the slots, or refuse at once."""
        if not self._free:
            metrics.count_refusal("exports")
            raise ExportsBusy
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


class Export(StreamingResponse):
    """Sends lines that are read while they are sent, and stops reading when the caller leaves."""

    def __init__(
        self,
        lines: AsyncGenerator[bytes],
        exports: Exports,
        *,
        media_type: str,
        headers: dict[str, str],
        filename: str,
    ) -> None:
        named = {"Content-Disposition": f'attachment; filename="{filename}"'}
        super().__init__(lines, media_type=media_type, headers={**headers, **named})
        self._lines = lines
        self._exports = exports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines; what fails before the first of them is answered as a problem."""
        if scope["method"] == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b""})
            return
        with self._exports.slot():
            leave = scope.get("state", {}).get(LEAVE_SLOT)
            if leave is not None:
                leave()
            async with aclosing(self._lines):
                first = await _first(self._lines)
                self.body_iterator = _after(first, self._lines)
                await self._send(receive, send)

    async def _send(self, receive: Receive, send: Send) -> None:
        """Send the lines until the caller leaves or the time is over.

        Cancelled once and then waited for, so that what reads the lines can end in order.
        """
        sending = asyncio.create_task(self.stream_response(send))
        leaving = asyncio.create_task(self.listen_for_disconnect(receive))
        both = {sending, leaving}
        try:
            await asyncio.wait(both, timeout=MOST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done() and not leaving.done():
                logger.warning("export cut off", extra={"seconds": MOST_SECONDS})
        finally:
            for each in both:
                each.cancel()
            await asyncio.wait(both)
        if not sending.cancelled():
            sending.result()


async def _first(lines: AsyncGenerator[bytes]) -> bytes:
    try:
        return await anext(lines, b"")
    except Exception as error:
        known = from_database(error)
        if known is None:
            raise
        raise known from error


async def _after(first: bytes, lines: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for piece in lines:
        yield piece
