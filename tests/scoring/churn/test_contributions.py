"""Reasons that add up, the reference customer, and usual gaps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scoring.churn import contributions
from app.scoring.purchases import bg_nbd, mbg_nbd

MODELS = [
    kind.Model.from_params(r=0.25, alpha=30, a=0.8, b=2.5) for kind in (bg_nbd, mbg_nbd)
]  # fmt: skip


@st.composite
def features_at(draw):
    x = draw(st.integers(0, 300))
    T = draw(st.integers(1 if x else 0, 3000))
    return x, draw(st.integers(1, T)) if x else 0, T


@pytest.mark.parametrize("model", MODELS, ids=["bg_nbd", "mbg_nbd"])
@settings(max_examples=150, deadline=None)
@given(customer=features_at(), reference=features_at())
def test_contributions_are_the_steps_and_add_up(model, customer, reference):
    x, t_x, T = customer
    x0, t0, T0 = reference
    parts = contributions.contributions(model, x, t_x, T, reference=reference, horizon=90)
    added = parts.purchases + parts.age + parts.silence
    assert added == pytest.approx(float(parts.total - parts.base), abs=1e-9)
    assert parts.base == model.no_purchase_log_odds(x0, t0, T0, horizon=90)
    assert parts.total == model.no_purchase_log_odds(x, t_x, T, horizon=90)

    def step(T, s):
        if x == 0:
            return model.no_purchase_log_odds(0, 0, T, horizon=90)
        return model.no_purchase_log_odds(x, max(T - s, 1e-12), max(T, 1e-12), horizon=90)

    after_x, after_age = step(T0, T0 - t0), step(T, T0 - t0)
    assert parts.purchases == pytest.approx(float(after_x - parts.base), abs=1e-8)
    assert parts.age == pytest.approx(float(after_age - after_x), abs=1e-8)


def test_the_reference_has_no_reasons():
    parts = contributions.contributions(MODELS[1], 3, 50, 70, reference=(3, 50, 70), horizon=30)
    assert (parts.purchases, parts.age, parts.silence) == (0, 0, 0)


def test_contributions_have_the_shape_of_the_customers():
    parts = contributions.contributions(
        MODELS[1], [[1], [2]], [[3, 4]], 9, reference=(0, 0, 5), horizon=30
    )  # fmt: skip
    assert {value.shape for value in vars(parts).values()} == {(2, 2)}
    with pytest.raises(ValueError, match="horizon"):
        contributions.contributions(MODELS[1], 1, 1, 1, reference=(0, 0, 5), horizon=0)


@given(st.lists(features_at(), min_size=1, max_size=40))
def test_reference_is_at_the_lower_medians(rows):
    def lower_median(values):
        return sorted(values)[(len(values) - 1) // 2]

    x = lower_median([row[0] for row in rows])
    T = lower_median([row[2] for row in rows if row[0] == x])
    s = lower_median([row[2] - row[1] for row in rows if row[0] == x and row[2] == T])
    found = contributions.reference(*zip(*rows, strict=True))
    assert found == (x, T - s, T)
    assert found in rows


def test_usual_gap():
    assert contributions.usual_gap([0, 90], [1, 4], 30).tolist() == [30, 30]
    with pytest.raises(ValueError, match="at least 1"):
        contributions.usual_gap(0, 0, 30)
    with pytest.raises(ValueError, match="at least one"):
        contributions.reference([], [], [])


def test_many_customers_equal_single_ones():
    x, t_x, T = np.array([0, 1, 4]), np.array([0, 9, 30]), np.array([40, 9, 31])
    many = contributions.contributions(MODELS[0], x, t_x, T, reference=(1, 5, 60), horizon=30)
    for i in range(3):
        one = contributions.contributions(
            MODELS[0], x[i], t_x[i], T[i], reference=(1, 5, 60), horizon=30
        )  # fmt: skip
        for name, value in vars(one).items():
            assert value == pytest.approx(vars(many)[name][i], abs=1e-12)
