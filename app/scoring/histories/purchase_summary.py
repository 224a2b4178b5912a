"""From a raw log of purchases and refunds to what the models need, in any order of rows.

Definitions
-----------
* A row with an amount of at least 0 is a purchase; rows of one customer and day are one
  occasion, a *purchase day*. Rows after ``as_of`` are ignored.
* A row with a negative amount is a refund. It is never an occasion. It is set off against
  purchases at or before it, as `refunds` says; a day whose purchases are all refunded in full is
  no purchase day. What exceeds all purchases lowers nothing.
* ``x`` is the number of purchase days after the first, ``t_x`` the days from the first to the
  last, ``T`` the days from the first to ``as_of``: the first purchase itself is not counted.
* ``mean_value`` is the mean value of the *repeat* purchase days worth more than 0, of which there
  are ``paid_repeat_days``: what the Gamma-Gamma model is fitted to.

Each row becomes one integer (customer, day, row number) and one sort does the rest. Amounts
of one day are added in the order of their size, so that not even the last bit depends on the
order of rows.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.scoring.histories.purchase_days import PurchaseDays, in_parts
from app.scoring.numerics.array_types import FloatArray, IntArray
from app.scoring.numerics.growing import Columns, growing


@dataclass(frozen=True, eq=False)
class PurchaseSummary:
    """One row a customer with a purchase day, in the order of the customers; all shape (n,).

    Attributes
    ----------
    customer : NDArray
        The distinct codes, ascending.
    x, t_x, T : IntArray
        Repeat purchase days, days from the first to the last, days from the first to ``as_of``.
    mean_value : FloatArray
        Mean value of repeat purchase days worth more than 0; 0 without any.
    first_day, last_day : IntArray
        Day numbers of the first and the last purchase day.
    purchase_days : IntArray
        ``x + 1``.
    revenue : FloatArray
        What refunds leave of purchases.
    first_day_revenue : FloatArray
        Value of the first purchase day.
    sum_log_gaps : FloatArray
        Sum of the logarithms of the gaps between purchase days, in days.
    paid_repeat_days : IntArray
        Repeat purchase days worth more than 0.
    """

    customer: NDArray[Any]
    x: IntArray
    t_x: IntArray
    T: IntArray
    mean_value: FloatArray
    first_day: IntArray
    last_day: IntArray
    purchase_days: IntArray
    revenue: FloatArray
    first_day_revenue: FloatArray
    sum_log_gaps: FloatArray
    paid_repeat_days: IntArray


def summarise(
    customer: ArrayLike, day: ArrayLike, amount: ArrayLike, *, as_of: int
) -> PurchaseSummary:
    """Summarise a log of purchases and refunds; the module says what counts as what.

    Parameters
    ----------
    customer : array_like
        Whole numbers or strings, shape (n,).
    day : array_like
        Day numbers, whole, shape (n,).
    amount : array_like
        Money; negative is a refund, shape (n,).
    as_of : int
        The last day that counts.

    Returns
    -------
    PurchaseSummary
        The same for every order of the rows.

    Raises
    ------
    ValueError
        If shapes do not fit, codes cannot be sorted, a day is not whole, or an amount is not
        finite.
    """
    found: Columns | None = None
    for seen in in_parts(customer, day, amount, as_of=as_of):
        if seen.start.size:
            found = growing(found, vars(_summary(seen, as_of=as_of)))
        nobody = seen.customer[:0]
    return _nobody(nobody) if found is None else PurchaseSummary(**found.arrays)


@dataclass(frozen=True, eq=False)
class Purchases:
    """How often customers came back, and how long they have been silent; all of shape (n,).

    Attributes
    ----------
    customer : NDArray
        The distinct codes, ascending.
    x, silence : IntArray
        Repeat purchase days, and days since the last purchase day.
    """

    customer: NDArray[Any]
    x: IntArray
    silence: IntArray


def count(customer: ArrayLike, day: ArrayLike, amount: ArrayLike, *, as_of: int) -> Purchases:
    """Return the few columns of a summary that tell who came; arguments as for `summarise`."""
    found: Columns | None = None
    for seen in in_parts(customer, day, amount, as_of=as_of):
        days = np.diff(seen.start, append=seen.day.size)
        silence = as_of - seen.day[seen.start + days - 1]
        found = growing(found, {"customer": seen.customer, "x": days - 1, "silence": silence})
    assert found is not None
    return Purchases(**found.arrays)


def _summary(seen: PurchaseDays, *, as_of: int) -> PurchaseSummary:
    """Return one row a customer."""
    day, value, start = seen.day, seen.value, seen.start
    days = np.diff(start, append=day.size)
    first_day, last_day = day[start], day[start + days - 1]
    repeat = value.copy()
    repeat[start] = 0.0
    paid = days - 1
    if value.min() <= 0:
        paid = np.add.reduceat((repeat > 0).astype(np.int64), start)
    gap = np.diff(day, prepend=day[:1])
    gap[start] = 1
    return PurchaseSummary(
        customer=seen.customer,
        x=days - 1,
        t_x=last_day - first_day,
        T=as_of - first_day,
        mean_value=np.add.reduceat(repeat, start) / np.maximum(paid, 1),
        first_day=first_day,
        last_day=last_day,
        purchase_days=days,
        revenue=seen.revenue,
        first_day_revenue=value[start],
        sum_log_gaps=np.add.reduceat(np.log(gap), start),
        paid_repeat_days=paid,
    )


def _nobody(customer: NDArray[Any]) -> PurchaseSummary:
    """Return the summary of a log without a purchase."""
    whole, money = np.zeros(0, dtype=np.int64), np.zeros(0)
    fields: dict[str, NDArray[Any]] = {
        field.name: whole for field in dataclasses.fields(PurchaseSummary)
    }
    for name in ("mean_value", "revenue", "first_day_revenue", "sum_log_gaps"):
        fields[name] = money
    return PurchaseSummary(**{**fields, "customer": customer})
