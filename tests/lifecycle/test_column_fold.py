"""The fold of many customers at once is the fold of each: bit for bit."""

import random
from dataclasses import replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.lifecycle import column_fold, counted_facts
from app.lifecycle.column_fold import PurchaseColumns
from app.lifecycle.facts import EMPTY, Point, Summary, extend, fold
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.purchases import Fact
from app.lifecycle.summary_columns import NO_MORE, PointColumns, SummaryColumns
from tests import histories
from tests.lifecycle.assembled import as_lifecycle, micros

DAY = 86_400_000_000
many = settings(max_examples=150, deadline=None, derandomize=True)
LIMITS = st.builds(
    InactivityLimit, st.sampled_from([0, 3, 30, 180]), st.sampled_from([1, 1.5, 3]),
    st.sampled_from([0, 10, 365]),
)  # fmt: skip
VALUES = st.sampled_from([0, 1, 125_000, 10**18, 4 * 10**18])


@st.composite
def purchases(draw: st.DrawFn) -> list[Fact]:
    """Return purchases of one customer, in order; some of one day, and of one instant."""
    gaps = st.sampled_from([0, 0, 1, 2, 29, 31, 180, 181, 400, 5000])
    at, found = draw(st.integers(-20_000, 20_000)) * DAY, []
    for place in range(draw(st.integers(0, 9))):
        at += draw(gaps) * DAY + draw(st.sampled_from([0, 0, 7]))
        found.append(Fact(at, at // DAY, draw(VALUES), ("", str(place)), None, 1, "EUR"))
    return found


def as_columns(facts: list[list[Fact]], rng: random.Random) -> PurchaseColumns:
    rows = [(owner, *fact[:3]) for owner, own in enumerate(facts) for fact in own]
    table = np.array(rng.sample(rows, len(rows)), dtype=np.int64).reshape(-1, 4).T
    return PurchaseColumns(*table)


def slowly(
    before: list[Summary], facts: list[list[Fact]], limit: InactivityLimit
) -> tuple[list[Summary], list[list[Point]]]:
    found = [
        extend(summary, own, limit) if own else (summary, [])
        for summary, own in zip(before, facts, strict=True)
    ]
    return [summary for summary, _ in found], [points for _, points in found]


@given(st.lists(purchases(), max_size=5), LIMITS, st.randoms(use_true_random=False))
@many
def test_it_is_the_fold_of_each(
    facts: list[list[Fact]], limit: InactivityLimit, rng: random.Random
) -> None:
    empty = SummaryColumns.empty(len(facts))
    summaries, points = column_fold.extend(empty, as_columns(facts, rng), limit)
    anew = [fold(own, limit, until=NO_MORE) for own in facts]
    assert summaries.summaries() == [summary for summary, _ in anew]
    assert points.points(len(facts)) == [own for _, own in anew]


@given(st.lists(purchases(), max_size=5), LIMITS, st.randoms(use_true_random=False))
@many
def test_it_goes_on_as_each_would(
    facts: list[list[Fact]], limit: InactivityLimit, rng: random.Random
) -> None:
    cuts = [rng.randint(0, len(own)) for own in facts]
    earlier = [own[:cut] for own, cut in zip(facts, cuts, strict=True)]
    later = [own[cut:] for own, cut in zip(facts, cuts, strict=True)]
    before, _ = slowly([EMPTY] * len(facts), earlier, limit)
    after, points = slowly(before, later, limit)
    found = column_fold.extend(SummaryColumns.of(before), as_columns(later, rng), limit)
    assert found[0].summaries() == after
    assert found[1].points(len(facts)) == points


@given(st.lists(purchases(), min_size=1, max_size=5), LIMITS)
@many
def test_columns_are_the_summaries_that_they_were_made_of(
    facts: list[list[Fact]], limit: InactivityLimit
) -> None:
    summaries, points = slowly([EMPTY] * len(facts), facts, limit)
    columns = SummaryColumns.of(summaries)
    assert columns.summaries() == summaries
    assert PointColumns.of(points).points(len(facts)) == points
    rows = np.arange(len(facts))[::-1]
    assert columns.take(rows).summaries() == summaries[::-1]
    assert SummaryColumns.join([columns, columns.take(rows)]).summaries() == [
        *summaries, *summaries[::-1]
    ]  # fmt: skip


def test_one_with_a_long_history_beside_others_is_summed_in_order() -> None:
    rng = random.Random(3)
    facts = []
    for count in (3000, 1, 40, 2):
        days = sorted(rng.sample(range(50_000), count))
        facts.append([Fact(day * DAY, day, 1, ("", ""), None, 1, "EUR") for day in days])
    limit = InactivityLimit(2, 1, 1)
    found = column_fold.extend(SummaryColumns.empty(4), as_columns(facts, rng), limit)
    anew = [fold(own, limit, until=NO_MORE) for own in facts]
    assert found[0].summaries() == [summary for summary, _ in anew]
    assert found[1].points(4) == [points for _, points in anew]


def test_instants_far_apart_are_put_in_order_too() -> None:
    facts = [[Fact(at, at // DAY, 1, ("", ""), None, 1, "EUR") for at in (-(2**61), 0, 2**60)]]
    columns = as_columns(facts, random.Random(1))
    owners = replace(columns, owner=columns.owner + 7)
    assert owners.in_order().at.tolist() == [-(2**61), 0, 2**60]


@given(rng=st.randoms(use_true_random=False), sizes=st.integers(1, 5))
@many
def test_with_refunds_and_facts_to_come_it_is_the_fold_of_each(
    rng: random.Random, sizes: int
) -> None:
    zone = ZoneInfo("Europe/Berlin")
    facts, until = [], []
    for _ in range(sizes):
        own = histories.facts(rng, zone, date(2020, 1, 1) + timedelta(days=rng.randint(0, 2000)))
        until.append(micros(histories.moment(rng, own, zone)))
        facts.append([as_lifecycle(each, zone) for each in own])
    with_refunds = {
        owner: own for owner, own in enumerate(facts) if any(fact.refunds for fact in own)
    }
    bought = [[] if owner in with_refunds else own for owner, own in enumerate(facts)]
    counted = counted_facts.count(as_columns(bought, rng), with_refunds, np.array(until))
    for limit in (InactivityLimit(180, 3, 365), InactivityLimit(20, 1, 5)):
        summaries, points = counted.fold(limit)
        anew = [fold(own, limit, until=at) for own, at in zip(facts, until, strict=True)]
        assert summaries.summaries() == [summary for summary, _ in anew]
        assert points.points(sizes) == [own for _, own in anew]
