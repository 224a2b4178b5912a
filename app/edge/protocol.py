"""What ASGI cannot do at the edge of HTTP: heads within bounds of size and time.

uvicorn reads a head of any size for any time, and answers what is no request in plain text.
"""

import asyncio
import logging
from typing import Any

import httptools

from app.edge.door import LINGERING, Door
from app.edge.replies import rendered
from app.edge.slow_readers import PatientProtocol
from app.errors import (
    AppError,
    HeadTooLarge,
    InternalError,
    MalformedRequest,
    Overloaded,
    RequestTimeout,
    TooManyConnections,
    Unauthorized,
)
from app.telemetry import access_log, metrics
from app.telemetry.logs import new_request_id

logger = logging.getLogger("clm.connections")

HEAD_BYTES, HEAD_FIELDS = 65_536, 100
_LINGER_SECONDS = 1.0
PIPELINED = 32
"""Requests that may be sent before the first of them is answered."""
_ONCE = frozenset(
    (b"host", b"authorization", b"content-length", b"transfer-encoding", b"content-type",
     b"content-encoding", b"idempotency-key")
)  # fmt: skip
"""Fields of which two could be read as one or the other."""


class _Answered:
    """In the place of a request that was answered without being run."""

    response_complete = True
    more_body = disconnected = False
    message_event = asyncio.Event()


class Connection(PatientProtocol):
    """A connection of the API."""

    door: Door
    """Of the class that `connections_of` makes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head = 0  # bytes of the head and of trailers, as far as fields are complete
        self._unread = 0  # bytes that have led to nothing yet
        self._fields = 0
        self._begun = self._in_body = self._refused = False
        self._fault: AppError | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.url = b""
        self.headers = []
        door = self.door
        if len(self.connections) > door.most and not door.make_room():
            metrics.count_refusal("connections")
            if len(self.connections) > door.most + LINGERING:
                transport.abort()
            else:
                self._end_with(TooManyConnections())
            return
        door.await_head(self, self.loop)

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.forget(self)
        super().connection_lost(exc)

    def leave(self) -> None:
        """Close a connection on which nothing is under way."""
        self.door.forget(self)
        self._refused = True
        self.timeout_keep_alive_handler()

    def time_out(self) -> None:
        """End a connection that was silent for too long."""
        if self in self.door.idle or self._in_body or not self._begun:
            self.leave()
            return
        self._refuse(
            RequestTimeout(f"The head must arrive within {self.door.head_seconds:g} seconds"),
            "head_time",
        )

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if not self._begun and (self.cycle is None or self.cycle.response_complete):
            answer = self.door.shed(data, self.server_state.default_headers)
            if answer is not None:
                self.transport.write(answer)
                self.door.rest(self, self.loop)
                return
        self._unset_keepalive_if_required()
        if self in self.door.idle:
            self.door.await_head(self, self.loop)
        for start in range(0, len(data), HEAD_BYTES):
            if self._refused:
                return
            self._feed(data[start : start + HEAD_BYTES] if len(data) > HEAD_BYTES else data)

    def _feed(self, data: bytes | memoryview) -> None:
        self._unread += len(data)
        try:
            while data and not self._refused:
                try:
                    self.parser.feed_data(data)
                    break
                except httptools.HttpParserUpgrade as upgrade:
                    # There is nothing to upgrade to: what follows is the next request.
                    data = memoryview(data)[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            if self._refused:  # what was read behind the last request that is answered
                return
            fault = self._fault or _what_of(error)
            large = isinstance(fault, HeadTooLarge)
            self._refuse(fault, "head_size" if large else "malformed")
            return
        if self._unread > HEAD_BYTES:
            self._refuse(_too_large(), "head_size")

    def _should_upgrade(self) -> bool:
        return False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun = True
        self._head = self._fields = 0

    def on_url(self, url: bytes) -> None:
        self.url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._unread = 0
        self._fields += 1
        self._count(len(name) + len(value) + 4)
        if not self._in_body:  # fields behind a body are nothing that anybody here expects
            super().on_header(name, value)

    def _count(self, more: int) -> None:
        self._head += more
        if self._head > HEAD_BYTES or self._fields > HEAD_FIELDS:
            self._fault = _too_large()
            raise self._fault

    def on_headers_complete(self) -> None:
        self._unread = 0
        self._fault = MalformedRequest() if self._refused else self._fault_of_head()
        if self._fault is not None:
            raise self._fault
        self._in_body = True
        self.door.heads.pop(self, None)
        answerable = self.cycle is None or self.cycle.response_complete
        if answerable and not self.transport.is_closing():
            refusal = self._refusal()
            if refusal is not None:
                self._answer(refusal)
                return
        super().on_headers_complete()

    def _fault_of_head(self) -> AppError | None:
        if len(self.pipeline) >= PIPELINED:
            return MalformedRequest(f"More than {PIPELINED} requests came before an answer")
        names = [name for name, _ in self.headers]
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            return MalformedRequest(f"HTTP {version} is not spoken here")
        if b"host" not in names and version == "1.1":
            return MalformedRequest("The field Host is missing")
        if b"transfer-encoding" in names and version == "1.0":
            return MalformedRequest("HTTP 1.0 has no Transfer-Encoding")
        if len(set(names)) < len(names):
            twice = next((name for name in names if name in _ONCE and names.count(name) > 1), None)
            if twice is not None:
                return MalformedRequest(f"The field {twice.decode().title()} is given twice")
        return None

    def _refusal(self) -> AppError | None:
        authorization = dict(self.headers).get(b"authorization")
        path = self.url.partition(b"?")[0].decode("latin-1")
        known = None if authorization is None else authorization.decode("latin-1")
        return self.door.refusal(self.parser.get_method().decode(), path, known)

    def _answer(self, error: AppError) -> None:
        """Answer a request that is not run; the connection lives on if it can."""
        method = self.parser.get_method().decode()
        self.cycle = _Answered()  # type: ignore[assignment]
        self.server_state.total_requests += 1
        unwanted = isinstance(error, Unauthorized) and self._has_body()
        if self.expect_100_continue or unwanted or not self.parser.should_keep_alive():
            self._end_with(error, method)
            return
        self._send(error, method, keep=True)
        self.door.await_head(self, self.loop)

    def _has_body(self) -> bool:
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in self.headers
        )

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread = 0
        self._begun = self._in_body = False
        super().on_message_complete()
        if self.cycle.response_complete and not (self._refused or self.transport.is_closing()):
            self.door.rest(self, self.loop)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unset_keepalive_if_required()
        if self.transport.is_closing() or not self.cycle.response_complete:
            return
        if self._begun:  # the next request, or a body that nobody wanted to read
            self.door.await_head(self, self.loop)
        else:
            self.door.rest(self, self.loop)

    def _refuse(self, error: AppError, reason: metrics.Refusal) -> None:
        """Answer what is no request, and read nothing more on this connection."""
        if self.transport.is_closing():
            return
        metrics.count_refusal(reason)
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._end_with(error)
        elif self.pipeline or cycle.response_started:
            self.leave()
        elif cycle.more_body:  # it is the body of this request that cannot be read
            cycle.disconnected = True
            cycle.message_event.set()
            self._end_with(error)
        else:  # what is wrong comes after a request that is being answered
            self.door.forget(self)
            self._refused = True
            cycle.keep_alive = False

    def _end_with(self, error: AppError, method: str = "") -> None:
        """Send an answer that is the last one, and leave some time to read it."""
        self.door.forget(self)
        self._refused = True
        self._send(error, method, keep=False)
        # To close at once would reset the connection if more arrives, and the answer with it.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.abort)

    def _send(self, error: AppError, method: str, *, keep: bool) -> None:
        """Send an answer, and keep that it was given; `method` is empty if it cannot be told."""
        request_id = new_request_id()
        answer = rendered(
            error,
            self.url.partition(b"?")[0] or b"/",
            request_id,
            self.server_state.default_headers,
            keep=keep,
            body=method != "HEAD",
        )
        self.transport.write(answer)
        # Under overload a refusal has to cost a small part of an answer: there it is counted alone.
        overload = isinstance(error, (Overloaded, TooManyConnections))
        access_log.record_refusal(method, error, request_id, logged=not overload)


def _what_of(error: httptools.HttpParserError) -> AppError:
    """Return what a failure of the parser means to a caller."""
    if not isinstance(error, httptools.HttpParserCallbackError):
        return MalformedRequest(f"This is no HTTP request: {error}"[:200])
    if isinstance(error.__context__, (httptools.HttpParserError, AttributeError, ValueError)):
        return MalformedRequest("The target of the request cannot be read")
    logger.error("a head could not be taken", exc_info=error.__context__)
    return InternalError()


def _too_large() -> HeadTooLarge:
    return HeadTooLarge(f"The limits are {HEAD_BYTES} bytes and {HEAD_FIELDS} fields")


def connections_of(door: Door, write_seconds: float) -> type[Connection]:
    """Return the class of all connections through one door, whose readers have that time."""
    return type("Through", (Connection,), {"door": door, "write_seconds": write_seconds})
