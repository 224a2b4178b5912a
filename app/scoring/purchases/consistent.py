"""Expected purchases that agree with a risk learnt by itself.

With p the learnt probability of no purchase in a horizon, p0 and E0 those and the expected
purchases of a model of purchases,

    E = (1 - p) * E0 / (1 - p0):

those who purchase at all do so as often as the model says, and there are as many of them as was
learnt. E is at least 1 - p, as who purchases at all does so once or more; and where p = p0 it is
E0. Whether a customer is still one cancels out of E0 / (1 - p0), so that nothing underflows.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray


class PurchaseModel(Protocol):
    """What a model of purchases has to offer here."""

    def purchases_if_any(
        self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
    ) -> FloatArray:
        """Return the expected purchases of those who make any."""
        ...


def chance_of_any(log_odds: ArrayLike) -> FloatArray:
    """Return the probability of a purchase, of log-odds of none: accurate however small it is."""
    odds = validation.as_float("log_odds", log_odds)
    chance: FloatArray = np.exp(-np.logaddexp(0.0, odds))
    return chance


def expected_purchases(
    model: PurchaseModel,
    x: ArrayLike,
    t_x: ArrayLike,
    T: ArrayLike,
    *,
    log_odds: ArrayLike,
    horizon: ArrayLike,
) -> FloatArray:
    """Return the expected purchases in the horizon after ``T``.

    Parameters
    ----------
    model : PurchaseModel
    x, t_x, T : array_like
        Purchase histories in the unit of the model.
    log_odds : array_like
        Learnt log-odds of no purchase in the horizon.
    horizon : array_like
        At least 0, in the unit of ``T``.

    Returns
    -------
    FloatArray
        At least `chance_of_any` of the log-odds, of the broadcast shape.

    Raises
    ------
    ValueError
        If a history is not possible, or a horizon negative or not finite.
    """
    if_any = model.purchases_if_any(x, t_x, T, horizon=horizon)
    found: FloatArray = if_any * chance_of_any(log_odds)
    return found
