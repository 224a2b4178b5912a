"""Customer lifetime value: discounted expected purchases times expected spend times margin.

    CLV = E[sum over purchases in the horizon of (1 + annual_discount)^-(years ahead)]
          * E[value of a purchase] * margin rate

How often and how much are independent, as the Gamma-Gamma model assumes. A year has 365.25 days,
so that ``periods_per_year`` is `DAYS_PER_YEAR` for days and ``DAYS_PER_YEAR / 7`` for weeks.

Where churn risk was learnt by itself, the discounted purchases of the model of purchases are scaled
by (1 - p) / (1 - p0), p being the learnt risk of the horizon and p0 that of the model: what those
who purchase at all are expected to bring is the model's, how many of them there are is learnt.

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

    def discounted_if_any(
        self,
        x: ArrayLike,
        t_x: ArrayLike,
        T: ArrayLike,
        *,
        annual_discount: float,
        periods_per_year: float,
        horizon: float,
    ) -> FloatArray:
        """Return the same of those who make any purchase within the horizon."""
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
    margin: ArrayLike = 1.0,
    chance: ArrayLike | None = None,
) -> FloatArray:
    """Return the lifetime value of each customer, as of ``T``.

    Parameters
    ----------
    model, spend : PurchaseModel, SpendModel
        Fitted models of purchases and of spend.
    x, t_x, T : array_like
        Purchase histories in the unit of the model.
    mean_value : array_like
        Mean value of the purchases with a positive value that count as evidence of spend; of no
        matter without any.
    paid : array_like, optional
        How many purchases these are; ``x``, the repeat purchases, by default.
    horizon : float or None
        How far ahead to count, in the unit of ``T``; None is for ever.
    annual_discount : float
        Effective annual rate; 0.10 makes 1.10 in a year worth 1 now.
    periods_per_year : float
        Units of time in a year.
    margin : array_like
        Share of the value that counts, by customer; negative for those who are sold to at a loss.
    chance : array_like, optional
        Learnt probability of any purchase in the horizon, which then must be one; that of
        ``model`` by default.

    Returns
    -------
    FloatArray
        Of the broadcast shape, in the money of ``mean_value``; at least 0 unless ``margin`` is not.

    Raises
    ------
    ValueError
        If a history is not possible, shapes do not fit, a number is out of its range, or a
        ``chance`` comes without a horizon.
    """
    share = validation.finite("margin", margin)
    terms = {"annual_discount": annual_discount, "periods_per_year": periods_per_year}
    if chance is None:
        purchases = model.discounted_purchases(x, t_x, T, horizon=horizon, **terms)
    elif horizon is None:
        message = "chance is of a horizon, and there is none"
        raise ValueError(message)
    else:
        purchases = model.discounted_if_any(x, t_x, T, horizon=horizon, **terms)
        purchases = purchases * _probability(chance)
    value = spend.expected_value(x if paid is None else paid, mean_value)
    purchases, value, share = validation.broadcast(purchases=purchases, value=value, margin=share)
    return purchases * value * share


def value_to_save(then: ArrayLike, now: ArrayLike, chance: ArrayLike) -> FloatArray:
    """Return what a customer's silence has cost and can still be won back.

    About 0 for those who are gone, whom nothing brings back, and for those who have just bought,
    who have lost nothing.

    Parameters
    ----------
    then : array_like
        Lifetime value had the last purchase been right now: ``t_x = T``; without a repeat purchase
        that of a new customer, ``T = 0``.
    now : array_like
        Lifetime value.
    chance : array_like
        Probability of any purchase within a year.

    Returns
    -------
    FloatArray
        At least 0, of the broadcast shape, in the money of the values.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite or a chance no probability.
    """
    ideal, value, share = validation.broadcast(
        then=validation.finite("then", then),
        now=validation.finite("now", now),
        chance=_probability(chance),
    )
    saved: FloatArray = np.maximum(ideal - value, 0.0) * share
    return saved


def _probability(chance: ArrayLike) -> FloatArray:
    share = validation.non_negative("chance", chance)
    if (share > 1).any():
        message = "chance must be a probability"
        raise ValueError(message)
    return share


def tier_cuts(values: ArrayLike) -> tuple[float, float]:
    """Return the least value of the tiers high and medium.

    The fewest top customers who together hold 50 % of all value are high, those who hold up to
    80 % medium. Customers of no value, or of a negative one, hold nothing.

    Parameters
    ----------
    values : array_like
        Lifetime values, shape (n,).

    Returns
    -------
    high, medium : float
        ``high >= medium``; both 0 where nobody has any value.

    Raises
    ------
    ValueError
        If a value is not finite.
    """
    held = np.maximum(validation.finite("values", values), 0.0)
    ordered = np.sort(held, axis=None)[::-1]
    together = np.cumsum(ordered)
    if not together.size or together[-1] == 0:
        return 0.0, 0.0
    at = np.searchsorted(together, together[-1] * np.array([0.5, 0.8]))
    high, medium = ordered[np.minimum(at, ordered.size - 1)].tolist()
    return high, medium


def tiers(values: ArrayLike, cuts: tuple[float, float]) -> NDArray[np.int64]:
    """Return the tier of each value: 0 low, 1 medium, 2 high, as in `TIERS`.

    Equal values are in one tier, and a value of 0 or less is always low. Whoever shows values
    rounded compares them, and makes cuts of them, as they are shown.

    Parameters
    ----------
    values : array_like
        Lifetime values of any shape.
    cuts : tuple of float
        From `tier_cuts`.

    Raises
    ------
    ValueError
        If a value is not finite.
    """
    value = validation.finite("values", values)
    high, medium = cuts
    some = value > 0
    return np.asarray(some & (value >= medium), dtype=np.int64) + (some & (value >= high))
