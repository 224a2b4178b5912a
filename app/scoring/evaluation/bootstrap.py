"""Percentile intervals of any statistic, by drawing customers again with replacement.

Customers are drawn, with all that belongs to one, so that comparisons stay paired. A statistic
is computed either on the rows drawn or, where it takes weights, on the customers as they are with
the number of times each was drawn: a model refitted so keeps its collapsed histories. Both ways
draw the same customers from the same seed.

References
----------
Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.scoring.numerics import validation


@dataclass(frozen=True)
class Intervals:
    """An estimate and an interval for each name.

    Attributes
    ----------
    estimate : dict
        The statistic of the customers themselves.
    lower, upper : dict
        The ends of the interval; NaN where fewer than two draws had a finite value.
    used : dict
        Draws with a finite value, of `n`.
    n : int
        Draws.
    level : float
        What share of draws lies inside.
    """

    estimate: dict[str, float]
    lower: dict[str, float]
    upper: dict[str, float]
    used: dict[str, int]
    n: int
    level: float


def intervals(
    function: Callable[..., Any],
    *arrays: ArrayLike,
    n: int = 200,
    seed: int,
    level: float = 0.95,
    by: Literal["rows", "weights"] = "rows",
) -> Intervals:
    """Return percentile intervals.

    Parameters
    ----------
    function : callable
        Called with the arrays, and with ``weights=`` besides where ``by`` is ``weights``. Returns
        a number (its name is then ``value``), numbers by name, or a model, whose ``params``
        count.
    *arrays : array_like
        What there is of each customer, each of shape (customers, ...).
    n : int
        Draws, at least 2.
    seed : int
        Equal seeds give equal intervals.
    level : float
        Between 0 and 1.
    by : str
        ``rows`` draws rows; ``weights`` leaves them, and weighs each with its number of draws.

    Raises
    ------
    ValueError
        If there is nobody, lengths differ, or a number is out of its range.
    """
    columns = [np.asarray(array) for array in arrays]
    size = _customers(columns)
    if n < 2 or not 0 < validation.positive_number("level", level) < 1:
        message = "n must be at least 2 and level between 0 and 1"
        raise ValueError(message)
    estimate = _named(function(*columns))
    draws = np.full((n, len(estimate)), np.nan)
    rng = np.random.default_rng(seed)
    for draw in draws:
        rows = rng.integers(0, size, size)
        if by == "weights":
            weights = np.bincount(rows, minlength=size).astype(float)
            found = _named(function(*columns, weights=weights))
        else:
            found = _named(function(*(column[rows] for column in columns)))
        draw[:] = [found.get(name, np.nan) for name in estimate]
    lower, upper, used = {}, {}, {}
    for name, values in zip(estimate, draws.T, strict=True):
        finite = values[np.isfinite(values)]
        ends = [np.nan, np.nan]
        if finite.size > 1:
            ends = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2]).tolist()
        (lower[name], upper[name]), used[name] = ends, finite.size
    return Intervals(estimate, lower, upper, used, n, level)


def _customers(columns: list[NDArray[Any]]) -> int:
    sizes = {column.shape[0] if column.ndim else 0 for column in columns}
    if len(sizes) != 1 or sizes == {0}:
        message = "arrays must be of one length, and not empty"
        raise ValueError(message)
    return sizes.pop()


def _named(found: Any) -> dict[str, float]:
    """Return a statistic as numbers by name."""
    if hasattr(found, "params"):
        found = found.params
    if isinstance(found, Mapping):
        return {str(name): float(value) for name, value in found.items()}
    return {"value": float(found)}
