"""A line for the next window: slopes that nothing tells stay at 1, levels follow the windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scoring.evaluation import metrics
from app.scoring.regression.level_forecast import forecast
from app.scoring.regression.recalibration import platt, sigmoid
from app.scoring.regression.windows import level, line, middle, window


def windows_of(rng, levels, *, slope=1.0, spread=1.0, n=500, apart=30):
    """Windows end to end whose odds are off by a slope and by a level each."""
    rows = []
    for at, own in enumerate(levels):
        odds = rng.normal(0.5, spread, n)
        y = (rng.random(n) < sigmoid(own + 0.5 + slope * (odds - 0.5))).astype(float)
        rows.append(window(at * apart, odds, y))
    return rows


@pytest.mark.parametrize("spread", [0.0, 1e-6, 1e-3, 0.01])
@pytest.mark.parametrize("seed", range(6))
def test_customers_who_hardly_differ_give_no_steep_line(seed, spread):
    """Without a ridge they do: chance is all that tells them apart."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0.9, spread, 600)
    y = (rng.random(600) < 0.7).astype(float)
    found = line([window(0, odds, y)], day=30, centre=middle(odds))
    assert 0 <= found.slope <= 2.5
    told = found.apply(odds + rng.normal(0, 5 * spread, 600))
    assert told.mean() == pytest.approx(0.7, abs=0.08)
    if spread == 1e-3:
        steep = max(
            platt(rng.normal(0.9, spread, 600), (rng.random(600) < 0.7).astype(float)).slope
            for _ in range(6)
        )
        assert steep > 20


def test_a_slope_that_the_windows_tell_is_found():
    rng = np.random.default_rng(1)
    for slope in (0.3, 1.0, 2.0):
        found = line(windows_of(rng, [0.0] * 6, slope=slope), day=180, centre=0.5)
        assert found.slope == pytest.approx(slope, abs=0.1)


def test_how_sure_the_level_is_depends_on_windows_and_not_on_customers():
    """One window that was off by 1 moves the next by less than six that all were."""
    moved = {}
    for n in (500, 50_000):
        rng = np.random.default_rng(2)
        moved[n] = [
            line(windows_of(rng, [1.0] * count, n=n), day=30 * count, centre=0.0).intercept
            for count in (1, 6)
        ]
    for one, six in moved.values():
        assert 0.3 < one < 0.9 < six < 1.1
    assert moved[50_000][0] == pytest.approx(moved[500][0], abs=0.15)


def test_the_level_follows_what_lasts_and_what_comes_again():
    days = np.arange(24) * 30.0
    sure = np.full(24, 0.01)
    lasting = np.where(days > 400, -1.0, 0.5)
    assert forecast(lasting, sure, days, 720.0) < -0.7
    yearly = np.where(days % 365 >= 305, -1.0, 0.3)
    assert forecast(yearly, sure, days, 720.0) < -0.5
    earlier = days < 690
    assert forecast(yearly[earlier], sure[earlier], days[earlier], 690.0) < -0.1
    assert forecast(np.zeros(0), np.zeros(0), np.zeros(0), 9.0) == 0.0


def test_nobody_or_everybody_leaving_has_a_finite_line():
    odds = np.linspace(-2, 2, 50)
    for share in (0.0, 1.0):
        found = line([window(0, odds, np.full(50, share))], day=30, centre=middle(odds))
        assert np.isfinite(found.log_odds(odds)).all()
    assert line([], day=30, centre=0.0).status == "fallback"


@settings(max_examples=40)
@given(
    st.integers(0, 10_000),
    st.integers(1, 8),
    st.integers(1, 300),
    st.sampled_from([0.0, 1e-9, 1e-3, 0.1, 1.0, 12.0]),
    st.floats(-3, 3),
)
def test_a_line_never_costs_much_more_than_it_can_gain(seed, count, n, spread, off):
    """Of any windows that are alike, the next is told no worse than by the share of them."""
    rng = np.random.default_rng(seed)
    rows = windows_of(rng, [off] * (count + 1), spread=spread, n=max(n, 20))
    odds = rng.normal(0.5, spread, 2000)
    y = (rng.random(2000) < sigmoid(off + odds)).astype(float)
    found = line(rows[:-1], day=30 * count, centre=middle(odds))
    assert found.slope >= 0
    raw, told = sigmoid(odds), found.apply(odds)
    assert metrics.log_loss(told, y) <= metrics.log_loss(raw, y) + 0.1


@settings(max_examples=40)
@given(st.integers(0, 999), st.floats(0.001, 0.999), st.sampled_from([0.0, 0.1, 3.0, 30.0]))
def test_a_level_gives_the_share(seed, share, spread):
    odds = np.random.default_rng(seed).normal(1.0, spread, 200)
    assert sigmoid(odds + level(odds, share)).mean() == pytest.approx(share, abs=1e-6)
