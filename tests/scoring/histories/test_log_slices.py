"""A log in slices against the same log at once, whatever its customers are called."""

from __future__ import annotations

import dataclasses
import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scoring.histories import log_slices
from app.scoring.histories.features import Facts, features_at
from app.scoring.histories.purchase_days import purchase_days
from app.scoring.histories.purchase_summary import summarise

NAMES = {
    "numbers": lambda who: who,
    "below": lambda who: who - 90,
    "small": lambda who: (who - 90).astype(np.int8),
    "wide": lambda who: who * 10**15 - 10**17,
    "unsigned": lambda who: who.astype(np.uint64) + np.uint64(2**63),
    "crowded": lambda who: np.where(who < 3, who, who + 10**8),
    "texts": lambda who: np.array([f"{'long ' * (each % 3)}{each}" for each in who.tolist()]),
    "objects": lambda who: np.array([f"{each}" for each in who.tolist()], dtype=object),
}
FEW = np.arange(7) * 31 % 40


def log(seed, *, customers, rows, refunds):
    rng = np.random.default_rng(seed)
    who = rng.choice([*FEW.tolist(), *range(customers)], rows)
    amount = np.round(rng.gamma(2, 20, rows), 2)
    back = rng.random(rows) < refunds
    return who, rng.integers(-20, 60, rows), np.where(back, -np.round(amount / 2, 2), amount)


def everything(who, day, amount):
    """Return all that is made of a log."""
    codes, features = features_at(Facts(customer=who, day=day, amount=amount), as_of=50)
    return [
        *vars(summarise(who, day, amount, as_of=50)).values(),
        *vars(purchase_days(who, day, amount, as_of=50)).values(),
        codes,
        *vars(features).values(),
    ]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    customers=st.sampled_from([1, 5, 150]),
    rows=st.sampled_from([0, 1, 40, 900]),
    refunds=st.sampled_from([0.0, 0.2, 1.0]),
    at_once=st.sampled_from([1, 7, 100]),
)
def test_slices_are_the_whole_to_the_bit(name, seed, customers, rows, refunds, at_once):
    who, day, amount = log(seed, customers=customers, rows=rows, refunds=refunds)
    who = NAMES[name](who)
    whole = everything(who, day, amount)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_slices, "ROWS", at_once)
        for one, other in zip(everything(who, day, amount), whole, strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype


@pytest.mark.parametrize("name", NAMES)
def test_each_customer_is_in_one_slice_and_slices_ascend(name):
    who, day, amount = log(3, customers=150, rows=5000, refunds=0)
    who = NAMES[name](who)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_slices, "ROWS", 500)
        found = list(log_slices.slices(who, day, amount, as_of=99))
    assert len(found) > (2 if name == "crowded" else 5)
    assert sum(len(names) for names, _, _ in found) == who.size
    for (before, _, _), (after, _, _) in itertools.pairwise(found):
        assert max(before) < min(after)


@pytest.mark.parametrize("kind", [np.int32, np.uint16, np.float32, np.float64])
def test_days_and_amounts_of_any_kind(kind):
    who, day, amount = log(4, customers=40, rows=900, refunds=0)
    day, amount = np.abs(day), np.rint(amount)
    one = summarise(who, day.astype(kind), amount.astype(kind), as_of=50)
    for field in dataclasses.fields(one):
        other = getattr(summarise(who, day, amount, as_of=50), field.name)
        np.testing.assert_array_equal(getattr(one, field.name), other)


@pytest.mark.parametrize("refunds", [0.0, 0.01])
def test_a_long_log_needs_a_few_bytes_a_row(refunds):
    """Twelve columns of each customer are 10 bytes a row here; all rows at once would be 70."""
    rows = 8 * log_slices.ROWS
    who, day, amount = log(5, customers=rows // 10, rows=rows, refunds=refunds)
    tracemalloc.start()
    summarise(who, day, amount, as_of=50)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most / rows < 32
