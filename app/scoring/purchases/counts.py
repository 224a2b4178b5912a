"""Distributions of the number of purchases of a new customer, in logarithms."""

from __future__ import annotations

import math

import numpy as np

from app.scoring.numerics.array_types import FloatArray
from app.scoring.numerics.special import log_rising


def negative_binomial_log_pmf(
    n: FloatArray, r: float | FloatArray, log_odds: FloatArray
) -> FloatArray:
    """Return ``log P(N = n)`` for a Gamma(r, alpha) rate over a time ``t``, elementwise.

    ``log_odds`` is ``log(t / alpha)``, and the success probability ``z = t / (alpha + t)``.
    """
    log_z, log_rest = -np.logaddexp(0, -log_odds), -np.logaddexp(0, log_odds)
    return log_rising(r, n) - log_rising(1.0, n) + r * log_rest + n * log_z


def negative_binomial_log_tail(n: FloatArray, r: float, log_odds: FloatArray) -> FloatArray:
    r"""Return ``log P(N >= n)``, elementwise over one-dimensional arrays.

    It is the incomplete beta integral :math:`I_z(n, r)`. With ``p = z q`` and ``q`` logistic in
    ``y`` the integrand is positive and analytic, so the trapezoidal rule converges
    exponentially and nothing cancels, however small the tail.
    """
    result = np.zeros(n.shape)
    for i in np.flatnonzero(n > 0):
        result[i] = _log_tail(float(n[i]), r, float(log_odds[i]))
    return np.minimum(result, 0.0)


def _log_tail(n: float, r: float, log_odds: float) -> float:
    """Return ``log P(N >= n)`` for ``n >= 1``."""
    step = min(0.25, 0.6 * math.sqrt(1 / n + 1 / r))
    # The integrand falls as exp(n y) on the left; on the right as exp(-r y), then as exp(-y).
    y = np.arange(-40.0 - 40.0 / n, 42.0 + math.log(n + r) + max(log_odds, 0.0), step)
    log_q, log_p = -np.logaddexp(0, -y), -np.logaddexp(0, y)
    log_z, log_rest = -np.logaddexp(0, -log_odds), -np.logaddexp(0, log_odds)
    # 1 - z q = (1 - q) + q (1 - z), a sum of positive terms
    power = n * (log_z + log_q) + (r - 1) * np.logaddexp(log_p, log_q + log_rest) + log_p
    peak = float(power.max())
    integral = peak + math.log(step * float(np.exp(power - peak).sum()))
    inverse_beta = float(log_rising(r, n) - log_rising(1.0, n - 1))
    return integral + inverse_beta


def beta_geometric_pmf(
    x: FloatArray,
    r: float,
    log_odds: FloatArray,
    *,
    a: float,
    b: float,
    first: int,
    phases: int = 1,
) -> FloatArray:
    """Return the probability of ``x`` purchases when customers leave with ``p ~ Beta(a, b)``.

    ``first`` chances to leave precede the first purchase counted, and a purchase takes so many
    ``phases``; all arrays of shape (n,).
    """
    chances = x + first
    survived = log_rising(b, chances) - log_rising(a + b, chances)
    done = phases * x
    exactly = negative_binomial_log_pmf(done, r, log_odds)
    for more in range(1, phases):
        exactly = np.logaddexp(exactly, negative_binomial_log_pmf(done + more, r, log_odds))
    hazard = np.log(a / (b + np.maximum(chances - 1, 0)))
    at_least = hazard + negative_binomial_log_tail(done, r, log_odds)
    left = np.where(chances > 0, at_least, -math.inf)
    return np.minimum(np.exp(survived + np.logaddexp(exactly, left)), 1.0)
