"""How good predictions were, once one knows what happened.

Probabilities are judged by `log_loss`, `brier` and its skill, and by how far they agree with what
happened: `calibration_table`, `ece`, `calibration_line`. The order of a score is judged by `auc`
and `gains`, expected counts by `count_errors`. `difference` and `auc_difference` say whether one
prediction beats another on the same customers; `app.scoring.evaluation.bootstrap` gives any of
them an interval.

Nothing depends on the order of customers: equal scores are never split, but treated as one.
What is not defined, such as the AUC of customers who all did the same, is NaN.

References
----------
Brier (1950), Verification of forecasts expressed in terms of probability, Monthly Weather Review
78, 1-3; and those of `app.scoring.evaluation.calibration` and `app.scoring.evaluation.ranking`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.evaluation.calibration import (
    CLOSEST,
    CalibrationTable,
    calibration_line,
    calibration_table,
    ece,
)
from app.scoring.evaluation.ranking import Difference, Gains, auc, auc_difference, difference, gains
from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray

__all__ = [
    "CalibrationTable",
    "CountErrors",
    "Difference",
    "Gains",
    "auc",
    "auc_difference",
    "brier",
    "brier_each",
    "brier_skill",
    "calibration_line",
    "calibration_table",
    "count_errors",
    "difference",
    "ece",
    "gains",
    "log_loss",
    "log_loss_each",
    "summary",
]


@dataclass(frozen=True)
class CountErrors:
    """How far expected counts, or sums of money, were off.

    Attributes
    ----------
    mae, rmse : float
        Mean absolute and root mean square error of a customer.
    sum_error : float
        Expected sum over the actual one, minus 1; NaN where the actual sum is 0.
    """

    mae: float
    rmse: float
    sum_error: float


def brier_each(p: ArrayLike, y: ArrayLike) -> FloatArray:
    """Return the squared error of each probability.

    Parameters
    ----------
    p : array_like
        Predicted probability of the event, shape (n,).
    y : array_like
        Whether it happened, 0 or 1, shape (n,).

    Raises
    ------
    ValueError
        If nobody is given, shapes differ, a ``p`` is not in [0, 1], or a ``y`` not 0 or 1.
    """
    p_, y_ = validation.predictions(p, y)
    return (p_ - y_) ** 2


def brier(p: ArrayLike, y: ArrayLike) -> float:
    """Return the mean squared error of the probabilities; arguments as for `brier_each`."""
    return float(brier_each(p, y).mean())


def brier_skill(p: ArrayLike, y: ArrayLike) -> float:
    """Return by how much `brier` beats predicting the observed share for everybody.

    1 is perfect, 0 no better, NaN where all did the same. Arguments as for `brier_each`.
    """
    share = float(validation.predictions(p, y)[1].mean())
    return 1 - brier(p, y) / (share * (1 - share)) if 0 < share < 1 else math.nan


def log_loss_each(p: ArrayLike, y: ArrayLike) -> FloatArray:
    """Return minus the logarithm of the probability given to what happened to each customer.

    Probabilities are kept 1e-15 away from 0 and 1. Arguments as for `brier_each`.
    """
    p_, y_ = validation.predictions(p, y)
    p_ = np.clip(p_, CLOSEST, 1 - CLOSEST)
    return np.where(y_ == 1, -np.log(p_), -np.log1p(-p_))


def log_loss(p: ArrayLike, y: ArrayLike) -> float:
    """Return the mean of `log_loss_each`."""
    return float(log_loss_each(p, y).mean())


def count_errors(expected: ArrayLike, actual: ArrayLike) -> CountErrors:
    """Return how far expected counts (or sums of money) were off.

    Parameters
    ----------
    expected, actual : array_like
        At least 0, shape (n,), ``n >= 1``.

    Raises
    ------
    ValueError
        If nobody is given, shapes differ, or a number is negative or not finite.
    """
    guess, count = validation.non_negative("expected", expected), np.asarray(actual)
    count = validation.non_negative("actual", count)
    if np.ndim(guess) != 1 or guess.shape != count.shape or not guess.size:
        message = "expected and actual must be one-dimensional, of one length, and not empty"
        raise ValueError(message)
    error, total = guess - count, float(count.sum())
    return CountErrors(
        mae=float(np.abs(error).mean()),
        rmse=math.sqrt(float((error * error).mean())),
        sum_error=float(guess.sum()) / total - 1 if total > 0 else math.nan,
    )


def summary(p: ArrayLike, y: ArrayLike) -> dict[str, float]:
    """Return every figure about probabilities by name; arguments as for `brier_each`."""
    slope, intercept = calibration_line(p, y)
    return {
        "base_rate": float(validation.predictions(p, y)[1].mean()),
        "brier": brier(p, y),
        "brier_skill": brier_skill(p, y),
        "log_loss": log_loss(p, y),
        "auc": auc(p, y),
        "ece": ece(p, y),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
    }
