"""Customer lifetime value: discounted expected purchases times expected spend times margin.

    CLV = E[sum over purchases in the horizon of (1 + annual_discount)^-(years ahead)]
          * E[value of a purchase] * margin

How often and how much are independent, as the Gamma-Gamma model assumes. A year has 365.25 days,
so that ``periods_per_year`` is `DAYS_PER_YEAR` for days and ``DAYS_PER_YEAR / 7`` for weeks.

References
----------
Fader, Hardie and Lee (2005), RFM and CLV, Journal of Marketing Research 42(4), 415-430.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray

DAYS_PER_YEAR: Final = 365.25
TIERS: Final = ("low", "medium", "high")


class PurchaseModel(Protocol):
    """What a model of purchases has to offer here."""

    def discounted_purchases(
        self,
        x: ArrayLike,
        t_x: ArrayLike,
        T: ArrayLike,
        *,
        annual_discount: float,
        periods_per_year: float,
        horizon: float | None = None,
    ) -> FloatArray:
        """Return the present value of one unit for each expected purchase."""
        ...


class SpendModel(Protocol):
    """What a model of spend has to offer here."""

    def expected_value(self, x: ArrayLike, mean_value: ArrayLike) -> FloatArray:
        """Return what a customer's purchases are worth on average."""
        ...


def clv(
    model: PurchaseModel,
    spend: SpendModel,
    x: ArrayLike,
    t_x: ArrayLike,
    T: ArrayLike,
    *,
    mean_value: ArrayLike,
    paid: ArrayLike | None = None,
    horizon: float | None,
    annual_discount: float,
    periods_per_year: float,
    margin: float = 1.0,
) -> FloatArray:
    """Return the lifetime value of each customer, as of ``T``.

    Parameters
    ----------
    model, spend : PurchaseModel, SpendModel
        Fitted models of purchases and of spend.
    x, t_x, T : array_like
        Purchase histories in the unit of the model.
    mean_value : array_like
        Mean value of the repeat purchases with a positive value; of no matter without any.
    paid : array_like, optional
        How many of the ``x`` repeat purchases had a positive value; all of them by default.
    horizon : float or None
        How far ahead to count, in the unit of ``T``; None is for ever.
    annual_discount : float
        Effective annual rate; 0.10 makes 1.10 in a year worth 1 now.
    periods_per_year : float
        Units of time in a year.
    margin : float
        Share of the value that counts.

    Returns
    -------
    FloatArray
        At least 0, of the broadcast shape, in the money of ``mean_value``.

    Raises
    ------
    ValueError
        If a history is not possible, shapes do not fit, or a number is out of its range.
    """
    share = validation.non_negative_number("margin", margin)
    purchases = model.discounted_purchases(
        x,
        t_x,
        T,
        annual_discount=annual_discount,
        periods_per_year=periods_per_year,
        horizon=horizon,
    )
    value = spend.expected_value(x if paid is None else paid, mean_value)
    purchases, value = validation.broadcast(purchases=purchases, value=value)
    return purchases * value * share


def value_at_risk(
    model: PurchaseModel,
    spend: SpendModel,
    x: ArrayLike,
    t_x: ArrayLike,
    T: ArrayLike,
    *,
    mean_value: ArrayLike,
    paid: ArrayLike | None = None,
    horizon: float | None,
    annual_discount: float,
    periods_per_year: float,
    margin: float = 1.0,
) -> FloatArray:
    """Return what a customer's silence has cost of the lifetime value.

    It is the value the customer would have, had the last purchase been right now (``t_x = T``;
    without a repeat purchase ``T = 0``), minus `clv`. Parameters and errors as for `clv`.

    Returns
    -------
    FloatArray
        At least 0, of the broadcast shape.
    """
    x_, t_, T_ = validation.history(x, t_x, T)
    fresh = np.where(x_ > 0, T_, 0.0)[()]
    then, now = (
        clv(
            model,
            spend,
            x_,
            last,
            age,
            mean_value=mean_value,
            paid=paid,
            horizon=horizon,
            annual_discount=annual_discount,
            periods_per_year=periods_per_year,
            margin=margin,
        )
        for last, age in ((fresh, fresh), (t_, T_))
    )
    return np.maximum(then - now, 0.0)


def tier_cuts(values: ArrayLike) -> tuple[float, float]:
    """Return the least value of the tiers high and medium.

    The fewest top customers who together hold 50 % of all value are high, those who hold up to
    80 % medium.

    Parameters
    ----------
    values : array_like
        Lifetime values, shape (n,), at least 0.

    Returns
    -------
    high, medium : float
        ``high >= medium``; both 0 where nobody has any value.

    Raises
    ------
    ValueError
        If a value is negative or not finite.
    """
    ordered = np.sort(validation.non_negative("values", values), axis=None)[::-1]
    held = np.cumsum(ordered)
    if not held.size or held[-1] == 0:
        return 0.0, 0.0
    at = np.searchsorted(held, held[-1] * np.array([0.5, 0.8]))
    high, medium = ordered[np.minimum(at, ordered.size - 1)].tolist()
    return high, medium


def tiers(values: ArrayLike, cuts: tuple[float, float]) -> NDArray[np.int64]:
    """Return the tier of each value: 0 low, 1 medium, 2 high, as in `TIERS`.

    Equal values are in one tier, and a value of 0 is always low.

    Parameters
    ----------
    values : array_like
        Lifetime values of any shape.
    cuts : tuple of float
        From `tier_cuts`.

    Raises
    ------
    ValueError
        If a value is negative or not finite.
    """
    value = validation.non_negative("values", values)
    high, medium = cuts
    some = value > 0
    return np.asarray(some & (value >= medium), dtype=np.int64) + (some & (value >= high))
