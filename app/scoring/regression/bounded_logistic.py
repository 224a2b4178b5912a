"""Logistic regression shrunk towards given weights, some of which may not be negative.

Maximised is ``log-likelihood - (ridge / 2) sum ((beta_j - prior_j) s_j)^2`` with ``s_j`` the
standard deviation of a column, or a least spread where that is larger, the intercept free: what
hardly differs among those learnt from may differ more among others. The surface is concave, and
the ascent stays in a box: a column whose weight would be negative ends on its bound, at exactly 0.
"""

from __future__ import annotations

import numpy as np

from app.scoring.numerics.array_types import BoolArray, FloatArray
from app.scoring.numerics.newton import Evaluation, maximise
from app.scoring.regression.logit import Likelihood

_BOUND = 20.0  # in standardised columns


class _Shrunk:
    """The objective, at parameters moved so that the box is symmetric around 0."""

    def __init__(
        self,
        likelihood: Likelihood,
        prior: FloatArray,
        ridge: float,
        centre: FloatArray,
        least: FloatArray | float,
    ) -> None:
        self._likelihood, self._prior = likelihood, prior
        spread = likelihood.spread
        # A column without spread is held where it is.
        far = np.maximum(least, spread) / np.where(spread > 0, spread, np.inf)
        self._stiff = np.append(0.0, ridge * np.where(spread > 0, far, 1.0) ** 2)
        self._centre = centre

    def __call__(self, moved: FloatArray) -> Evaluation:
        theta = moved + self._centre
        value, gradient, hessian = self._likelihood.unpenalised(theta)
        away = theta - self._prior
        pull = self._stiff * away
        return value - 0.5 * float(pull @ away), gradient - pull, hessian - np.diag(self._stiff)


def fit(
    X: FloatArray,
    y: FloatArray,
    *,
    ridge: float,
    prior: FloatArray,
    rising: BoolArray,
    least: FloatArray | float = 0.0,
    offset: FloatArray | None = None,
) -> tuple[float, FloatArray]:
    """Return intercept and weights, 0 where a column is constant.

    Parameters
    ----------
    X : FloatArray
        Finite, shape (n, k).
    y : FloatArray
        0 and 1, both there, shape (n,).
    ridge : float
        Positive.
    prior : FloatArray
        The weights shrunk towards, shape (k,).
    rising : BoolArray
        Whose weights may not be negative, shape (k,).
    least : FloatArray or float
        The least spread that a column counts as having, at least 0, shape (k,).
    offset : FloatArray, optional
        Log-odds that each row has beside, shape (n,).
    """
    likelihood = Likelihood(X, y, np.ones(y.size), 0.0, offset=offset)
    spread = likelihood.spread
    target = np.append(0.0, prior * spread)
    half = np.where(rising, _BOUND / 2, 0.0)
    centre = np.append(0.0, half)
    bound = np.append(200.0, np.where(rising, half, _BOUND))
    # With offsets, levels that rows have already, nothing is left but differences.
    share = float(y.mean())
    start = np.log(share / (1 - share)) if offset is None else 0.0
    objective = _Shrunk(likelihood, target, ridge, centre, least)
    moved = maximise(objective, np.append(start, prior * spread) - centre, bound=bound).theta
    params = likelihood.units() @ (moved + centre)
    return float(params[0]), np.where(spread > 0, params[1:], 0.0)
