"""Purchases told by spells, against the brute-force twin at the end of every day that matters."""

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.lifecycle.spells import spells
from tests import histories
from tests.lifecycle.assembled import EPOCH, as_lifecycle, micros
from tests.twin import MICROSECOND, Twin, in_force, start_of


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Sao_Paulo"])
@given(rng=st.randoms(use_true_random=False), end=st.dates(date(2016, 1, 1), date(2024, 12, 31)))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_what_holds_at_the_end_of_a_day_is_what_was_known_then(
    zone: str, rng: random.Random, end: date
) -> None:
    here = ZoneInfo(zone)
    revisions = histories.facts(rng, here, end, revise=True)
    until = histories.moment(rng, revisions, here)
    twin = Twin(revisions, here)
    found = spells([as_lifecycle(each, here) for each in in_force(revisions)], until=micros(until))
    days = {twin.day(fact.at) for fact in twin.counted(until)} | {twin.day(until)}
    for on in days | {day - timedelta(days=1) for day in days}:
        values: dict[date, Decimal] = defaultdict(Decimal)
        number = (on - EPOCH.date()).days
        for day, value, since, before in found:
            if since <= number < before:
                values[EPOCH.date() + timedelta(days=day)] += Decimal(value) / 10_000
        ended = start_of(here, on + timedelta(days=1)) - MICROSECOND
        assert dict(sorted(values.items())) == twin.day_values(min(ended, until))


def test_a_refund_of_nothing_takes_back_a_purchase_of_nothing() -> None:
    here = ZoneInfo("UTC")
    free = histories.Fact(("default", "p"), datetime(2020, 1, 1, tzinfo=UTC), Decimal(0))
    back = histories.Fact(("default", "r"), free.at, Decimal(0), "refund", free.name)
    bought, refunded = (as_lifecycle(each, here) for each in (free, back))
    assert len(spells([bought], until=micros(free.at))) == 1
    assert spells([refunded, bought], until=micros(free.at)) == []
