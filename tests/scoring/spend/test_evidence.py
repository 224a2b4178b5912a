"""Which purchases tell of spend, on populations where that is known."""

from __future__ import annotations

import numpy as np
import pytest

from app.scoring.histories import log_slices
from app.scoring.histories.purchase_days import in_parts, purchase_days
from app.scoring.spend import evidence, gamma_gamma

END = 720


def log(rng, first_value, customers=1500, gap=90):
    """Return customer, day and value; `first_value(own mean)` is what the first purchase costs."""
    rows = []
    for who in range(customers):
        own = 40 / rng.gamma(3, 1 / 2)
        day, first = int(rng.integers(0, END - 30)), True
        while day <= END:
            rows.append((who, day, first_value(own) if first else own * rng.gamma(4, 0.25)))
            day, first = day + 1 + int(rng.exponential(gap)), False
            if rng.random() < 0.3:
                break
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def chosen(rows, holdout=90, as_of=END):
    seen = purchase_days(*rows, as_of=as_of)
    return evidence.choose(seen.start, seen.day, seen.value, as_of=as_of, holdout=holdout)


def test_a_first_purchase_like_the_others_counts():
    rng = np.random.default_rng(1)
    found = chosen(log(rng, lambda own: own * rng.gamma(4, 0.25), customers=3000))
    assert (found.evidence, found.basis, found.holdout_days) == ("all_purchases", "holdout", 90)
    assert found.behind > found.behind_error > 0
    assert found.behind == pytest.approx(found.deviance_repeat - found.deviance_all)


def test_an_offer_to_newcomers_says_nothing_of_what_follows():
    rng = np.random.default_rng(2)
    found = chosen(log(rng, lambda _: 1.0))
    assert (found.evidence, found.basis) == ("repeat_purchases", "holdout")
    assert found.behind < -2 * found.behind_error < 0


@pytest.mark.parametrize(("first", "told"), [(None, evidence.ALL), (1.0, evidence.REPEAT)])
def test_without_a_holdout_the_first_is_held_against_those_that_follow(first, told):
    rng = np.random.default_rng(3)
    rows = log(rng, lambda own: first or own * rng.gamma(4, 0.25), customers=300, gap=20)
    found = chosen(rows, holdout=0)
    assert (found.evidence, found.basis, found.holdout_days) == (told, "first_to_repeat", 0)


@pytest.mark.parametrize("price", [1e-3, 9.99, 19.9, 1e9 / 3])
@pytest.mark.parametrize("holdout", [90, 0])
def test_where_all_cost_the_same_rounding_does_not_choose(price, holdout):
    for seed in range(6):
        rows = log(np.random.default_rng(seed), lambda _: price, customers=200 + 100 * seed)
        found = chosen((*rows[:2], np.full(rows[0].size, price)), holdout=holdout)
        assert found.evidence == "all_purchases"
        assert found.basis != "thin_data"
        assert max(found.deviance_all, abs(found.behind)) < evidence.IMMATERIAL


@pytest.mark.parametrize("days", [[], [0], [0, 1, 2]])
def test_of_too_few_all_counts(days):
    rows = np.arange(len(days)), np.array(days, dtype=np.int64), np.full(len(days), 9.0)
    found = chosen(rows)
    assert (found.evidence, found.basis, found.customers) == ("all_purchases", "thin_data", 0)


def test_one_purchase_of_9000_and_one_of_9_are_worth_different_things():
    rng = np.random.default_rng(4)
    rows = log(rng, lambda own: own * rng.gamma(4, 0.25))
    seen = purchase_days(*rows, as_of=END)
    spend = gamma_gamma.fit(*evidence.of_days(evidence.ALL, seen.start, seen.value))
    rich, poor = spend.expected_value([1, 1], [9000.0, 9.0])
    assert rich > 20 * poor


def test_days_are_counted_as_a_loop_counts_them():
    rng = np.random.default_rng(5)
    rows = log(rng, lambda _: 0.0, customers=200)
    seen = purchase_days(*rows, as_of=END)
    by_customer = np.split(seen.value, seen.start[1:])
    revenue = np.array([each.sum() for each in by_customer])
    first = np.array([each[0] for each in by_customer])
    paid_days = np.array([(each > 0).sum() for each in by_customer])
    for kind in (evidence.ALL, evidence.REPEAT):
        own = [each if kind == evidence.ALL else each[1:] for each in by_customer]
        paid = [each[each > 0] for each in own]
        slow = [len(each) for each in paid], [each.mean() if len(each) else 0.0 for each in paid]
        for found in (
            evidence.of_days(kind, seen.start, seen.value),
            evidence.of_totals(kind, revenue, first, paid_days),
        ):
            np.testing.assert_array_equal(found[0], slow[0])
            np.testing.assert_allclose(found[1], slow[1], atol=1e-12)


@pytest.mark.parametrize("holdout", [90, 0])
@pytest.mark.parametrize("customers", [0, 3, 60, 1500])
def test_in_parts_it_is_what_it_is_at_once(customers, holdout, monkeypatch):
    rng = np.random.default_rng(5)
    columns = log(rng, lambda own: own / 3, customers=max(customers, 1))
    rows = tuple(column[: None if customers else 0] for column in columns)
    whole = chosen(rows, holdout)
    monkeypatch.setattr(log_slices, "ROWS", 50)
    assert sum(1 for _ in in_parts(*rows, as_of=END)) > (2 if customers > 50 else 0)
    found = evidence.choose_in_parts(
        lambda: ((s.start, s.day, s.value) for s in in_parts(*rows, as_of=END)),
        first_day=int(rows[1].min(initial=END)), as_of=END, holdout=holdout,
    )  # fmt: skip
    assert repr(found) == repr(whole)
