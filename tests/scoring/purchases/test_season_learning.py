"""Seasons learnt from logs whose season is known, and what they make of what is expected."""

import numpy as np
import pytest

from app.scoring.histories.purchase_summary import summarise
from app.scoring.purchases import season_learning
from app.scoring.purchases.in_season import InSeason
from app.scoring.purchases.registry import MODELS
from tests.scoring.purchases import seasonal
from tests.scoring.purchases.seasonal import BEGAN

MBG = MODELS["mbg_nbd"]


def learnt(log, days, kind=MBG, unit=1.0):
    return season_learning.learn(log, kind, as_of=BEGAN + days, unit=unit)


def off(log, days, found, horizon):
    """Return by how much totals are missed, without the season and with it."""
    customer, day, amount = log
    cut = BEGAN + days
    seen = summarise(customer, day, amount, as_of=cut)
    history = seen.x, seen.t_x, seen.T
    later = (day > cut) & (day <= cut + horizon) & np.isin(customer, seen.customer)
    made = np.unique(np.column_stack([customer[later], day[later]]), axis=0).shape[0]
    plain = MBG.fit(*history).expected_purchases(*history, horizon=horizon).sum()
    own = InSeason(found.model, found.season, cut).expected_purchases(*history, horizon=horizon)
    return abs(plain / made - 1), abs(own.sum() / made - 1)


@pytest.mark.parametrize(
    ("shape", "days"), [("christmas", 930), ("christmas", 1295), ("summer", 730), ("summer", 1100)]
)
def test_the_season_is_told_and_totals_are_closer(shape, days):
    """Half a year is looked ahead from before the season."""
    truth = np.array(seasonal.season(shape).factors)
    before, after = [], []
    for seed in range(3):
        log = seasonal.log(shape, days=days, seed=seed)
        found = learnt(log, days)
        assert found.status == "seasonal"
        assert np.abs(np.log(np.array(found.season.factors) / truth)).mean() < 0.12
        for horizon in (30, 90, 180):
            without, own = off(log, days, found, horizon)
            before.append(without)
            after.append(own)
    assert np.mean(after) < 0.6 * np.mean(before)


@pytest.mark.parametrize("strike", [None, (200, 260)])
@pytest.mark.parametrize("seed", range(3))
def test_without_a_season_there_is_none(strike, seed):
    found = learnt(seasonal.log("none", days=730, seed=seed, strike=strike), 730)
    assert found.status == "no_season"
    assert found.season is found.model is None
    assert found.months is not None


def test_a_short_history_tells_of_no_season():
    log = seasonal.log("christmas", days=480, seed=0)
    found = learnt(log, 480)
    assert (found.status, found.history_days) == ("too_little_history", 480)


def test_one_who_came_years_before_all_others_makes_no_long_history():
    customer, day, amount = seasonal.log("summer", days=400, seed=0)
    early = np.append(customer, customer.max() + 1), np.append(day, BEGAN - 900)
    found = learnt((*early, np.append(amount, 1.0)), 400)
    assert (found.status, found.season, found.months) == ("too_little_history", None, None)
    assert found.history_days < season_learning.LEAST_DAYS


def test_a_month_that_has_hardly_begun_tells_nothing():
    customer, day, amount = seasonal.log("summer", days=730, seed=1)
    last = int((np.datetime64("2020-03-03") - np.datetime64("1970-01-01")).astype(int))
    none_yet = (day <= last - 3) | (day > last)
    log = customer[none_yet], day[none_yet], amount[none_yet]
    found = season_learning.learn(log, MBG, as_of=last)
    before = season_learning.learn(log, MBG, as_of=last - 3)
    gap = found.months.log_factor - before.months.log_factor
    assert np.abs(gap).max() < 0.02


def test_weeks_and_days_are_one():
    log = seasonal.log("summer", days=730, seed=1)
    day, week = (learnt(log, 730, unit=unit) for unit in (1.0, 7.0))
    assert day.season == week.season
    assert week.model.alpha == pytest.approx(day.model.alpha / 7, rel=1e-5)


def test_a_kind_with_phases_is_fitted_to_seasonal_gaps():
    customer, day, amount = seasonal.log("summer", days=730, seed=1)
    found = learnt((customer, day, amount), 730, MODELS["mbg_cnbd_k"])
    assert found.status == "seasonal"
    assert found.model.k == 1  # purchases at random are at random in seasonal time


def test_the_order_of_rows_does_not_matter():
    log = seasonal.log("summer", days=600, seed=2, customers=500)
    order = np.random.default_rng(0).permutation(log[0].size)
    one, other = learnt(log, 600), learnt(tuple(column[order] for column in log), 600)
    assert one.season == other.season
