"""Who did what: an entry for each request that wrote, in its transaction, and none passed over."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text

from app.config import Settings
from app.models import AuditEntry
from app.postgres.db import Database, WriteSession
from app.services.access import audit, audit_log, keys
from app.services.common import paging
from app.services.operations import housekeeping
from app.worker import Worker
from tests.api.test_idempotency import REPEATABLE, purchase
from tests.database import NOW, Clock, make_client, writing

IDLE = """SELECT pg_snapshot_xmin(now) = pg_snapshot_xmax(now) FROM pg_current_snapshot() AS now"""


async def entries(database: Database) -> list[Any]:
    async with database.reads() as session:
        statement = select(AuditEntry).where(AuditEntry.operation != "migrate")
        return list(await session.scalars(statement.order_by(AuditEntry.entry_id)))


async def last(database: Database) -> Any:
    return (await entries(database))[-1]


async def test_an_entry_says_who_did_what_to_whom_without_what_was_written(
    client: httpx.AsyncClient, database: Database
) -> None:
    body = purchase(amount={"amount": "77.77"}, channel="mail", attributes={"note": "seventy"})
    sent = {"X-Request-Id": "request-0001"}
    assert (await client.post("/v1/transactions", json=body, headers=sent)).status_code == 201
    entry = await last(database)
    assert entry.actor == keys.id_of(client.headers["Authorization"])
    assert (entry.actor_name, entry.operation) == ("tests", "create_transaction")
    assert (entry.request_id, entry.status) == ("request-0001", 201)
    assert (entry.customer_ids, entry.customers) == (["c1"], 1)
    assert entry.ids == {"transaction_id": "t1"}
    assert entry.fields == ["amount", "attributes", "channel", "occurred_at"]
    async with database.reads() as session:
        written = await session.scalar(text("SELECT string_agg(a::text, ' ') FROM audit_entries a"))
        now = await session.scalar(select(func.now()))
    assert not [value for value in ("77.77", "mail", "seventy", "note") if value in written]
    assert entry.recorded_at == now  # of the database: the clock of the process says June


async def test_of_a_bulk_twenty_customers_are_named_and_all_counted(
    client: httpx.AsyncClient, database: Database
) -> None:
    rejected = [{"customer_id": "a/b", "王小明": 1}, {"customer_id": 7}, {"name": 5}, "none"]
    items = [*rejected, *({"customer_id": f"c{n:03}", "city": "Bonn"} for n in range(30))]
    answer = await client.post("/v1/customers/bulk", json={"items": [*items, items[-1]]})
    assert answer.json()["counts"]["rejected"] == 4
    entry = await last(database)
    assert entry.customer_ids == [f"c{n:03}" for n in range(19)]  # and one that is no id
    assert entry.customers == 31
    assert entry.fields == ["city", "name"]


async def test_paths_and_queries_are_told_by_their_ids(
    client: httpx.AsyncClient, database: Database
) -> None:
    await client.post("/v1/transactions", json=purchase(source="shop"))
    query = {"customer_id": "c1", "source": "shop", "transaction_id": "t1", "reason": "no secret"}
    assert (await client.delete("/v1/transactions", params=query)).status_code == 200
    entry = await last(database)
    assert (entry.operation, entry.customer_ids) == ("void_transaction", ["c1"])
    assert entry.ids == {"source": "shop", "transaction_id": "t1"}
    assert entry.fields == ["reason"]
    made = await client.post("/v1/keys", json={"name": "x", "scopes": ["scores:read"]})
    assert (await last(database)).ids == {"location": made.headers["location"]}
    await client.delete(made.headers["location"])
    assert (await last(database)).ids == {"key_id": made.json()["key_id"]}
    await client.patch("/v1/customers/c1", json={"attributes": {"diagnosis": 1}})
    entry = await last(database)
    assert (entry.customer_ids, entry.fields) == (["c1"], ["attributes"])


@pytest.mark.parametrize("path", REPEATABLE)
async def test_what_is_sent_again_was_done_once(
    client: httpx.AsyncClient, database: Database, path: str
) -> None:
    for _ in range(2):
        answer = await client.post(path, json=REPEATABLE[path], headers={"Idempotency-Key": "k"})
        assert answer.is_success
    assert [entry.status for entry in await entries(database)] == [answer.status_code]


async def test_what_wrote_nothing_leaves_nothing(
    client: httpx.AsyncClient, settings: Settings, database: Database, clock: Clock
) -> None:
    await client.post("/v1/transactions", json=purchase())
    before = len(await entries(database))
    answers = [
        await client.post("/v1/transactions", json=purchase(amount={"amount": "13.00"})),
        await client.post("/v1/transactions", json=purchase(amount={"amount": "x"})),
        await client.post("/v1/transactions", content=b"{"),
        await client.post("/v1/customers/bulk", json={"items": [{}], "mode": "atomic"}),
        await client.delete("/v1/keys/none"),
        await client.get("/v1/customers/c1"),
        await client.post("/v1/scores/lookup", json={"customer_ids": ["c1"]}),
    ]
    async with await make_client(settings, database, clock, ("scores:read",)) as other:
        answers.append(await other.put("/v1/customers/c1", json={}))
    codes = [answer.status_code for answer in answers]
    assert codes == [409, 422, 400, 422, 404, 200, 200, 403]
    assert len(await entries(database)) == before


async def pages(client: httpx.AsyncClient, **asked: Any) -> list[dict[str, Any]]:
    """Walk a list once nothing else runs: the server's own housekeeping holds it back, too."""
    found, cursor = [], None
    async with client.app.state.clm.database.reads() as session:  # type: ignore[attr-defined]
        while not await session.scalar(text(IDLE)):  # noqa: ASYNC110  # of the server
            await asyncio.sleep(0.01)
    while True:
        query = {**asked, **({"cursor": cursor} if cursor else {})}
        answer = await client.get("/v1/audit", params=query)
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return found


async def test_the_list_is_filtered_and_walked_either_way(
    own_client: httpx.AsyncClient, settings: Settings, own_database: Database, clock: Clock
) -> None:
    for number in range(5):
        await own_client.put(f"/v1/customers/c{number % 2}", json={"city": f"Bonn {number}"})
    async with await make_client(settings, own_database, clock, ("customers:write",)) as other:
        await other.put("/v1/customers/c1", json={"city": "Köln"})
        their_id = keys.id_of(other.headers["Authorization"])
    newest = await pages(own_client, limit=2)
    oldest = await pages(own_client, limit=2, sort="recorded_at")
    assert newest == oldest[::-1]
    assert [each["operation"] for each in newest] == [*["put_customer"] * 6, "migrate"]
    assert len(await pages(own_client, customer_id="c1")) == 3
    assert [each["actor"] for each in await pages(own_client, actor=their_id)] == [their_id]
    assert [each["actor"] for each in await pages(own_client, operation="migrate")] == ["cli"]
    third = newest[3]["recorded_at"]
    since, until = await pages(own_client, since=third), await pages(own_client, until=third)
    assert (since, until) == (newest[:4], newest[3:])
    assert await pages(own_client, since="2199-01-01") == []
    answer = await own_client.get("/v1/audit", params={"sort": "actor"})
    assert answer.status_code == 422


async def test_who_keeps_up_with_the_list_misses_nothing(
    own_client: httpx.AsyncClient, own_database: Database
) -> None:
    """Eight write at once, and commit in another order than they began in."""
    rng, done = random.Random(7), asyncio.Event()
    seen: list[str] = []

    async def write(name: int) -> None:
        for number in range(25):
            async with own_database.writes() as session, session.begin():
                entry = audit.Entry("tests", "tests", "x", ids={"n": f"{name}-{number}"})
                await audit.record(writing(session), entry)
                await asyncio.sleep(rng.random() * 0.02)

    async def follow() -> None:
        cursor, finished = None, False
        while True:
            query = {"sort": "recorded_at", "operation": "x", "limit": 7}
            answer = await own_client.get(
                "/v1/audit", params={**query, **({"cursor": cursor} if cursor else {})}
            )
            page = answer.json()
            seen.extend(item["ids"]["n"] for item in page["items"])
            cursor = page["next_cursor"] or cursor
            if not page["items"]:
                if finished:
                    return
                finished = done.is_set()

    following = asyncio.create_task(follow())
    await asyncio.gather(*(write(name) for name in range(8)))
    done.set()
    await following
    assert sorted(seen) == sorted(f"{name}-{number}" for name in range(8) for number in range(25))


async def test_what_was_restored_from_another_server_comes_first(
    own_client: httpx.AsyncClient, own_database: Database
) -> None:
    """There transactions had other numbers, which may lie far ahead of those of here."""
    for number in range(3):
        await own_client.put("/v1/customers/c1", json={"city": f"Bonn {number}"})
    elsewhere = "UPDATE audit_entries SET transaction_number = transaction_number + 1000000000"
    async with own_database.writes() as session, session.begin():
        await session.execute(text(elsewhere))
    assert await pages(own_client) == []
    async with own_database.writes() as session, session.begin():
        await audit_log.renumber(writing(session))
    await own_client.put("/v1/customers/c1", json={"city": "Köln"})
    numbers = [each["entry_id"] for each in await pages(own_client, sort="recorded_at")]
    assert numbers == sorted(numbers)
    assert len(numbers) == 5


async def test_a_cursor_of_before_a_restore_is_refused(own_client: httpx.AsyncClient) -> None:
    names = ("actor", "operation", "customer_id", "since", "until")
    bound_to = {"list": "audit", "sort": audit_log.NEWEST, **dict.fromkeys(names)}
    secret = own_client.app.state.clm.cursor_secret  # type: ignore[attr-defined]
    page = paging.PageRequest(1, None, None, secret)
    for number, status in ((1, 200), (10**12, 400)):
        cursor = paging.next_part(page, [number, 1], bound_to)
        answer = await own_client.get("/v1/audit", params={"cursor": cursor})
        assert answer.status_code == status
    assert answer.json()["code"] == "invalid_cursor"


async def test_old_entries_go_in_pieces_and_by_the_clock_of_the_database(
    session: WriteSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "CHUNK", 2)
    for number in range(5):
        await audit.record(session, audit.Entry("k", "k", f"x{number}"))
    old = "UPDATE audit_entries SET recorded_at = now() - interval '40 days' WHERE operation < 'x3'"
    await session.execute(text(old))
    await session.execute(text("DELETE FROM audit_entries WHERE operation = 'migrate'"))
    left = []
    for kept in (None, *[timedelta(days=39)] * 3):
        # A worker whose clock is a year ahead removes no more than the others.
        await housekeeping.sweep(session, NOW + timedelta(days=400), audit_kept=kept)
        left.append(sorted(await session.scalars(select(AuditEntry.operation))))
    assert [len(each) for each in left] == [5, 3, 2, 2]
    assert left[-1] == ["x3", "x4"]


async def test_what_long_work_puts_in_force_is_told(
    client: httpx.AsyncClient, settings: Settings, database: Database
) -> None:
    bought = [
        purchase(customer_id=f"c{who}", transaction_id=f"t{day}",
                 occurred_at=f"2025-0{1 + day}-1{who}T12:00:00Z")
        for who in range(1, 8) for day in range(1 + who % 4)
    ]  # fmt: skip
    await client.post("/v1/transactions/bulk", json={"items": bought})
    worker = Worker(database, settings)

    async def work() -> None:
        while await worker.work_once():
            pass

    fit = (await client.post("/v1/models", json={"activate": True})).json()
    await work()
    entry = await last(database)
    assert (entry.actor, entry.operation) == ("worker", "put_model_in_force")
    model_id = (await client.get("/v1/info")).json()["model_id"]
    assert entry.ids == {"model_id": model_id, "operation_id": fit["id"]}
    preview = (await client.post("/v1/policies/2/preview")).json()
    await work()
    found = (await client.get(f"/v1/operations/{preview['id']}")).json()
    body = {"token": found["result"]["token"]}
    activation = (await client.post("/v1/policies/2/activate", json=body)).json()
    await work()
    entry = await last(database)
    assert (entry.actor, entry.operation) == ("worker", "put_policy_in_force")
    assert entry.ids == {"version": 2, "operation_id": activation["id"]}
