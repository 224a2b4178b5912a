"""Intervals of purchases and values, against the distributions that they stand for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scoring.spend import gamma_gamma, quantiles
from app.scoring.spend.intervals import (
    USUAL,
    Between,
    Purchases,
    between_windows,
    of_purchase_total,
    of_purchases,
    of_total,
    of_values,
    values,
)

NOTHING_SHARED = Between(sd=0.0, windows=9)


def negative_binomial(shape: float, mean: float, most: int) -> np.ndarray:
    """Return the probabilities of 0 to `most` purchases at a gamma rate."""
    found = [(1 + mean / shape) ** -shape]
    for n in range(most):
        found.append(found[-1] * (shape + n) / (n + 1) * mean / (shape + mean))
    return np.array(found)


@pytest.mark.parametrize("shape", [0.3, 0.6, 1.0, 3.0, 12.0])
@pytest.mark.parametrize("mean", [0.05, 0.4, 1.5, 6.0, 40.0])
def test_an_interval_holds_of_purchases_at_a_gamma_rate_what_it_says(shape, mean):
    exact = negative_binomial(shape, mean, 3000)
    chance = 1 - exact[0]
    told = Purchases.of([chance], [mean / chance], [shape])
    low, high, held = (float(each[0]) for each in of_purchases(told, NOTHING_SHARED))
    inside = exact[int(low) : int(high) + 1].sum()
    assert inside == pytest.approx(held, abs=0.03)
    assert held >= quantiles.LEVEL
    assert exact[: int(low)].sum() < quantiles.BELOW + 0.03
    variance = shape * (mean / shape) * (1 + mean / shape)
    assert told.variance[0] == pytest.approx(variance, rel=0.25)


def test_who_hardly_buys_is_told_none_and_who_surely_does_more_than_none():
    told = Purchases.of([0.05, 0.89, 1.0], [1.1, 2.0, 30.0], [0.6, 3, 40])
    low, high, held = of_purchases(told, NOTHING_SHARED)
    assert (low[0], high[0]) == (0, 0)
    assert held[0] == pytest.approx(0.95)
    assert low[1] == 0  # none is likelier than one of ten
    assert 15 < low[2] < 30 < high[2] < 45


@given(
    st.floats(0, 1), st.floats(1, 5000), st.floats(0.01, 500), st.floats(0, 1.2), st.floats(0, 1.2)
)
def test_what_windows_share_widens_an_interval(chance, if_any, shape, sd, more):
    told = Purchases.of([chance], [if_any], [shape])
    narrow, wide = (of_purchases(told, Between(sd=each, windows=5)) for each in (sd, sd + more))
    for low, high, held in (narrow, wide):
        assert 0 <= low[0] <= high[0] < math.inf
        assert held[0] >= quantiles.LEVEL - 1e-9
    assert wide.low[0] <= narrow.low[0] + 1
    assert told.variance[0] >= 0


def test_the_interval_of_values_holds_of_simulated_ones_what_it_says():
    rng = np.random.default_rng(3)
    n, shape, mean = 40_000, 1.4, 2.5
    spend = gamma_gamma.Model.from_params(p=6.25, q=3.74, v=15.44)
    count = rng.poisson(rng.gamma(shape, mean / shape, n))
    rate = rng.gamma(spend.q, 1 / spend.v, n)
    seen = rng.gamma(3 * spend.p, 1 / rate) / 3  # the mean of three purchases before
    made = rng.gamma(np.maximum(count, 1) * spend.p, 1 / rate) * (count > 0)
    chance = np.full(n, 1 - (1 + mean / shape) ** -shape)
    each = spend.expected_value(np.full(n, 3), seen)
    told = Purchases.of(chance, mean / chance, np.full(n, shape))
    found = of_values(values(told, each, np.full(n, 3), discount=0.0, spend=spend), NOTHING_SHARED)
    inside = (made >= found.low) & (made <= found.high)
    assert inside.mean() == pytest.approx(0.8, abs=0.03)
    assert found.held == pytest.approx(0.8)


def test_what_is_sold_at_a_loss_has_the_interval_of_a_gain_turned_round():
    spend = gamma_gamma.Model.from_params(p=6.25, q=3.74, v=15.44)
    told = Purchases.of([0.4, 0.95], [1.5, 4.0], [0.6, 5.0])
    gain, loss = (
        of_values(values(told, sign * 20.0, [1, 5], discount=0.05, spend=spend), Between())
        for sign in (1, -1)
    )
    np.testing.assert_array_equal(loss.low, -gain.high)
    np.testing.assert_array_equal(loss.high, -gain.low)
    nothing = of_values(values(told, 0.0, [1, 5], discount=0.05, spend=spend), Between())
    np.testing.assert_array_equal(nothing.high, 0)


def test_a_total_is_as_wide_as_single_customers_and_what_windows_share():
    rng = np.random.default_rng(1)
    n, shape, mean = 500, 0.8, 0.3
    exact = negative_binomial(shape, mean, 50)
    told = Purchases.of(1 - exact[0], mean / (1 - exact[0]), np.full(n, shape))
    total, variance = n * mean, float(told.variance.sum())
    for sd in (0.0, 0.3):
        shared = np.exp(rng.normal(0, sd, 20_000)) if sd else np.ones(20_000)
        made = rng.poisson(shared * rng.gamma(n * shape, mean / shape, 20_000))
        low, high = of_purchase_total(total, variance, Between(sd=sd, windows=9))
        assert ((made >= low) & (made <= high)).mean() == pytest.approx(0.8, abs=0.04)


@given(st.floats(0, 1e6), st.floats(0.1, 20), st.floats(0, 1))
def test_a_total_lies_within_its_interval(total, dispersion, sd):
    between, variance = Between(sd=sd, windows=3), total * dispersion
    low, high = of_purchase_total(total, variance, between)
    assert 0 <= low <= high
    assert (low, high) == (int(low), int(high))
    low, high = of_total(total, variance, between)
    assert low <= high
    assert of_total(-total, variance, between) == (-high, -low)


@pytest.mark.parametrize("sd", [0.05, 0.3, 0.7])
def test_what_windows_share_is_learnt_from_many_and_of_none_is_what_is_usual(sd):
    rng = np.random.default_rng(5)
    expected = np.full(60, 900.0)
    made = rng.poisson(expected * np.exp(rng.normal(0, sd, 60)))
    found = between_windows(made, expected, expected)
    assert found.windows == 60
    assert found.sd == pytest.approx(sd, rel=0.35)
    few = between_windows(made[:2], expected[:2], expected[:2])
    assert few.windows == 2
    none = between_windows([], [], [])
    assert none.windows == 0
    assert USUAL < none.sd < 3 * USUAL


def test_what_chance_alone_explains_is_no_difference_between_windows():
    made, expected = np.array([4, 9, 2, 7, 5, 8]), np.full(6, 6.0)
    few = between_windows(made, expected, expected)
    many = between_windows(made * 100, expected * 100, expected * 100)
    assert few.sd < 0.3 < many.sd


@pytest.mark.parametrize(
    "wrong",
    [([1.1], [1], [1]), ([0.5], [-1], [1]), ([0.5], [1], [np.nan]), ([0.5] * 2, [1] * 3, [1])],
)
def test_what_is_no_probability_or_does_not_fit_is_refused(wrong):
    with pytest.raises(ValueError, match=r"must|fit"):
        Purchases.of(*wrong)
