"""Lifetime value, value to save and tiers."""

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


def test_the_learnt_risk_scales_what_the_model_expects(model):
    """The slow twin: discounted purchases of the process, times (1 - p) / (1 - p0)."""
    x, t_x, T = np.array([0, 3, 3, 40]), np.array([0, 5, 90, 700]), np.array([50, 100, 100, 900])
    p = np.array([0.9, 0.2, 1e-4, 0.9999])
    got = clv.clv(model, SPEND, x, t_x, T, mean_value=50, chance=1 - p, **YEAR)
    for row in range(4):
        history = x[row], t_x[row], T[row]
        purchases = model.discounted_purchases(*history, **YEAR)
        none = model.p_no_purchase(*history, horizon=YEAR["horizon"])
        own = purchases * (1 - p[row]) / (1 - none) * SPEND.expected_value(x[row], 50)
        assert got[row] == pytest.approx(own, rel=1e-9)
    same = clv.clv(
        model, SPEND, x, t_x, T, mean_value=50, **YEAR,
        chance=1 - model.p_no_purchase(x, t_x, T, horizon=365.0),
    )  # fmt: skip
    np.testing.assert_allclose(same, clv.clv(model, SPEND, x, t_x, T, mean_value=50, **YEAR))
    with pytest.raises(ValueError, match="chance is of a horizon"):
        clv.clv(model, SPEND, 1, 1, 1, mean_value=1, chance=0.5, **{**YEAR, "horizon": None})


def test_value_to_save_is_what_silence_cost_as_far_as_it_can_be_won_back():
    then, now, chance = [10.0, 10, 10, 5, -2], [4.0, 4, 10, 8, -7], [0.5, 1e-9, 1, 1, 0.5]
    got = clv.value_to_save(then, now, chance)
    np.testing.assert_allclose(got, [3, 6e-9, 0, 0, 2.5])
    with pytest.raises(ValueError, match="probability"):
        clv.value_to_save(1, 0, 1.5)


def test_margins_may_be_losses_and_tiers_part_them(model):
    values = clv.clv(model, SPEND, [3, 3], 90, 100, mean_value=50, margin=[-0.2, 0.3], **YEAR)
    assert values[0] < 0 < values[1]
    assert clv.tiers(values, clv.tier_cuts(values)).tolist() == [0, 2]
    assert clv.tier_cuts([-5.0, -1.0]) == (0.0, 0.0)
    assert clv.tiers([-5.0, 0.0], (0.0, 0.0)).tolist() == [0, 0]


def test_bad_input_is_refused(model):
    with pytest.raises(ValueError, match="margin"):
        clv.clv(model, SPEND, 1, 1, 1, mean_value=1, margin=np.inf, **YEAR)
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
