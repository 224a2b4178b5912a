"""What routes ask for: sessions, the caller, a page; and the class that makes POST repeatable."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query, Request, Response, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from app.days import AsOf
from app.deployment import Deployment
from app.edge.jsonbody import ClmRequest
from app.errors import FieldError, MissingScope, Unauthorized, ValidationFailed, printable
from app.http import repeats
from app.http.endpoints import Endpoint
from app.http.state import State
from app.postgres.db import ReadSession, WriteSession
from app.schemas.common import personal
from app.schemas.common.types import Identifier
from app.schemas.document import property_names
from app.services.access import audit, idempotency, keys
from app.services.common import as_of as as_ofs
from app.services.common.paging import PageRequest
from app.services.runs.segments import keeping


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


Begin = Callable[[], Awaitable[WriteSession]]
AppState = Annotated[State, Depends(_state)]
Here = Annotated[Deployment, Depends(_deployment)]
Now = Annotated[datetime, Depends(current_time)]


class _Bearer(HTTPBearer):
    """Declares the key; the guard has recognised it before the body was read."""

    async def __call__(self, request: Request) -> None:  # type: ignore[override]
        """Do nothing again."""


_bearer = _Bearer(
    scheme_name=HTTPBearer.__name__,
    description="An API key: `clm keys create --name N --scopes a,b`",
)


async def recognise(scope: MutableMapping[str, Any], authorization: str | None) -> keys.Principal:
    """Return who sends a request of which no more than the head is known; for the guard."""
    state: State = scope["app"].state.clm
    return await state.recognition.of(authorization)


async def _principal(
    request: Request, state: AppState, _: Annotated[None, Depends(_bearer)]
) -> keys.Principal:
    principal: keys.Principal | None = request.scope["state"].get("principal")
    if principal is None:
        raise Unauthorized
    state.usage.note(principal.key_id)
    personal.show(allowed=principal.may(personal.READ_PII))
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
        claimed = await repeats.claim_of(request, principal.key_id)
        if claimed is not None:
            replay = await idempotency.claim(writing, claimed)
            if replay is not None:
                raise repeats.Replayed(replay)
        request.state.writing = (writing, principal, claimed)
        yield writing


# The default scope would commit after the response was sent, and tell callers of writes that fail.
Read = Annotated[ReadSession, Depends(_read_session, scope="function")]
Write = Annotated[WriteSession, Depends(_write_session, scope="function")]


async def _write_if_needed(
    request: Request, state: AppState, principal: Principal, reading: Read
) -> AsyncIterator[Begin]:
    """Yield what opens the one transaction of a request that mostly reads."""
    async with AsyncExitStack() as opened:

        async def begin() -> WriteSession:
            await reading.close()  # a request never holds two connections
            session = await opened.enter_async_context(state.database.writes())
            await opened.enter_async_context(session.begin())
            writing = WriteSession(ReadSession(session))
            request.state.writing = (writing, principal, None)
            return writing

        yield begin


WriteIfNeeded = Annotated[Begin, Depends(_write_if_needed, scope="function")]


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
            return await self._endpoint.run(request, partial(self._keep, request))
        except repeats.Replayed as found:
            return repeats.replayed(found.replay)

    @cached_property
    def _fields(self) -> frozenset[str]:
        """The names of all fields that a request may give."""
        return property_names(self.body_field) | self._known

    async def _keep(self, request: Request, response: Response) -> None:
        """Keep who wrote, and the answer if it may be asked for again, with what was written."""
        writing = getattr(request.state, "writing", None)
        if writing is None:
            return
        session, principal, claimed = writing
        await keeping.follow(session, request.app.state.clm.deployment)
        if claimed is not None:
            once = (self.openapi_extra or {}).get(repeats.SHOWN_ONCE)
            await idempotency.store(session, claimed, repeats.kept(response, once))
        body = request.parsed if isinstance(request, ClmRequest) else None
        query = request.query_params.items() if request.scope["query_string"] else ()
        entry = audit.entry_of(
            request.path_params,
            query,
            body,
            self._fields,
            response.headers.get("location"),
            actor=principal.key_id,
            actor_name=principal.name,
            operation=self.name,
            request_id=request.state.request_id,
            status=response.status_code,
        )
        await audit.record(session, entry)


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
