"""Which months are said to differ, and how far."""

import numpy as np
import pytest

from app.scoring.purchases import month_factors

TRUE = np.array([0.7, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 1.0, 1.6, 1.6])
TRUE = TRUE * 12 / TRUE.sum()


def told(n, *, factors=TRUE, expected=400.0, seed=0, first=0, once=()):
    """Fit to `n` months of purchases by known factors; `once` are months without any purchase."""
    rng = np.random.default_rng(seed)
    month = (first + np.arange(n)) % 12
    actual = rng.poisson(expected * np.asarray(factors)[month]).astype(float)
    actual[list(once)] = 0
    return month_factors.fit(actual, np.full(n, expected), month)


@pytest.mark.parametrize("n", [17, 24, 36, 60])
@pytest.mark.parametrize("seed", range(5))
def test_without_a_season_none_is_found(n, seed):
    found = told(n, factors=np.ones(12), seed=seed)
    assert found.support < 0.2
    assert np.abs(found.log_factor).max() < 0.02


@pytest.mark.parametrize("seed", range(5))
def test_a_season_is_found_and_known_better_with_every_year(seed):
    off = []
    for years in (2, 3, 6):
        found = told(12 * years, seed=seed)
        assert found.support > 0.95
        assert found.years.tolist() == [years] * 12
        own = np.exp(found.log_factor)
        off.append(np.abs(np.log(own * 12 / own.sum() / TRUE)).mean())
        assert off[-1] < 0.08
    assert np.diff([told(12 * years, seed=seed).error.mean() for years in (2, 3, 6)]).max() < 0


@pytest.mark.parametrize("n", [17, 24, 36])
@pytest.mark.parametrize("seed", range(3))
def test_what_happened_once_is_no_season(n, seed):
    found = told(n, factors=np.ones(12), seed=seed, once=(6, 7))
    assert np.abs(found.log_factor).max() < 0.1


WAVE = np.exp(0.4 * np.cos(2 * np.pi * np.arange(12) / 12))


def test_of_a_wave_months_tell_each_other_in_a_business_whose_rate_moves():
    off = []
    for seed in range(6):
        rng = np.random.default_rng([seed, 36])
        month = np.arange(36) % 12
        pace = np.exp(np.cumsum(rng.normal(0, 0.1, 36))) * WAVE[month]
        found = month_factors.fit(rng.poisson(100 * pace), np.full(36, 100.0), month)
        off.append(np.sqrt(((found.log_factor - np.log(WAVE)) ** 2).mean()))
    assert np.mean(off) < 0.075


@pytest.mark.parametrize("n", [24, 36])
@pytest.mark.parametrize("seed", range(3))
def test_a_rise_of_some_months_that_did_not_come_again_is_no_season(n, seed):
    rng = np.random.default_rng(seed)
    rise = np.exp(0.8 * np.exp(-0.5 * ((np.arange(n) - 7) / 2) ** 2))
    found = month_factors.fit(rng.poisson(300 * rise), np.full(n, 300.0), np.arange(n) % 12)
    assert found.support < 0.2


def test_a_strike_does_not_hide_a_season():
    """Nobody bought in the second November."""
    usual, struck = told(36, seed=3), told(36, seed=3, once=(22,))
    assert np.abs(usual.log_factor - struck.log_factor).max() < 0.1


def test_a_rate_that_moves_slowly_is_no_season():
    rng = np.random.default_rng(1)
    walk = np.exp(np.cumsum(rng.normal(0, 0.05, 36)))
    month = np.arange(36) % 12
    actual = rng.poisson(300 * walk)
    found = month_factors.fit(actual, np.full(36, 300.0), month)
    assert np.abs(found.log_factor).max() < 0.1


def test_of_few_purchases_little_is_told():
    few, many = told(36, expected=4.0, seed=2), told(36, expected=400.0, seed=2)
    assert np.abs(few.log_factor).mean() < np.abs(many.log_factor).mean()
    assert few.support < many.support


def test_of_nothing_nothing_is_told():
    found = month_factors.fit([], [], [])
    assert found.support == 0
    assert (found.log_factor == 0).all()
    assert month_factors.fit([1.0], [2.0], [3]).years.sum() == 0


def test_what_is_no_count_is_refused():
    with pytest.raises(ValueError, match="actual"):
        month_factors.fit([-1.0], [10.0], [0])
