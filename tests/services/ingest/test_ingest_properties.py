"""Any order, batching and repetition of the same facts ends in what the brute-force twin says."""

import asyncio
import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.deployment import Deployment
from app.models import Customer
from app.postgres.db import Database, ReadSession, WriteSession
from app.schemas.ingest.transactions import TransactionIn
from app.services.ingest import transactions
from app.services.stages import derivation, stages
from tests import histories, slow_cards
from tests.database import NOW, Clock, writing
from tests.depth import drawn
from tests.kept import MODEL, as_item, ingest, kept_ledger, kept_summary, store_model
from tests.twin import Fact, Twin
from tests.twin_scores import flat
from tests.twin_scores import scores as twin_scores

SEEDS = range(drawn(6, 100))


Facts = dict[str, list[Fact]]


def people(rng: random.Random, deployment: Deployment, prefix: str, many: int) -> Facts:
    """Return the facts of some customers, some of them a few hours ahead."""
    today = NOW.astimezone(deployment.calendar.zone).date()
    found = {}
    for number in range(many):
        end = today - timedelta(days=rng.choice((-1, 0, 0, 1, 90, 180, 181, 182, 400)))
        facts = histories.facts(rng, deployment.calendar.zone, end, revise=True)
        latest = NOW + timedelta(hours=20)
        found[f"{prefix}{number}"] = [fact for fact in facts if fact.at <= latest]
    return {each: facts for each, facts in found.items() if facts}


def shuffled(rng: random.Random, facts: Facts) -> list[tuple[str, Fact]]:
    """Return every fact at least once, in any order."""
    once = [(each, fact) for each, own in facts.items() for fact in own]
    again = rng.sample(once, len(once) // 3)
    return rng.sample(once + again, len(once) + len(again))


def batches(rng: random.Random, stream: list[tuple[str, Fact]]) -> list[list[dict[str, Any]]]:
    items = [as_item(each, fact) for each, fact in stream]
    sizes = rng.choice(((1, 2, 3), (1, 5, 20), (20, 60), (1000,)))
    cut = []
    while items:
        size = rng.choice(sizes)
        cut.append(items[:size])
        items = items[size:]
    return cut


async def check(
    session: ReadSession, deployment: Deployment, facts: Facts, now: datetime, rng: random.Random
) -> None:
    """Compare everything kept and answered with the twin."""
    for customer_id, own in facts.items():
        twin = Twin(own, deployment.calendar.zone)
        ledger = twin.ledger(now)
        assert await kept_summary(session, customer_id) == twin.summary(now)
        assert await kept_ledger(session, customer_id) == ledger
        recorded = await session.execute(
            select(Customer.stage, Customer.stage_since).where(Customer.customer_id == customer_id)
        )
        assert recorded.one() == (twin.stage(now), ledger[-1].at if ledger else None)
        for at in (now, min(now, histories.moment(rng, own, deployment.calendar.zone))):
            await check_answers(session, deployment, customer_id, twin, at)


async def check_answers(
    session: ReadSession, deployment: Deployment, customer_id: str, twin: Twin, at: datetime
) -> None:
    as_of = deployment.as_of(at)
    stage, _ = await stages.get(
        session, deployment, customer_id, as_of=as_of, policy_version=None, now=NOW
    )
    before = twin.ledger(at)
    assert (stage["stage"], stage["since"]) == (twin.stage(at), before[-1].at if before else None)
    card = await slow_cards.asked(
        session, deployment, customer_id, as_of=as_of, horizon_days=90, now=NOW
    )
    summary = twin.summary(at)
    assert card["stage"] == twin.stage(at)
    assert card["revenue"]["amount"] == summary["revenue"]
    assert (card["refund_excess"] or {"amount": 0})["amount"] == summary["refund_excess"]
    if not summary["purchase_days"]:
        assert card["status"] == "never_purchased"
        return
    expected = twin_scores(twin, MODEL, at)
    for name, money in (("clv", card["clv"]["value"]), ("value_to_save", card["value_to_save"])):
        assert float(money["amount"]) == pytest.approx(expected.pop(name), abs=0.00501)
    for name in ("rfm_group", "rhythm_status", "value_tier"):
        assert flat(card)[name] == expected.pop(name)
    assert numbers_of(card, expected) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def numbers_of(card: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return numbers of a score card by name, wherever in it they stand."""
    risk = card["churn_risk"]
    shown = {**flat(card), **card["model_inputs"], **risk}
    shown |= {each["code"]: each["contribution"] for each in risk["reasons"]}
    shown["expected_purchases"] = card["expected_purchases"]["value"]
    return {name: shown[name] for name in names}


@pytest.mark.parametrize("seed", SEEDS)
async def test_any_order_batching_and_repetition_agree_with_the_twin(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    rng = random.Random(seed)
    await store_model(session, f"model_order_{seed}")
    facts = people(rng, deployment, "c", 6)
    statuses: list[str] = []
    for batch in batches(rng, shuffled(rng, facts)):
        statuses += await ingest(session, deployment, batch, NOW)
    names = {(each, fact.name) for each, own in facts.items() for fact in own}
    assert statuses.count("created") == len(names)
    assert set(statuses) <= {"created", "updated", "duplicate"}
    await check(session, deployment, facts, NOW, rng)


@pytest.mark.parametrize("seed", SEEDS)
async def test_facts_that_arrive_over_time_agree_with_the_twin(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    rng = random.Random(1000 + seed)
    await store_model(session, f"model_time_{seed}")
    facts = people(rng, deployment, "c", 6)
    now = NOW - timedelta(hours=3)
    for batch in batches(rng, shuffled(rng, facts)):
        now += (NOW - now) * rng.random()
        await ingest(session, deployment, batch, now)
    later = NOW + timedelta(days=rng.choice((1, 2, 181, 400)))
    await derivation.advance(session, deployment, list(facts), later)
    await check(session, deployment, facts, later, rng)


async def test_an_equal_revision_with_other_content_changes_nothing(
    session: WriteSession, deployment: Deployment
) -> None:
    await store_model(session, "model_conflict")
    rng = random.Random(3)
    facts = people(rng, deployment, "c", 3)
    stream = [as_item(each, fact) for each, own in facts.items() for fact in own]
    await ingest(session, deployment, stream, NOW)
    for item in stream:
        items = [TransactionIn.model_validate(item | {"amount": {"amount": "77.77"}})]
        done = await transactions.ingest(session, deployment, items, atomic=False, now=NOW)
        assert [status for status, _ in done.outcomes] == ["rejected"]
    await check(session, deployment, facts, NOW, rng)


async def test_two_writers_at_once_agree_with_the_twin(
    own_database: Database, deployment: Deployment
) -> None:
    rng = random.Random(5)
    async with own_database.writes() as session, session.begin():
        await store_model(writing(session), "model_two")

    async def write(parts: list[list[dict[str, Any]]]) -> None:
        for batch in parts:
            async with own_database.writes() as session, session.begin():
                await ingest(writing(session), deployment, batch, NOW)

    for number in range(drawn(12, 100)):
        facts = people(rng, deployment, f"round{number}-", 4)
        stream = shuffled(rng, facts)
        half = [fact for fact in stream if rng.random() < 0.6]
        rest = [fact for fact in stream if fact not in half or rng.random() < 0.3]
        await asyncio.gather(write(batches(rng, half)), write(batches(rng, rest)))
        async with own_database.reads() as session:
            await check(ReadSession(session), deployment, facts, NOW, rng)


async def test_callers_at_once_get_no_error_and_lose_no_update(
    own_client: httpx.AsyncClient, own_database: Database, deployment: Deployment, clock: Clock
) -> None:
    rng = random.Random(8)
    async with own_database.writes() as session, session.begin():
        await store_model(writing(session), "model_callers")
    for number in range(5):
        facts = people(rng, deployment, f"round{number}-", 5)
        posts = [
            own_client.post("/v1/transactions/bulk", json={"items": batch})
            for _ in range(2)
            for batch in batches(rng, shuffled(rng, facts))
        ]
        answers = await asyncio.gather(*posts[:40])
        # Whatever was not posted at once follows one by one.
        answers += [await post for post in posts[40:]]
        assert {answer.status_code for answer in answers} == {200}
        counts = [answer.json()["counts"] for answer in answers]
        names = {(each, fact.name) for each, own in facts.items() for fact in own}
        assert sum(count["created"] for count in counts) == len(names)
        assert sum(count["rejected"] for count in counts) == 0
        async with own_database.reads() as session:
            await check(ReadSession(session), deployment, facts, NOW, rng)


async def test_a_late_fact_renews_the_evidence_of_a_move_that_stays(
    session: WriteSession, deployment: Deployment
) -> None:
    facts = [
        Fact(("default", f"p{days}"), NOW - timedelta(days=days), Decimal(5))
        for days in (400, 395, 390)
    ]
    for fact in (facts[0], facts[2], facts[1]):
        await ingest(session, deployment, [as_item("c", fact)], NOW)
    twin = Twin(facts, deployment.calendar.zone)
    ledger = await kept_ledger(session, "c")
    assert ledger == twin.ledger(NOW)
    assert (ledger[-1].to_stage, ledger[-1].evidence["purchase_days"]) == ("churned", 3)
