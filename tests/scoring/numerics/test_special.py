"""Gamma-type functions against mpmath."""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import mp, mpf

from app.scoring.numerics import special

POINTS = [1e-8, 0.01, 0.5, 1, 1.5, 7.3, 100, 12345.6, 1e9]


@pytest.mark.parametrize(("name", "exact"), [("digamma", 0), ("trigamma", 1)])
@pytest.mark.parametrize("z", POINTS)
def test_polygamma(name, exact, z):
    with mp.workdps(40):
        expected = float(mp.psi(exact, mpf(z)))
    assert getattr(special, name)(z) == pytest.approx(expected, rel=2e-14)


@pytest.mark.parametrize("z", POINTS)
def test_log_gamma(z):
    with mp.workdps(40):
        expected = float(mp.loggamma(mpf(z)))
    assert special.log_gamma(z) == pytest.approx(expected, rel=1e-14, abs=2e-14)


@pytest.mark.parametrize("c", POINTS)
@pytest.mark.parametrize("n", [0, 0.3, 1, 2, 50, 1e4, 1e8])
def test_log_rising(c, n):
    with mp.workdps(50):
        expected = float(mp.loggamma(mpf(c) + mpf(n)) - mp.loggamma(mpf(c)))
    assert special.log_rising(c, n) == pytest.approx(expected, rel=2e-14, abs=2e-14)


def test_by_count_is_the_function_itself():
    x = np.array([0.0, 3, 3, 1] * 40)
    np.testing.assert_array_equal(special.by_count(np.sqrt, x), np.sqrt(x))
