"""Lifetime value, value at risk and tiers."""

from __future__ import annotations

import numpy as np
import pytest

from app.scoring.purchases import bg_nbd, mbg_nbd
from app.scoring.spend import clv, gamma_gamma

SPEND = gamma_gamma.Model.from_params(p=6.25, q=3.74, v=15.44)
YEAR = {"horizon": 365.0, "annual_discount": 0.1, "periods_per_year": clv.DAYS_PER_YEAR}


@pytest.fixture(scope="module", params=[bg_nbd, mbg_nbd], ids=["bg_nbd", "mbg_nbd"])
def model(request):
    return request.param.Model.from_params(r=0.25, alpha=30, a=0.8, b=2.5)


def test_it_is_purchases_times_spend_times_margin(model):
    history = [0, 3], [0, 90], [200, 100]
    got = clv.clv(model, SPEND, *history, mean_value=[0, 50], paid=[0, 2], margin=0.4, **YEAR)
    purchases = model.discounted_purchases(*history, **YEAR)
    np.testing.assert_allclose(got, purchases * SPEND.expected_value([0, 2], [0, 50]) * 0.4)


@pytest.mark.parametrize("unit", [7, 30.4375, 365.25])
def test_the_time_unit_does_not_matter(unit):
    history = np.array([0, 3, 9]), np.array([0, 90, 80]), np.array([200, 100, 700])
    values = []
    for u in (1, unit):
        model = mbg_nbd.Model.from_params(r=0.25, alpha=30 / u, a=0.8, b=2.5)
        x, t_x, T = history
        values.append(
            clv.clv(
                model, SPEND, x, t_x / u, T / u, mean_value=50, horizon=365 / u,
                annual_discount=0.1, periods_per_year=365.25 / u,
            )
        )  # fmt: skip
    np.testing.assert_allclose(values[0], values[1], rtol=1e-12)


def test_value_at_risk_is_what_silence_cost(model):
    x, t_x, T = (
        np.array([0, 0, 3, 3, 3]),
        np.array([0, 0, 5, 90, 100]),
        np.array([0, 50, 100] * 2)[[0, 1, 2, 2, 2]],
    )
    z = np.array([0, 0, 50.0, 50, 50])
    at_risk = clv.value_at_risk(model, SPEND, x, t_x, T, mean_value=z, **YEAR)
    fresh = np.where(x > 0, T, 0)
    then = clv.clv(model, SPEND, x, fresh, fresh, mean_value=z, **YEAR)
    now = clv.clv(model, SPEND, x, t_x, T, mean_value=z, **YEAR)
    np.testing.assert_allclose(at_risk, then - now, atol=1e-11)
    assert at_risk[0] == 0
    assert at_risk[4] == 0
    assert at_risk[2] > at_risk[3] > 0
    alone = [
        clv.value_at_risk(model, SPEND, x[i], t_x[i], T[i], mean_value=z[i], **YEAR)
        for i in range(5)
    ]
    np.testing.assert_allclose(alone, at_risk, rtol=1e-12, atol=1e-11)


def test_bad_input_is_refused(model):
    with pytest.raises(ValueError, match="margin"):
        clv.clv(model, SPEND, 1, 1, 1, mean_value=1, margin=-1, **YEAR)
    with pytest.raises(ValueError, match="annual_discount"):
        clv.clv(
            model, SPEND, 1, 1, 1, mean_value=1, horizon=1, annual_discount=-0.1, periods_per_year=1
        )
    with pytest.raises(ValueError, match="fit together"):
        clv.clv(model, SPEND, [1, 1], 1, 1, mean_value=[1, 1, 1], **YEAR)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5, 3, 1, 1], [2, 1, 0, 0]),
        ([1, 5, 3, 1], [0, 2, 1, 0]),
        ([1, 1, 1, 1], [2, 2, 2, 2]),
        ([9, 0, 0], [2, 0, 0]),
        ([0, 0], [0, 0]),
        ([], []),
    ],
)
def test_tiers(values, expected):
    assert clv.tiers(values, clv.tier_cuts(values)).tolist() == expected


def test_tiers_hold_their_shares():
    values = np.random.default_rng(0).pareto(1.5, 1000)
    tier = clv.tiers(values, clv.tier_cuts(values))
    high, medium = values[tier == 2], values[tier == 1]
    assert high.sum() >= 0.5 * values.sum() > high.sum() - high.min()
    top = high.sum() + medium.sum()
    assert top >= 0.8 * values.sum() > top - medium.min()
    assert [clv.TIERS[code] for code in (0, 1, 2)] == ["low", "medium", "high"]
