"""The summary of a log against a plain loop."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scoring.histories.purchase_summary import summarise
from tests.scoring.histories.netting import days_left


def plain_loop(rows, as_of):
    """Return the summary of each customer, the obvious way."""
    logs = defaultdict(list)
    for customer, day, amount in rows:
        if day <= as_of:
            logs[customer].append((day, amount))
    result = {}
    for customer, log in sorted(logs.items()):
        value = days_left(log)
        days = list(value)
        if not days:
            continue
        paid = [value[d] for d in days[1:] if value[d] > 0]
        result[customer] = {
            "customer": customer,
            "x": len(days) - 1,
            "t_x": days[-1] - days[0],
            "T": as_of - days[0],
            "mean_value": sum(paid) / len(paid) if paid else 0,
            "first_day": days[0],
            "last_day": days[-1],
            "purchase_days": len(days),
            "revenue": sum(value.values()),
            "first_day_revenue": value[days[0]],
            "sum_log_gaps": sum(math.log(b - a) for a, b in itertools.pairwise(days)),
            "paid_repeat_days": len(paid),
        }
    return result


ROWS = st.lists(
    st.tuples(st.integers(-3, 3), st.integers(-4, 12), st.integers(-40, 60).map(lambda v: v / 4)),
    max_size=60,
)


@settings(max_examples=300)
@given(ROWS, st.integers(-5, 12), st.sampled_from([int, str]))
def test_it_is_the_plain_loop(rows, as_of, code):
    rows = [(code(c), d, a) for c, d, a in rows]
    columns = zip(*rows, strict=True) if rows else ([], [], [])
    summary = summarise(*columns, as_of=as_of)
    expected = list(plain_loop(rows, as_of).values())
    assert summary.customer.tolist() == [row.pop("customer") for row in expected]
    for field in dataclasses.fields(summary)[1:]:
        got = getattr(summary, field.name)
        assert got.shape == (len(expected),)
        for value, row in zip(got.tolist(), expected, strict=True):
            assert value == pytest.approx(row[field.name], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("spread", [50, 10**12])
def test_the_order_of_rows_does_not_change_a_bit(spread):
    rng = np.random.default_rng(0)
    n = 20_000
    customer = rng.integers(0, 500, n) * spread
    day, amount = rng.integers(0, 60, n), rng.normal(20, 20, n)
    first = summarise(customer, day, amount, as_of=55)
    order = rng.permutation(n)
    second = summarise(customer[order], day[order], amount[order], as_of=55)
    for field in dataclasses.fields(first):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name))


def test_inputs_stay_as_they_are():
    customer, day, amount = np.array([2, 1, 2]), np.array([5, 4, 3]), np.array([1.0, 2, -3])
    summarise(customer, day, amount, as_of=9)
    assert (customer.tolist(), day.tolist(), amount.tolist()) == ([2, 1, 2], [5, 4, 3], [1, 2, -3])


def test_refunds():
    # 30 on day 1, 20 on day 5; on day 3 a refund of 40, 10 more than day 1 was worth
    one = summarise([7] * 3, [1, 5, 3], [30, 20, -40], as_of=9)
    assert (one.x[0], one.first_day[0], one.first_day_revenue[0], one.revenue[0]) == (0, 5, 20, 20)
    part = summarise([7] * 3, [1, 5, 6], [30, 20, -12], as_of=9)
    assert (part.x[0], part.mean_value[0], part.revenue[0]) == (1, 8, 38)
    assert summarise([7], [1], [-5], as_of=9).customer.size == 0
    early = summarise([7, 7], [1, 2], [-5, 9], as_of=9)
    assert (early.first_day[0], early.first_day_revenue[0], early.revenue[0]) == (2, 9, 9)


def test_cdnow(cdnow):
    assert cdnow.customer.size == 2357
    assert cdnow.x.sum() == 2457
    assert (cdnow.x > 0).sum() == 946


@pytest.mark.parametrize(
    ("customer", "day", "amount"),
    [([1], [1, 2], [1]), ([1], [1.5], [1]), ([1], [1], [math.nan]), ([1], [2**40], [1]), (1, 1, 1),
     ([None, 1], [1, 1], [1, 1])],
)  # fmt: skip
def test_bad_input_is_refused(customer, day, amount):
    with pytest.raises(ValueError, match=r"one length|whole|finite|sortable"):
        summarise(customer, day, amount, as_of=9)
