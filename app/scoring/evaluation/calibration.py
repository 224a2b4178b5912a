"""Whether predicted probabilities agree with what happened.

References
----------
Cox (1958), Two further applications of a model for binary regression, Biometrika 45, 562-565.
Naeini, Cooper and Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian
binning, AAAI.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray, IntArray
from app.scoring.regression import logistic

CLOSEST = 1e-15  # to 0 and 1, so that one certain and wrong prediction does not cost infinity


@dataclass(frozen=True, eq=False)
class CalibrationTable:
    """Customers grouped by what was predicted for them, ascending; all shape (groups,).

    Attributes
    ----------
    lowest, highest : FloatArray
        Of the predictions in the group.
    n : IntArray
        Customers, never 0.
    predicted, observed : FloatArray
        Mean prediction, and share to whom it happened.
    standard_error : FloatArray
        Of the share, were the predictions right: ``sqrt(sum p (1 - p)) / n``.
    """

    lowest: FloatArray
    highest: FloatArray
    n: IntArray
    predicted: FloatArray
    observed: FloatArray
    standard_error: FloatArray

    def as_dict(self) -> dict[str, list[float]]:
        """Return plain lists by name, fit for JSON."""
        return {name: getattr(self, name).tolist() for name in self.__dataclass_fields__}


def calibration_table(p: ArrayLike, y: ArrayLike, *, groups: int = 10) -> CalibrationTable:
    """Group customers by predicted probability, and compare with what happened.

    Groups are cut at the quantiles of ``p``; equal predictions share a group, so that groups may
    be fewer than asked for.

    Parameters
    ----------
    p, y : array_like
        As for `metrics.brier_each`.
    groups : int
        The largest number of groups, at least 1.

    Raises
    ------
    ValueError
        As for `metrics.brier_each`, or if ``groups`` is less than 1.
    """
    p_, y_ = validation.predictions(p, y)
    if groups < 1:
        message = "groups must be at least 1"
        raise ValueError(message)
    cuts = np.quantile(p_, np.arange(1, groups) / groups, method="inverted_cdf")
    _, group = np.unique(np.searchsorted(cuts, p_), return_inverse=True)
    n = np.bincount(group)
    lowest, highest = np.full(n.size, 1.0), np.zeros(n.size)
    np.minimum.at(lowest, group, p_)
    np.maximum.at(highest, group, p_)
    return CalibrationTable(
        lowest=lowest,
        highest=highest,
        n=n,
        # The mean of equal numbers may miss them by a rounding.
        predicted=np.clip(np.bincount(group, weights=p_) / n, lowest, highest),
        observed=np.bincount(group, weights=y_) / n,
        standard_error=np.sqrt(np.bincount(group, weights=p_ * (1 - p_))) / n,
    )


def ece(p: ArrayLike, y: ArrayLike, *, groups: int = 10) -> float:
    """Return the expected calibration error: the mean gap in `calibration_table`, by customers."""
    table = calibration_table(p, y, groups=groups)
    return float(table.n @ np.abs(table.predicted - table.observed)) / float(table.n.sum())


def calibration_line(p: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """Return slope and intercept of what happened on the log-odds of what was predicted.

    1 and 0 when calibrated; a slope below 1 says that predictions are too extreme. NaN where the
    data set no limit to them or cannot tell. Arguments as for `metrics.brier_each`.

    References
    ----------
    Cox (1958).
    """
    p_, y_ = validation.predictions(p, y)
    p_ = np.clip(p_, CLOSEST, 1 - CLOSEST)
    line = logistic.fit((np.log(p_) - np.log1p(-p_))[:, None], y_, ridge=0.0)
    if line.status not in {"ok", "weakly_identified"} or not line.coefficients[0]:
        return math.nan, math.nan
    return float(line.coefficients[0]), line.intercept
