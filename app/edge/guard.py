"""The outermost middleware: what happens to every request, whatever its route does.

Of a request of the API no byte of the body is read before its key is known. Then the body is read
whole before the request takes one of the few slots (`app/edge/admission.py`), so that a slow sender
holds a socket and neither a database connection nor a place in the line.
"""

import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from app.config import Settings
from app.edge.admission import Admission, Ticket, is_short, operation_of
from app.edge.exports import LEAVE_SLOT
from app.edge.handlers import route_template
from app.edge.intake import (
    BodyMemory,
    ClientLeftError,
    check_headers,
    decoded,
    has_left,
    read_body,
    read_nothing,
    replay,
)
from app.edge.rates import Rates
from app.edge.recognition import Recognition
from app.edge.replies import Reply, refuse
from app.errors import (
    AppError,
    DatabaseUnavailable,
    InternalError,
    Overloaded,
    Unauthorized,
)
from app.services.access.keys import Principal
from app.telemetry import access_log, metrics
from app.telemetry.logs import new_request_id, request_id_var, trace_id_var

_EXEMPT = ("/livez", "/readyz", "/metrics", "/docs", "/openapi.json")
_EXEMPT_BELOW = ("/docs/", "/swagger")
_ASKING = ("/readyz", "/metrics")
"""What asks the database for whoever comes: one at a time, so that nobody takes all connections."""
_HEALTH_IN_FLIGHT, _HEALTH_SECONDS = 100, 2.0
_OF_THE_API = "/v1/"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_CLIENT_LEFT = 499
BODY_MEMORY = 64_000_000
"""Bytes of bodies held at once, if eight of the largest are not more."""
_SPARE = 2
"""Connections for health and for keys."""
EXPORTS = 2

logger = logging.getLogger("clm.guard")

Recognise = Callable[[Scope, str | None], Awaitable[Principal]]


class Guard:
    """Identifies, limits, measures and logs every HTTP request, and answers every failure.

    While `draining`, answers close their connection, so that callers move to another process;
    to say so is the task of the readiness route.
    """

    def __init__(
        self, app: ASGIApp, *, settings: Settings, recognise: Recognise | None = None
    ) -> None:
        self.app = app
        self.draining = False
        slots = max(settings.pool_size - _SPARE - settings.export_slots, 1)
        self._recognise = recognise
        self.admission = Admission(slots, settings.admission_limit, settings.wait_seconds)
        self._health = Admission(1, _HEALTH_IN_FLIGHT, _HEALTH_SECONDS)
        self._rates = Rates(max(settings.siblings, settings.processes))
        self._memory = BodyMemory(max(BODY_MEMORY, 8 * settings.body_limit))
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
        reply = Reply(send, self._own_headers(scope, headers))
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

    def refusal(
        self, recognition: Recognition, method: str, path: str, authorization: str | None
    ) -> AppError | None:
        """Return what a request is told that would be refused anyway, by its head alone.

        Under overload most are, and to run them as far as that would take what others need.
        """
        if method == "OPTIONS" or not path.startswith(_OF_THE_API):
            return None
        if authorization is None:
            metrics.count_refusal("no_key")
            return Unauthorized()
        if not (self.admission.overloaded or self._rates.refusing):
            return None
        principal = recognition.remembered(authorization)
        return None if principal is None else self._refusal_of(principal, method, path)

    def _refusal_of(self, principal: Principal, method: str, path: str) -> AppError | None:
        limited = self._rates.exceeded(principal)
        if limited is not None:
            metrics.count_refusal("rate")
            limited.key_id = principal.key_id
            return limited
        if self.admission.sheds(principal.key_id, operation_of(method, path)):
            metrics.count_refusal("shed")
            return Overloaded("Others were first: come again after the seconds of Retry-After")
        return None

    def _own_headers(self, scope: Scope, headers: Mapping[str, str]) -> dict[bytes, bytes]:
        """Set the ids of the request; return the headers that its answer gets."""
        request_id = headers.get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = new_request_id()
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
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, reply: Reply
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
                await refuse(refusal, scope, headers, receive, reply)
            elif not reply.complete:
                raise  # the server then closes the connection: half an answer must not look whole

    async def _run(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, reply: Reply
    ) -> None:
        path = _path(scope)
        if path in _ASKING:
            await self._tell_health(scope, receive, reply)
            return
        if path in _EXEMPT or path.startswith(_EXEMPT_BELOW) or scope["method"] == "OPTIONS":
            await self.app(scope, receive, reply)
            return
        key = ""
        if self._recognise is not None and path.startswith(_OF_THE_API):
            principal = await self._recognise(scope, headers.get("authorization"))
            scope["state"]["principal"] = principal
            key = principal.key_id
            for name, value in self._rates.take(principal).items():
                reply.headers[name.lower().encode()] = value.encode()
        method = scope["method"]
        short = is_short(method, headers.get("accept", ""))
        ticket = Ticket(key, operation_of(method, path), short)
        length = check_headers(headers, self._body_limit)
        if not length:
            body = await read_nothing(receive, self._body_limit)
            await self._run_in_turn(ticket, body, scope, headers, receive, reply)
            return
        with self._memory.holding(key, length) as count:
            body = await read_body(receive, self._body_limit, self._body_seconds, count)
            await self._run_in_turn(ticket, body, scope, headers, receive, reply)

    async def _run_in_turn(
        self,
        ticket: Ticket,
        body: bytes,
        scope: Scope,
        headers: Mapping[str, str],
        receive: Receive,
        reply: Reply,
    ) -> None:
        """Wait for a slot, and run the request.

        Only who has a slot unpacks a body: packed it is within the bounds of memory.
        """
        reply.body_read = True
        scope["state"]["bytes_received"] = len(body)
        waited = await self.admission.enter(ticket)
        try:
            metrics.admission_wait.observe(waited)
            if waited:
                scope["state"]["waited"] = waited
            if waited and await has_left(receive):
                raise ClientLeftError
            # An export takes its time on a connection of its own, and leaves the slot to others.
            scope["state"][LEAVE_SLOT] = partial(self.admission.leave, ticket)
            body = await decoded(body, headers, self._body_limit)
            await self.app(scope, replay(body, receive), reply)
        finally:
            self.admission.leave(ticket)

    async def _tell_health(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        ticket = Ticket("", _path(scope), short=True)
        try:
            await self._health.enter(ticket)
        except Overloaded:
            raise DatabaseUnavailable("More ask for it than can be told in time") from None
        try:
            await self.app(scope, receive, reply)
        finally:
            self._health.leave(ticket)


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
