"""Two ways to make the probabilities of a score agree with what happened.

`platt` is a straight line on the log-odds, so that reasons that add up to a score still do when
multiplied by the slope. Platt's smoothed targets stand for 0 and 1, which keeps the line finite
even where the score separates the outcomes. `isotonic` is the best step up of any shape, found
by pooling adjacent violators: freer, but its ties hide differences between customers.

References
----------
Platt (1999), Probabilistic outputs for support vector machines, Advances in Large Margin
Classifiers. Barlow, Bartholomew, Bremner and Brunk (1972), Statistical Inference under Order
Restrictions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray
from app.scoring.numerics.newton import maximise
from app.scoring.regression.logit import Likelihood

MIN_EVENTS = 5

_BOUND = np.array([200.0, 200.0])


def sigmoid(log_odds: FloatArray) -> FloatArray:
    """Return the probability of log-odds, accurate near 0 as near 1."""
    result: FloatArray = np.exp(-np.logaddexp(0.0, -log_odds))
    return result


@dataclass(frozen=True, kw_only=True)
class Platt:
    """New log-odds ``intercept + slope * log_odds``.

    Attributes
    ----------
    slope, intercept : float
        The slope is never negative: recalibration does not turn an order round.
    status : str
        ``ok``; ``weakly_identified``: the score does not rise with the outcome, the slope is the
        least allowed;
        ``fallback``: fewer than `MIN_EVENTS` of one outcome, nothing is changed.
    """

    slope: float
    intercept: float
    status: Literal["ok", "weakly_identified", "fallback"] = "ok"

    def log_odds(self, log_odds: ArrayLike) -> FloatArray:
        """Return the recalibrated log-odds, of the same shape.

        Raises
        ------
        ValueError
            If a value is not finite.
        """
        return self.intercept + self.slope * _finite("log_odds", log_odds)

    def apply(self, log_odds: ArrayLike) -> FloatArray:
        """Return the recalibrated probability; parameters and errors as for `log_odds`."""
        return sigmoid(self.log_odds(log_odds))


def platt(
    log_odds: ArrayLike,
    y: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    offset: ArrayLike = 0.0,
    least: float = 0.0,
) -> Platt:
    """Fit a line from log-odds to outcomes.

    Parameters
    ----------
    log_odds : array_like
        Finite, shape (n,).
    y : array_like
        0 or 1, shape (n,).
    weights : array_like, optional
        How many rows each row stands for, shape (n,).
    offset : array_like
        What is added to the new log-odds as it is, finite, shape (n,).
    least : float
        The least slope, at least 0.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, or a ``y`` is neither 0 nor 1.
    """
    eta, outcome = _finite("log_odds", log_odds), validation.outcomes("y", y)
    checked = validation.sample(outcome, ("log_odds", eta), weights=weights)
    w = np.ones(outcome.size) if checked is None else checked
    events = float(w @ outcome)
    rest = float(w.sum()) - events
    if min(events, rest) < MIN_EVENTS:
        return Platt(slope=1.0, intercept=0.0, status="fallback")
    target = np.where(outcome > 0, (events + 1) / (events + 2), 1 / (rest + 2))
    known = w > 0
    terms = target[known], w[known]
    extra = np.broadcast_to(_finite("offset", offset), outcome.shape)[known]
    slope, intercept = _line(eta[known], *terms, extra)
    if slope > least:
        return Platt(slope=slope, intercept=intercept)
    _, intercept = _line(np.zeros_like(extra), *terms, extra + least * eta[known])
    return Platt(slope=least, intercept=intercept, status="weakly_identified")


def _line(
    eta: FloatArray, target: FloatArray, w: FloatArray, offset: FloatArray
) -> tuple[float, float]:
    """Return slope and intercept, the slope 0 where the log-odds do not differ."""
    likelihood = Likelihood(eta[:, None], target, w, 0.0, offset=offset)
    mean = float(w @ target) / float(w.sum())
    start = likelihood.start(float(np.log(mean / (1 - mean))))
    found = maximise(likelihood, start, bound=_BOUND).theta
    spread = float(likelihood.spread[0])
    slope = float(found[1]) / spread if spread else 0.0
    return slope, float(found[0] - slope * likelihood.centre[0])


@dataclass(frozen=True, eq=False)
class Isotonic:
    """A rising line through knots, constant beyond them.

    Attributes
    ----------
    score, probability : FloatArray
        The knots: the first and the last score of each level, ascending, shape (m,).
    """

    score: FloatArray
    probability: FloatArray

    def apply(self, score: ArrayLike) -> FloatArray:
        """Return the probability at each score, of the same shape.

        Raises
        ------
        ValueError
            If a score is not finite.
        """
        return np.asarray(np.interp(_finite("score", score), self.score, self.probability))


def isotonic(score: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None) -> Isotonic:
    """Fit probabilities that never fall as the score rises, by least squares.

    Equal scores have one probability. Parameters and errors as for `platt`, and a sample is not
    empty.
    """
    at, outcome = _finite("score", score), validation.outcomes("y", y)
    checked = validation.sample(outcome, ("score", at), weights=weights)
    w = np.ones(outcome.size) if checked is None else checked
    distinct, group = np.unique(at[w > 0], return_inverse=True)
    if not distinct.size:
        message = "isotonic needs at least one row"
        raise ValueError(message)
    weight = np.bincount(group, weights=w[w > 0])
    total = np.bincount(group, weights=(w * outcome)[w > 0])
    start = np.arange(distinct.size)
    while True:
        level = total / weight
        # A whole falling run is pooled at once: pooling gives one result in any order.
        keep = np.append(True, level[1:] > level[:-1])
        if keep.all():
            break
        heads = np.flatnonzero(keep)
        start = start[heads]
        total, weight = np.add.reduceat(total, heads), np.add.reduceat(weight, heads)
    end = np.append(start[1:], distinct.size) - 1
    knots = np.unique(np.concatenate((start, end)))
    return Isotonic(distinct[knots], level[np.searchsorted(start, knots, side="right") - 1])


def _finite(name: str, values: ArrayLike) -> FloatArray:
    array = validation.as_float(name, values)
    if not np.isfinite(array).all():
        message = f"{name} must be finite"
        raise ValueError(message)
    return array
