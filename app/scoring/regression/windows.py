r"""A line on the log-odds of several windows: the recalibration of a score for the next one.

.. math:: \eta' = m_w + a_w + b (\eta - m_w)

with ``m_w`` the middle of the log-odds in a window, each counting as much as its outcome is open.
The slope ``b`` is one for all windows, with a ridge around 1: where customers hardly differ,
nothing tells it, and it stays there. Each window has a level ``a_w`` of its own; that of the next
is forecast from them (`level_forecast`), so how sure it is depends on how much windows differ, and
not on how many customers each has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from app.scoring.numerics.array_types import FloatArray, IntArray
from app.scoring.regression.level_forecast import SHARED, forecast
from app.scoring.regression.recalibration import Platt

SLOPE_ERROR: Final = 0.5  # standard deviation of the slope beforehand
GROUPS: Final = 100  # in a window: more tell nothing new of two numbers

_STEPS = 50
_ENOUGH = 1e-9
_HALVINGS = 30
_FARTHEST = 60.0
_LEAST = 1e-9  # information of an outcome that is certain


@dataclass(frozen=True, eq=False)
class Window:
    """Log-odds told at the start of a window and what happened in it, by groups of customers.

    Attributes
    ----------
    day : int
        Its start.
    log_odds, offset : FloatArray
        Means of each group; the offset is added to the new log-odds as it is, shape (m,).
    share, n : FloatArray
        The share with the outcome in each group, and how many there are, shape (m,).
    centre : float
        `middle` of the log-odds.
    """

    day: int
    log_odds: FloatArray
    offset: FloatArray
    share: FloatArray
    n: FloatArray
    centre: float


def middle(log_odds: FloatArray, offset: FloatArray | float = 0.0) -> float:
    """Return the mean of log-odds, each counting as much as its outcome is open; 0 of none."""
    p = np.exp(-np.logaddexp(0.0, -(log_odds + offset)))
    weight = p * (1 - p) + _LEAST
    return float(weight @ log_odds / max(weight.sum(), _LEAST))


def level(log_odds: FloatArray, share: float) -> float:
    """Return what to add to log-odds so that the mean of their probabilities is a share."""
    least, most, tried = -_FARTHEST, _FARTHEST, 0.0
    for _ in range(_STEPS):
        p = np.exp(-np.logaddexp(0.0, -(log_odds + tried)))
        gap = share - float(p.mean())
        if abs(gap) < _ENOUGH:
            break
        least, most = (tried, most) if gap > 0 else (least, tried)
        tried += gap / max(float((p * (1 - p)).mean()), _LEAST)
        if not least < tried < most:
            tried = (least + most) / 2
    return tried


def window(
    day: int, log_odds: FloatArray, y: FloatArray, offset: FloatArray | None = None
) -> Window:
    """Return a window; customers of nearly the same log-odds, offset included, are a group.

    Parameters
    ----------
    day : int
    log_odds, offset : FloatArray
        Finite, shape (n,), ``n >= 1``.
    y : FloatArray
        0 or 1, shape (n,).
    """
    extra = np.zeros(y.size) if offset is None else offset
    order = np.argsort(log_odds + extra, kind="stable")
    start = np.unique(np.linspace(0, y.size, GROUPS, endpoint=False).astype(np.int64))
    n = np.diff(start, append=y.size).astype(np.float64)
    odds, moved, share = (
        np.add.reduceat(column[order], start) / n for column in (log_odds, extra, y)
    )
    return Window(day, odds, moved, share, n, middle(log_odds, extra))


def line(
    windows: Sequence[Window],
    *,
    day: int,
    centre: float,
    least: float = 0.0,
    shared: float = SHARED,
) -> Platt:
    """Return the line for log-odds told at a day.

    Parameters
    ----------
    windows : sequence of Window
        Their ends lie at ``day`` at the latest.
    day : int
    centre : float
        `middle` of the log-odds that it is for.
    least : float
        The least slope, at least 0.
    shared : float
        As for `level_forecast.forecast`.

    Returns
    -------
    Platt
        Changes nothing without windows.
    """
    if not windows:
        return Platt(slope=1.0, intercept=0.0, status="fallback")
    found = levels(windows, day=day, least=least, shared=shared)
    slope = found.slope
    intercept = centre + found.forecast - slope * centre
    if slope > least:
        return Platt(slope=slope, intercept=intercept)
    return Platt(slope=slope, intercept=intercept, status="weakly_identified")


@dataclass(frozen=True, eq=False)
class Levels:
    """What a line is made of.

    Attributes
    ----------
    slope : float
    level, error : FloatArray
        Of each window, in log-odds, and its standard error by itself, shape (k,).
    forecast : float
        The level of the next window.
    """

    slope: float
    level: FloatArray
    error: FloatArray
    forecast: float


def levels(
    windows: Sequence[Window], *, day: int, least: float = 0.0, shared: float = SHARED
) -> Levels:
    """Return the slope of some windows, one at least, and their levels; arguments as for `line`."""
    slope, found, variances = _fit(windows, least)
    days = np.array([window.day for window in windows], dtype=np.float64)
    following = forecast(found, variances, days, float(day), shared=shared)
    return Levels(slope, found, np.sqrt(variances), following)


def _fit(windows: Sequence[Window], least: float) -> tuple[float, FloatArray, FloatArray]:
    """Return slope, levels, and the variance of each level."""
    groups = _Groups(windows)
    slope, levels = 1.0, np.zeros(len(windows))
    value = groups.value(slope, levels)
    for _ in range(_STEPS):
        change, moves = groups.step(slope, levels, least)
        for _ in range(_HALVINGS):
            tried = groups.value(slope + change, levels + moves)
            if tried >= value - _ENOUGH:
                break
            change, moves = change / 2, moves / 2
        slope, levels, gain, value = slope + change, levels + moves, tried - value, tried
        if gain < _ENOUGH:
            break
    return slope, levels, 1 / groups.information(slope, levels)[2]


class _Groups:
    """The groups of all windows, one after the other."""

    def __init__(self, windows: Sequence[Window]) -> None:
        sizes = np.array([window.n.size for window in windows])
        self.start: IntArray = np.append(0, np.cumsum(sizes)[:-1])
        self.of = np.repeat(np.arange(sizes.size), sizes)
        self.centre = np.array([window.centre for window in windows])[self.of]
        self.away = np.concatenate([window.log_odds for window in windows]) - self.centre
        self.offset = np.concatenate([window.offset for window in windows])
        self.n = np.concatenate([window.n for window in windows])
        share = np.concatenate([window.share for window in windows])
        # One customer more in each window, half of each outcome, keeps levels finite.
        known = np.add.reduceat(self.n, self.start)
        mean = (np.add.reduceat(self.n * share, self.start) + 0.5) / (known + 1)
        self.share = (share * known[self.of] + mean[self.of]) / (known[self.of] + 1)

    def value(self, slope: float, levels: FloatArray) -> float:
        """Return the log-likelihood, less what the ridge takes."""
        eta = self._log_odds(slope, levels)
        each = self.n * (self.share * eta - np.logaddexp(0.0, eta))
        return float(each.sum()) - 0.5 * ((slope - 1) / SLOPE_ERROR) ** 2

    def step(self, slope: float, levels: FloatArray, least: float) -> tuple[float, FloatArray]:
        """Return the Newton step of slope and levels that keeps the slope at the least."""
        miss = self.n * (self.share - np.exp(-np.logaddexp(0.0, -self._log_odds(slope, levels))))
        information, cross, own = self.information(slope, levels)
        gradient = np.add.reduceat(miss, self.start)
        pull = float(miss @ self.away) - (slope - 1) / SLOPE_ERROR**2
        # The levels are free: what is left of the slope's information after them.
        known = information + SLOPE_ERROR**-2 - (cross**2 / own).sum()
        change = max(slope + (pull - (cross * gradient / own).sum()) / known, least) - slope
        return change, (gradient - cross * change) / own

    def information(self, slope: float, levels: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Return the information of the slope, of both, and of the levels."""
        p = np.exp(-np.logaddexp(0.0, -self._log_odds(slope, levels)))
        weight = self.n * p * (1 - p) + _LEAST
        cross, own = (
            np.add.reduceat(column, self.start) for column in (weight * self.away, weight)
        )
        return float(weight @ self.away**2), cross, own

    def _log_odds(self, slope: float, levels: FloatArray) -> FloatArray:
        found: FloatArray = self.centre + levels[self.of] + slope * self.away + self.offset
        return found
