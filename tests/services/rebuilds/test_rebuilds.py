"""What is kept, derived anew from the facts: equal, or listed, or mended."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.config import Settings
from app.deployment import Deployment
from app.lifecycle.version import DERIVATION_VERSION
from app.migrate import migrate
from app.postgres.db import Database
from app.schemas.customers import BulkProfile
from app.schemas.ingest.interactions import InteractionIn
from app.services.common import deployment_settings
from app.services.customer_base import purchase_days
from app.services.ingest import bulk_profiles, interactions
from app.services.policies import policies
from app.services.rebuilds import rebuilds
from app.services.runs import schedule
from app.services.stages import derived_state
from app.worker import Worker
from tests import histories
from tests.kept import as_item, ingest, kept_ledger, kept_summary
from tests.services.runs import test_runs as made
from tests.twin import Fact, Twin

People = dict[str, list[Fact]]
KINDS = ("call", "complaint", "visit")


@pytest.fixture(autouse=True)
def every_history_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the purchase days of everybody."""
    monkeypatch.setattr(purchase_days, "LONG_HISTORY", 1)


@pytest.fixture
def people(deployment: Deployment) -> People:
    rng, zone = random.Random(11), deployment.calendar.zone
    end = datetime.now(zone).date()
    return {
        f"c{number:02}": histories.facts(rng, zone, end - timedelta(days=rng.choice((1, 9, 300))))
        for number in range(25)
    }


@pytest.fixture(autouse=True)
def bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let some histories be long."""
    monkeypatch.setattr(purchase_days, "LONG_HISTORY", 4)


@pytest.fixture
def worker(own_database: Database, settings: Settings) -> Iterator[Worker]:
    return Worker(own_database, settings)


async def post(
    database: Database, deployment: Deployment, people: People, seed: int, now: datetime
) -> None:
    """Write the facts in some order, in batches of some sizes, with calls between them."""
    rng = random.Random(seed)
    items = [(each, fact) for each, own in people.items() for fact in own if fact.at <= now]
    rng.shuffle(items)
    while items:
        some = [items.pop() for _ in range(min(len(items), rng.choice((1, 7, 40))))]
        async with made.write(database) as session:
            await ingest(session, deployment, [as_item(*one) for one in some], now)
    calls = [
        InteractionIn.model_validate(
            {"customer_id": each, "interaction_id": f"i{number}", "kind": KINDS[number % 3],
             "occurred_at": (now - timedelta(days=7 * number)).isoformat()}
        )
        for each in people
        for number in range(len(people[each]) % 5)
    ]  # fmt: skip
    rng.shuffle(calls)
    profiles = [
        BulkProfile.model_validate(
            {"customer_id": each, "name": f"王小明 {each}", "phone": "+49 30 901820", "city": city,
             "valid_from": (now - timedelta(days=days)).isoformat()}
        )
        for each in people
        for city, days in (("Berlin", 30), ("上海", 20))
    ]  # fmt: skip
    async with made.write(database) as session:
        await bulk_profiles.merge(session, deployment, profiles, atomic=True, now=now, by="tests")
    async with made.write(database) as session:
        await interactions.ingest(session, deployment, calls, atomic=True, now=now)


async def rebuilt(client: httpx.AsyncClient, worker: Worker, **asked: Any) -> dict[str, Any]:
    """Rebuild over HTTP; return the result with what was listed."""
    started = await client.post("/v1/rebuilds", json=asked)
    assert started.status_code == 202, started.text
    await made.work_off(worker)
    done = (await client.get(started.headers["Location"])).json()
    assert done["state"] == "succeeded", done["error"]
    listed = await client.get(f"/v1/rebuilds/{done['id']}/differences", params={"limit": 500})
    return {**done["result"], "listed": listed.json()["items"]}


async def break_something(database: Database) -> None:
    """Leave each kind of derived rows untrue of another customer."""
    async with made.write(database) as session:
        for statement in (
            "UPDATE purchase_summaries SET revenue = revenue + 1 WHERE customer_id = 'c00'",
            "DELETE FROM purchase_summaries WHERE customer_id = 'c01'",
            "UPDATE customers SET stage = 'loyal', stage_since = NULL WHERE customer_id = 'c02'",
            "UPDATE stage_transitions SET voided_at = recorded_at WHERE customer_id = 'c03'",
            "UPDATE stage_transitions SET evidence = '{}' WHERE customer_id = 'c04'",
            "DELETE FROM refund_allocations",
            "UPDATE unallocated_refunds SET waits = NOT waits",
            "UPDATE customers SET city = 'Nowhere' WHERE customer_id = 'c07'",
            "UPDATE customer_search SET words = 'nobody' WHERE customer_id = 'c08'",
            "UPDATE customers SET phone_e164 = NULL WHERE customer_id = 'c09'",
            "UPDATE purchase_days SET value = value + 1 WHERE customer_id = 'c10'",
            "DELETE FROM purchase_days WHERE customer_id = 'c11'",
            "UPDATE interaction_days SET count = count + 1 WHERE customer_id IN ('c05', 'c06')",
            "UPDATE purchase_days SET value = value + 1 WHERE customer_id = 'c10'",
        ):
            await session.execute(text(statement))


async def test_a_rebuild_finds_nothing_and_the_order_of_arrival_leaves_no_trace(
    own_database: Database, deployment: Deployment, worker: Worker, people: People,
    own_client: httpx.AsyncClient,
) -> None:  # fmt: skip
    now = datetime.now(UTC)
    await post(own_database, deployment, people, 1, now)
    found = await rebuilt(own_client, worker)
    assert (found["customers"], found["differing"], found["listed"]) == (len(people), 0, [])
    kept = await everything(own_database, deployment, list(people))
    async with made.write(own_database) as session:
        tables = ("customers", "transactions", "transaction_revisions", "interactions",
                  "interaction_days", "purchase_summaries", "purchase_days", "refund_allocations",
                  "unallocated_refunds", "stage_transitions", "profile_changes",
                  "customer_search", "purchase_days")  # fmt: skip
        await session.execute(text(f"TRUNCATE {', '.join(tables)}"))
    await post(own_database, deployment, people, 2, now)
    assert await everything(own_database, deployment, list(people)) == kept
    again = await rebuilt(own_client, worker)
    assert (again["differing"], again["digest"]) == (0, found["digest"])


async def everything(
    database: Database, deployment: Deployment, customer_ids: list[str]
) -> dict[str, Any]:
    async with made.read(database) as session:
        timeline = await policies.timeline(session)
        kept = await derived_state.kept(session, deployment, timeline, customer_ids)
    return {each: one.document for each, one in kept.items()}


async def test_what_differs_is_listed_and_mended_on_request(
    own_database: Database, deployment: Deployment, worker: Worker, people: People,
    own_client: httpx.AsyncClient,
) -> None:  # fmt: skip
    now = datetime.now(UTC)
    await post(own_database, deployment, people, 1, now)
    before = await everything(own_database, deployment, list(people))
    await break_something(own_database)
    broken = await everything(own_database, deployment, list(people))
    differing = {each for each in people if broken[each] != before[each]}
    told = await rebuilt(own_client, worker)
    assert told["differing"] == len(differing) > 10
    assert {one["customer_id"] for one in told["listed"]} == differing
    assert told["differences"] == len(told["listed"])
    assert told["repaired"] == 0
    roots = {one["field"].split("/")[1] for one in told["listed"]}
    assert roots == before["c00"].keys()
    revenue = [one for one in told["listed"] if one["field"] == "/summary/revenue"]
    expected = {"customer_id": "c00", "field": "/summary/revenue",
                "kept": broken["c00"]["summary"]["revenue"],
                "derived": before["c00"]["summary"]["revenue"],
                "masked": False}  # fmt: skip
    assert revenue == [expected]
    assert await everything(own_database, deployment, list(people)) == broken

    one = await rebuilt(own_client, worker, customers=["c00"], repair=True)
    assert (one["customers"], one["differing"], one["repaired"]) == (1, 1, 1)
    mended = await rebuilt(own_client, worker, repair=True)
    assert (one["remaining"], mended["remaining"], told["remaining"]) == (0, 0, len(differing))
    assert (mended["differing"], mended["repaired"]) == (len(differing) - 1,) * 2
    assert await everything(own_database, deployment, list(people)) == before
    assert (await rebuilt(own_client, worker))["differing"] == 0
    async with made.read(own_database) as session:
        for each, own in people.items():
            twin = Twin([fact for fact in own if fact.at <= now], deployment.calendar.zone)
            assert await kept_summary(session, each) == twin.summary(now)
            assert await kept_ledger(session, each) == twin.ledger(now)


async def test_what_older_rules_derived_is_derived_anew_by_itself(
    own_database: Database, deployment: Deployment, worker: Worker, people: People,
    own_client: httpx.AsyncClient,
) -> None:  # fmt: skip
    now = datetime.now(UTC)
    await post(own_database, deployment, people, 1, now)
    before = await everything(own_database, deployment, list(people))
    async with made.write(own_database) as session:
        await session.execute(text("UPDATE purchase_summaries SET derivation_version = 1"))
        await session.execute(text("UPDATE purchase_summaries SET revenue = 0, purchase_days = 1"))
        await deployment_settings.put(session, deployment_settings.DERIVATION, 1)
    # What reads everybody waits until that is done.
    for path in ("/v1/scoring-runs", "/v1/models", "/v1/backtests"):
        refused = await own_client.post(path, json={})
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict"), path
    async with made.write(own_database) as session:
        await schedule.start_due(session, timedelta(hours=1), now)
        await schedule.start_due(session, timedelta(hours=1), now + timedelta(hours=1))
        await rebuilds.start_due(session, now)
        await rebuilds.start_due(session, now)
    await made.work_off(worker)
    async with made.read(own_database) as session:
        version = await deployment_settings.get(session, deployment_settings.DERIVATION)
        old = await session.scalar(
            text("SELECT count(*) FROM purchase_summaries WHERE derivation_version = 1")
        )
    assert (version, old) == (DERIVATION_VERSION, 0)
    assert await everything(own_database, deployment, list(people)) == before
    started = (await own_client.get("/v1/operations")).json()["items"]
    assert [(one["kind"], one["state"]) for one in started] == [("rebuild", "succeeded")]
    assert started[0]["result"]["outdated"] == sum(bool(own["summary"]) for own in before.values())


async def test_of_two_releases_the_one_that_migrated_last_derives_anew(
    own_database: Database, deployment: Deployment, worker: Worker, people: People,
    own_client: httpx.AsyncClient, settings: Settings,
) -> None:  # fmt: skip
    now = datetime.now(UTC)
    await post(own_database, deployment, people, 1, now)

    async def kinds() -> list[str]:
        return [each["kind"] for each in (await own_client.get("/v1/operations")).json()["items"]]

    async with made.write(own_database) as session:
        await deployment_settings.put(session, deployment_settings.DERIVATION, 9)
        await deployment_settings.put(session, deployment_settings.IN_CHARGE, 9)
        await rebuilds.start_due(session, now)
    assert await kinds() == []
    await migrate(own_database.engine, settings)  # back to this release
    async with made.write(own_database) as session:
        await rebuilds.start_due(session, now)
    assert await kinds() == ["rebuild"]
    await made.work_off(worker)
    async with made.read(own_database) as session:
        assert not await deployment_settings.is_behind(session)
        version = await deployment_settings.get(session, deployment_settings.DERIVATION)
    assert version == DERIVATION_VERSION


async def test_a_rebuild_does_not_end_what_a_process_of_the_release_before_has_written_behind_it(
    own_database: Database, deployment: Deployment, worker: Worker, people: People,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(rebuilds, "DERIVE_PART", 10)
    now = datetime.now(UTC)
    await post(own_database, deployment, people, 1, now)
    older = "UPDATE purchase_summaries SET derivation_version = 1"
    async with made.write(own_database) as session:
        await session.execute(text(older))
        await deployment_settings.put(session, deployment_settings.DERIVATION, 1)
        await rebuilds.start_due(session, now)
    first = " WHERE customer_id = (SELECT min(customer_id) FROM purchase_summaries)"
    for expected in (1, DERIVATION_VERSION):
        while await worker.work_once():
            if expected == 1:
                async with made.write(own_database) as session:
                    await session.execute(text(older + first))
        async with made.write(own_database) as session:
            found = await deployment_settings.get(session, deployment_settings.DERIVATION)
            await rebuilds.start_due(session, now)
        assert found == expected


async def test_days_that_the_release_before_did_not_keep_are_no_difference_and_are_made(
    own_database: Database, deployment: Deployment, worker: Worker, people: People,
    own_client: httpx.AsyncClient,
) -> None:  # fmt: skip
    now = datetime.now(UTC)
    await post(own_database, deployment, people, 1, now)
    before = await everything(own_database, deployment, list(people))
    long = [each for each, own in before.items() if own["purchase_days"]]
    assert len(long) > 10
    async with made.write(own_database) as session:
        older = "UPDATE purchase_summaries SET derivation_version = derivation_version - 1"
        await session.execute(text(older))
        gone = "DELETE FROM purchase_days WHERE customer_id <> :kept"
        await session.execute(text(gone), {"kept": long[0]})
        stale = "UPDATE purchase_days SET turns = turns || turns"
        await session.execute(text(stale))
        await deployment_settings.put(session, deployment_settings.DERIVATION, 3)
    told = await rebuilt(own_client, worker)
    assert (told["differing"], told["listed"]) == (0, [])
    assert told["outdated"] == sum(bool(own["summary"]) for own in before.values())
    mended = await rebuilt(own_client, worker, repair=True)
    assert (mended["differing"], mended["listed"]) == (0, [])
    assert await everything(own_database, deployment, list(people)) == before


async def test_bad_requests_are_refused(own_client: httpx.AsyncClient) -> None:
    unknown = await own_client.post("/v1/rebuilds", json={"customers": ["nobody"]})
    assert unknown.status_code == 422
    assert unknown.json()["errors"][0]["pointer"] == "/customers/0"
    for body in ({"customers": []}, {"repair": "yes"}, {"all": True}):
        assert (await own_client.post("/v1/rebuilds", json=body)).status_code == 422
    assert (await own_client.get("/v1/rebuilds/op_none/differences")).status_code == 404
