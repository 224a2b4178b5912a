"""What routes ask for: sessions, the caller, a page; and the class that makes POST repeatable."""

import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query, Request, Response, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.days import AsOf
from app.db import ReadSession, WriteSession
from app.deployment import Deployment
from app.endpoints import Endpoint
from app.errors import FieldError, MissingScope, Unauthorized, ValidationFailed, printable
from app.schemas.common.types import Identifier
from app.services.access import idempotency, keys
from app.services.access.idempotency import Claim, Replay
from app.services.common import as_of as as_ofs
from app.services.common.paging import PageRequest
from app.state import State

PRINCIPAL_SECONDS = 10.0
MAX_KEPT_PRINCIPALS = 10_000
_KEPT_HEADERS = ("content-type", "etag", "location", "retry-after")


# Dependencies are async although few of them wait: FastAPI sends plain functions to a thread each.
async def _state(request: Request) -> State:
    state: State = request.app.state.clm
    return state


async def _deployment(request: Request) -> Deployment:
    state: State = request.app.state.clm
    return state.deployment


async def current_time() -> datetime:
    """Return the clock of a request; tests set another one."""
    return datetime.now(UTC)


AppState = Annotated[State, Depends(_state)]
Here = Annotated[Deployment, Depends(_deployment)]
Now = Annotated[datetime, Depends(current_time)]

_bearer = HTTPBearer(
    auto_error=False, description="An API key: `clm keys create --name N --scopes a,b`"
)


async def _principal(
    state: AppState,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> keys.Principal:
    """Recognise the key; borrows a connection and returns it before the request opens its own."""
    if credentials is None:
        raise Unauthorized
    # Keyed by a hash, so that no secret lies about in memory.
    mark = hashlib.sha256(credentials.credentials.encode("utf-8", "surrogatepass")).digest()
    kept = state.principals.get(mark)
    if kept is not None and time.monotonic() < kept[0]:
        return kept[1]
    async with state.database.reads() as session:
        principal = await keys.recognise(ReadSession(session), credentials.credentials)
    if principal is None:
        raise Unauthorized("The API key is unknown, expired or revoked.")
    if len(state.principals) >= MAX_KEPT_PRINCIPALS:
        state.principals.clear()
    seconds = min(PRINCIPAL_SECONDS, principal.seconds_left)
    state.principals[mark] = (time.monotonic() + seconds, principal)
    return principal


Principal = Annotated[keys.Principal, Depends(_principal)]


class Scope:
    """Asks for a scope; a route without one does not pass the tests."""

    def __init__(self, scope: str) -> None:
        self.scope = scope

    async def __call__(self, principal: Principal) -> None:
        if not principal.may(self.scope):
            raise MissingScope(
                f"This operation needs the scope {self.scope}.", missing_scope=self.scope
            )


async def _read_session(state: AppState, principal: Principal) -> AsyncIterator[ReadSession]:
    del principal  # who calls is known before a connection is taken
    async with state.database.reads() as session:
        yield ReadSession(session)


async def _write_session(
    request: Request, state: AppState, principal: Principal
) -> AsyncIterator[WriteSession]:
    """Open the one transaction of a request; it commits before the response is sent."""
    async with state.database.writes() as session, session.begin():
        writing = WriteSession(ReadSession(session))
        claimed = await _claim_of(request, principal)
        if claimed is not None:
            replay = await idempotency.claim(writing, claimed)
            if replay is not None:
                raise _Replayed(replay)
            request.state.claim = (writing, claimed)
        yield writing


# The default scope would commit after the response was sent, and tell callers of writes that fail.
Read = Annotated[ReadSession, Depends(_read_session, scope="function")]
Write = Annotated[WriteSession, Depends(_write_session, scope="function")]


class _Replayed(Exception):  # no error: the way out for a stored answer
    def __init__(self, replay: Replay) -> None:
        super().__init__()
        self.replay = replay


async def _claim_of(request: Request, principal: keys.Principal) -> Claim | None:
    key = request.headers.get("idempotency-key")
    if key is None or request.method != "POST":
        return None
    # The draft standard quotes the key, most callers do not: both are the same key.
    key = key.strip().removeprefix('"').removesuffix('"')
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        raise ValidationFailed(
            errors=[
                FieldError(
                    "header:Idempotency-Key", "idempotency_key", "1 to 255 printable characters"
                )
            ]
        )
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return Claim(principal.key_id, key, hashlib.sha256(asked + await request.body()).digest())


class Route(APIRoute):
    """Reads bodies strictly, refuses unknown parameters, and keeps answers of repeatable POSTs."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.run

    def prepare(self) -> None:
        """Work out how the endpoint is run; fail if there is no way."""
        try:
            self._endpoint  # noqa: B018  # kept
        except NotImplementedError as error:
            raise NotImplementedError(f"{self.name}: {error}") from None

    @cached_property
    def _endpoint(self) -> Endpoint:
        return Endpoint(
            self.dependant,
            status_code=self.status_code,
            response_field=self.response_field,
            exclude_unset=self.response_model_exclude_unset,
            embed=self._embed_body_fields,
        )

    @cached_property
    def _known(self) -> set[str]:
        return {
            field.alias
            for field in get_flat_params(self.dependant)
            if isinstance(field.field_info, params.Query)
        }

    async def run(self, request: Request) -> Response:
        """Answer a request."""
        if request.scope["query_string"]:
            _refuse_parameters(request, self._known)
        try:
            return await self._endpoint.run(request, partial(_keep, request))
        except _Replayed as replayed:
            return _stored(replayed.replay)


async def _keep(request: Request, response: Response) -> None:
    """Store the answer to a request that may be sent again, in the transaction of its effect."""
    claim = getattr(request.state, "claim", None)
    if claim is not None:
        session, claimed = claim
        headers = {name: value for name, value in response.headers.items() if name in _KEPT_HEADERS}
        answer = Replay(response.status_code, headers, bytes(response.body))
        await idempotency.store(session, claimed, answer)


def _refuse_parameters(request: Request, known: set[str]) -> None:
    """Refuse unknown parameters, and repeated ones, as only one of the values would count."""
    given = Counter(name for name, _ in request.query_params.multi_items())
    faults = [("extra_forbidden", name) for name in given if name not in known]
    faults += [("repeated", name) for name in given if name in known and given[name] > 1]
    if faults:
        details = {"extra_forbidden": "is not a parameter here", "repeated": "is given twice"}
        raise ValidationFailed(
            errors=[
                FieldError(f"query:{printable(name)}", code, details[code])
                for code, name in faults[:20]
            ]
        )


def _stored(replay: Replay) -> Response:
    headers = {**replay.headers, "Idempotent-Replayed": "true"}
    return Response(replay.body, status_code=replay.status, headers=headers)


async def _page_in_order(
    state: AppState,
    limit: Annotated[int, Query(ge=1, le=500, description="items on a page")] = 50,
    cursor: Annotated[
        str | None, Query(max_length=2000, description="`next_cursor` of the page before")
    ] = None,
) -> PageRequest:
    return PageRequest(limit, cursor, None, state.cursor_secret)


PageInOrder = Annotated[PageRequest, Depends(_page_in_order)]
"""A page of a list that has one order."""


async def _page(
    page: PageInOrder,
    sort: Annotated[
        str | None, Query(max_length=50, description="a sort key; `-` in front for descending")
    ] = None,
) -> PageRequest:
    return replace(page, sort=sort)


InstantOrDay = Annotated[
    str | None,
    Query(
        max_length=40,
        description="an instant, or a day that means its end; default now",
        examples=["2026-01-31"],
    ),
]


async def _as_of(deployment: Here, now: Now, as_of: InstantOrDay = None) -> AsOf:
    return as_ofs.parse(as_of, deployment, now)


Page = Annotated[PageRequest, Depends(_page)]
"""A page of a list that can be sorted."""
AsOfQuery = Annotated[AsOf, Depends(_as_of)]
CustomerId = Annotated[Identifier, Path(description="id of the customer", examples=["c-1001"])]
Since = Annotated[
    str | None, Query(max_length=40, description="an instant, or a day that means its beginning")
]
Until = Annotated[
    str | None, Query(max_length=40, description="an instant, or a day that means its end")
]
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", max_length=200, description='the ETag last seen, such as "3"'),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=257,
        description="makes a repeated POST have one effect; the first answer is replayed",
    ),
]
