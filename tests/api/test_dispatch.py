"""What runs the endpoints here, against FastAPI's own way of running them."""

import json
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import BackgroundTasks, Cookie, Depends, FastAPI, Request, Response
from fastapi.routing import APIRoute, request_response
from fastapi.security import SecurityScopes
from starlette.types import ASGIApp

from app import main
from app.config import Settings
from app.edge.jsonbody import ClmRequest
from app.http import deps, dispatch
from app.http.deps import Route
from app.main import create_app
from app.postgres.db import Database
from tests.database import Clock, make_client

VALUES = {"customer_id": "c1", "source": "default", "run_id": "1", "version": "1"}
VARYING = re.compile(
    r'"(request_id|created_at|updated_at|token|id|run_id|operation_id)":("[^"]*"|\d+)'
    r"|/v1/operations/\w+"
)
QUERIES = ("", "?limit=0&as_of=never", "?limit=2", "?unknown=1", "?as_of=2026-01-31")
BODIES = (b"", b"{", b"[]", b"{}", b'{"items": 5, "nonsense": 1}', b'{"items": [{}]}')
WRONG = QUERIES[1]
ASKED = [(query, body) for query in QUERIES for body in BODIES
         if query in ("", WRONG) or body == b"{}"]  # fmt: skip
"""What is wrong with a query and with a body is told together; else each is by itself."""
UNASKED = [(query, None) for query in QUERIES]


class _Without:
    """In the place of the dispatcher: FastAPI finds the routes, and runs them."""

    def __init__(self, app: ASGIApp, found: Any) -> None:
        del found
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


def _by_fastapi(route: Route) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    handle = APIRoute.get_route_handler(route)

    async def run(request: Request) -> Response:
        deps._refuse_parameters(request, route._known)
        return await handle(ClmRequest(request.scope, request.receive))

    return run


@pytest.fixture
async def twin(
    settings: Settings, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    with monkeypatch.context() as patched:
        patched.setattr(main, "Dispatch", _Without)
        app = create_app(settings, database)
        for route in app.routes:  # which the dispatcher of the other app does not look at
            if isinstance(route, Route):
                patched.setattr(route, "dependency_overrides_provider", app)
                patched.setattr(route, "app", request_response(_by_fastapi(route)))
        async with await make_client(settings, database, clock, app=app) as client:
            client._free = []  # type: ignore[attr-defined]  # it serves no other test
            yield client


def operations() -> list[tuple[str, str]]:
    paths = json.loads(Path("openapi.json").read_text())["paths"]
    return [
        (method.upper(), re.sub(r"{(\w+)}", lambda found: VALUES.get(found[1], "x1"), path))
        for path, item in paths.items()
        for method in item
        if path.startswith("/v1")
    ]


def plain(answer: httpx.Response) -> tuple[Any, ...]:
    headers = {
        name: VARYING.sub("", value)
        for name, value in answer.headers.items()
        if name not in ("x-request-id", "content-length")
    }
    return answer.status_code, VARYING.sub("", answer.text), headers


async def test_every_operation_answers_as_fastapi_has_it(
    client: httpx.AsyncClient, twin: httpx.AsyncClient
) -> None:
    compared = set()
    twin.headers["Authorization"] = client.headers["Authorization"]
    await client.put("/v1/customers/c1", json={"name": "Ada"})
    for method, path in operations():
        for query, body in ASKED if method in ("POST", "PUT", "PATCH") else UNASKED:
            asked = {"content": body} if body is not None else {}
            await client.request(method, path + query, **asked)  # so that both find it done
            answers = [await each.request(method, path + query, **asked) for each in (twin, client)]
            first, second = map(plain, answers)
            assert first == second, (method, path, query, body)
            compared.add(answers[1].status_code)
    assert {200, 404, 422, 400} <= compared


@pytest.mark.parametrize("headers", [{"Authorization": ""}, {"Authorization": "Bearer none"}, {}])
async def test_who_asks_is_known_before_what_is_asked(
    client: httpx.AsyncClient, twin: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    twin.headers["Authorization"] = client.headers["Authorization"]
    for method, path in operations():
        await client.request(method, path, headers=headers, content=b"{}")
        answers = [
            await each.request(method, path, headers=headers, content=b"{}")
            for each in (twin, client)
        ]
        assert plain(answers[0]) == plain(answers[1]), (method, path)
        assert not headers or answers[0].status_code == 401


async def test_what_is_no_operation_is_told_so_as_ever(
    client: httpx.AsyncClient, twin: httpx.AsyncClient
) -> None:
    for method, path in (
        ("GET", "/v1/customers//stage"),
        ("GET", "/v1/customers/c1/"),
        ("DELETE", "/v1/transactions/bulk"),
        ("PATCH", "/v1/customers"),
        ("GET", "/v1/nothing"),
        ("OPTIONS", "/v1/customers/c1"),
        ("GET", "/v1"),
    ):
        answers = [await each.request(method, path) for each in (twin, client)]
        assert plain(answers[0]) == plain(answers[1]), (method, path)


async def with_cookie(token: Annotated[str, Cookie()] = "") -> None: ...


async def with_tasks(tasks: BackgroundTasks) -> None: ...


async def with_scopes(scopes: SecurityScopes) -> None: ...


def not_async() -> None: ...


async def until_sent() -> AsyncIterator[None]:
    yield


async def depending(given: Annotated[None, Depends(not_async)]) -> None: ...


async def holding(given: Annotated[None, Depends(until_sent)]) -> None: ...


async def twice(given: Annotated[None, Depends(with_scopes, use_cache=False)]) -> None: ...


@pytest.mark.parametrize(
    ("endpoint", "what"),
    [
        (with_cookie, "cookie"),
        (with_tasks, "background_tasks"),
        (with_scopes, "security_scopes"),
        (not_async, "not async"),
        (depending, "not async"),
        (holding, "scope"),
        (twice, "more than once"),
    ],
)
def test_what_cannot_be_run_is_refused_at_start(endpoint: Callable[..., Any], what: str) -> None:
    app = FastAPI()
    app.router.route_class = Route
    app.add_api_route("/v1/odd", endpoint, methods=["POST"])
    with pytest.raises(NotImplementedError, match=f"{endpoint.__name__}: .*{what}"):
        dispatch.operations(app)
