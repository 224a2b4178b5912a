"""Scoring runs through the real worker."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import Row, func, select, text

from app.config import Settings
from app.deployment import Deployment
from app.models import Operation, OperationPart
from app.postgres.db import Database, ReadSession, WriteSession
from app.schemas.models.models import RunRequest
from app.schemas.operations import Operation as Shown
from app.services.common import deployment_settings as stored_settings
from app.services.operations import operations, parts
from app.services.operations.parts import LeaseLost
from app.services.runs import runs, schedule
from app.services.scores import run_rows
from app.worker import Worker
from tests import histories
from tests.database import Clock, writing
from tests.kept import (
    as_item,
    ingest,
    kept_ledger,
    kept_scores,
    kept_summary,
    store_model,
)
from tests.twin import Fact, Twin, start_of

CUSTOMERS = 30


@pytest.fixture
def worker(own_database: Database, settings: Settings) -> Worker:
    return Worker(own_database, settings)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "TRANSITIONS_AT_ONCE", 4)
    monkeypatch.setattr(runs, "SCORE_PART", 7)


@pytest.fixture
def people(deployment: Deployment) -> dict[str, list[Fact]]:
    """Customers whose facts ended 300 days ago."""
    rng, zone = random.Random(11), deployment.calendar.zone
    end = datetime.now(zone).date() - timedelta(days=300)
    return {
        f"c{number:02}": histories.facts(rng, zone, end - timedelta(days=rng.randrange(200)))
        for number in range(CUSTOMERS)
    }


@asynccontextmanager
async def write(database: Database) -> AsyncIterator[WriteSession]:
    async with database.writes() as session, session.begin():
        yield writing(session)


@asynccontextmanager
async def read(database: Database) -> AsyncIterator[ReadSession]:
    async with database.reads() as session:
        yield ReadSession(session)


async def post(
    database: Database, deployment: Deployment, people: dict[str, list[Fact]], now: datetime
) -> None:
    """Write facts as if it were `now`; later ones are left out."""
    batch = [as_item(each, fact) for each, own in people.items() for fact in own]
    batch = [item for item in batch if datetime.fromisoformat(item["occurred_at"]) <= now]
    async with write(database) as session:
        await ingest(session, deployment, batch, now)


async def submit(database: Database, deployment: Deployment, **asked: str) -> str:
    async with write(database) as session:
        request = RunRequest.model_validate(asked)
        now = datetime.now(UTC)
        operation = await runs.submit(session, deployment, request, now=now, by="tests")
        return str(operation["id"])


async def work_off(worker: Worker) -> None:
    while await worker.work_once():
        pass


async def described(database: Database, operation_id: str) -> dict[str, Any]:
    async with read(database) as session:
        found = await operations.describe(session, operation_id)
    Shown.model_validate(found)
    return found


async def run(database: Database, deployment: Deployment, worker: Worker, **asked: str) -> int:
    """Do a scoring run from beginning to end."""
    operation_id = await submit(database, deployment, **asked)
    await work_off(worker)
    done = await described(database, operation_id)
    assert done["state"] == "succeeded", done["error"]
    return int(done["result"]["run_id"])


async def published(database: Database) -> int | None:
    async with read(database) as session:
        return (await stored_settings.pointers(session)).run_id


async def test_a_run_records_the_moves_of_time_as_the_facts_have_them(
    own_database: Database, deployment: Deployment, worker: Worker, people: dict[str, list[Fact]]
) -> None:
    then = datetime.now(UTC) - timedelta(days=290)
    await post(own_database, deployment, people, then)
    known = {each: [fact for fact in own if fact.at <= then] for each, own in people.items()}
    run_id = await run(own_database, deployment, worker)
    now = datetime.now(UTC)
    moved = 0
    async with read(own_database) as session:
        stages = {each: row.stage for each, row in (await kept_scores(session, run_id)).items()}
        for each, own in known.items():
            twin = Twin(own, deployment.calendar.zone)
            assert await kept_ledger(session, each) == twin.ledger(now)
            assert stages[each] == twin.stage(now)
            moved += twin.ledger(then) != twin.ledger(now)
    assert moved > CUSTOMERS / 4
    assert stages.keys() == known.keys()


async def test_a_fact_whose_time_has_come_is_recorded_with_the_silence_before_it(
    own_database: Database, deployment: Deployment, worker: Worker
) -> None:
    zone = deployment.calendar.zone
    day = datetime.now(zone).date() - timedelta(days=2)
    start = start_of(zone, day)
    times = [start - timedelta(days=191), start - timedelta(days=180, hours=12)]
    times.append(start + timedelta(hours=5))
    facts = [Fact(("default", f"p{number}"), at, Decimal(5)) for number, at in enumerate(times)]
    async with write(own_database) as session:
        batch = [as_item("c", fact) for fact in facts]
        await ingest(session, deployment, batch, start - timedelta(hours=2))
    await run(own_database, deployment, worker)
    now = datetime.now(UTC)
    twin = Twin(facts, zone)
    async with read(own_database) as session:
        assert [transition.to_stage for transition in await kept_ledger(session, "c")] == [
            "initial", "active", "churned", "active",
        ]  # fmt: skip
        assert await kept_ledger(session, "c") == twin.ledger(now)
        assert await kept_summary(session, "c") == twin.summary(now)


async def test_the_scores_kept_are_those_answered_for_the_instant_of_the_run(
    own_database: Database,
    own_client: httpx.AsyncClient,
    clock: Clock,
    deployment: Deployment,
    worker: Worker,
    people: dict[str, list[Fact]],
) -> None:
    clock.now = datetime.now(UTC)
    await post(own_database, deployment, people, clock.now)
    async with write(own_database) as session:
        await store_model(session, "model_of_scores")
    as_of = (clock.now - timedelta(days=330)).isoformat()
    for asked in ({}, {"as_of": as_of}):
        run_id = await run(own_database, deployment, worker, **asked)
        clock.now = datetime.now(UTC)
        async with read(own_database) as session:
            at = (await run_rows.get(session, run_id)).as_of.isoformat()
            kept = await kept_scores(session, run_id)
        assert kept.keys() == people.keys()
        for customer_id, row in kept.items():
            answer = await own_client.get(
                f"/v1/customers/{customer_id}/scores", params={"as_of": at}
            )
            assert_same(row, answer.json())


def assert_same(row: Row[Any], card: dict[str, Any]) -> None:
    for name in ("status", "stage", "purchase_days", "r", "f", "m", "rfm_group", "value_tier"):
        assert getattr(row, name) == card[name]
    assert row.call_reasons == card["call_reasons"]
    assert row.revenue == Decimal(card["revenue"]["amount"])
    if card["status"] == "never_purchased":
        assert row.probability is None
        return
    risk = card["churn_risk"]
    rhythm = card["rhythm"]
    assert row.rhythm == rhythm["status"]
    assert row.chance_if_active == pytest.approx(rhythm["chance_if_active"], rel=1e-12)
    assert row.probability == pytest.approx(risk["probability"], rel=1e-12)
    assert row.p_alive == pytest.approx(card["p_alive"], rel=1e-12)
    assert row.usual_gap_days == pytest.approx(rhythm["usual_gap_days"], rel=1e-12)
    expected = card["expected_purchases"]["value"]
    assert row.expected_purchases == pytest.approx(expected, rel=1e-12)
    within = card["expected_purchases"]["interval"]
    assert 0 <= within["low"] <= within["high"] >= expected - 1
    least, most = (Decimal(card["clv"]["interval"][end]["amount"]) for end in ("low", "high"))
    assert 0 <= least <= most
    assert row.clv == Decimal(card["clv"]["value"]["amount"])
    assert row.value_to_save == Decimal(card["value_to_save"]["amount"])


async def test_a_run_is_published_at_once(
    own_database: Database, deployment: Deployment, worker: Worker, people: dict[str, list[Fact]]
) -> None:
    await post(own_database, deployment, people, datetime.now(UTC))
    first = await run(own_database, deployment, worker)
    operation_id = await submit(own_database, deployment)
    while (await described(own_database, operation_id))["state"] != "succeeded":
        assert await published(own_database) == first
        assert await worker.work_once()
    done = await described(own_database, operation_id)
    assert done["progress"]["done"] == done["progress"]["total"] > 5
    second = done["result"]["run_id"]
    assert await published(own_database) == second != first
    async with read(own_database) as session:
        # From then on the replaced one is kept for a day only.
        replaced = await run_rows.get(session, first)
        in_force = await run_rows.get(session, second)
    assert (replaced.replaced_at, in_force.replaced_at) == (in_force.published_at, None)


async def test_runs_have_numbers_of_64_bits(
    own_database: Database,
    own_client: httpx.AsyncClient,
    deployment: Deployment,
    worker: Worker,
    people: dict[str, list[Fact]],
) -> None:
    await post(own_database, deployment, people, datetime.now(UTC))
    async with write(own_database) as session:
        await store_model(session, "model_of_scores")
        await session.execute(text("ALTER TABLE runs ALTER COLUMN run_id RESTART WITH 5000000000"))
    first, last = [await run(own_database, deployment, worker) for _ in range(2)]
    assert (first, last) == (5_000_000_000, 5_000_000_001)
    scores = {"run_id": str(last), "limit": "2"}
    page = (await own_client.get("/v1/scores", params=scores)).json()
    assert {item["run_id"] for item in page["items"]} == {last}
    scores["cursor"] = page["next_cursor"]
    page = (await own_client.get("/v1/scores", params=scores)).json()
    assert {item["run_id"] for item in page["items"]} == {last}
    for path in ("/v1/scores", "/v1/churn-risks"):
        asked = {"changed_since_run": str(first)}
        assert (await own_client.get(path, params=asked)).status_code == 200
    report = (await own_client.get("/v1/reports/stages")).json()
    assert report["run_id"] == last


async def test_a_run_of_an_earlier_day_is_read_by_its_id_and_takes_nothing_over(
    own_database: Database,
    own_client: httpx.AsyncClient,
    deployment: Deployment,
    worker: Worker,
    people: dict[str, list[Fact]],
) -> None:
    now = datetime.now(UTC)
    await post(own_database, deployment, people, now)
    newest = await run(own_database, deployment, worker)
    operation_id = await submit(own_database, deployment, as_of="2020-01-01")
    await work_off(worker)
    result = (await described(own_database, operation_id))["result"]
    assert not result["published"]
    assert await published(own_database) == newest
    for asked, run_id in (("", newest), (f"&run_id={result['run_id']}", result["run_id"])):
        found = (await own_client.get(f"/v1/scores?limit=1{asked}")).json()
        assert found["run_id"] == run_id
    later = await run(own_database, deployment, worker)
    assert await published(own_database) == later


async def test_a_part_of_a_worker_that_died_is_done_by_another_exactly_once(
    own_database: Database,
    deployment: Deployment,
    worker: Worker,
    settings: Settings,
    people: dict[str, list[Fact]],
) -> None:
    await post(own_database, deployment, people, datetime.now(UTC))
    operation_id = await submit(own_database, deployment)
    await worker.work_once()
    async with write(own_database) as session:
        dead = await parts.claim(session)
    assert dead is not None
    other = Worker(own_database, settings)
    await asyncio.gather(work_off(worker), work_off(other))
    assert (await described(own_database, operation_id))["state"] == "running"
    async with write(own_database) as session:
        await session.execute(
            text("UPDATE operation_parts SET lease_until = clock_timestamp() - interval '1 s'"
                 " WHERE part_id = :part_id"),
            {"part_id": dead.part_id},
        )  # fmt: skip
    await asyncio.gather(work_off(worker), work_off(other))
    done = await described(own_database, operation_id)
    assert (done["state"], done["result"]["customers"]) == ("succeeded", CUSTOMERS)
    assert done["progress"]["done"] == done["progress"]["total"]
    async with read(own_database) as session:
        rows = await session.execute(select(OperationPart.part_id, OperationPart.attempt))
        attempts = {row.part_id: row.attempt for row in rows}
    assert attempts.pop(dead.part_id) == 2
    assert set(attempts.values()) == {1}
    async with own_database.writes() as session, session.begin():
        with pytest.raises(LeaseLost):
            await parts.finish(writing(session), dead)


async def test_the_same_request_gets_the_same_operation_and_another_one_a_conflict(
    own_client: httpx.AsyncClient, worker: Worker
) -> None:
    first, *same = await asyncio.gather(
        *(own_client.post("/v1/scoring-runs", json={}) for _ in range(6))
    )
    other = await own_client.post("/v1/scoring-runs", json={"as_of": "2026-01-31"})
    assert {answer.status_code for answer in (first, *same)} == {202}
    assert {answer.json()["id"] for answer in same} == {first.json()["id"]}
    assert other.status_code == 409
    assert other.json()["code"] == "operation_running"
    assert other.json()["operation_id"] == first.json()["id"]
    await work_off(worker)
    again = await own_client.post("/v1/scoring-runs", json={"as_of": "2026-01-31"})
    assert again.status_code == 202
    assert again.json()["id"] != first.json()["id"]


async def test_schedulers_start_one_run_a_slot(own_database: Database, worker: Worker) -> None:
    every, now = timedelta(hours=1), datetime(2026, 6, 1, 12, 30, tzinfo=UTC)

    async def due(at: datetime) -> None:
        async with write(own_database) as session:
            await schedule.start_due(session, every, at)

    counts = []
    for hours in (0, 1, 1, 2):
        await asyncio.gather(*(due(now + timedelta(hours=hours)) for _ in range(4)))
        await work_off(worker)
        async with read(own_database) as session:
            counts.append(await session.scalar(select(func.count()).select_from(Operation)))
    assert counts == [0, 1, 1, 2]


async def test_a_part_that_fails_ends_the_operation_with_a_problem(
    own_database: Database, deployment: Deployment, worker: Worker, people: dict[str, list[Fact]]
) -> None:
    await post(own_database, deployment, people, datetime.now(UTC))
    first = await run(own_database, deployment, worker)
    async with write(own_database) as session:
        await store_model(session, "model_soon_gone")
    operation_id = await submit(own_database, deployment, model_id="model_soon_gone")
    async with write(own_database) as session:
        await session.execute(text("DELETE FROM models WHERE model_id = 'model_soon_gone'"))
    await work_off(worker)
    failed = await described(own_database, operation_id)
    assert (failed["state"], failed["result"]) == ("failed", None)
    assert (failed["error"]["code"], failed["error"]["status"]) == ("not_found", 404)
    assert failed["error"]["instance"] == f"/v1/operations/{operation_id}"
    assert await published(own_database) == first
    async with read(own_database) as session:
        parts = select(func.count()).where(OperationPart.operation_id == operation_id)
        assert await session.scalar(parts) == 0


async def pages(client: httpx.AsyncClient, **asked: str) -> AsyncIterator[dict[str, Any]]:
    """Yield the pages of churn risks."""
    cursor: str | None = ""
    while cursor is not None:
        params = asked | ({"cursor": cursor} if cursor else {})
        answer = await client.get("/v1/churn-risks", params={"limit": "4", **params})
        assert answer.status_code == 200, answer.text
        yield answer.json()
        cursor = answer.json()["next_cursor"]


@pytest.mark.parametrize("sort", ["-value_to_save", "probability", "customer_id"])
async def test_pages_hold_every_customer_once_and_stay_with_their_run(
    own_database: Database,
    own_client: httpx.AsyncClient,
    deployment: Deployment,
    worker: Worker,
    people: dict[str, list[Fact]],
    sort: str,
) -> None:
    now = datetime.now(UTC)
    await post(own_database, deployment, people, now)
    async with write(own_database) as session:
        await store_model(session, f"model_of_pages {sort}")
    first = await run(own_database, deployment, worker)
    seen: list[str] = []
    count = 0
    async for page in pages(own_client, sort=sort, include="all"):
        assert page["run_id"] == first
        seen += [item["customer_id"] for item in page["items"]]
        count += 1
        if count == 2:
            more = {"new": [Fact(("default", "p"), now, Decimal(9))]}
            await post(own_database, deployment, more, now)
            assert await run(own_database, deployment, worker) != first
    zone = deployment.calendar.zone
    buyers = {each for each, own in people.items() if Twin(own, zone).at(now)[0]}
    assert sorted(seen) == sorted(buyers)
    assert count > 3


async def test_what_rests_on_a_dropout_that_is_not_identified_is_withheld(
    own_database: Database,
    own_client: httpx.AsyncClient,
    clock: Clock,
    deployment: Deployment,
    worker: Worker,
    people: dict[str, list[Fact]],
) -> None:
    clock.now = datetime.now(UTC)
    await post(own_database, deployment, people, clock.now)
    async with write(own_database) as session:
        await store_model(session, "model_of_regulars", "no_dropout_identified")
    run_id = await run(own_database, deployment, worker)
    items = [item async for page in pages(own_client, include="all")
             for item in page["items"]]  # fmt: skip
    worth = [Decimal(item["value_to_save"]["amount"]) for item in items]
    assert worth == sorted(worth, reverse=True)
    assert len(set(worth)) > CUSTOMERS / 2
    card = (await own_client.get(f"/v1/customers/{items[0]['customer_id']}/scores")).json()
    assert (card["status"], card["p_alive"]) == ("ok", None)
    assert card["withheld"] == {"p_alive": "no_dropout_identified"}
    assert card["clv"]["status"] == "no_dropout_identified"
    assert "no_dropout_identified" in card["clv"]["caveats"]
    assert 0 < card["churn_risk"]["probability"] < 1
    async with read(own_database) as session:
        kept = await kept_scores(session, run_id)
        assert {row.p_alive for row in kept.values()} == {None}
