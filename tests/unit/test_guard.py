"""The guard in front of small applications, called through ASGI."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.config import Settings
from app.edge import handlers
from app.edge.guard import Guard
from app.telemetry import metrics
from app.telemetry.logs import trace_id_var

T = TypeVar("T")
SETTINGS: dict[str, Any] = {
    "pool_size": 3,
    "admission_limit": 4,
    "body_limit": 1_000,
    "body_seconds": 0.2,
    "wait_seconds": 5,
}


class World:
    """An application with one slot, whose slow route waits until it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.order: list[str] = []
        self.running = self.most = 0
        self.app = FastAPI()
        handlers.install(self.app)
        router = APIRouter(prefix="/things")
        router.add_api_route("/{name}", self.slow, methods=["GET", "POST"])
        self.app.include_router(router, prefix="/v1")
        self.app.add_api_route("/livez", self.live)
        self.app.add_api_route("/v1/broken", self.broken)
        self.app.add_api_route("/v1/half", self.half)
        self.app.add_api_route("/v1/echo", self.echo, methods=["POST"])
        self.app.add_api_route("/v1/ids", self.ids)
        self.app.add_middleware(Guard, settings=Settings(**SETTINGS))
        transport = httpx.ASGITransport(self.app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://clm")

    async def slow(self, name: str) -> dict[str, str]:
        self.order.append(name)
        self.running += 1
        self.most = max(self.most, self.running)
        await self.go.wait()
        self.running -= 1
        return {"name": name}

    async def live(self) -> dict[str, str]:
        return {}

    async def broken(self) -> None:
        secret = "alice@example.com"
        raise ValueError(secret)

    async def half(self) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            raise ValueError

        return StreamingResponse(parts())

    async def echo(self, request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    async def ids(self, request: Request) -> dict[str, str]:
        return {"request_id": request.state.request_id, "trace_id": trace_id_var.get()}


def run(test: Callable[[World], Awaitable[T]]) -> T:
    async def main() -> T:
        return await test(World())

    return asyncio.run(main())


def get(path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    return run(lambda world: world.client.get(path, headers=headers))


def post(path: str, **kwargs: Any) -> httpx.Response:
    return run(lambda world: world.client.post(path, **kwargs))


def check_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    document: dict[str, Any] = response.json()
    assert document["request_id"] == response.headers["x-request-id"]
    assert (document["status"], document["code"]) == (status, code)
    return document


@pytest.mark.parametrize("given", ["abcdefgh", "A.b_c-12", "x" * 64])
def test_request_id_of_caller_is_kept(given: str) -> None:
    response = get("/v1/ids", {"X-Request-Id": given})
    assert response.json()["request_id"] == response.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["short", "x" * 65, "with space", "a/b/c/d/e/f", ""])
def test_bad_request_id_is_replaced(given: str) -> None:
    response = get("/v1/ids", {"X-Request-Id": given})
    assert len(response.headers["x-request-id"]) == 32
    assert response.headers["x-request-id"] != given


@pytest.mark.parametrize(
    ("parent", "expected"),
    [
        (f"00-{'a1' * 16}-{'b' * 16}-01", "a1" * 16),
        (f"cc-{'a1' * 16}-{'b' * 16}-01-later", "a1" * 16),
        (f"ff-{'a1' * 16}-{'b' * 16}-01", ""),
        (f"00-{'0' * 32}-{'b' * 16}-01", ""),
        (f"00-{'a1' * 16}-{'0' * 16}-01", ""),
        ("rubbish", ""),
    ],
)
def test_trace_id_comes_from_traceparent(parent: str, expected: str) -> None:
    assert get("/v1/ids", {"traceparent": parent}).json()["trace_id"] == expected


def test_unhandled_exception_is_a_problem_and_leaks_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    response = get("/v1/broken")
    document = check_problem(response, 500, "internal_error")
    assert "alice" not in response.text
    assert document["instance"] == "/v1/broken"
    assert any(each.exc_info for each in caplog.records if each.name == "clm.guard")


def test_failure_in_the_middle_of_an_answer_is_raised_to_the_server() -> None:
    with pytest.raises(ValueError):
        get("/v1/half")


def test_security_headers() -> None:
    assert get("/v1/ids").headers["cache-control"] == "no-store"
    live = get("/livez").headers
    assert "cache-control" not in live
    assert live["x-content-type-options"] == "nosniff"


def test_body_up_to_the_limit_is_passed_on_whole() -> None:
    assert post("/v1/echo", content=b"x" * 1_000).json() == {"bytes": 1_000}
    assert post("/v1/echo").json() == {"bytes": 0}


async def fill(world: World) -> "dict[str, asyncio.Task[httpx.Response]]":
    """Have one request run and three wait."""
    tasks = {}
    for name in "abcd":
        tasks[name] = asyncio.create_task(world.client.get(f"/v1/things/{name}"))
        await asyncio.sleep(0.01)
    assert world.order == ["a"]
    return tasks


def test_one_runs_and_others_wait_in_order() -> None:
    async def test(world: World) -> None:
        tasks = await fill(world)
        assert (await world.client.get("/livez")).status_code == 200
        world.go.set()
        assert [each.status_code for each in await asyncio.gather(*tasks.values())] == [200] * 4
        assert world.order == list("abcd")
        assert world.most == 1

    run(test)


def test_of_too_many_the_oldest_is_refused_and_the_newest_served_first() -> None:
    async def test(world: World) -> None:
        tasks = await fill(world)
        tasks["e"] = asyncio.create_task(world.client.post("/v1/things/e", content=b"{}"))
        refused = await tasks.pop("b")
        check_problem(refused, 503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        assert (await world.client.get("/livez")).status_code == 200
        world.go.set()
        assert {each.status_code for each in await asyncio.gather(*tasks.values())} == {200}
        assert world.order == list("aedc")
        assert (await world.client.get("/v1/things/f")).status_code == 200

    run(test)


def test_slots_are_given_back_by_failures() -> None:
    async def test(world: World) -> None:
        for _ in range(6):
            assert (await world.client.get("/v1/broken")).status_code == 500
            assert (await world.client.post("/v1/echo", content=b"x" * 2_000)).status_code == 413
        assert (await world.client.get("/v1/ids")).status_code == 200

    run(test)


def test_metrics_and_access_log_have_the_template_and_no_ids(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def count(route: str, status: str, method: str = "GET") -> float:
        labels = {"method": method, "route": route, "status": status}
        return metrics.REGISTRY.get_sample_value("clm_http_requests_total", labels) or 0

    async def test(world: World) -> None:
        world.go.set()
        await world.client.get("/v1/things/alice?q=bob")
        await world.client.delete("/v1/things/alice")
        await world.client.get("/nowhere/alice")

    template = "/v1/things/{name}"
    before = count(template, "200"), count(template, "405", "DELETE"), count("unmatched", "404")
    with caplog.at_level(logging.INFO, "clm.access"):
        run(test)
    after = count(template, "200"), count(template, "405", "DELETE"), count("unmatched", "404")
    assert [new - old for old, new in zip(before, after, strict=True)] == [1, 1, 1]
    lines = [each.__dict__ for each in caplog.records if each.name == "clm.access"]
    assert [(each["route"], each["status"]) for each in lines] == [
        (template, 200),
        (template, 405),
        ("unmatched", 404),
    ]
    assert not any("alice" in str(each) or "bob" in str(each) for each in lines)
    assert metrics.REGISTRY.get_sample_value("clm_http_requests_in_flight") == 0


def test_draining_closes_connections_but_serves() -> None:
    async def plain(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def test() -> None:
        guard = Guard(plain, settings=Settings(**SETTINGS))
        client = httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://clm")
        assert "connection" not in (await client.get("/v1")).headers
        guard.draining = True
        response = await client.get("/v1")
        assert (response.status_code, response.headers["connection"]) == (200, "close")

    asyncio.run(test())
