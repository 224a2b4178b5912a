"""What callers see while the way to the database swallows what is sent, and after.

The limits are those of the API, made shorter.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy.engine import URL, make_url

from app.config import Settings
from app.errors import DatabaseUnavailable
from app.postgres import connections, db
from app.postgres.db import Database, create_engine
from app.postgres.limits import REQUEST, Limits
from app.services.system import health
from tests.chaos_proxy import ChaosProxy, opened
from tests.database import Clock, make_client

QUICK = Limits(statement=0.5, lock=0.4, idle=0.6, unheard=0.6, command=0.6)
POOL = 6


def purchase(customer: str, number: int) -> dict[str, Any]:
    return {
        "customer_id": customer,
        "transaction_id": str(number),
        "occurred_at": "2026-01-31T12:00:00Z",
        "amount": {"amount": "12.50"},
    }


@pytest.fixture
def direct(own_url: str) -> URL:
    return make_url(own_url)


@pytest.fixture
async def proxy(direct: URL) -> AsyncIterator[ChaosProxy]:
    async with opened(str(direct.host), int(direct.port or 0)) as proxy:
        yield proxy


@pytest.fixture
async def far(
    proxy: ChaosProxy, direct: URL, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    """The database behind the proxy."""
    monkeypatch.setattr(db, "CONNECT_SECONDS", QUICK.command)
    monkeypatch.setattr(connections, "END_SECONDS", 0.1)
    url = direct.set(port=proxy.port).render_as_string(hide_password=False)
    database = Database.on(create_engine(url, pool_size=POOL, limits=QUICK))
    yield database
    proxy.heal()
    await database.close()


@pytest.fixture
async def caller(
    far: Database, settings: Settings, clock: Clock
) -> AsyncIterator[httpx.AsyncClient]:
    async with await make_client(settings, far, clock) as client:
        yield client


Ask = Callable[[httpx.AsyncClient, int], Coroutine[Any, Any, httpx.Response]]
QUESTIONS: dict[str, Ask] = {
    "statement": lambda client, _: client.get("/v1/customers?limit=5"),
    "batched read": lambda client, _: client.get("/v1/customers/c0/scores"),
    "write": lambda client, n: client.post("/v1/transactions", json=purchase("c0", n)),
    "columns": lambda client, n: client.post(
        "/v1/transactions/bulk", json={"items": [purchase(f"b{m}", n) for m in range(40)]}
    ),
    "unknown key": lambda client, n: client.get(
        "/v1/info", headers={"Authorization": f"Bearer clm_{n:08}_{n:032}"}
    ),
}


async def ask_all(client: httpx.AsyncClient, number: int) -> dict[str, httpx.Response]:
    answers = await asyncio.gather(*(ask(client, number) for ask in QUESTIONS.values()))
    return dict(zip(QUESTIONS, answers, strict=True))


@pytest.mark.parametrize("fault", ["hole", "to_server", "to_client"])
async def test_a_hole_is_told_and_over_as_soon_as_it_ends(
    caller: httpx.AsyncClient, proxy: ChaosProxy, far: Database, fault: Any
) -> None:
    await ask_all(caller, 1)
    before = await ask_all(caller, 2)
    assert [answer.status_code for answer in before.values()] == [200, 200, 201, 200, 401]
    _ = proxy.hole() if fault == "hole" else proxy.half_open(fault)
    for name, answer in (await ask_all(caller, 3)).items():
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable"), name
        assert answer.headers["retry-after"] == "1"
    assert (await caller.get("/livez")).status_code == 200
    proxy.heal()
    for number in (4, 5):
        after = await ask_all(caller, number)
        assert [answer.status_code for answer in after.values()] == [200, 200, 201, 200, 401]
    assert (await caller.get("/readyz")).status_code == 200
    assert far.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_a_process_is_not_ready_in_a_hole_and_ready_after(
    caller: httpx.AsyncClient, proxy: ChaosProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.2)
    assert (await caller.get("/readyz")).status_code == 200
    proxy.hole()
    await asyncio.sleep(0.3)
    answer = await caller.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    proxy.heal()
    assert (await caller.get("/readyz")).status_code == 200


async def test_a_transaction_whose_answer_was_lost_holds_nobody_up_for_long(
    caller: httpx.AsyncClient, proxy: ChaosProxy, direct: URL
) -> None:
    """The server has locked a customer for a client that will never be heard of again."""
    await ask_all(caller, 1)
    own = await asyncpg.connect(direct.set(drivername="postgresql").render_as_string(False))
    held = own.transaction()
    await held.start()
    await own.execute("SELECT FROM customers WHERE customer_id = 'c0' FOR UPDATE")
    writing = asyncio.create_task(QUESTIONS["write"](caller, 7))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    while not await own.fetchval(waiting):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    proxy.half_open("to_client")
    await held.rollback()
    assert (await writing).status_code == 503
    proxy.heal()
    for number in range(8, 28):
        if (status := (await QUESTIONS["write"](caller, number)).status_code) == 201:
            break
        assert status == 503
    else:
        raise AssertionError("the lock is still held")
    stored = await own.fetch("SELECT transaction_id FROM transactions WHERE customer_id = 'c0'")
    assert {row[0] for row in stored} == {"1", str(number)}
    await own.close()


async def test_many_who_ask_into_a_hole_leave_no_connection_behind(
    caller: httpx.AsyncClient, proxy: ChaosProxy, far: Database, direct: URL
) -> None:
    await ask_all(caller, 1)
    proxy.hole()
    asking = [QUESTIONS["statement"](caller, 2) for _ in range(16)]
    assert {answer.status_code for answer in await asyncio.gather(*asking)} == {503}
    proxy.heal()
    asking = [QUESTIONS["statement"](caller, 3) for _ in range(16)]
    assert {answer.status_code for answer in await asyncio.gather(*asking)} == {200}
    assert far.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    own = await asyncpg.connect(direct.set(drivername="postgresql").render_as_string(False))
    open_ones = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'clm'"
    )
    async with asyncio.timeout(20):
        while await own.fetchval(open_ones) > POOL:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await own.close()


async def test_a_busy_pool_is_ready_and_one_that_nobody_answers_is_not(
    own_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.3)
    database = Database.on(create_engine(own_url, pool_size=2))

    async def work(seconds: float) -> None:
        async with database.reads() as session:
            await db.fetch_rows(db.ReadSession(session), f"SELECT pg_sleep({seconds})")

    busy = [asyncio.create_task(work(0.05)) for _ in range(40)]
    await asyncio.sleep(0.1)
    await health.check(database)
    assert not all(task.done() for task in busy)  # else it was not busy
    await asyncio.gather(*busy)
    stuck = [asyncio.create_task(work(1)) for _ in range(2)]
    await asyncio.sleep(0.4)
    with pytest.raises(DatabaseUnavailable):
        await health.check(database)
    await asyncio.gather(*stuck)
    await health.check(database)
    await database.close()


def test_all_limits_of_the_api_are_over_before_ten_seconds() -> None:
    """A hole of any length is over ten seconds after its end, whatever was sent into it."""
    assert REQUEST.statement < (REQUEST.command or 0)
    ends = (REQUEST.command or 99) + connections.END_SECONDS
    assert max(ends, REQUEST.idle, REQUEST.unheard, db.CONNECT_SECONDS) < 10
