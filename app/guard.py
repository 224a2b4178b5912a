"""The outermost middleware: what happens to every request, whatever its route does.

A body is read whole before its request takes one of the few slots, so that a slow sender
holds a socket and not a database connection. Bodies above `_SMALL` bytes, or of unknown
length, are read a few at a time, which bounds the memory for bodies to
admission_limit x `_SMALL` + 3 x slots x body_limit, of which a third are unpacked ones.
"""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import access_log, metrics
from app.config import Settings
from app.errors import (
    AppError,
    InternalError,
    Overloaded,
    PayloadTooLarge,
    RequestTimeout,
)
from app.handlers import problem_response, route_template
from app.intake import (
    ClientLeftError,
    check_headers,
    decoded,
    discard,
    has_left,
    read_body,
    replay,
)
from app.logs import request_id_var, trace_id_var

_EXEMPT = ("/livez", "/readyz", "/metrics", "/docs", "/openapi.json")
_EXEMPT_BELOW = ("/docs/", "/swagger")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_CLIENT_LEFT = 499
_SMALL = 262_144
_LINGER_SECONDS = 1.0

logger = logging.getLogger("clm.guard")


class _Reply:
    """The send channel of one request: adds our headers, knows how far the answer is."""

    def __init__(self, send: Send, headers: dict[bytes, bytes]) -> None:
        self._send = send
        self._headers = headers
        self.status: int | None = None
        self.bytes_sent = 0
        self.complete = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            theirs = [pair for pair in message.get("headers", ()) if pair[0] not in self._headers]
            message["headers"] = [*theirs, *self._headers.items()]
        else:
            self.bytes_sent += len(message.get("body", b""))
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.complete = True


class Guard:
    """Identifies, limits, measures and logs every HTTP request, and answers every failure.

    While `draining`, answers close their connection, so that callers move to another process;
    to say so is the task of the readiness route.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self.app = app
        self.draining = False
        slots = settings.pool_size - 2
        self._slots = asyncio.Semaphore(slots)
        self._large_bodies = asyncio.Semaphore(2 * slots)
        self._in_flight = 0
        self._admission_limit = settings.admission_limit
        self._body_limit = settings.body_limit
        self._body_seconds = settings.body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request; only an answer that broke in the middle raises."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan" and "app" in scope:
                # Starlette builds its middleware itself: this is how others find the guard.
                scope["app"].state.guard = self
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        reply = _Reply(send, self._own_headers(scope, headers))
        access_log.begin(scope, headers)
        metrics.requests_in_flight.inc()
        try:
            await self._answer(scope, headers, receive, reply)
        finally:
            metrics.requests_in_flight.dec()
            status = _CLIENT_LEFT if reply.status is None else reply.status
            route = route_template(scope)
            access_log.record(
                scope,
                route,
                status,
                seconds=time.perf_counter() - started,
                bytes_sent=reply.bytes_sent,
                of_probe=route in _EXEMPT,
            )

    def _own_headers(self, scope: Scope, headers: Mapping[str, str]) -> dict[bytes, bytes]:
        """Set the ids of the request; return the headers that its answer gets."""
        request_id = headers.get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = request_id
        request_id_var.set(request_id)
        trace = _TRACEPARENT.match(headers.get("traceparent", ""))
        trace_id_var.set(trace[1] if trace else "")
        own = {b"x-request-id": request_id.encode(), b"x-content-type-options": b"nosniff"}
        if _path(scope).startswith("/v1"):
            own[b"cache-control"] = b"no-store"
        if self.draining:
            own[b"connection"] = b"close"
        return own

    async def _answer(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, reply: _Reply
    ) -> None:
        try:
            await self._run(scope, headers, receive, reply)
        except ClientLeftError:
            return
        except Exception as error:
            known = isinstance(error, AppError)
            if not known:
                logger.exception("unhandled exception", extra={"route": route_template(scope)})
            if reply.status is None:
                refusal = error if isinstance(error, AppError) else InternalError()
                await _refuse(refusal, scope, receive, reply)
            elif not reply.complete:
                raise  # the server then closes the connection: half an answer must not look whole

    async def _run(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, reply: _Reply
    ) -> None:
        length = check_headers(headers, self._body_limit)
        path = _path(scope)
        if path in _EXEMPT or path.startswith(_EXEMPT_BELOW):
            await self.app(scope, receive, reply)
            return
        if self._in_flight >= self._admission_limit:
            raise Overloaded
        self._in_flight += 1
        try:
            if length > _SMALL:
                async with self._large_bodies:
                    await self._read_and_run(length, scope, headers, receive, reply)
            else:
                await self._read_and_run(length, scope, headers, receive, reply)
        finally:
            self._in_flight -= 1

    async def _read_and_run(
        self,
        length: int,
        scope: Scope,
        headers: Mapping[str, str],
        receive: Receive,
        reply: _Reply,
    ) -> None:
        """Read the body, wait for a slot, first come first served, and run the request.

        Only who has a slot unpacks a body: packed it is within the bounds of memory.
        """
        seconds = self._body_seconds if length else None
        body = await read_body(receive, self._body_limit, seconds)
        state = scope["state"]
        state["bytes_received"] = len(body)
        waited, since = self._slots.locked(), time.perf_counter()
        async with self._slots:
            if waited:
                state["waited"] = time.perf_counter() - since
            if waited and await has_left(receive):
                raise ClientLeftError
            body = await decoded(body, headers, self._body_limit)
            await self.app(scope, replay(body, receive), reply)


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


async def _refuse(error: AppError, scope: Scope, receive: Receive, reply: _Reply) -> None:
    """Answer with the problem, and close the connection if the rest of a body may follow.

    The server drops the unread rest of a body within its limits by itself, but a caller that
    waits for `100 Continue` may or may not send it: the next request could not be told from it.
    """
    response = problem_response(error, scope)
    expecting = any(name == b"expect" for name, _ in scope["headers"])
    closing = expecting or isinstance(error, (PayloadTooLarge, RequestTimeout))
    if closing:
        response.headers["connection"] = "close"
    await reply(
        {"type": "http.response.start", "status": error.status, "headers": response.raw_headers}
    )
    await reply({"type": "http.response.body", "body": response.body, "more_body": closing})
    if not closing:
        return
    # Closing while the caller still sends would reset the connection, and the answer with it.
    await discard(receive, _LINGER_SECONDS)
    await reply({"type": "http.response.body", "body": b"", "more_body": False})
