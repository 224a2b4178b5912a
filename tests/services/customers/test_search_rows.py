"""What customers are found by is what their profiles amount to, and a worker makes it so."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from app.config import Settings
from app.deployment import Deployment
from app.migrate import migrate, verify
from app.models import Customer, CustomerSearch
from app.postgres.db import Database, ReadSession, WriteSession
from app.services.common.deployment_settings import SettingsMismatch
from app.services.customers import found_by, search_rows
from app.worker import Worker
from tests.database import NOW, Clock, make_client, writing

Rows = dict[str, tuple[Any, ...]]
PHONES = (None, "+49 170 1234567", "030 123456", "138 1234 5678; 010-12345678", "?", "４７１１")
NAMES = (None, "Müller Anna", "王小明", "O'Dair", "启澜智造(苏州)有限公司", "…")
EMAILS = (None, "Ann@Example.com", "no address", "anna@例子.公司")
COUNTRIES = (None, "DE", "中国", "Atlantis")


async def stored(session: ReadSession) -> Rows:
    """Return by customer what is stored of what they are found by."""
    columns = CustomerSearch.email, CustomerSearch.words, CustomerSearch.numbers
    statement = (
        select(Customer.customer_id, Customer.phone_e164, *columns, CustomerSearch.terms)
        .outerjoin(CustomerSearch, Customer.customer_id == CustomerSearch.customer_id)
        .order_by(Customer.customer_id)
    )
    return {row[0]: tuple(row[1:]) for row in await session.execute(statement)}


async def derived(session: ReadSession, country: str | None = None) -> Rows:
    """Return the same, from the profiles alone."""
    found: Rows = {}
    for one in await session.scalars(select(Customer)):
        profile = {name: getattr(one, name) for name in found_by.LOOKED_AT}
        phone, own = found_by.derive(profile, country)
        row = (None,) * 4 if own is None else (*own[:-1], list(own.terms))
        found[one.customer_id] = (phone, *row)
    return found


def drawn(rng: random.Random) -> dict[str, Any]:
    drawn = {
        "name": rng.choice(NAMES), "phone": rng.choice(PHONES), "email": rng.choice(EMAILS),
        "country": rng.choice(COUNTRIES), "city": rng.choice(("Bonn", "上海")),
    }  # fmt: skip
    return {name: value for name, value in drawn.items() if rng.random() < 0.7}


async def tell(client: httpx.AsyncClient, rng: random.Random, writes: int, people: int) -> None:
    for _ in range(writes):
        path, body = f"/v1/customers/c{rng.randrange(people)}", drawn(rng)
        if rng.random() < 0.3:
            body["valid_from"] = (NOW - timedelta(days=rng.randint(0, 400))).isoformat()
        method = rng.choice(("PUT", "PATCH"))
        answer = await client.request(method, path, json=body)
        assert answer.status_code in (200, 201, 404), answer.text
    items = [{"customer_id": f"c{rng.randrange(people)}", **drawn(rng)} for _ in range(writes)]
    assert (await client.post("/v1/customers/bulk", json={"items": items})).status_code == 200


@pytest.mark.parametrize("seed", range(4))
async def test_it_follows_every_write_of_a_profile(
    client: httpx.AsyncClient, session: WriteSession, clock: Clock, seed: int
) -> None:
    rng = random.Random(seed)
    for _ in range(3):
        await tell(client, rng, 10, 6)
        clock.now += timedelta(hours=1)
        session.expire_all()
        assert await stored(session) == await derived(session)


@pytest.fixture
async def old(own_client: httpx.AsyncClient, own_database: Database) -> Rows:
    """What customers are found by, in a database that does not know it yet."""
    await tell(own_client, random.Random(5), 12, 30)
    await own_client.put("/v1/customers/c0", json={"phone": "030 1234567"})
    async with own_database.writes() as session, session.begin():
        before = await stored(writing(session))
        for statement in (
            "DELETE FROM customer_search",
            "UPDATE customers SET phone_e164 = NULL",
            "DELETE FROM settings WHERE key IN ('country', 'customer_search_filled')",
        ):
            await session.execute(text(statement))
    return before


async def fill(database: Database, deployment: Deployment) -> int:
    """Fill as a worker does; return how many transactions that took."""
    for calls in range(1, 1000):
        async with database.writes() as session, session.begin():
            if not await search_rows.fill(writing(session), deployment, NOW):
                return calls
    raise AssertionError("no end")


async def test_a_database_of_before_is_filled_in_pieces(
    old: Rows,
    own_database: Database,
    settings: Settings,
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search_rows, "CHUNK", 4)
    await migrate(own_database.engine, settings)
    assert await fill(own_database, deployment) > len(old) // 4
    async with own_database.reads() as session:
        assert await stored(ReadSession(session)) == old
    assert await fill(own_database, deployment) == 1


async def test_a_worker_fills_it_while_it_keeps_house(
    old: Rows, own_database: Database, settings: Settings
) -> None:
    await migrate(own_database.engine, settings)
    worker = Worker(own_database, settings, clock=lambda: NOW)
    while await worker._housekeep():
        pass
    async with own_database.reads() as session:
        assert await stored(ReadSession(session)) == old


async def test_workers_at_once_and_writes_meanwhile_leave_it_true(
    old: Rows,
    own_client: httpx.AsyncClient,
    own_database: Database,
    settings: Settings,
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search_rows, "CHUNK", 2)
    await migrate(own_database.engine, settings)
    rng = random.Random(1)

    async def write() -> None:
        for _ in range(25):
            path = f"/v1/customers/c{rng.randrange(30)}"
            assert (await own_client.patch(path, json=drawn(rng))).status_code in (200, 404)

    async def work() -> None:
        for _ in range(40):
            async with own_database.writes() as session, session.begin():
                await search_rows.fill(writing(session), deployment, NOW)

    await asyncio.gather(write(), work(), work())
    await fill(own_database, deployment)
    async with own_database.reads() as session:
        assert await stored(ReadSession(session)) == await derived(ReadSession(session))


async def test_another_country_is_told_to_migrate_and_phones_are_read_anew(
    old: Rows, own_database: Database, settings: Settings, deployment: Deployment, clock: Clock
) -> None:
    await migrate(own_database.engine, settings)
    await fill(own_database, deployment)
    german = settings.model_copy(update={"country": "DE"})
    with pytest.raises(SettingsMismatch, match="clm migrate"):
        await verify(own_database.engine, german)
    await migrate(own_database.engine, german)
    with pytest.raises(SettingsMismatch, match="CLM_COUNTRY=DE"):
        await verify(own_database.engine, settings.model_copy(update={"country": None}))
    # What the database knows need not be said again.
    await migrate(own_database.engine, settings)
    assert (await verify(own_database.engine, settings)).country == "DE"
    assert await fill(own_database, Deployment.of(german)) > 1
    async with own_database.reads() as session:
        found = await stored(ReadSession(session))
        assert found == await derived(ReadSession(session), "DE") != old
    assert found["c0"][0] == "+49301234567"
    async with await make_client(german, own_database, clock) as client:
        written = await client.put("/v1/customers/new", json={"phone": "0170 1234567"})
        assert written.json()["phone_e164"] == "+491701234567"
        assert written.json()["warnings"] == []
