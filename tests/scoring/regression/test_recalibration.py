"""Recalibrated probabilities against their equations and a slow twin."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scoring.regression import logistic
from app.scoring.regression.recalibration import platt, sigmoid


def test_platt_recovers_a_distorted_score():
    rng = np.random.default_rng(4)
    eta = rng.normal(0, 2, 20_000)
    y = rng.random(eta.size) < 1 / (1 + np.exp(-(0.5 * eta - 1)))
    line = logistic.platt(eta, y)
    assert (line.slope, line.intercept) == pytest.approx((0.5, -1), abs=0.05)
    assert line.status == "ok"
    assert line.apply(eta) == pytest.approx(1 / (1 + np.exp(-line.log_odds(eta))))


def test_platt_solves_its_equations():
    rng = np.random.default_rng(6)
    eta, weights = rng.normal(size=60), rng.integers(0, 3, 60)
    y = eta > 0
    line = logistic.platt(eta, y, weights=weights)
    events, rest = weights[y].sum(), weights[~y].sum()
    target = np.where(y, (events + 1) / (events + 2), 1 / (rest + 2))
    miss = weights * (target - line.apply(eta))
    assert [miss.sum(), miss @ eta] == pytest.approx([0, 0], abs=1e-6)


def test_platt_never_turns_the_order_round():
    eta = np.linspace(-2, 2, 40)
    line = logistic.platt(eta, eta < 0)
    assert (line.slope, line.status) == (0, "weakly_identified")
    assert line.apply(eta) == pytest.approx([0.5] * 40)
    few = logistic.platt([0.0, 1.0], [0, 1])
    assert (few.slope, few.intercept, few.status) == (1, 0, "fallback")


@given(
    st.lists(
        st.tuples(st.integers(-5, 5), st.booleans(), st.integers(1, 3)), min_size=1, max_size=25
    )
)
def test_isotonic_is_the_best_rising_step(rows):
    score, y, weight = (np.array(column) for column in zip(*rows, strict=True))
    fitted = logistic.isotonic(score, y, weights=weight)
    distinct = sorted(set(score.tolist()))

    def mean(low, high):
        inside = (score >= low) & (score <= high)
        return (weight * y)[inside].sum() / weight[inside].sum()

    for s in distinct:
        expected = max(
            min(mean(low, high) for high in distinct if high >= s) for low in distinct if low <= s
        )
        assert float(fitted.apply(s)) == pytest.approx(expected, abs=1e-12)
    beyond = fitted.apply([-9, 9])
    assert beyond.tolist() == fitted.apply([distinct[0], distinct[-1]]).tolist()
    assert (np.diff(fitted.apply(np.linspace(-6, 6, 50))) >= 0).all()


def test_bad_samples_are_refused():
    with pytest.raises(ValueError, match="finite"):
        logistic.platt([math.inf], [1])
    with pytest.raises(ValueError, match="0 or 1"):
        logistic.isotonic([1.0], [0.5])
    with pytest.raises(ValueError, match="at least one"):
        logistic.isotonic([], [])


def test_an_offset_is_added_as_it_is_and_the_slope_has_a_floor():
    rng = np.random.default_rng(1)
    score, known = rng.normal(0, 1, 5000), rng.normal(0, 1, 5000)
    y = (rng.random(5000) < sigmoid(0.5 + 0.7 * score + known)).astype(float)
    line = platt(score, y, offset=known)
    assert (line.slope, line.intercept) == (
        pytest.approx(0.7, abs=0.1),
        pytest.approx(0.5, abs=0.1),
    )
    assert line.slope > platt(score, y).slope
    flat = platt(-score, y, offset=known, least=0.05)
    assert (flat.slope, flat.status) == (0.05, "weakly_identified")
    told = sigmoid(flat.log_odds(-score) + known)
    assert told.mean() == pytest.approx(y.mean(), abs=1e-3)
