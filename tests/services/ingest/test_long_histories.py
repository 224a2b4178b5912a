"""Histories that are long, of whom days are kept: as everybody else's, in any order of arrival."""

import asyncio
import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from app.deployment import Deployment
from app.postgres.db import Database, ReadSession, WriteSession
from app.services.customer_base import purchase_days, purchase_summaries, refund_facts
from app.services.ingest import transactions
from app.services.ingest.voids import Voiding
from app.services.stages import derivation, derived_state
from tests import histories
from tests.database import NOW, writing
from tests.depth import drawn
from tests.kept import as_item, ingest, kept_ledger, kept_summary, store_model
from tests.services.ingest.test_ingest_properties import Facts, batches, check, people, shuffled
from tests.twin import Fact, Twin

LIVES = [(seed, (1, 4)[seed % 2]) for seed in range(drawn(6, 100))]
"""Seeds of facts, each with the bound from which on a history is long."""
REFUNDED = [(seed, (1, 4)[seed % 2], (2, 64)[seed // 2 % 2]) for seed in range(drawn(8, 100))]
"""Seeds of refunds, each also with how many candidates are read at once."""


def bought(name: str, days_ago: int) -> Fact:
    return Fact(("default", name), NOW - timedelta(days=days_ago), Decimal(5))


def back(name: str, named: str | None, days_ago: int) -> Fact:
    """Return a refund of all that a purchase was worth."""
    refunds = named and ("default", named)
    at = NOW - timedelta(days=days_ago)
    return Fact(("default", name), at, Decimal(5), "refund", refunds or None)


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


@pytest.mark.parametrize(("seed", "bound"), LIVES, indirect=["bound"])
async def test_any_order_and_batching_of_long_histories_agrees_with_the_twin(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    rng = random.Random(seed)
    await store_model(session, f"model_long_{seed}")
    for facts in (
        people(rng, deployment, "any", 3),
        only_purchases(people(rng, deployment, "bought", 3)),
        with_named_refunds(rng, deployment, "named", 3),
    ):
        for batch in batches(rng, shuffled(rng, facts)):
            await ingest(session, deployment, batch, NOW)
        await check_days(session, facts)
        await check(session, deployment, facts, NOW, rng)


def only_purchases(facts: Facts) -> Facts:
    """Leave refunds out, and what is to come: of such histories days alone decide."""
    found = {
        each: [fact for fact in own if fact.kind == "purchase" and fact.at <= NOW]
        for each, own in facts.items()
    }
    return {each: own for each, own in found.items() if own}


def with_named_refunds(rng: random.Random, deployment: Deployment, prefix: str, many: int) -> Facts:
    """Return the facts of customers of whom each refund names a purchase, known or not."""
    today = NOW.astimezone(deployment.calendar.zone).date()
    found: Facts = {}
    while len(found) < many:
        end = today - timedelta(days=rng.choice((1, 90, 400)))
        facts = [
            fact
            for fact in histories.facts(rng, deployment.calendar.zone, end)
            if (fact.kind == "purchase" or fact.refunds) and fact.at <= NOW
        ]
        if any(fact.refunds for fact in facts):
            found[f"{prefix}{len(found)}"] = facts
    return found


# The facts on file are then worth nothing, so that whoever reads them tells another revenue.
@pytest.mark.parametrize(
    ("on_file", "late", "reads_facts"),
    [
        ([], bought("late", 25), False),
        ([], bought("first", 90), False),
        ([back("r", "p3", 2)], bought("late", 25), False),
        ([back("r", "p3", 2)], bought("in order", 1), False),
        ([back("r", "p3", 2)], back("late", "p2", 15), False),
        ([back("r", "late", 2)], bought("late", 25), False),
        ([back("free", None, 30)], bought("late", 25), False),
        ([back("free", None, 20)], bought("late", 25), False),
        ([back("free", None, 5)], back("late", "p2", 4), False),
        ([], back("free", None, 5), False),
    ],
)
async def test_what_days_tell_reads_no_other_fact(
    session: WriteSession, deployment: Deployment, on_file: list[Fact], late: Fact,
    reads_facts: bool,
) -> None:  # fmt: skip
    facts = [bought(f"p{number}", 10 * number) for number in (6, 5, 4, 3, 2)] + on_file
    for fact in facts:
        await ingest(session, deployment, [as_item("c", fact)], NOW)
    await check_days(session, {"c": facts})
    twin = Twin([*facts, late], deployment.calendar.zone)
    await session.execute(text("UPDATE transactions SET value = 0"))
    await ingest(session, deployment, [as_item("c", late)], NOW)
    told = {"revenue", "first_day_value", "last_day_value", "paid_days", "value_2", "value_3"}
    kept, expected = await kept_summary(session, "c"), twin.summary(NOW)
    assert (kept == expected) is not reads_facts
    assert {**kept, **{name: expected[name] for name in told}} == expected
    assert await kept_ledger(session, "c") == twin.ledger(NOW)


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


@pytest.mark.parametrize(("seed", "bound"), LIVES, indirect=["bound"])
async def test_days_that_the_release_before_did_not_keep_up_are_not_gone_on_from(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    rng = random.Random(seed)
    await store_model(session, f"model_beside_{seed}")
    facts = people(rng, deployment, "any", 3) | only_purchases(people(rng, deployment, "bought", 3))
    for batch in batches(rng, shuffled(rng, facts)):
        if rng.random() < 0.5:
            await ingest(session, deployment, batch, NOW)
        else:
            await ingest_by_the_release_before(session, deployment, batch)
    asked = {"ids": list(facts)}
    outdated = set(await session.scalars(text(_OUTDATED), asked))
    await check_days(session, {each: own for each, own in facts.items() if each not in outdated})
    await derivation.confirm(session, list(facts))
    await check_days(session, facts)
    await check(session, deployment, facts, NOW, rng)


async def test_a_purchase_revised_by_the_release_before_is_seen_in_the_days_after_it(
    session: WriteSession, deployment: Deployment
) -> None:
    await store_model(session, "model_revised_beside")
    facts = [bought(f"p{number}", 10 * number) for number in (6, 5, 4, 3, 2)]
    for fact in facts:
        await ingest(session, deployment, [as_item("c", fact)], NOW)
    revised = replace(facts[2], amount=Decimal(7), revision=2)
    await ingest_by_the_release_before(session, deployment, [as_item("c", revised)])
    for fact in (bought("in order", 1), bought("late", 25)):
        await ingest(session, deployment, [as_item("c", fact)], NOW)
        facts.append(fact)
        await check_days(session, {"c": facts})
    facts[2] = revised
    await check(session, deployment, {"c": facts}, NOW, random.Random(1))


_OUTDATED = "SELECT customer_id FROM purchase_summaries WHERE derivation_version = 3"


async def ingest_by_the_release_before(
    session: WriteSession, deployment: Deployment, batch: list[dict[str, object]]
) -> None:
    """Write facts, and leave days as they are: that release knows nothing of them."""
    ids = {"ids": list({item["customer_id"] for item in batch})}
    for statement in (
        "CREATE TEMP TABLE days_before AS SELECT * FROM purchase_days",
        "UPDATE purchase_summaries SET derivation_version = 3 WHERE customer_id = ANY(:ids)",
    ):
        await session.execute(text(statement), ids if ":" in statement else {})
    await ingest(session, deployment, batch, NOW)
    for statement in (
        "DELETE FROM purchase_days",
        "INSERT INTO purchase_days SELECT * FROM days_before",
        "DROP TABLE days_before",
        "UPDATE purchase_summaries SET derivation_version = 3 WHERE customer_id = ANY(:ids)",
    ):
        await session.execute(text(statement), ids if ":" in statement else {})


@pytest.mark.parametrize(("seed", "bound"), LIVES, indirect=["bound"])
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


@pytest.mark.parametrize(("seed", "bound", "read"), REFUNDED, indirect=["bound"])
async def test_refunds_of_long_histories_written_revised_and_voided_agree_with_the_twin(
    session: WriteSession, deployment: Deployment, seed: int, read: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    few = refund_facts.CANDIDATES.replace(f"LIMIT {refund_facts.READ}", f"LIMIT {read}")
    monkeypatch.setattr(refund_facts, "CANDIDATES", few)
    monkeypatch.setattr(refund_facts, "READ", read)
    rng = random.Random(seed)
    await store_model(session, f"model_refunded_{seed}")
    known: dict[str, Fact] = {}
    for number in range(35):
        name = rng.choice([f"f{number}", *known])
        fact = any_fact(rng, name, known)
        if name in known and rng.random() < 0.4:
            asked = Voiding(("c", "default", name), None, "tests", "wrong")
            await transactions.void(session, deployment, asked, now=NOW)
            del known[name]
            fact = replace(fact, name=("default", f"g{number}"))
        elif name in known:
            fact = replace(fact, revision=known[name].revision + 1)
        known[fact.name[1]] = fact
        await ingest(session, deployment, [as_item("c", fact)], NOW)
        await check_days(session, {"c": list(known.values())})
        twin = Twin(list(known.values()), deployment.calendar.zone)
        assert await kept_ledger(session, "c") == twin.ledger(NOW)
        told = await derived_state.compare(session, deployment, ["c"])
        # Stages are compared up to now, and recorded up to NOW.
        paths = {path.split("/")[1] for path, _, _ in told["c"].differences}
        assert paths <= {"stage", "transitions"}
    await check(session, deployment, {"c": list(known.values())}, NOW, rng)


def any_fact(rng: random.Random, name: str, known: dict[str, Fact]) -> Fact:
    """Return a purchase or a refund, of a few amounts, so that refunds find several equal ones."""
    at = NOW - timedelta(days=rng.randrange(1, 200), hours=rng.choice((0, 0, 7)))
    fact = Fact(("default", name), at, Decimal(rng.choice((0, 5, 5, 10, 10, 15, 40))))
    if rng.random() < 0.2:
        fact = replace(fact, currency="USD", rate=Decimal("0.9"))
    if rng.random() < 0.6:
        return fact
    named = ("default", rng.choice([*known, "unknown", "f7"])) if rng.random() < 0.4 else None
    return replace(fact, kind="refund", refunds=None if named == fact.name else named)


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
