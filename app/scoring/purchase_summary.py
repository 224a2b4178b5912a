"""From a raw log of purchases and refunds to what the models need, in any order of rows.

Definitions
-----------
* A row with an amount of at least 0 is a purchase; rows of one customer and day are one
  occasion, a *purchase day*. Rows after ``as_of`` are ignored.
* A row with a negative amount is a refund. It is never an occasion. It lowers the value of the
  customer's latest purchase day at or before it, which never falls below 0: what exceeds it,
  and a refund before any purchase, lowers revenue only.
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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.scoring import _validate
from app.scoring._typing import FloatArray, IntArray

_DAY_LIMIT = 1 << 30  # customers and days below it pack into one 64-bit integer

_Codes: TypeAlias = Callable[[IntArray], NDArray[Any]]


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
        Purchases minus all refunds, at least 0.
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
    who, days, money, codes = _checked(customer, day, amount, as_of)
    first_day = int(days.min(initial=as_of))
    span = as_of - first_day + 1
    occasion = who * span + (days - first_day)
    bought = money >= 0
    if bought.all():
        keys, value = _group(occasion, money)
        refunds = occasion[:0], money[:0]
    else:
        keys, value = _group(occasion[bought], money[bought])
        refunds = _group(occasion[~bought], money[~bought])
    customers = keys // span
    start = _starts(customers)
    if not start.size:
        return _nobody(codes)
    revenue = np.add.reduceat(value, start)
    if refunds[0].size:
        value, revenue = _net(keys, value, revenue, customers[start], refunds=refunds, span=span)
    day_of = keys - customers * span + first_day
    names = codes(customers[start])
    return _summary(day_of, value, start, as_of=as_of, revenue=revenue, customer=names)


def _checked(
    customer: ArrayLike, day: ArrayLike, amount: ArrayLike, as_of: int
) -> tuple[IntArray, IntArray, FloatArray, _Codes]:
    """Return dense customer numbers, days and amounts up to ``as_of``, and the way back."""
    names, money = np.asarray(customer), _validate.as_float("amount", amount)
    days = _validate.as_float("day", day) if np.asarray(day).dtype.kind != "i" else np.asarray(day)
    if names.ndim != 1 or names.shape != days.shape or names.shape != money.shape:
        message = "customer, day and amount must be one-dimensional and of one length"
        raise ValueError(message)
    if not np.isfinite(money).all():
        message = "amount must be finite"
        raise ValueError(message)
    far = days.size and max(-int(days.min()), int(days.max())) >= _DAY_LIMIT
    if far or (days.dtype.kind == "f" and not np.array_equal(days, np.floor(days))):
        message = f"day must be whole and within {_DAY_LIMIT} days of day 0"
        raise ValueError(message)
    seen = days <= as_of
    if not seen.all():
        names, days, money = names[seen], days[seen], money[seen]
    who, codes = _dense(names)
    return who, days.astype(np.int64, copy=False), money, codes


def _dense(names: NDArray[Any]) -> tuple[IntArray, _Codes]:
    """Return numbers from 0 in the order of the codes, and a function that gives codes back."""
    if names.dtype.kind in "iu" and names.size:
        least = int(names.min())
        if int(names.max()) - least < _DAY_LIMIT:
            kind = names.dtype
            offset = names - kind.type(least)
            return offset.astype(np.int64), lambda who: who.astype(kind) + kind.type(least)
    try:
        codes, who = np.unique(names, return_inverse=True)
    except TypeError:
        message = "customer codes must be of one sortable kind"
        raise ValueError(message) from None
    return who.astype(np.int64, copy=False), lambda who: codes[who]


def _starts(ordered: IntArray) -> IntArray:
    """Return where each run of equal values begins."""
    if not ordered.size:
        return np.zeros(0, dtype=np.int64)
    change = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    return np.concatenate((np.zeros(1, dtype=np.int64), change))


def _group(key: IntArray, amount: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the distinct keys, ascending, and the sum of the amounts of each."""
    size = key.size
    if not size:
        return key, amount
    bits = (size - 1).bit_length()
    if int(key.max()) < 1 << (62 - bits):  # a plain sort of packed integers beats an argsort
        packed = key << bits
        packed += np.arange(size)
        packed.sort()
        amount = amount[packed & ((1 << bits) - 1)]
        key = packed >> bits
    else:
        order = np.argsort(key, kind="stable")
        key, amount = key[order], amount[order]
    start = _starts(key)
    length = np.diff(start, append=size)
    value = amount[start]
    two = np.flatnonzero(length == 2)
    value[two] += amount[start[two] + 1]
    # Two addends give one sum in either order; from three on the order has to be settled.
    more = np.flatnonzero(length > 2)
    if more.size:
        each = length[more]
        first = np.cumsum(each) - each
        group = np.repeat(np.arange(more.size), each)
        addends = amount[np.arange(group.size) + np.repeat(start[more] - first, each)]
        value[more] = np.add.reduceat(addends[np.lexsort((addends, group))], first)
    return key[start], value


def _net(
    keys: IntArray,
    value: FloatArray,
    revenue: FloatArray,
    customers: IntArray,
    *,
    refunds: tuple[IntArray, FloatArray],
    span: int,
) -> tuple[FloatArray, FloatArray]:
    """Return the value of each purchase day and the revenue of each customer after refunds."""
    when, refunded = refunds
    target = np.searchsorted(keys, when, side="right") - 1
    owner = when // span
    on_day = (target >= 0) & (keys[target] // span == owner)
    value = value + np.bincount(target[on_day], weights=refunded[on_day], minlength=keys.size)
    at = np.minimum(np.searchsorted(customers, owner), customers.size - 1)
    known = customers[at] == owner
    revenue = revenue + np.bincount(at[known], weights=refunded[known], minlength=customers.size)
    return np.maximum(value, 0.0), np.maximum(revenue, 0.0)


def _summary(
    day: IntArray,
    value: FloatArray,
    start: IntArray,
    *,
    as_of: int,
    revenue: FloatArray,
    customer: NDArray[Any],
) -> PurchaseSummary:
    """Return one row a customer from one a purchase day, sorted by customer and day."""
    purchase_days = np.diff(start, append=day.size)
    first_day, last_day = day[start], day[start + purchase_days - 1]
    repeat = value.copy()
    repeat[start] = 0.0
    paid = purchase_days - 1
    if value.min() <= 0:
        paid = np.add.reduceat((repeat > 0).astype(np.int64), start)
    gap = np.diff(day, prepend=day[:1])
    gap[start] = 1
    return PurchaseSummary(
        customer=customer,
        x=purchase_days - 1,
        t_x=last_day - first_day,
        T=as_of - first_day,
        mean_value=np.add.reduceat(repeat, start) / np.maximum(paid, 1),
        first_day=first_day,
        last_day=last_day,
        purchase_days=purchase_days,
        revenue=revenue,
        first_day_revenue=value[start],
        sum_log_gaps=np.add.reduceat(np.log(gap), start),
        paid_repeat_days=paid,
    )


def _nobody(codes: _Codes) -> PurchaseSummary:
    """Return the summary of a log without a purchase."""
    whole, money = np.zeros(0, dtype=np.int64), np.zeros(0)
    fields: dict[str, NDArray[Any]] = {
        field.name: whole for field in dataclasses.fields(PurchaseSummary)
    }
    for name in ("mean_value", "revenue", "first_day_revenue", "sum_log_gaps"):
        fields[name] = money
    return PurchaseSummary(**{**fields, "customer": codes(whole)})
