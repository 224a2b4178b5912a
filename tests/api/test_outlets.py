"""What goes out besides answers of operations: HEAD, documentation, admin port, other origins."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.edge.cors import SENT
from app.main import create_app
from app.postgres.db import Database
from tests import openapi
from tests.database import Clock, make_client

SITE = "https://crm.example"
ADMIN_PORT = 9100
FOR_OPERATIONS = ("/metrics", "/docs", "/openapi.json", "/swagger/swagger-ui.css", "/")
READ = [path for path, method, _ in openapi.operations(openapi.committed()) if method == "get"]
VALUES = {"customer_id": "c1", "version": "1", "kind": "visit"}


async def client_with(
    settings: Settings, database: Database, clock: Clock, **changes: Any
) -> httpx.AsyncClient:
    changed = settings.model_copy(update=changes)
    app = create_app(changed, database)
    return await make_client(changed, database, clock, app=app)


# --- HEAD ----------------------------------------------------------------------------------------


async def test_what_answers_get_answers_head_with_the_same_headers(
    client: httpx.AsyncClient,
) -> None:
    await client.put("/v1/customers/c1", json={"name": "Ann"})
    for path in (*READ, *FOR_OPERATIONS, "/swagger/nothing", "/v1/nothing"):
        url = re.sub(r"{(\w+)}", lambda found: VALUES.get(found[1], "none"), path)
        got, head = await client.get(url), await client.head(url)
        varying = {"x-request-id", *(["content-length"] if url == "/metrics" else [])}
        shown = [
            {name: value for name, value in each.headers.items() if name not in varying}
            for each in (got, head)
        ]
        assert (head.status_code, shown[1]) == (got.status_code, shown[0]), url
        assert "content-length" in head.headers, url
        assert head.content == b"", url


async def test_head_writes_nothing_and_is_told_where_get_is(client: httpx.AsyncClient) -> None:
    assert (await client.head("/v1/customers/nobody")).status_code == 404
    refused = await client.head("/v1/transactions/bulk")
    assert refused.status_code == 405
    allowed = (await client.delete("/v1/customers/c1/stage")).headers["allow"].split(", ")
    assert {"GET", "HEAD"} <= set(allowed)


async def test_a_slash_within_an_id_parts_nothing(client: httpx.AsyncClient) -> None:
    for method, path in (
        ("GET", "/v1/customers/c1%2Fstage"), ("PUT", "/v1/customers/c1%2fstage"),
        ("GET", "/v1/customers/c1%2Fx/stage"), ("GET", "/v1/customers/%2F"),
    ):  # fmt: skip
        answer = await client.request(method, path, json={"name": "Ann"})
        assert answer.status_code == 422, path
        assert answer.json()["errors"][0]["pointer"] == "path:customer_id"


# --- documentation -------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/crm/clm"])
async def test_the_page_of_the_documentation_works_below_any_prefix(
    client: httpx.AsyncClient, prefix: str
) -> None:
    """A proxy takes the prefix off, and says so or not; the page cannot tell."""
    base = httpx.URL(f"http://proxy.example{prefix}/")

    async def ask(path: str) -> httpx.Response:
        url = base.join(path)
        assert str(url).startswith(str(base)), path
        return await client.get(f"/{str(url).removeprefix(str(base))}")

    start = await ask("")
    assert start.status_code == 307
    page = await ask(start.headers["location"])
    assert page.status_code == 200
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    addresses += re.findall(r"url: '([^']+)'", page.text)
    assert len(addresses) == 4
    for address in addresses:
        assert (await ask(address)).status_code == 200
    document = (await ask("openapi.json")).json()
    assert [base.join(server["url"]) for server in document["servers"]] == [base]


async def test_a_root_path_is_taken_off(client: httpx.AsyncClient) -> None:
    transport = httpx.ASGITransport(client.app, root_path="/clm")  # type: ignore[attr-defined]
    async with httpx.AsyncClient(transport=transport, base_url="http://clm.test") as below:
        for path in ("/clm/docs", "/clm/openapi.json", "/clm/livez"):
            assert (await below.get(path)).status_code == 200
        answer = await below.get("/clm/v1/customers/c1%2Fx", headers=client.headers)
        assert answer.status_code == 422


# --- closing and moving --------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["metrics", "docs"])
async def test_metrics_and_documentation_can_be_closed(
    settings: Settings, database: Database, clock: Clock, door: str
) -> None:
    async with await client_with(settings, database, clock, **{door: False}) as client:
        for path in FOR_OPERATIONS:
            closed = (path == "/metrics") == (door == "metrics")
            answer = await client.get(path)
            assert (answer.status_code == 404) == closed, path
            if closed:
                assert answer.json()["code"] == "not_found"
        assert (await client.get("/livez")).status_code == 200
        described = client.app.openapi()["paths"]  # type: ignore[attr-defined]
        assert ("/metrics" in described) == (door != "metrics")


@pytest.fixture
async def moved(
    settings: Settings, database: Database, clock: Clock
) -> AsyncIterator[httpx.AsyncClient]:
    async with await client_with(settings, database, clock, admin_port=ADMIN_PORT) as client:
        yield client


async def test_with_an_admin_port_metrics_and_documentation_are_there_alone(
    moved: httpx.AsyncClient,
) -> None:
    for path in (*FOR_OPERATIONS, "/livez", "/readyz", "/v1/info"):
        there = await moved.get(f"http://clm.test:{ADMIN_PORT}{path}")
        assert there.status_code in (200, 307), path
        here = await moved.get(path)
        assert (here.status_code == 404) == (path in FOR_OPERATIONS), path
        if here.status_code == 404:
            assert here.json()["code"] == "not_found"
            assert here.headers["x-request-id"]


# --- other origins -------------------------------------------------------------------------------


@pytest.fixture
async def shared(
    settings: Settings, database: Database, clock: Clock
) -> AsyncIterator[httpx.AsyncClient]:
    origins = SITE, "http://localhost:3000"
    async with await client_with(settings, database, clock, cors_origins=origins) as client:
        yield client


def preflight(origin: str, method: str = "POST", headers: str = "") -> dict[str, str]:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    return asked | ({"Access-Control-Request-Headers": headers} if headers else {})


async def test_by_default_no_other_site_may_read(client: httpx.AsyncClient) -> None:
    for method, headers in (("GET", {"Origin": SITE}), ("OPTIONS", preflight(SITE))):
        answer = await client.request(method, "/v1/info", headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.status_code == 405


async def test_a_browser_is_answered_what_it_asks_first_without_a_key(
    shared: httpx.AsyncClient,
) -> None:
    del shared.headers["Authorization"]
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        asked = preflight(SITE, method, ", ".join(SENT).lower())
        answer = await shared.options("/v1/customers", headers=asked)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == SITE
        assert method in answer.headers["access-control-allow-methods"]
        assert "Origin" in answer.headers["vary"]
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "asked",
    [
        preflight("https://evil.example"),
        preflight(f"{SITE}.evil.example"),
        preflight("null"),
        preflight(SITE, "PROPFIND"),
        preflight(SITE, "POST", "X-Other"),
    ],
)
async def test_a_browser_is_refused_for_other_sites_methods_and_headers(
    shared: httpx.AsyncClient, asked: dict[str, str]
) -> None:
    answer = await shared.options("/v1/customers", headers=asked)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "malformed"


async def test_answers_and_refusals_can_be_read_by_the_named_sites_alone(
    shared: httpx.AsyncClient,
) -> None:
    written = await shared.put("/v1/customers/c1", json={"name": "Ann"}, headers={"Origin": SITE})
    shown = written.headers["access-control-expose-headers"]
    for name in (
        "ETag", "Location", "Retry-After", "RateLimit", "RateLimit-Policy", "X-Request-Id"
    ):  # fmt: skip
        assert name in shown.split(", ")
    key = shared.headers.pop("Authorization")
    for path, more, status in (
        ("/v1/info", {}, 401),
        ("/v1/info", {"Authorization": key, "Content-Encoding": "br"}, 415),
        ("/v1/nothing", {"Authorization": key}, 404),
        ("/livez", {}, 200),
    ):
        for origin in (SITE, "https://evil.example", None):
            headers = more if origin is None else {**more, "Origin": origin}
            answer = await shared.get(path, headers=headers)
            assert answer.status_code == status
            allowed = answer.headers.get("access-control-allow-origin")
            assert allowed == (SITE if origin == SITE else None)
            assert "Origin" in answer.headers["vary"]
