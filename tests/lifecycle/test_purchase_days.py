"""Histories folded by day, against the fold of all facts."""

import random
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lifecycle.facts import EMPTY, Point, Summary, fold
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.purchase_days import PurchaseDays, by_day, fold_days
from app.lifecycle.purchases import Fact, set_off
from tests import histories
from tests.lifecycle.assembled import as_lifecycle, micros
from tests.lifecycle.test_facts import LIMIT, ZONES, ends, many, rngs
from tests.twin import in_force


def counted(summary: Summary) -> Summary:
    """Return what of a summary is told by no day."""
    return EMPTY._replace(
        facts=summary.facts,
        refunds=summary.refunds,
        facts_until=summary.facts_until,
        next_fact_at=summary.next_fact_at,
        refund_excess=summary.refund_excess,
    )


def folded(
    days: PurchaseDays, summary: Summary, limit: InactivityLimit, since: int | None = None
) -> tuple[Summary, list[Point]]:
    after, points = fold_days(days, summary, limit, since=since)
    return after, points.points(1)[0]


def days_of(facts: list[Fact], until: int) -> PurchaseDays:
    return PurchaseDays.of(by_day(set_off(facts, until=until).purchases))


@pytest.mark.parametrize("zone", ZONES, ids=str)
@pytest.mark.parametrize("refunds", [True, False])
@given(rng=rngs, end=ends)
@many
def test_folding_days_equals_folding_facts(
    zone: ZoneInfo, refunds: bool, rng: random.Random, end: date
) -> None:
    revisions = histories.facts(rng, zone, end, revise=True)
    until = micros(histories.moment(rng, revisions, zone))
    facts = [as_lifecycle(each, zone) for each in in_force(revisions)]
    facts = [fact for fact in facts if refunds or fact.refunds is None]
    summary, points = fold(facts, LIMIT, until=until)
    days = days_of(facts, until)
    assert folded(days, counted(summary), LIMIT) == (summary, points)
    since = rng.choice([until, *(fact.at for fact in facts)]) - rng.choice((0, 1))
    before = [point for point in points if point.at <= since][-1:]
    after = [point for point in points if point.at > since]
    assert folded(days, counted(summary), LIMIT, since=since) == (summary, before + after)


@given(rng=rngs, steps=st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30))
@many
def test_a_day_begins_and_ends_by_turns(rng: random.Random, steps: list[tuple[int, bool]]) -> None:
    """Several purchases of one day, each refunded in full or not, soon after another."""
    facts = []
    for number, (at, refunded) in enumerate(steps):
        bought = Fact(at, 0, 5, ("p", str(number)), None, 5, "EUR")
        facts.append(bought)
        if refunded:
            back = at + rng.randint(-1, 3)
            facts.append(Fact(back, 0, 5, ("r", str(number)), bought.key, 5, "EUR"))
    summary, points = fold(facts, LIMIT, until=99)
    assert folded(days_of(facts, 99), counted(summary), LIMIT) == (summary, points)


def test_days_that_begin_in_another_order_are_told_apart() -> None:
    """Clocks of St. John's once went back past midnight: of two days, the later began first."""
    for days, in_order in (((1, 2, 3), True), ((2, 1, 3), False), ((1, 1, 2), True)):
        facts = [
            Fact(at, day, 5, ("p", str(at)), None, 5, "EUR")
            for at, day in zip((1, 2, 3), days, strict=True)
        ]
        assert days_of(facts, 9).in_order is in_order
        refunded = Fact(9, 9, 5, ("r", ""), ("p", "1"), 5, "EUR")
        assert days_of([*facts, refunded], 9).in_order is in_order
