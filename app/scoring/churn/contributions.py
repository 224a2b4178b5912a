"""Why a customer is at risk: a sum of reasons on the log-odds of no purchase.

The customer is compared with a typical living one, and differs in three things: how many purchases
(``x``), since when (``T``), and for how long silent (``s = T - t_x``). Replacing the reference's
values by the customer's own one after the other, in this order, splits the difference of their
log-odds into three contributions that add up to it exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray

LEVELS: Final = ("low", "medium", "high")

_TINY = float(np.finfo(float).tiny)


class ChurnModel(Protocol):
    """What a model has to offer here."""

    def no_purchase_log_odds(
        self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
    ) -> FloatArray:
        """Return the log-odds of no purchase in the horizon."""
        ...


@dataclass(frozen=True, eq=False)
class Contributions:
    """Parts of the log-odds of no purchase, all of one shape.

    ``base + purchases + age + silence == total``, up to rounding.

    Attributes
    ----------
    base : FloatArray
        The log-odds of the reference customer.
    purchases, age, silence : FloatArray
        What the customer's own ``x``, ``T`` and ``T - t_x`` add, in this order.
    total : FloatArray
        The log-odds of the customer.
    """

    base: FloatArray
    purchases: FloatArray
    age: FloatArray
    silence: FloatArray
    total: FloatArray


def reference(x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> tuple[float, float, float]:
    """Return the history of the reference customer among those given.

    An existing customer at the lower medians: the lower median of ``x``; among those with that
    ``x``, the lower median of ``T``; among those, the lower median of the silence.

    Parameters
    ----------
    x, t_x, T : array_like
        Histories of the living customers, shape (n,), ``n >= 1``.

    Returns
    -------
    x, t_x, T : float

    Raises
    ------
    ValueError
        If there is nobody, shapes are not one-dimensional, or a history is not possible.
    """
    x_, t_, T_ = validation.history(x, t_x, T)
    if x_.ndim != 1 or not x_.size:
        message = "a reference needs one-dimensional histories of at least one customer"
        raise ValueError(message)
    rows = np.arange(x_.size)
    for column in (x_, T_, T_ - t_):
        values = column[rows]
        middle = (values.size - 1) // 2
        rows = rows[values == np.partition(values, middle)[middle]]
    chosen = int(rows[0])
    return float(x_[chosen]), float(t_[chosen]), float(T_[chosen])


def contributions(
    model: ChurnModel,
    x: ArrayLike,
    t_x: ArrayLike,
    T: ArrayLike,
    *,
    reference: tuple[float, float, float],
    horizon: float,
) -> Contributions:
    """Return what a customer's purchases, age and silence add to the log-odds of no purchase.

    On the way ``t_x`` is ``max(T - s, 0)``, and 0 where ``x`` is 0; the last step is the
    customer's own history exactly.

    Parameters
    ----------
    model : ChurnModel
        A fitted model of purchases.
    x, t_x, T : array_like
        Purchase histories in the unit of the model.
    reference : tuple of float
        ``(x, t_x, T)`` of the reference customer.
    horizon : float
        Positive, in the unit of ``T``.

    Raises
    ------
    ValueError
        If a history is not possible, or the horizon not positive.
    """
    ahead = validation.positive_number("horizon", horizon)
    x_, t_, T_ = validation.history(x, t_x, T)
    x0, t0, T0 = validation.history(*reference)
    # A repeat purchase needs some time, however little, between the first and the last.
    least = np.where(x_ > 0, _TINY, 0.0)[()]
    age0, age = np.maximum(T0, least), np.maximum(T_, least)
    last0, last = ((x_ > 0) * np.maximum(some - (T0 - t0), least) for some in (age0, age))
    steps = (x0, t0, T0), (x_, last0, age0), (x_, last, age), (x_, t_, T_)
    odds = [model.no_purchase_log_odds(*step, horizon=ahead) for step in steps]
    base, after_x, after_age, total = validation.broadcast(
        base=odds[0], after_x=odds[1], after_age=odds[2], total=odds[3]
    )
    return Contributions(
        base=base,
        purchases=after_x - base,
        age=after_age - after_x,
        silence=total - after_age,
        total=total,
    )


def usual_gap(
    first_to_last: ArrayLike, purchase_days: ArrayLike, population_gap: float
) -> FloatArray:
    """Return a customer's mean gap between purchase days, shrunk to the population's.

    The population's gap counts as two more gaps: ``(first_to_last + 2 g) / (purchase_days + 1)``.

    Parameters
    ----------
    first_to_last : array_like
        Time from the first to the last purchase day.
    purchase_days : array_like
        Their number, at least 1.
    population_gap : float
        The population's mean gap ``g``, positive.

    Raises
    ------
    ValueError
        If shapes do not fit or a number is out of its range.
    """
    gap = validation.positive_number("population_gap", population_gap)
    span, days = validation.broadcast(
        first_to_last=validation.non_negative("first_to_last", first_to_last),
        purchase_days=validation.counts("purchase_days", purchase_days),
    )
    if np.any(days < 1):
        message = "purchase_days must be at least 1"
        raise ValueError(message)
    return (span + 2 * gap) / (days + 1)
