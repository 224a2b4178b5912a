"""What operations ask: alive, ready, and the metrics; also while the database is away."""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.config import Settings
from app.main import create_app
from app.postgres.db import Database, create_engine
from app.postgres.schema import OLDEST_SERVED, head
from tests.database import Clock, make_client


class Relay:
    """A TCP relay before the database: cutting it is what a lost network or server looks like."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0.05)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._writers |= {writer, back}
        await asyncio.gather(_pump(reader, back), _pump(there, writer))
        self._writers -= {writer, back}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    except (ConnectionError, asyncio.CancelledError):
        pass
    finally:
        writer.close()


@pytest.fixture
async def relay(own_url: str) -> AsyncIterator[Relay]:
    url = make_url(own_url)
    relay = Relay(str(url.host), int(url.port or 0))
    await relay.open()
    yield relay
    await relay.cut()


@pytest.fixture
async def relayed(
    relay: Relay, own_url: str, settings: Settings, clock: Clock
) -> AsyncIterator[httpx.AsyncClient]:
    url = make_url(own_url).set(port=relay.port).render_as_string(hide_password=False)
    database = Database.on(create_engine(url, pool_size=10))
    async with await make_client(settings, database, clock) as client:
        yield client
    await database.close()


def metric(answer: httpx.Response, series: str) -> float | None:
    found = re.search(rf"^{re.escape(series)} (\S+)$", answer.text, re.MULTILINE)
    return None if found is None else float(found[1])


async def test_health_needs_no_key_and_tells_nothing_else(client: httpx.AsyncClient) -> None:
    del client.headers["Authorization"]
    for path in ("/livez", "/readyz"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert answer.headers["content-type"] == "application/json"
    metrics = await client.get("/metrics")
    assert metrics.status_code == 200
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")


async def test_without_a_database_it_lives_is_not_ready_and_recovers_by_itself(
    relayed: httpx.AsyncClient, relay: Relay
) -> None:
    fact = {
        "customer_id": "c1",
        "transaction_id": "t1",
        "occurred_at": "2026-01-31T12:00:00Z",
        "amount": {"amount": "12.50"},
    }
    assert (await relayed.get("/readyz")).status_code == 200
    assert (await relayed.post("/v1/transactions", json=fact)).status_code == 201
    await relay.cut()
    assert (await relayed.get("/livez")).status_code == 200
    for answer in (
        await relayed.get("/readyz"),
        await relayed.get("/v1/customers/c1"),
        await relayed.post("/v1/transactions", json=fact),
        await relayed.put("/v1/customers/c1", json={}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"] == "1"
    metrics = await relayed.get("/metrics")
    assert metrics.status_code == 200
    assert metric(metrics, 'clm_pool_connections{state="size"}') == 10
    unknown = metric(metrics, "clm_operations_queue_depth")
    assert unknown is not None
    assert unknown != unknown  # NaN  # noqa: PLR0124
    await relay.open()
    assert (await relayed.get("/readyz")).status_code == 200
    again = await relayed.post("/v1/transactions", json=fact)
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    assert metric(await relayed.get("/metrics"), "clm_operations_queue_depth") == 0


async def test_a_key_not_seen_before_is_unavailable_not_unknown_while_the_database_is_away(
    relayed: httpx.AsyncClient, relay: Relay
) -> None:
    await relay.cut()
    answer = await relayed.get("/v1/info")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")


async def test_a_database_that_does_not_answer_is_told_soon(
    own_client: httpx.AsyncClient, own_database: Database
) -> None:
    async with own_database.writes() as session, session.begin():
        await session.execute(text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
        started = asyncio.get_running_loop().time()
        answer = await own_client.get("/readyz")
        seconds = asyncio.get_running_loop().time() - started
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert seconds < 4
    assert (await own_client.get("/readyz")).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE alembic_version SET version_num = 'older'",
        "DELETE FROM alembic_version",
        "DROP TABLE alembic_version",
    ],
)
async def test_another_schema_is_not_ready(
    own_client: httpx.AsyncClient, own_database: Database, change: str
) -> None:
    async with own_database.writes() as session, session.begin():
        await session.execute(text(change))
        await session.execute(text("DELETE FROM settings WHERE key = :key"), {"key": OLDEST_SERVED})
    answer = await own_client.get("/readyz")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (503, "unavailable")
    assert "migrated" in problem["detail"] or head() in problem["detail"]
    assert (await own_client.get("/livez")).status_code == 200


async def test_a_newer_schema_is_ready_if_it_serves_this_version(
    own_client: httpx.AsyncClient, own_database: Database
) -> None:
    async with own_database.writes() as session, session.begin():
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert (await own_client.get("/readyz")).status_code == 200


async def test_a_process_that_closes_says_so_and_serves_on(
    settings: Settings, own_database: Database, clock: Clock
) -> None:
    app = create_app(settings, own_database)  # whose end closes its own database
    client = await make_client(settings, own_database, clock, app=app)
    told: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    sent: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
    life = asyncio.create_task(app(scope, told.get, sent.put))
    await told.put({"type": "lifespan.startup"})
    assert await sent.get() == {"type": "lifespan.startup.complete"}
    assert (await client.get("/readyz")).status_code == 200
    app.state.guard.draining = True
    ready = await client.get("/readyz")
    served = await client.get("/v1/info")
    await told.put({"type": "lifespan.shutdown"})
    await life
    await client.aclose()
    assert (ready.status_code, ready.json()["code"]) == (503, "draining")
    assert (served.status_code, served.headers["connection"]) == (200, "close")


async def test_metrics_name_routes_and_nobody(client: httpx.AsyncClient) -> None:
    person, fact = "secret-person-1", "secret-fact-1"
    await client.put(f"/v1/customers/{person}", json={"name": "Zaphod", "email": "z@example.com"})
    body = {
        "customer_id": person,
        "transaction_id": fact,
        "occurred_at": "2026-01-31T12:00:00Z",
        "amount": {"amount": "12.50"},
    }
    for _ in range(2):
        await client.post("/v1/transactions", json=body)
    await client.get(f"/v1/customers/{person}/scores?as_of=2026-02-01")
    await client.get(f"/{person}")
    await client.request("ZAPHOD", f"/v1/customers/{person}")
    metrics = await client.get("/metrics")
    key_id = client.headers["Authorization"].split("_")[1]
    for word in (person, fact, "Zaphod", "ZAPHOD", "example.com", "2026-02-01", key_id):
        assert word not in metrics.text
    route = 'route="/v1/customers/{customer_id}"'
    put = metric(metrics, f'clm_http_requests_total{{method="PUT",{route},status="201"}}')
    assert put is not None
    assert put >= 1
    assert 'route="unmatched",status="404"' in metrics.text
    for result in ("created", "duplicate"):
        series = f'clm_facts_ingested_total{{kind="transaction",result="{result}"}}'
        assert (metric(metrics, series) or 0) >= 1
    for name in ("operations_queue_age_seconds", "model_age_seconds",
                 "last_scoring_run_age_seconds"):  # fmt: skip
        assert metric(metrics, f"clm_{name}") is not None


async def test_the_queue_is_measured(client: httpx.AsyncClient, clock: Clock) -> None:
    await client.post("/v1/models", json={})
    clock.now = clock.now.replace(hour=13)
    metrics = await client.get("/metrics")
    assert metric(metrics, "clm_operations_queue_depth") == 1
    assert metric(metrics, "clm_operations_queue_age_seconds") == 3600


async def test_the_pages_of_the_documentation_need_nothing_from_elsewhere(
    client: httpx.AsyncClient,
) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert assets
    for asset in assets:
        assert client.base_url.join(asset).host == client.base_url.host, asset
        assert (await client.get(asset)).status_code == 200
