"""What refunds leave of a bare log: what the facts of the lifecycle have, where they can say."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.lifecycle.purchases import FREE, Fact
from app.lifecycle.purchases import set_off as of_facts
from app.scoring.histories.purchase_summary import summarise
from app.scoring.histories.refunds import set_off
from tests.scoring.histories.netting import days_left

ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), st.integers(-6, 6)), max_size=25)


def as_facts(rows):
    """Return the rows of one customer as facts, those of a day in the order of their amounts."""
    ordered = sorted(rows, key=lambda row: (row[0], abs(row[1])))
    return [
        Fact(day, day, abs(amount), ("", f"{number:03}"), FREE if amount < 0 else None,
             abs(amount), "EUR")
        for number, (day, amount) in enumerate(ordered)
    ]  # fmt: skip


@settings(max_examples=300)
@given(ROWS)
def test_it_is_what_the_lifecycle_sets_off(rows):
    summary = summarise(*(np.array(rows, dtype=int).reshape(-1, 3).T), as_of=6)
    for customer in range(3):
        own = [row[1:] for row in rows if row[0] == customer]
        netted = of_facts(as_facts(own))
        stands = [each for each in netted.purchases if each.refunded is None]
        assert {each.day for each in stands} == set(days_left(own))
        found = summary.revenue[summary.customer == customer].sum()
        assert found == sum(each.net for each in stands) == sum(days_left(own).values())


def test_an_equal_amount_comes_first_then_the_latest_then_the_one_before():
    customer, day, amount = np.zeros(4, int), np.array([1, 2, 3, 9]), np.array([5.0, 7, 8, 50])
    for refund, left in ((5, [0, 7, 8, 50]), (6, [5, 7, 2, 50]), (8, [5, 7, 0, 50]),
                         (11, [5, 4, 0, 50]), (99, [0, 0, 0, 50])):  # fmt: skip
        back = np.zeros(1, int), np.array([4]), np.array([float(refund)])
        assert set_off(customer, day, amount, refunds=back).tolist() == left


def test_sums_of_decimals_are_told_apart_as_they_are_written():
    back = np.zeros(2, int), np.array([2, 3]), np.array([0.1, 0.2])
    assert set_off(np.zeros(1, int), np.array([1]), np.array([0.3]), refunds=back).tolist() == [0.0]
