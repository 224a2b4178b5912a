"""How well a score orders customers, and whether another score does it better.

The AUC is the share of pairs, one customer with the event and one without, in which the first
scores higher, a tie counting half. It comes from the middle ranks of one sort. The same ranks
give, for each customer, the share of the others that he is ordered rightly against; DeLong's
standard error is that of the mean of these.

References
----------
DeLong, DeLong and Clarke-Pearson (1988), Comparing the areas under two or more correlated
receiver operating characteristic curves, Biometrics 44, 837-845. Sun and Xu (2014), Fast
implementation of DeLong's algorithm, IEEE Signal Processing Letters 21, 1389-1393.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import BoolArray, FloatArray


@dataclass(frozen=True)
class Difference:
    """A difference over the same customers.

    Attributes
    ----------
    value : float
        The first minus the second.
    standard_error : float
        Of the difference, paired by customer; NaN where it is not defined.
    """

    value: float
    standard_error: float


@dataclass(frozen=True, eq=False)
class Gains:
    """What the customers with the highest scores hold of an outcome; all shape (groups,).

    Attributes
    ----------
    share : FloatArray
        Of customers, counted from the highest score: 0.1, 0.2, ..., 1.
    gain : FloatArray
        Of the outcome, that these customers hold.
    lift : FloatArray
        Mean outcome in each group over the mean of all.
    """

    share: FloatArray
    gain: FloatArray
    lift: FloatArray

    def as_dict(self) -> dict[str, list[float]]:
        """Return plain lists by name, fit for JSON."""
        return {name: getattr(self, name).tolist() for name in ("share", "gain", "lift")}


def auc(score: ArrayLike, y: ArrayLike) -> float:
    """Return the probability that a customer with the event scores above one without.

    Parameters
    ----------
    score : array_like
        Shape (n,); infinite scores are fine.
    y : array_like
        Whether the event happened, 0 or 1, shape (n,).

    Returns
    -------
    float
        In [0, 1], ties counting half; NaN where all did the same.

    Raises
    ------
    ValueError
        If shapes differ, a score is NaN, or a ``y`` is not 0 or 1.
    """
    score_, event = _scores(score, y)
    events = int(event.sum())
    pairs = events * (event.size - events)
    if not pairs:
        return math.nan
    # Twice the middle ranks are whole numbers, and their sum is exact.
    doubled = float(_middle_ranks(score_)[event].sum()) * 2
    return (doubled - events * (events + 1)) / 2 / pairs


def auc_difference(first: ArrayLike, second: ArrayLike, y: ArrayLike) -> Difference:
    """Return the difference of two AUCs on the same customers, by DeLong's method.

    Parameters
    ----------
    first, second, y : array_like
        As for `auc`.

    Raises
    ------
    ValueError
        As for `auc`.
    """
    first_, event = _scores(first, y)
    second_, _ = _scores(second, y)
    events = int(event.sum())
    if not 0 < events < event.size:
        return Difference(math.nan, math.nan)
    gap = _placements(first_, event) - _placements(second_, event)
    variance = 0.0
    for group in (gap[event], gap[~event]):
        variance += float(group.var(ddof=1)) / group.size if group.size > 1 else math.nan
    return Difference(auc(first, y) - auc(second, y), math.sqrt(variance))


def difference(first: ArrayLike, second: ArrayLike) -> Difference:
    """Return the mean difference of two losses of the same customers.

    Parameters
    ----------
    first, second : array_like
        One loss for each customer, finite, shape (n,), ``n >= 1``.

    Raises
    ------
    ValueError
        If nobody is given, shapes differ, or a loss is not finite.
    """
    a, b = validation.as_float("first", first), validation.as_float("second", second)
    if np.ndim(a) != 1 or a.shape != b.shape or not a.size:
        message = "first and second must be one-dimensional, of one length, and not empty"
        raise ValueError(message)
    gap = a - b
    if not np.isfinite(gap).all():
        message = "losses must be finite"
        raise ValueError(message)
    error = float(gap.std(ddof=1)) / math.sqrt(gap.size) if gap.size > 1 else math.nan
    return Difference(float(gap.mean()), error)


def clustered_difference(first: ArrayLike, second: ArrayLike, cluster: ArrayLike) -> Difference:
    """Return the mean difference of two losses whose rows fall into clusters, such as windows.

    What is common to a cluster does not average out over its rows: the standard error is that of
    the clusters' sums (Liang and Zeger 1986), or that of the rows where it is larger.

    Parameters
    ----------
    first, second : array_like
        As for `difference`.
    cluster : array_like
        Of which each row is, as whole numbers from 0 on, shape (n,).

    Raises
    ------
    ValueError
        As for `difference`.

    References
    ----------
    Liang and Zeger (1986), Longitudinal data analysis using generalized linear models,
    Biometrika 73, 13-22.
    """
    plain = difference(first, second)
    rows = np.asarray(first, dtype=np.float64) - np.asarray(second) - plain.value
    sums = np.bincount(np.asarray(cluster), weights=rows)
    if sums.size < 2:
        return plain
    error = math.sqrt(float(sums @ sums) * sums.size / (sums.size - 1)) / rows.size
    return Difference(plain.value, max(plain.standard_error, error))


def gains(score: ArrayLike, outcome: ArrayLike, *, groups: int = 10) -> Gains:
    """Return gain and lift by groups of equal size, from the highest score down.

    Customers of equal score share what they hold alike, so that a group may cut through them.

    Parameters
    ----------
    score : array_like
        Shape (n,), ``n >= 1``.
    outcome : array_like
        What is to be found: 0 or 1, purchases, or money; at least 0, shape (n,).
    groups : int
        At least 1.

    Raises
    ------
    ValueError
        If nobody is given, shapes differ, a score is NaN, an outcome is negative or not finite,
        or ``groups`` is less than 1.
    """
    score_ = validation.as_float("score", score)
    held = validation.non_negative("outcome", outcome)
    _check(score_, held)
    if groups < 1 or not score_.size:
        message = "gains need at least one customer and one group"
        raise ValueError(message)
    _, group, n = np.unique(-score_, return_inverse=True, return_counts=True)
    ends = np.append(0, np.cumsum(n)) / score_.size
    so_far = np.append(0.0, np.cumsum(np.bincount(group, weights=held)))
    share = np.arange(1, groups + 1) / groups
    total = so_far[-1]
    gain = np.interp(share, ends, so_far / total) if total > 0 else np.full(groups, math.nan)
    return Gains(share=share, gain=gain, lift=np.diff(gain, prepend=0.0) * groups)


def _middle_ranks(score: FloatArray) -> FloatArray:
    """Return ranks from 1, equal scores sharing their mean."""
    _, group, n = np.unique(score, return_inverse=True, return_counts=True)
    middle: FloatArray = np.cumsum(n) - (n - 1) / 2
    return middle[group]


def _placements(score: FloatArray, event: BoolArray) -> FloatArray:
    """Return the share of the customers on the other side that each is ordered rightly against."""
    among = _middle_ranks(score)
    placed = np.empty(score.size)
    for side in (event, ~event):
        placed[side] = (among[side] - _middle_ranks(score[side])) / (score.size - side.sum())
    placed[~event] = 1 - placed[~event]
    return placed


def _scores(score: ArrayLike, y: ArrayLike) -> tuple[FloatArray, BoolArray]:
    score_, y_ = validation.as_float("score", score), validation.outcomes("y", y)
    _check(score_, y_)
    return score_, y_ == 1


def _check(score: FloatArray, other: FloatArray) -> None:
    if np.ndim(score) != 1 or score.shape != np.shape(other) or np.isnan(score).any():
        message = "score must be one-dimensional, without NaN, and as long as the outcome"
        raise ValueError(message)
