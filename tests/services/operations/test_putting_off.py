"""Parts that come to nothing: whose fault it was, when they are tried again, and what is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.config import Settings
from app.postgres.db import Database, WriteSession, create_engine
from app.postgres.limits import PART
from app.services.operations import leases, operations, parts
from app.services.operations.parts import LeaseLost, Part, PutOff
from app.services.runs import score_tables
from app.worker import Worker
from app.worker_tasks import TASKS
from tests import chaos_proxy, documented
from tests.database import Clock, writing

PURCHASE = {
    "customer_id": "c1",
    "transaction_id": "t1",
    "amount": {"amount": "9.00"},
    "occurred_at": "2026-05-01T12:00:00Z",
}


@pytest.fixture
def lock_timeout() -> str:
    return "50"


@pytest.fixture
def worker(own_database: Database, settings: Settings) -> Worker:
    return Worker(own_database, settings)


@pytest.fixture
async def client(own_client: httpx.AsyncClient, clock: Clock) -> httpx.AsyncClient:
    """A client of a service that is about to score a customer."""
    clock.now = datetime.now(UTC)
    assert (await own_client.post("/v1/transactions", json=PURCHASE)).is_success
    assert (await own_client.post("/v1/scoring-runs", json={})).is_success
    return own_client


async def operation(client: httpx.AsyncClient) -> dict[str, Any]:
    newest = (await client.get("/v1/operations", params={"limit": 1})).json()["items"][0]
    return documented.operation(await client.get(f"/v1/operations/{newest['id']}"))


@asynccontextmanager
async def locked(database: Database, table: str) -> AsyncIterator[None]:
    """Keep everybody from a table."""
    async with database.writes() as session, session.begin():
        await session.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        yield


async def execute(database: Database, statement: str) -> list[Any]:
    async with database.writes() as session, session.begin():
        found = await session.execute(text(statement))
        return [tuple(row) for row in found] if found.returns_rows else []


async def tried(database: Database) -> list[Any]:
    """Return of the parts that are not done how often they were claimed, and failed."""
    return await execute(
        database, "SELECT attempt, failures FROM operation_parts WHERE state <> 'done'"
    )


async def wait_no_longer(database: Database) -> None:
    """Let the pauses of all parts be over."""
    await execute(database, "UPDATE operation_parts SET not_before = clock_timestamp()")


async def claim(database: Database) -> Part:
    async with database.writes() as session, session.begin():
        part = await parts.claim(writing(session))
    assert part is not None
    return part


async def put_off(database: Database, part: Part, code: str | None) -> None:
    async with database.writes() as session, session.begin():
        await parts.put_off(writing(session), part, code)


async def work_off(worker: Worker, database: Database) -> None:
    while await worker.work_once():
        await wait_no_longer(database)


async def faulty(*_: object) -> None:
    """Be a task that fails each time."""
    raise ZeroDivisionError


async def test_what_the_database_hinders_is_not_a_fault_of_the_part(
    client: httpx.AsyncClient, worker: Worker, own_database: Database
) -> None:
    times = parts.MAX_FAILURES + 2
    async with locked(own_database, "customers"):
        for _ in range(times):
            assert await worker.work_once()
            assert not await worker.work_once()  # it waits before it is tried again
            await wait_no_longer(own_database)
        assert await tried(own_database) == [(times, 0)]
        seen = await operation(client)
        assert (seen["state"], seen["waiting"]["code"]) == ("running", "lock_timeout")
        since, until = (
            datetime.fromisoformat(seen["waiting"][name]) for name in ("since", "until")
        )
        assert since < until < since + timedelta(minutes=1)
    await work_off(worker, own_database)
    seen = await operation(client)
    assert (seen["state"], seen["waiting"]) == ("succeeded", None)


async def test_what_fails_by_itself_ends_after_a_few_times(
    client: httpx.AsyncClient,
    worker: Worker,
    own_database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(TASKS, "faulty", faulty)
    await execute(own_database, "UPDATE operation_parts SET task = 'faulty'")
    for times in range(1, parts.MAX_FAILURES):
        assert await worker.work_once()
        assert await tried(own_database) == [(times, times)]
        seen = await operation(client)
        assert (seen["state"], seen["waiting"]["code"]) == ("running", "internal_error")
        await wait_no_longer(own_database)
    assert await worker.work_once()
    seen = await operation(client)
    assert (seen["state"], seen["error"]["status"], seen["waiting"]) == ("failed", 500, None)


async def test_an_index_that_somebody_left_half_built_is_waited_for(
    client: httpx.AsyncClient, worker: Worker, own_database: Database
) -> None:
    """Who was killed while it built one: the server goes on for a while, and then forgets it."""
    for _ in ("plan", "score"):
        assert await worker.work_once()
    part = await claim(own_database)
    assert part.task == "index"
    half_built = own_database.writes()
    await half_built.begin()
    await score_tables.index(writing(half_built), part.context["run_id"], part.arguments["index"])
    await put_off(own_database, part, "database_unavailable")
    await wait_no_longer(own_database)
    assert await worker.work_once()
    assert (await operation(client))["waiting"]["code"] == "lock_timeout"
    await half_built.close()
    await wait_no_longer(own_database)
    await work_off(worker, own_database)
    assert (await operation(client))["state"] == "succeeded"


@pytest.mark.parametrize(
    ("lasted", "least", "most"), [("0 s", 0.7, 1.3), ("20 s", 14, 27), ("1 hour", 22, 38)]
)
async def test_the_pause_grows_with_the_trouble_up_to_half_a_minute(
    client: httpx.AsyncClient, own_database: Database, lasted: str, least: float, most: float
) -> None:
    del client
    part = await claim(own_database)
    since = f"clock_timestamp() - interval '{lasted}'"
    await execute(own_database, f"UPDATE operation_parts SET hindered_since = {since}")
    await put_off(own_database, part, "disk_full")
    ((pause,),) = await execute(
        own_database,
        "SELECT CAST(extract(epoch FROM not_before - now()) AS float) FROM operation_parts",
    )
    assert least <= pause <= most


async def test_what_is_hindered_for_half_a_day_fails_and_says_why(
    client: httpx.AsyncClient, own_database: Database
) -> None:
    part = await claim(own_database)
    since = "clock_timestamp() - interval '12 hours 1 s'"
    await execute(own_database, f"UPDATE operation_parts SET hindered_since = {since}")
    await put_off(own_database, part, "disk_full")
    seen = await operation(client)
    assert (seen["state"], seen["error"]["code"]) == ("failed", "database_unavailable")
    assert "12 hours" in seen["error"]["detail"]


@pytest.mark.parametrize(("kept", "failures"), [("-1 ms", 0), ("1 ms", 1)])
async def test_a_lease_that_ran_out_while_the_server_was_away_is_not_a_fault_of_the_part(
    client: httpx.AsyncClient,
    own_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    kept: str,
    failures: int,
) -> None:
    """A lease was last kept before the server began, or after it."""
    del client
    monkeypatch.setattr(parts, "LEASE", timedelta(milliseconds=5))
    first = await claim(own_database)
    until = f"pg_postmaster_start_time() + interval '5 ms' + interval '{kept}'"
    await execute(own_database, f"UPDATE operation_parts SET lease_until = {until}")
    assert (await claim(own_database)).part_id == first.part_id
    assert await tried(own_database) == [(2, failures)]


async def test_who_could_not_give_a_part_back_in_time_takes_the_blame_from_it(
    client: httpx.AsyncClient, own_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    del client
    # So that the lease was kept after the server began.
    monkeypatch.setattr(parts, "LEASE", timedelta(0))
    first = await claim(own_database)
    second = await claim(own_database)
    assert await tried(own_database) == [(2, 1)]
    await put_off(own_database, first, "disk_full")
    assert await tried(own_database) == [(2, 0)]
    await put_off(own_database, second, None)
    assert await tried(own_database) == [(2, 1)]


async def test_a_worker_waits_for_nothing_any_more_once_its_part_is_taken_over(
    client: httpx.AsyncClient,
    worker: Worker,
    own_database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Least of all for an answer that was lost in a network which says nothing."""
    del client
    begun = asyncio.Event()

    async def waits(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setitem(TASKS, "waits", waits)
    monkeypatch.setattr(parts, "LEASE", timedelta(milliseconds=30))
    await execute(own_database, "UPDATE operation_parts SET task = 'waits'")
    working = asyncio.create_task(worker.work_once())
    await begun.wait()
    await execute(own_database, "UPDATE operation_parts SET attempt = attempt + 1")
    async with asyncio.timeout(20):
        assert await working
    assert await tried(own_database) == [(2, 0)]


@pytest.mark.parametrize("lost", ["to_server", "to_client"])
async def test_a_worker_waits_for_no_answer_that_a_hole_has_swallowed(
    client: httpx.AsyncClient,
    own_database: Database,
    own_url: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    lost: chaos_proxy.Direction,
) -> None:
    """Though the network is well again, the lease is kept, and either side waits for the other."""
    monkeypatch.setattr(leases, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(parts, "LEASE", timedelta(seconds=0.3))
    url = make_url(own_url)
    async with chaos_proxy.opened(url.host or "", url.port or 0) as proxy:

        async def asks(session: WriteSession, *_: object) -> None:
            proxy.half_open(lost)
            asyncio.get_running_loop().call_later(0.2, proxy.heal)
            await session.execute(text("SELECT 1"))

        monkeypatch.setitem(TASKS, "asks", asks)
        await execute(own_database, "UPDATE operation_parts SET task = 'asks'")
        through = url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        database = Database.on(create_engine(through, pool_size=3, limits=PART))
        async with asyncio.timeout(20):
            assert await Worker(database, settings).work_once()
        await database.close()
    assert await tried(own_database) == [(1, 0)]
    assert (await operation(client))["waiting"]["code"] == "database_unavailable"


async def test_a_worker_lets_the_server_work_for_as_long_as_it_does(
    client: httpx.AsyncClient,
    worker: Worker,
    own_database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del client
    monkeypatch.setattr(leases, "SILENT_SECONDS", 0.05)
    monkeypatch.setattr(parts, "LEASE", timedelta(seconds=0.3))
    ended = []

    async def asks(session: WriteSession, *_: object) -> None:
        await session.execute(text("SELECT pg_sleep(0.5)"))
        await asyncio.sleep(0.5)  # as numpy takes its time, and the server waits for it
        ended.append(await session.scalar(text("SELECT 1")))
        raise PutOff("writers")

    monkeypatch.setitem(TASKS, "asks", asks)
    await execute(own_database, "UPDATE operation_parts SET task = 'asks'")
    assert await worker.work_once()
    assert ended == [1]


async def test_a_part_that_is_done_after_all_is_not_given_back(
    client: httpx.AsyncClient, worker: Worker, own_database: Database
) -> None:
    del client
    first = await claim(own_database)
    await worker._do(first)
    before = await execute(own_database, "SELECT part_id, state FROM operation_parts ORDER BY 1")
    assert (first.part_id, "done") in before
    # The connection was lost with the answer to the commit, so its worker believes that it failed.
    async with own_database.writes() as session, session.begin():
        await parts.give_up(writing(session), first, ConnectionResetError())
    assert before == await execute(
        own_database, "SELECT part_id, state FROM operation_parts ORDER BY 1"
    )


async def test_a_cancelled_operation_ends_and_nothing_of_it_is_committed_after(
    client: httpx.AsyncClient, worker: Worker, own_database: Database
) -> None:
    part = await claim(own_database)
    path = f"/v1/operations/{part.operation_id}/cancel"
    cancelled = (await client.post(path)).json()
    assert (cancelled["state"], cancelled["error"], cancelled["result"]) == (
        "cancelled",
        None,
        None,
    )
    assert cancelled["finished_at"] is not None
    with pytest.raises(LeaseLost):
        await worker._do(part)
    assert await execute(own_database, "SELECT run_id FROM runs") == []
    again = await client.post(path)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert (await client.post("/v1/scoring-runs", json={})).json()["id"] != part.operation_id


async def test_a_part_of_an_operation_that_has_ended_is_not_finished(
    client: httpx.AsyncClient, own_database: Database
) -> None:
    """Nor is one that was planned as the operation ended, and so outlived it."""
    del client
    part = await claim(own_database)
    async with own_database.writes() as session, session.begin():
        await operations._end(writing(session), part.operation_id, state="cancelled")
    async with own_database.writes() as session:
        with pytest.raises(LeaseLost, match="has ended"):
            await parts.finish(writing(session), part)
