"""Rows of a log as one integer each, sorted, grouped by customer and day, and net of refunds.

`app.scoring.histories.purchase_summary` says what counts as what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.scoring.histories import log_slices, refunds
from app.scoring.histories.log_slices import DAY_LIMIT
from app.scoring.numerics.array_types import FloatArray, IntArray

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
    parts = list(in_parts(customer, day, amount, as_of=as_of))
    return parts[0] if len(parts) == 1 else _joined(parts)


def in_parts(
    customer: ArrayLike, day: ArrayLike, amount: ArrayLike, *, as_of: int
) -> Iterator[PurchaseDays]:
    """Yield the same of some customers after the other, ascending; of a short log, all at once."""
    log = log_slices.checked(customer, day, amount)
    first_day = int(log[1].min(initial=as_of))
    for some in log_slices.slices(*log, as_of=as_of):
        yield _of_slice(*some, first_day=first_day, span=as_of - first_day + 1)


def _of_slice(
    names: NDArray[Any], days: IntArray, money: FloatArray, *, first_day: int, span: int
) -> PurchaseDays:
    occasion, codes = dense(names)
    bought = money >= 0
    if bought.all():
        occasion *= span
        occasion += days
        occasion -= first_day
    else:
        back = occasion[~bought], days[~bought], -money[~bought]
        who, days, money = occasion[bought], days[bought], money[bought]
        left = refunds.set_off(who, days, money, refunds=back)
        stands = (left > 0) | (money == 0)
        occasion = (who * span + (days - first_day))[stands]
        money = left[stands]
    keys, value = group(occasion, money)
    customers = keys // span
    start = starts(customers)
    revenue = np.add.reduceat(value, start) if start.size else np.zeros(0)
    day_of = keys - customers * span + first_day
    return PurchaseDays(codes(customers[start]), revenue, start, day_of, value)


def _joined(parts: list[PurchaseDays]) -> PurchaseDays:
    """Return parts as one."""
    ends = np.cumsum([part.day.size for part in parts])
    start = [part.start + end - part.day.size for part, end in zip(parts, ends, strict=True)]
    columns = (
        [getattr(part, name) for part in parts] for name in ("customer", "revenue", "day", "value")
    )
    customer, revenue, day, value = (np.concatenate(column) for column in columns)
    return PurchaseDays(customer, revenue, np.concatenate(start), day, value)


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


def dense(names: NDArray[Any]) -> tuple[IntArray, Codes]:
    """Return numbers from 0 in the order of the codes, and a function that gives codes back."""
    if names.dtype.kind in "iu" and names.size:
        least = int(names.min())
        if int(names.max()) - least < DAY_LIMIT:
            kind = names.dtype
            if kind.itemsize < 4:  # the difference may not fit
                names = names.astype(np.int64)
            offset = names - names.dtype.type(least)
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
