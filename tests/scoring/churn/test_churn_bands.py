"""Low, medium and high: monotone, with enough customers, and honest about what they mean."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scoring.churn.churn_bands import FIXED, MIN_CUSTOMERS, MIN_SHARE, Bands, bands, wilson


def calibrated(n, low, high, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.uniform(low, high, n)
    return p, (rng.random(n) < p).astype(float)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.6, 1), (0.9, 0.99), (0.01, 0.3)])
def test_bands_mean_what_they_say(low, high):
    p, y = calibrated(20_000, low, high)
    found = bands(p, y)
    assert found.fitted
    assert 0 < found.medium < found.high < 1
    assert sum(band.n for band in found.bands) == p.size
    assert min(band.n for band in found.bands) >= MIN_SHARE * p.size
    shares = [band.churned for band in found.bands]
    assert shares == sorted(shares)
    for code, band in enumerate(found.bands):
        inside = found.level(p) == code
        assert band.churned == pytest.approx(y[inside].mean())
        assert band.lower <= band.churned <= band.upper
        assert band.lower - 0.02 <= band.predicted <= band.upper + 0.02


def test_high_has_twice_the_odds_of_the_average():
    p, y = calibrated(20_000, 0.05, 0.95)
    share = y.mean()
    found = bands(p, y)
    for cut, factor in ((found.medium, 0.5), (found.high, 2)):
        assert cut / (1 - cut) == pytest.approx(factor * share / (1 - share), rel=1e-3)


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.5, 0.9, 1.0]), st.integers(0, 1)), max_size=99
    )
)
def test_there_are_always_bands(rows):
    p, y = np.array(rows, dtype=float).reshape(-1, 2).T
    found = bands(p, y)
    used = [band for band in found.bands if band.n or found.medium < found.high]
    assert found.medium <= found.high
    assert found.fitted or (found.medium, found.high) == FIXED
    assert not found.fitted or min(band.n for band in used) >= MIN_CUSTOMERS
    assert [band.name for band in found.bands] == ["low", "medium", "high"]
    again = Bands.from_dict(json.loads(json.dumps(found.as_dict(), allow_nan=False)))
    assert again == found
    level = found.level(np.linspace(0, 1, 50))
    assert (np.diff(level) >= 0).all()


def test_bands_that_contradict_what_happened_are_not_used():
    p, y = calibrated(2000, 0, 1)
    assert not bands(1 - p, y).fitted
    assert not bands(np.full(500, 0.7), np.arange(500) % 2).fitted


def test_low_and_high_alone_are_told_apart_where_hardly_anybody_is_between():
    p = np.concatenate([np.linspace(0.04, 0.08, 549), np.full(8, 0.48), np.full(204, 0.98)])
    y = np.arange(761) >= 549
    found = bands(p, y.astype(float))
    assert found.fitted
    assert found.medium == found.high == pytest.approx(y.mean(), abs=1e-3)
    assert [(band.n, band.churned) for band in found.bands] == [(549, 0.0), (0, None), (212, 1.0)]


def test_wilson_is_the_published_interval():
    lower, upper = wilson([0, 81, 10], [10, 263, 10])
    np.testing.assert_allclose(lower, [0, 0.2553, 0.7225], atol=5e-5)
    np.testing.assert_allclose(upper, [0.2775, 0.3662, 1], atol=5e-5)
