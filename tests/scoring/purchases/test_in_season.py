"""A model in seasonal time, asked in days."""

import numpy as np
import pytest

from app.scoring.purchases.in_season import InSeason
from app.scoring.purchases.registry import MODELS
from app.seasons import MONTHS, UNITS, Season

FLAT = Season((UNITS,) * MONTHS)
SUMMER = Season.nearest(np.exp(0.9 * np.cos(2 * np.pi * (np.arange(12) - 6) / 12)))
DAY = 18_500
YEAR = {"annual_discount": 0.1, "periods_per_year": 365.25}
X = np.array([0, 0, 0, 1, 3, 10, 40])
T_X = np.array([0, 0, 0, 200, 390, 800, 300])
T = np.array([0, 100, 900, 300, 400, 800, 1000])
PARAMS = {
    "mbg_nbd": {"r": 0.6, "alpha": 40.0, "a": 0.8, "b": 3.0},
    "bg_nbd": {"r": 0.3, "alpha": 5.0, "a": 0.8, "b": 2.0},
    "pareto_nbd": {"r": 0.55, "alpha": 74.0, "s": 0.6, "beta": 81.0},
    "mbg_cnbd_k": {"k": 3, "r": 0.6, "alpha": 40.0, "a": 0.8, "b": 3.0},
    "nbd": {"r": 0.6, "alpha": 40.0},
}
OUTPUTS = ("expected_purchases", "purchases_if_any", "p_no_purchase", "no_purchase_log_odds")


@pytest.fixture(params=sorted(PARAMS))
def model(request):
    return MODELS[request.param].build(**PARAMS[request.param])


@pytest.mark.parametrize("unit", [1.0, 7.0])
def test_in_a_year_of_equal_months_nothing_changes(model, unit):
    own = InSeason(model, FLAT, DAY, unit)
    history = X, T_X / unit, T / unit
    for name in ("p_alive", "silence_if_active"):
        told, plain = (getattr(each, name)(*history) for each in (own, model))
        np.testing.assert_allclose(told, plain, rtol=1e-12)
    for name in OUTPUTS:
        told, plain = (getattr(each, name)(*history, horizon=90 / unit) for each in (own, model))
        np.testing.assert_allclose(told, plain, rtol=1e-12, err_msg=name)
    terms = {**YEAR, "periods_per_year": 365.25 / unit, "horizon": 365 / unit}
    told, plain = (each.discounted_if_any(*history, **terms) for each in (own, model))
    np.testing.assert_allclose(told, plain, rtol=1e-3)


def test_histories_and_horizons_are_turned_into_seasonal_days(model):
    own = InSeason(model, SUMMER, DAY)
    t_x, age = SUMMER.between(DAY - T, DAY - T + T_X), SUMMER.between(DAY - T, DAY)
    ahead = float(SUMMER.between(DAY, DAY + 90))
    for name in OUTPUTS:
        told = getattr(own, name)(X, T_X, T, horizon=90)
        plain = getattr(model, name)(X, t_x, age, horizon=ahead)
        np.testing.assert_allclose(told, plain, rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(own.p_alive(X, T_X, T), model.p_alive(X, t_x, age), rtol=1e-9)


@pytest.mark.parametrize("horizon", [1, 20, 90, 365, 1095])
def test_lifetime_value_is_the_sum_of_days_discounted_by_the_calendar(model, horizon):
    own = InSeason(model, SUMMER, DAY)
    days = np.arange(horizon + 1)
    expected = own.expected_purchases(X[:, None], T_X[:, None], T[:, None], horizon=days)
    discount = 1.1 ** (-(days[1:] - 0.5) / 365.25)
    any_at_all = expected[:, -1] / own.purchases_if_any(X, T_X, T, horizon=horizon)
    slow = np.diff(expected, axis=1) @ discount / any_at_all
    told = own.discounted_if_any(X, T_X, T, horizon=horizon, **YEAR)
    np.testing.assert_allclose(told, slow, rtol=1e-3)


def test_without_a_discount_it_is_what_is_expected(model):
    own = InSeason(model, SUMMER, DAY)
    terms = {"annual_discount": 0.0, "periods_per_year": 365.25, "horizon": 200}
    told = own.discounted_if_any(X, T_X, T, **terms)
    assert (told == own.purchases_if_any(X, T_X, T, horizon=200)).all()


def test_a_year_ahead_hardly_depends_on_the_season():
    model = MODELS["mbg_nbd"].build(**PARAMS["mbg_nbd"])
    one = [InSeason(model, SUMMER, DAY + n).ahead(365) for n in range(0, 365, 10)]
    assert max(abs(each - 365) for each in one) < 0.02 * 365


def test_more_is_expected_before_the_season_than_after_it(model):
    spring, autumn = (InSeason(model, SUMMER, DAY + n) for n in (230, 400))  # April, October
    told = [each.purchases_if_any(X, T_X, T, horizon=60) for each in (spring, autumn)]
    assert (told[0] > told[1]).all()


def test_times_between_days_lie_between_them(model):
    own = InSeason(model, SUMMER, DAY)
    ages = np.array([own.times(0, 0, age)[2] for age in (99, 99.25, 100)], dtype=float)
    assert ages[1] == pytest.approx(0.75 * ages[0] + 0.25 * ages[2])


def test_what_is_no_history_is_refused(model):
    own = InSeason(model, SUMMER, DAY)
    with pytest.raises(ValueError, match="t_x"):
        own.p_alive(1, 20, 10)
    with pytest.raises(ValueError, match="horizon"):
        own.expected_purchases(1, 5, 10, horizon=-1)
