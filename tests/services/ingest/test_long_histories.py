"""Histories that are long, of whom days are kept: as everybody else's, in any order of arrival."""

import asyncio
import random
from datetime import timedelta

import pytest

from app.db import Database, ReadSession, WriteSession
from app.deployment import Deployment
from app.services.customer_base import purchase_days, purchase_summaries
from app.services.ingest import transactions
from app.services.ingest.voids import Voiding
from app.services.stages import derivation
from tests.database import NOW, writing
from tests.kept import ingest, store_model
from tests.services.ingest.test_ingest_properties import Facts, batches, check, people, shuffled

SEEDS = range(10)


@pytest.fixture(autouse=True, params=[1, 4])
def bound(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """From so few facts on, a history is long."""
    monkeypatch.setattr(purchase_days, "LONG_HISTORY", request.param)
    bound: int = request.param
    return bound


async def check_days(session: ReadSession, facts: Facts) -> None:
    """Hold the days that are kept against all facts, and those who have none against the bound."""
    summaries = await purchase_summaries.stored(session, list(facts))
    until = {
        each: one.facts_until
        for each, one in summaries.items()
        if purchase_days.is_long(one.facts) and one.facts_until is not None
    }
    kept = await purchase_days.stored(session, list(facts))
    assert kept == await purchase_days.derived(session, until)


@pytest.mark.parametrize("refunds", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
async def test_any_order_and_batching_of_long_histories_agrees_with_the_twin(
    session: WriteSession, deployment: Deployment, seed: int, refunds: bool
) -> None:
    rng = random.Random(seed)
    await store_model(session, f"model_long_{seed}")
    facts = people(rng, deployment, "c", 6)
    if not refunds:
        facts = only_purchases(facts)
    for batch in batches(rng, shuffled(rng, facts)):
        await ingest(session, deployment, batch, NOW)
    await check_days(session, facts)
    await check(session, deployment, facts, NOW, rng)


def only_purchases(facts: Facts) -> Facts:
    """Leave refunds out, and what is to come: of such histories alone days decide."""
    found = {
        each: [fact for fact in own if fact.kind == "purchase" and fact.at <= NOW]
        for each, own in facts.items()
    }
    return {each: own for each, own in found.items() if own}


async def test_facts_that_arrive_over_time_agree_with_the_twin(
    session: WriteSession, deployment: Deployment
) -> None:
    rng = random.Random(77)
    await store_model(session, "model_over_time")
    for number in range(6):
        facts = people(rng, deployment, f"r{number}-", 4)
        now = NOW - timedelta(hours=3)
        for batch in batches(rng, shuffled(rng, facts)):
            now += (NOW - now) * rng.random()
            await ingest(session, deployment, batch, now)
        later = NOW + timedelta(days=rng.choice((1, 2, 181, 400)))
        await derivation.advance(session, deployment, list(facts), later)
        await check_days(session, facts)
        await check(session, deployment, facts, later, rng)


@pytest.mark.parametrize("seed", SEEDS)
async def test_voided_facts_of_long_histories_leave_no_trace(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    rng = random.Random(seed)
    await store_model(session, f"model_voided_{seed}")
    facts = only_purchases(people(rng, deployment, "c", 4))
    for batch in batches(rng, shuffled(rng, facts)):
        await ingest(session, deployment, batch, NOW)
    for customer_id, own in list(facts.items()):
        names = sorted({fact.name for fact in own})
        for name in rng.sample(names, len(names) // 2):
            asked = Voiding((customer_id, *name), None, "tests", "wrong")
            await transactions.void(session, deployment, asked, now=NOW)
            facts[customer_id] = own = [fact for fact in own if fact.name != name]
        if not own:
            del facts[customer_id]
    await check_days(session, facts)
    await check(session, deployment, facts, NOW, rng)


async def test_two_writers_of_long_histories_at_once_agree_with_the_twin(
    own_database: Database, deployment: Deployment
) -> None:
    rng = random.Random(6)
    async with own_database.writes() as session, session.begin():
        await store_model(writing(session), "model_two_long")

    async def write(parts: list[list[dict[str, object]]]) -> None:
        for batch in parts:
            async with own_database.writes() as session, session.begin():
                await ingest(writing(session), deployment, batch, NOW)

    for number in range(6):
        facts = only_purchases(people(rng, deployment, f"round{number}-", 4))
        stream = shuffled(rng, facts)
        half = [fact for fact in stream if rng.random() < 0.6]
        rest = [fact for fact in stream if fact not in half or rng.random() < 0.3]
        await asyncio.gather(write(batches(rng, half)), write(batches(rng, rest)))
        async with own_database.reads() as session:
            await check_days(ReadSession(session), facts)
            await check(ReadSession(session), deployment, facts, NOW, rng)
