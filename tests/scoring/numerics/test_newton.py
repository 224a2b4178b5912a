"""The ascent on surfaces that are not concave, flat, or highest on a bound."""

from __future__ import annotations

import numpy as np
import pytest

from app.scoring.numerics.newton import maximise

BOUND = np.array([5.0, 5.0])


def test_it_leaves_a_saddle_and_finds_the_maximum():
    def surface(at):
        x, y = at
        gradient = np.array([4 * x - 4 * x**3, -2 * y])
        return 2 * x**2 - x**4 - y**2, gradient, np.diag([4 - 12 * x**2, -2.0])

    found = maximise(surface, np.array([1e-3, 2.0]), bound=BOUND)
    assert np.abs(found.theta) == pytest.approx([1, 0], abs=1e-9)
    assert found.interior


def test_it_stops_on_a_bound_and_says_so():
    def slope(at):
        return at[0] - at[1] ** 2, np.array([1.0, -2 * at[1]]), np.diag([0.0, -2.0])

    found = maximise(slope, np.array([0.0, 3.0]), bound=BOUND)
    assert found.theta == pytest.approx([5, 0], abs=1e-9)
    assert not found.interior


def test_a_plane_without_slope_stays_where_it_is():
    found = maximise(lambda _: (1.0, np.zeros(2), np.zeros((2, 2))), np.ones(2), bound=BOUND)
    assert found.theta.tolist() == [1, 1]
