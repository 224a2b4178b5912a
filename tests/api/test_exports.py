"""Exports to readers who take their time, over real connections: few at once, and none for ever."""

import asyncio
import io
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app import main
from app.config import Settings
from app.deployment import Deployment
from app.main import Server, create_app
from app.postgres.db import Database
from app.services.access import keys
from app.worker import Worker
from tests import histories
from tests.database import NOW, writing
from tests.kept import store_model
from tests.services.runs import test_runs as made

CUSTOMERS = 40_000
EXPORTS = 2
WINDOW = 4_096
"""Bytes that a slow reader takes before the sender has to wait."""
PATIENCE = 60.0

Open = Callable[..., socket.socket]


class Serving:
    """A real server with a run of many customers, and readers of it."""

    def __init__(self, port: int, key: str, server: Server, thread: threading.Thread) -> None:
        self.port = port
        self.server = server
        self.thread = thread
        self.headers = {"Authorization": f"Bearer {key}"}
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers=self.headers, trust_env=False, verify=False
        )

    def ask(self, path: str, accept: str = "*/*") -> socket.socket:
        """Ask for something, and read none of the answer."""
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
        reader.settimeout(PATIENCE)
        reader.connect(("127.0.0.1", self.port))
        own = {"Host": "x", "Accept": accept, **self.headers}
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in own.items())]
        reader.sendall("\r\n".join([*lines, "", ""]).encode())
        return reader

    def end(self) -> None:
        self.server.should_exit = True
        self.thread.join(PATIENCE)


def status_of(reader: socket.socket) -> int:
    return int(reader.recv(12).split()[1])


def is_cut_off(reader: socket.socket) -> bool:
    """Read on to the end, and say whether it was none."""
    last = b""
    try:
        while piece := reader.recv(65_536):
            last = (last + piece)[-5:]
    except ConnectionResetError:
        return True
    return last != b"0\r\n\r\n"


def until(fits: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not fits():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def serving(url: str, key: str, settings: Settings) -> Iterator[Serving]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = Server(create_app(settings, Database.connect(settings, url)), settings)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        found = Serving(listening.getsockname()[1], key, server, thread)
        try:
            yield found
        finally:
            found.client.close()
            found.end()
            assert not thread.is_alive()


@pytest.fixture
async def key(own_database: Database, deployment: Deployment, settings: Settings) -> str:
    """A key to a database with a published run of many customers."""
    rng, zone = random.Random(3), deployment.calendar.zone
    people = {f"c{n}": histories.facts(rng, zone, NOW.date()) for n in range(4)}
    await made.post(own_database, deployment, people, NOW)
    async with made.write(own_database) as session:
        await store_model(session, "model_of_exports")
    run_id = await made.run(own_database, deployment, Worker(own_database, settings))
    table = f"runs.scores_{run_id}"
    async with own_database.writes() as session, session.begin():
        names = (await session.execute(text(f"SELECT * FROM {table} LIMIT 0"))).keys()
        others = ", ".join(name for name in names if name != "customer_id")
        await session.execute(
            text(
                f"INSERT INTO {table} (customer_id, {others}) SELECT 'x' || n, {others}"
                f" FROM (SELECT * FROM {table} LIMIT 1) s, generate_series(1, {CUSTOMERS}) n"
            )
        )
        return await keys.create(writing(session), "exports", ["admin"], now=NOW)


def impatient(settings: Settings, **more: Any) -> Settings:
    return settings.model_copy(
        update={
            "pool_size": 5,
            "exports": EXPORTS,
            "write_seconds": 1.5,
            "keep_alive_seconds": 2.0,  # an answer that was read whole leaves its connection
            **more,
        }
    )


async def exporting(database: Database) -> int:
    statement = text(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%'"
        " AND state = 'active' AND datname = current_database()"
    )
    async with database.reads() as session:
        found: int = await session.scalar(statement)
        return found


def crowd_of_slow_readers(service: Serving) -> None:
    with ExitStack() as stack:
        readers = [
            stack.enter_context(closing(service.ask("/v1/scores", "application/x-ndjson")))
            for _ in range(8)
        ]
        statuses = [status_of(reader) for reader in readers]
        assert sorted(statuses) == [200] * EXPORTS + [503] * (8 - EXPORTS)
        for _ in range(20):
            assert service.client.get("/v1/info").status_code == 200
            assert service.client.get("/readyz").status_code == 200
        refused = service.client.get("/v1/scores", headers={"Accept": "text/csv"})
        assert (refused.status_code, refused.json()["code"]) == (503, "exports_busy")
        assert int(refused.headers["retry-after"]) > 0
        taken = [reader for reader, status in zip(readers, statuses, strict=True) if status == 200]
        # Nothing is read until the server has given them up.
        until(lambda: len(service.server.server_state.connections) <= 8 - EXPORTS + 1)
        assert all(is_cut_off(reader) for reader in taken)


def whole_export(service: Serving) -> None:
    answer = service.client.get("/v1/scores", headers={"Accept": "application/x-ndjson"})
    assert answer.status_code == 200
    lines = io.StringIO(answer.text).readlines()
    assert len(lines) == CUSTOMERS + 4
    assert json.loads(lines[-1])["run_id"] == int(answer.headers["clm-run-id"])


async def test_slow_readers_of_exports_leave_the_api_to_others_and_are_cut_off(
    own_url: str, own_database: Database, key: str, settings: Settings
) -> None:
    with serving(own_url, key, impatient(settings)) as service:
        await asyncio.to_thread(crowd_of_slow_readers, service)
        for _ in range(100):
            if not await exporting(own_database):
                break
            await asyncio.sleep(0.05)
        assert not await exporting(own_database)
        await asyncio.to_thread(whole_export, service)


async def test_a_reader_who_is_slow_but_reads_is_not_cut_off(
    own_url: str, key: str, settings: Settings
) -> None:
    def read(service: Serving) -> None:
        with closing(service.ask("/v1/scores", "text/csv")) as reader:
            for _ in range(60):
                assert reader.recv(16_384)
                time.sleep(0.05)
            assert not is_cut_off(reader)

    with serving(own_url, key, impatient(settings)) as service:
        await asyncio.to_thread(read, service)


async def test_an_answer_of_any_kind_that_nobody_takes_is_given_up(
    own_url: str, key: str, settings: Settings
) -> None:
    def never_read(service: Serving) -> None:
        with ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(closing(service.ask("/swagger/swagger-ui-bundle.js")))
            until(lambda: len(service.server.server_state.connections) == 5)
            until(lambda: not service.server.server_state.connections)

    with serving(own_url, key, impatient(settings)) as service:
        await asyncio.to_thread(never_read, service)


async def test_a_server_that_ends_does_not_wait_for_who_does_not_read(
    own_url: str, own_database: Database, key: str, settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def end(service: Serving) -> None:
        with closing(service.ask("/v1/scores", "application/x-ndjson")) as reader:
            assert status_of(reader) == 200
            until(lambda: any(each.lags for each in service.server.server_state.connections))
            service.end()
            assert not service.thread.is_alive()
            assert is_cut_off(reader)

    monkeypatch.setattr(main, "SLOW_READERS_SECONDS", 0.2)
    monkeypatch.setattr(main, "SHUTDOWN_SECONDS", 10 * PATIENCE)
    with serving(own_url, key, impatient(settings, write_seconds=10 * PATIENCE)) as service:
        await asyncio.to_thread(end, service)
    assert not await exporting(own_database)


async def test_an_export_is_saved_by_a_name_and_its_head_costs_no_slot(
    own_client: httpx.AsyncClient, own_database: Database, key: str
) -> None:
    for form, ending in (("text/csv", "csv"), ("application/x-ndjson", "ndjson")):
        for method in ("HEAD", "GET"):
            answer = await own_client.request(method, "/v1/scores", headers={"Accept": form})
            name = f"scores-run-{answer.headers['clm-run-id']}.{ending}"
            assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
            assert bool(answer.content) == (method == "GET")
    own_client._transport.app.state.clm.exports._free = 0  # type: ignore[attr-defined]
    assert (await own_client.head("/v1/scores", headers={"Accept": "text/csv"})).status_code == 200
    before = await refusals(own_client)
    refused = await own_client.get("/v1/scores", headers={"Accept": "text/csv"})
    assert (refused.status_code, refused.json()["code"]) == (503, "exports_busy")
    assert await refusals(own_client) == before + 1


async def refusals(client: httpx.AsyncClient) -> float:
    """Return how many exports were refused."""
    name = 'clm_refusals_total{reason="exports"} '
    lines = (await client.get("/metrics")).text.splitlines()
    return sum(float(each.removeprefix(name)) for each in lines if each.startswith(name))
