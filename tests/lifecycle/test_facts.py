"""Facts folded into summaries, against the brute-force twin."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.lifecycle import purchases
from app.lifecycle.documents import parse
from app.lifecycle.facts import EMPTY, NO_PURCHASES, Summary, extend, fold, lives
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.presets import PRESETS
from app.lifecycle.records import Columns, inactivity_limit
from app.lifecycle.version import DERIVATION_VERSION
from app.seasons import Season
from tests import histories
from tests.lifecycle import at_random
from tests.lifecycle.assembled import EPOCH, as_lifecycle, micros
from tests.twin import MICROSECOND, Fact, Twin, in_force

ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Berlin", "Asia/Shanghai", "America/Sao_Paulo")]
POLICY = parse(1, PRESETS["five_stages"])
LIMIT = POLICY.inactivity_limit
many = settings(max_examples=45, deadline=None, derandomize=True)
rngs = st.randoms(use_true_random=False)
ends = st.dates(date(2016, 1, 1), date(2024, 12, 31))


def kept(found: Sequence[Any], place: int) -> Any:
    return found[place - 1] if place <= len(found) else None


def in_words(summary: Summary) -> dict[str, Any]:
    """Return a summary in the words of the twin."""
    state = summary.state
    bought = state.purchase_days > 0

    def on(day: int) -> date | None:
        return EPOCH.date() + timedelta(days=day) if bought else None

    def instant(at: int | None) -> datetime | None:
        return None if at is None else EPOCH + timedelta(microseconds=at)

    values = [Decimal(value) / 10_000 for value in summary.values]
    money = ("revenue", "first_day_value", "last_day_value", "refund_excess")
    return {
        "facts": summary.facts,
        "refunds": summary.refunds,
        "facts_until": instant(summary.facts_until),
        "next_fact_at": instant(summary.next_fact_at),
        "purchase_days": state.purchase_days,
        "first_purchase_on": on(state.first_day),
        "last_purchase_on": on(state.last_day),
        "life_started_on": on(state.life_start_day),
        "life_purchase_days": state.life_purchase_days,
        "lives": state.lives,
        **{name: Decimal(getattr(summary, name)) / 10_000 for name in money},
        "paid_days": summary.paid_days,
        "sum_log_gaps": pytest.approx(summary.sum_log_gaps, rel=1e-12),
        **{f"gap_{n}": kept(summary.gaps, n) for n in (1, 2, 3)},
        **{f"value_{n}": kept(values, n) for n in (2, 3)},
        "policy_version": POLICY.version,  # `fold` is not told
        "derivation_version": DERIVATION_VERSION,
    }


@pytest.mark.parametrize("zone", ZONES, ids=str)
@given(rng=rngs, end=ends)
@many
def test_a_summary_is_what_the_twin_says(zone: ZoneInfo, rng: random.Random, end: date) -> None:
    revisions = histories.facts(rng, zone, end, revise=True)
    until = histories.moment(rng, revisions, zone)
    folded, _ = fold((as_lifecycle(each, zone) for each in in_force(revisions)), LIMIT,
                     until=micros(until))  # fmt: skip
    twin = Twin(revisions, zone)
    assert twin.summary(until) == in_words(folded)
    _, lived = twin.at(until)
    facts = [as_lifecycle(each, zone) for each in in_force(revisions)]
    ended = lives(facts, LIMIT, until=micros(until))
    assert [EPOCH.date() + timedelta(days=each.last_day) for each in ended] == [
        life[-1] for life in lived
    ]
    assert [each.life_purchase_days for each in ended] == [len(life) for life in lived]


@given(rng=rngs, end=ends)
@many
def test_the_order_of_facts_does_not_matter(rng: random.Random, end: date) -> None:
    zone = ZoneInfo("Europe/Berlin")
    history = histories.facts(rng, zone, end)
    until = micros(histories.moment(rng, history, zone))
    found = [as_lifecycle(each, zone) for each in history]
    other = rng.sample(found, len(found))
    assert fold(found, LIMIT, until=until) == fold(other, LIMIT, until=until)


@pytest.mark.parametrize("zone", ZONES, ids=str)
@given(rng=rngs, end=ends)
@many
def test_extending_equals_folding_anew(zone: ZoneInfo, rng: random.Random, end: date) -> None:
    bought = [each for each in histories.facts(rng, zone, end) if each.kind == "purchase"]
    found = sorted((as_lifecycle(each, zone) for each in bought), key=lambda fact: fact.at)
    summary, points = EMPTY, []
    rest = found
    while rest:
        size = rng.randint(1, len(rest))
        summary, more = extend(summary, rest[:size], LIMIT)
        points += more
        rest = rest[size:]
    assert (summary, points) == fold(found, LIMIT, until=found[-1].at)


@given(span=st.integers(0, 4000), purchase_days=st.integers(1, 40), last=st.integers(0, 20_000))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_limit_of_one_life_is_that_of_columns(span: int, purchase_days: int, last: int) -> None:
    span = span if purchase_days > 1 else 0
    one = NO_PURCHASES._replace(
        purchase_days=purchase_days,
        first_day=last - span,
        last_day=last,
        life_start_day=last - span,
        life_purchase_days=purchase_days,
        lives=1,
    )
    for season in (None, *map(Season.of, at_random.SEASONS)):
        limit = replace(LIMIT, season=season)
        own = limit.after(last - span, last, purchase_days)
        assert inactivity_limit(limit, Columns.of([one])).tolist() == [own]
        assert own >= limit.least_days


@pytest.mark.parametrize(
    ("span", "purchase_days", "days"),
    [
        (0, 1, 180),
        (10, 2, 180),
        (60, 2, 180),
        (61, 2, 183),
        (100, 3, 180),
        (182, 2, 546),
        (183, 2, 548),
        (400, 2, 765),
    ],
)
def test_the_limit_follows_the_gaps_between_its_bounds(
    span: int, purchase_days: int, days: float
) -> None:
    assert LIMIT.after(1000, 1000 + span, purchase_days) == days
    assert InactivityLimit(180, 3, 365) == LIMIT


NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
BOUGHT = Fact(("default", "p"), NOON, Decimal(10))


def refund(amount: str, hours: int, name: str = "r", of: str = "p") -> Fact:
    at = NOON + timedelta(hours=hours)
    return Fact(("default", name), at, Decimal(amount), "refund", ("default", of))


@pytest.mark.parametrize(
    ("refunds", "purchase_days", "revenue", "excess"),
    [
        ([], 1, 10, 0),
        ([refund("4", 1)], 1, 6, 0),
        ([refund("4", -1)], 1, 6, 0),
        ([refund("4", 1), refund("6", 2, "s")], 0, 0, 0),
        ([refund("13", 1)], 0, 0, 3),
        ([refund("4", 30)], 1, 10, 0),
        ([refund("4", 1, of="q")], 1, 10, 4),
        ([Fact(("default", "r"), NOON, Decimal(25), "refund")], 0, 0, 15),
        ([Fact(("default", "r"), NOON - MICROSECOND, Decimal(2), "refund")], 1, 10, 2),
    ],
    ids=["none", "in part", "before the purchase", "in full by two", "in excess", "not yet",
         "of an unknown one", "of none", "of none, before it"],
)  # fmt: skip
def test_refunds_are_set_off_against_a_purchase(
    refunds: list[Fact], purchase_days: int, revenue: int, excess: int
) -> None:
    zone = ZoneInfo("UTC")
    until = NOON + timedelta(hours=24)
    summary, _ = fold((as_lifecycle(each, zone) for each in [BOUGHT, *refunds]), LIMIT,
                      until=micros(until))  # fmt: skip
    assert summary.state.purchase_days == purchase_days
    assert (summary.revenue, summary.refund_excess) == (revenue * 10_000, excess * 10_000)
    assert Twin([BOUGHT, *refunds], zone).summary(until) == in_words(summary)


def test_a_purchase_of_nothing_is_a_purchase_day_until_a_refund_names_it() -> None:
    zone = ZoneInfo("UTC")
    bought = Fact(("default", "p"), NOON, Decimal(0))
    found = [as_lifecycle(each, zone) for each in (bought, refund("0", 1))]
    before, _ = fold(found, LIMIT, until=micros(NOON))
    after, _ = fold(found, LIMIT, until=micros(NOON) + 3_600_000_000)
    assert (before.state.purchase_days, before.paid_days) == (1, 0)
    assert after.state.purchase_days == 0


def test_gaps_are_summed_from_the_first_to_the_last() -> None:
    days = [0, 1, 11, 111]
    found = [purchases.Fact(day, day, 1, ("", str(day)), None, 1, "EUR") for day in days]
    summary, _ = fold(reversed(found), LIMIT, until=111)
    total = 0.0
    for before, after in pairwise(days):
        total += math.log(after - before)
    assert summary.sum_log_gaps == total
    assert np.isclose(total, math.log(1000))
