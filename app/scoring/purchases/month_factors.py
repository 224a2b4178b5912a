r"""How much faster customers buy in each month of the year than in the mean, as far as it is known.

Of each month of the past, actual over expected purchases are told by

.. math:: \log (A_t / E_t) = \text{level} + w_t + f_{m(t)} + o_t + e_t

with ``w`` a slow random walk, for the base rate moves; ``f`` what comes again in that month of each
year: half of it like in the months beside it, as of single months, or nearly all, as of a wave;
``o`` what happened once, such as a strike or a stock out; and ``e`` the error of counting,
``1 / E``, and one of each month's own. All are normal, save that a single month may have an ``o``
and a month seen in more than one year a large ``f`` of its own, each where it pays for its small
prior chance (`_ONCE`, `_AGAIN`). How large they are is not known: the posterior mean over a grid of
sizes is returned. In half of it, by the prior, there is no season, and in half of that half ``w``
swings as a wave does without coming again. So factors shrink to 1 by how little the history
supports them, and what happened in one year alone is no season.

References
----------
Harvey (1989), Forecasting, Structural Time Series Models and the Kalman Filter, chapter 2.
Hoeting, Madigan, Raftery and Volinsky (1999), Bayesian Model Averaging, Statistical Science 14(4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray, IntArray

MONTHS: Final = 12
LEAST_EXPECTED: Final = 3.0
"""Of months with fewer purchases expected nothing is told."""

_SIZES: Final = (0.1, 0.2, 0.4, 0.8)
_SEASONS: Final = (
    (0.0, 0.5, 0.0, 0.25),
    *((0.0, 0.5, size, 0.25 / 3) for size in _SIZES[1:]),
    *((size, own, 0.0, 0.0625) for size in _SIZES for own in (0.5, 0.05)),
)
"""Size of the season, how much of a month's factor is its own, size of swings that pass, and prior
chance: nothing, swings that do not come again, a season of single months, or one that is a wave."""
_WALKS: Final = ((0.0, 0.3), (0.03, 0.3), (0.1, 0.3), (0.3, 0.1))
_ERRORS: Final = (0.03, 0.06, 0.12, 0.25)
_LEVEL: Final = 1.0
_ONCE: Final = (2.0, 0.03)
"""Variance of what happened once in a month, and the prior chance that something did."""
_AGAIN: Final = (0.5, 0.1)
"""The same of a month that differs from all others in each year."""
_MOST: Final = 8
"""Steps, each of which lets one month differ."""


@dataclass(frozen=True, eq=False)
class MonthFactors:
    """What is known of the months.

    Attributes
    ----------
    log_factor, error : FloatArray
        Posterior mean and standard deviation of the logarithms of the factors, January first,
        shape (12,); they add up to 0.
    years : IntArray
        In how many years each month was seen, shape (12,).
    support : float
        Posterior probability that there is a season at all.
    """

    log_factor: FloatArray
    error: FloatArray
    years: IntArray
    support: float


def fit(actual: ArrayLike, expected: ArrayLike, month: ArrayLike) -> MonthFactors:
    """Return the factors that past months support.

    Parameters
    ----------
    actual, expected : array_like
        Purchases made, and expected were all months alike, of each month, in order of time, shape
        (n,).
    month : array_like
        Month of the year, 0 for January, shape (n,).

    Raises
    ------
    ValueError
        If shapes do not fit or a number is negative or not finite.
    """
    made, told, of = validation.broadcast(
        made=validation.non_negative("actual", actual),
        told=validation.non_negative("expected", expected),
        of=validation.counts("month", month),
    )
    kept = told >= LEAST_EXPECTED
    made, told, at = made[kept], told[kept], of[kept].astype(np.int64)
    years = np.bincount(at, minlength=MONTHS)
    if not at.size:
        return MonthFactors(np.zeros(MONTHS), np.zeros(MONTHS), years, 0.0)
    y = np.log((made + 0.5) / (told + 0.5))
    return _averaged(y, 1 / (told + 0.5), at, years)


def _alike(own: FloatArray) -> FloatArray:
    """Return how alike the months of a year are, by how much is a month's own, shape (g, 12, 12).

    The rest is like in the months beside it.
    """
    apart = np.abs(np.arange(MONTHS)[:, None] - np.arange(MONTHS))
    apart = np.minimum(apart, MONTHS - apart)
    found: FloatArray = np.where(
        apart == 0, 1.0, (1 - own)[:, None, None] * np.exp(-(apart**2) / (2 * 1.5**2))
    )
    return found


def _averaged(y: FloatArray, counting: FloatArray, at: IntArray, years: IntArray) -> MonthFactors:
    """Return the posterior, averaged over the grid of sizes."""
    n = y.size
    sizes = [(*season, *walk, error) for season in _SEASONS for walk in _WALKS for error in _ERRORS]
    season, own_share, passing, prior, walk, prior_of_walk, error = np.array(sizes).T
    log_prior = np.log(prior) + np.log(prior_of_walk)
    since = np.arange(n)
    alike = (season**2)[:, None, None] * _alike(own_share)
    covariance = (
        _LEVEL**2
        + (walk**2)[:, None, None] * np.minimum(since[:, None], since)
        + alike[:, at[:, None], at]
        + (passing**2)[:, None, None] * np.exp(-((since[:, None] - since) ** 2) / (2 * 1.5**2))
        + (counting + (error**2)[:, None])[:, :, None] * np.eye(n)
    )
    again = np.flatnonzero(years > 1)
    in_month = (again[:, None] == at).astype(np.float64)
    steps = np.concatenate([math.sqrt(_ONCE[0]) * np.eye(n), math.sqrt(_AGAIN[0]) * in_month])
    chance = np.log(np.repeat([_ONCE[1], _AGAIN[1]], [n, again.size]))
    precision, log_evidence, taken = _stepwise(np.linalg.inv(covariance), y, steps, chance)
    log_evidence += log_prior - 0.5 * np.linalg.slogdet(covariance)[1]
    own = np.zeros((season.size, MONTHS))
    own[:, again] = _AGAIN[0] * taken[:, n:]
    weight = np.exp(log_evidence - log_evidence.max())
    weight /= weight.sum()
    of_months = alike + own[:, :, None] * np.eye(MONTHS)
    seen = of_months[:, :, at]
    # Over their mean: how high all of them are together is the level.
    centred = np.eye(MONTHS) - 1 / MONTHS
    mean = np.einsum("gmn,gnk,k->gm", seen, precision, y, optimize=True) @ centred
    explained = np.einsum("gmn,gnk,gpk->gmp", seen, precision, seen, optimize=True)
    left = centred @ (of_months - explained) @ centred
    variance = np.einsum("gmm->gm", left)
    found = weight @ mean
    spread = weight @ variance + weight @ (mean - found) ** 2
    seasonal = (season > 0) | taken[:, n:].any(axis=1)
    support = min(float(weight[seasonal].sum()), 1.0)
    return MonthFactors(found, np.sqrt(np.maximum(spread, 0)), years, support)


def _stepwise(
    precision: FloatArray, y: FloatArray, steps: FloatArray, chance: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Let single months differ while the evidence gains by it.

    Each of ``steps``, of shape (k, n), may add its square to the covariance, at a logarithmic prior
    ``chance``. Returns the precisions then, shape (g, n, n); the log-evidence without the
    determinant of the first covariance; and which steps were taken, shape (g, k).
    """
    every = np.arange(len(precision))
    log_evidence = np.zeros(every.size)
    taken = np.zeros((every.size, len(steps)), dtype=bool)
    for _ in range(_MOST):
        pulled = np.einsum("kn,gnm->gkm", steps, precision, optimize=True)
        size = 1 + np.einsum("gkm,km->gk", pulled, steps, optimize=True)
        gain = -0.5 * np.log(size) + 0.5 * (pulled @ y) ** 2 / size + chance
        gain[taken] = -1.0
        best = gain.argmax(axis=1)
        on = np.flatnonzero(gain[every, best] > 0)
        if not on.size:
            break
        step = best[on]
        taken[on, step] = True
        # Half of what the square gains is told by the quadratic form at the end.
        log_evidence[on] += chance[step] - 0.5 * np.log(size[on, step])
        along = pulled[on, step]
        precision[on] -= along[:, :, None] * along[:, None, :] / size[on, step][:, None, None]
    log_evidence -= 0.5 * np.einsum("n,gnm,m->g", y, precision, y, optimize=True)
    return precision, log_evidence, taken
