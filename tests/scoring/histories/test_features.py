"""Histories of a day against a slow twin."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scoring.churn import observation
from app.scoring.churn.backtest_tables import outcomes
from app.scoring.histories import purchase_summary
from app.scoring.histories.features import COMPLAINT, CONTACT, Facts, Features, features_at
from tests.scoring.histories.netting import days_left

DAYS = st.integers(0, 200)
CUSTOMERS = st.integers(0, 4)
PURCHASES = st.lists(st.tuples(CUSTOMERS, DAYS, st.integers(-50, 100)), max_size=40)
SCORES = st.one_of(st.just(math.nan), st.sampled_from([0.0, 0.25, 1.0]))
CONTACTS = st.lists(
    st.tuples(CUSTOMERS, DAYS, st.sampled_from([CONTACT, COMPLAINT]), SCORES), max_size=20
)


def facts_of(purchases, contacts=()):
    customer, day, amount = np.array(purchases, dtype=int).reshape(-1, 3).T
    columns = list(zip(*contacts, strict=True)) or [()] * 4
    return Facts(
        customer=customer,
        day=day,
        amount=amount.astype(float),
        contact_customer=np.array(columns[0], dtype=int),
        contact_day=np.array(columns[1], dtype=int),
        contact_kind=np.array(columns[2], dtype=int),
        contact_score=np.array(columns[3], dtype=float),
    )


def twin(purchases, contacts, as_of):
    """One customer after the other, one fact after the other."""
    rows = {}
    for who in sorted({who for who, *_ in purchases}):
        mine = [(day, money) for one, day, money in purchases if one == who and day <= as_of]
        worth = days_left(mine)
        days = list(worth)
        if not days:
            continue
        gaps = np.diff(days)[::-1].tolist()
        values = [worth[day] for day in days][::-1]
        seen = [row[1:] for row in contacts if row[0] == who and row[1] <= as_of]
        answers = [(day, score) for day, _, score in seen if not math.isnan(score)]
        last = [score for day, score in answers if day == max(answers)[0]]
        rows[who] = {
            "x": len(days) - 1,
            "t_x": days[-1] - days[0],
            "T": as_of - days[0],
            "sum_log_gaps": sum(map(math.log, gaps)),
            **{f"gap_{i + 1}": gaps[i] if i < len(gaps) else math.nan for i in range(3)},
            **{f"value_{i + 1}": values[i] if i < len(values) else math.nan for i in range(3)},
            "mean_value": sum(values) / len(values),
            "refunds": sum(money < 0 for _, money in mine),
            "complaints": sum(k == COMPLAINT and day > as_of - 90 for day, k, _ in seen),
            "satisfaction": sum(last) / len(last) if last else math.nan,
            "contact_silence": as_of - max(day for day, *_ in seen) if seen else math.nan,
        }
    return rows


@given(PURCHASES, CONTACTS, DAYS)
def test_histories_equal_the_twin(purchases, contacts, as_of):
    customer, features = features_at(facts_of(purchases, contacts), as_of=as_of)
    expected = twin(purchases, contacts, as_of)
    assert customer.tolist() == list(expected)
    for name, column in vars(features).items():
        assert column.dtype == np.float64
        np.testing.assert_allclose(
            column, [row[name] for row in expected.values()], atol=1e-9, err_msg=name
        )


@given(PURCHASES, CONTACTS, DAYS, st.randoms())
def test_neither_order_nor_later_facts_matter(purchases, contacts, as_of, random):
    before = features_at(facts_of(purchases, contacts), as_of=as_of)
    features = [[row for row in rows if row[1] <= as_of] for rows in (purchases, contacts)]
    later = [(2, as_of + 1, 5), (3, as_of + 9, -5)], [(2, as_of + 1, COMPLAINT, 0.5)]
    for more, rows in zip(later, features, strict=True):
        rows.extend(more)
        random.shuffle(rows)
    after = features_at(facts_of(*features), as_of=as_of)
    assert after[0].tolist() == before[0].tolist()
    for name, column in vars(before[1]).items():
        np.testing.assert_array_equal(getattr(after[1], name), column)


REFUNDED = st.lists(
    st.tuples(CUSTOMERS, DAYS, st.integers(0, 100), st.integers(1, 60), st.integers(0, 100)),
    max_size=30,
)


def with_refunds(rows):
    """Return purchases with the days until a refund of each, and what that takes back."""
    spells = []
    for who, day, money, later, taken in rows:
        spells.append((who, day, money, day, day + later))
        if taken < money:
            spells.append((who, day, money - taken, day + later, 10**6))
    columns = list(zip(*spells, strict=True)) or [()] * 5
    names = ("customer", "day", "amount", "since", "until")
    return Facts(**{name: np.array(c, dtype=int) for name, c in zip(names, columns, strict=True)})


def as_known(rows, as_of):
    """Return the purchases as they are known at a day to stand."""
    features = [
        (who, day, money if as_of < day + later else money - taken)
        for who, day, money, later, taken in rows
        if day <= as_of and (as_of < day + later or taken < money)
    ]
    return facts_of(features)


@given(REFUNDED, DAYS, st.integers(1, 90))
@settings(max_examples=40)
def test_a_day_is_seen_with_the_refunds_known_by_then(rows, as_of, window):
    facts, end = with_refunds(rows), as_of + window
    customer, features = features_at(facts, as_of=as_of)
    same_customer, same = features_at(as_known(rows, as_of), as_of=as_of)
    assert customer.tolist() == same_customer.tolist()
    for name, column in vars(same).items():
        np.testing.assert_allclose(getattr(features, name), column, atol=1e-9, err_msg=name)
    then = as_known(rows, end)
    after = np.unique(then.customer[then.day > as_of])
    assert observation.buyers(facts, after=as_of, until=end).tolist() == after.tolist()
    found = outcomes(facts, as_of, window)
    assert found.customer.tolist() == customer.tolist()
    np.testing.assert_array_equal(found.churned, ~np.isin(customer, after))
    worth = then.amount[(then.day > as_of) & np.isin(then.customer, customer)].sum()
    assert found.revenue.sum() == pytest.approx(worth)
    assert found.new["customers"] == np.setdiff1d(after, customer).size
    few = facts.of(np.array([1, 3]))
    kept = [who for who in customer.tolist() if who in (1, 3)]
    assert features_at(few, as_of=as_of)[0].tolist() == kept


def test_histories_agree_with_the_summary(cdnow_log, cdnow, cdnow_facts):
    customer, features = features_at(cdnow_facts, as_of=int(cdnow.T[0] + cdnow.first_day[0]))
    assert customer.tolist() == cdnow.customer.tolist()
    for name in ("x", "t_x", "T", "sum_log_gaps"):
        np.testing.assert_array_equal(getattr(features, name), getattr(cdnow, name))
    total = purchase_summary.summarise(*cdnow_log, as_of=customer.size + 10**6).revenue.sum()
    assert features.mean_value @ (features.x + 1) < total


def test_refunds_may_be_counted_apart():
    facts = Facts(
        customer=[1, 1, 2],
        day=[0, 4, 4],
        amount=[5, 5, 5],
        refund_customer=np.array([1, 1, 9]),
        refund_day=np.array([3, 8, 3]),
    )
    assert features_at(facts, as_of=5)[1].refunds.tolist() == [1, 0]
    assert features_at(facts, as_of=8)[1].refunds.tolist() == [2, 0]
    few = facts.of(np.array([2, 9]))
    assert features_at(few, as_of=9)[0].tolist() == [2]


def test_one_customer_is_a_row_like_any_other(cdnow_facts):
    _, features = features_at(cdnow_facts, as_of=int(np.max(cdnow_facts.day)))
    one = features.take([7])
    again = Features.of(**{name: float(column[0]) for name, column in vars(one).items()})
    for name, column in vars(one).items():
        np.testing.assert_array_equal(getattr(again, name), column)
    assert len(features.take(features.x > 2)) == (features.x > 2).sum()


def test_what_is_not_given_is_unknown():
    features = Features.of([0, 1], [0, 5], [9, 9], refunds=2)
    assert features.refunds.tolist() == [2, 2]
    assert features.complaints.tolist() == [0, 0]
    assert np.isnan(features.gap_1).all()
    assert np.isnan(features.satisfaction).all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"satisfaction": -0.5}, "satisfaction"),
        ({"value_1": math.inf}, "value_1"),
        ({"colour": 1}, "no column colour"),
    ],
)
def test_bad_columns_are_refused(columns, message):
    with pytest.raises(ValueError, match=message):
        Features.of(1, 2, 3, **columns)
    with pytest.raises(ValueError, match="t_x"):
        Features.of(1, 4, 3)


def test_facts_are_plain_columns():
    names = [field.name for field in dataclasses.fields(Facts)]
    assert names[:3] == ["customer", "day", "amount"]
