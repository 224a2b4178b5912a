"""Rows of a log as one integer each, sorted, grouped by customer and day, and net of refunds.

`app.scoring.histories.purchase_summary` says what counts as what.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.scoring.histories import refunds
from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray, IntArray

_DAY_LIMIT = 1 << 30  # customers and days below it pack into one 64-bit integer

Codes: TypeAlias = Callable[[IntArray], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class PurchaseDays:
    """The purchase days of a log, sorted by customer and day.

    Attributes
    ----------
    customer : NDArray
        The distinct codes with a purchase, ascending, shape (n,).
    revenue : FloatArray
        Of each customer, net of refunds, shape (n,).
    start : IntArray
        Where the days of each customer begin, shape (n,).
    day, value : NDArray
        Day numbers, and what each purchase day was worth net of refunds, shape (days,).
    """

    customer: NDArray[Any]
    revenue: FloatArray
    start: IntArray
    day: IntArray
    value: FloatArray


def purchase_days(
    customer: ArrayLike, day: ArrayLike, amount: ArrayLike, *, as_of: int
) -> PurchaseDays:
    """Return the purchase days of a log; arguments and errors as for `summarise`."""
    who, days, money, codes = checked(customer, day, amount, as_of)
    first_day = int(days.min(initial=as_of))
    span = as_of - first_day + 1
    occasion = who * span + (days - first_day)
    bought = money >= 0
    if not bought.all():
        back = who[~bought], days[~bought], -money[~bought]
        left = refunds.set_off(who[bought], days[bought], money[bought], refunds=back)
        stands = (left > 0) | (money[bought] == 0)
        occasion, money = occasion[bought][stands], left[stands]
    keys, value = group(occasion, money)
    customers = keys // span
    start = starts(customers)
    revenue = np.add.reduceat(value, start) if start.size else np.zeros(0)
    day_of = keys - customers * span + first_day
    return PurchaseDays(codes(customers[start]), revenue, start, day_of, value)


def purchase_columns(seen: PurchaseDays, as_of: int, *, recent: int) -> dict[str, FloatArray]:
    """Return x, t_x, T and what else is known of the gaps and values, shape (n,) each.

    ``recent`` is how many of the last gaps and values come one by one; NaN where there are fewer.
    """
    days, start, n = seen.day, seen.start, np.diff(seen.start, append=seen.day.size)
    first = days[start]
    gap = np.diff(days, prepend=days[:1]).astype(np.float64)
    gap[start] = 1.0
    last = start + n - 1
    found = {
        "x": n - 1,
        "t_x": days[last] - first,
        "T": as_of - first,
        "sum_log_gaps": np.add.reduceat(np.log(gap), start) if n.size else n,
        "mean_value": np.add.reduceat(seen.value, start) / n if n.size else n,
    }
    for back in range(recent):
        at = np.maximum(last - back, start)
        found[f"gap_{back + 1}"] = np.where(n > back + 1, gap[at], np.nan)
        found[f"value_{back + 1}"] = np.where(n > back, seen.value[at], np.nan)
    return {name: column.astype(np.float64) for name, column in found.items()}


def checked(
    customer: ArrayLike, day: ArrayLike, amount: ArrayLike, as_of: int
) -> tuple[IntArray, IntArray, FloatArray, Codes]:
    """Return dense customer numbers, days and amounts up to ``as_of``, and the way back."""
    names, money = np.asarray(customer), validation.as_float("amount", amount)
    days = validation.as_float("day", day) if np.asarray(day).dtype.kind != "i" else np.asarray(day)
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
    who, codes = dense(names)
    return who, days.astype(np.int64, copy=False), money, codes


def dense(names: NDArray[Any]) -> tuple[IntArray, Codes]:
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


def starts(ordered: IntArray) -> IntArray:
    """Return where each run of equal values begins."""
    if not ordered.size:
        return np.zeros(0, dtype=np.int64)
    change = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    return np.concatenate((np.zeros(1, dtype=np.int64), change))


def group(key: IntArray, amount: FloatArray) -> tuple[IntArray, FloatArray]:
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
    start = starts(key)
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
