"""A long log in slices of whole customers, so that what is computed of a slice stays small.

Ten million rows sorted at once need several times their own memory. The customers of a slice
follow those of the one before, so that what is found of slices is what would be found of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray, IntArray
from app.scoring.numerics.blocks import blocks

DAY_LIMIT: Final = 1 << 30  # customers and days below it pack into one 64-bit integer
ROWS = 1 << 18
"""Rows that a slice is to have; more where there would be too many slices, or one has so many."""
_MOST_SLICES: Final = 255  # one byte a row tells them apart
_DRAWN: Final = 1 << 14
_BINS: Final = 1 << 14

Slice: TypeAlias = tuple[NDArray[Any], IntArray, FloatArray]
"""Customers, days and amounts of some rows."""


def checked(
    customer: ArrayLike, day: ArrayLike, amount: ArrayLike
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return a log as arrays, those given as they are.

    Raises
    ------
    ValueError
        If shapes do not fit, a day is not whole, or an amount is not finite.
    """
    names, money = np.asarray(customer), validation.real("amount", amount)
    days = validation.real("day", day)
    if names.ndim != 1 or names.shape != days.shape or names.shape != money.shape:
        message = "customer, day and amount must be one-dimensional and of one length"
        raise ValueError(message)
    if not all(np.isfinite(money[part]).all() for part in blocks(money.size)):
        message = "amount must be finite"
        raise ValueError(message)
    whole = days.dtype.kind in "iu" or all(
        np.array_equal(days[part], np.floor(days[part])) for part in blocks(days.size)
    )
    # Not a number is neither whole nor within.
    if not whole or (days.size and max(-float(days.min()), float(days.max())) >= DAY_LIMIT):
        message = f"day must be whole and within {DAY_LIMIT} days of day 0"
        raise ValueError(message)
    return names, days, money


def slices(
    names: NDArray[Any], days: NDArray[Any], money: NDArray[Any], *, as_of: int
) -> Iterator[Slice]:
    """Yield the rows up to a day, of one slice of customers after the other; one at least.

    Raises
    ------
    ValueError
        If customers cannot be sorted.
    """
    if names.size <= ROWS:
        yield _until(as_of, names, days, money)
        return
    number = _numbers(names)
    for each in range(int(number.max()) + 1):
        rows = np.flatnonzero(number == each)
        yield _until(as_of, names[rows], days[rows], money[rows])


def _until(as_of: int, names: NDArray[Any], days: NDArray[Any], money: NDArray[Any]) -> Slice:
    seen = days <= as_of
    if not seen.all():
        names, days, money = names[seen], days[seen], money[seen]
    return names, days.astype(np.int64, copy=False), money.astype(np.float64, copy=False)


def _numbers(names: NDArray[Any]) -> NDArray[np.uint8]:
    """Return for each row the number of its slice: customers at even steps through a draw."""
    some = names[np.random.default_rng(0).integers(0, names.size, _DRAWN)]
    many = min(-(-names.size // ROWS), _MOST_SLICES)
    try:
        some.sort()
        ends = np.unique(some[np.arange(1, many) * some.size // many])
        number_of = _by_table(names, ends) or partial(np.searchsorted, ends, side="right")
        number = np.empty(names.size, dtype=np.uint8)
        for part in blocks(names.size):
            number[part] = number_of(names[part])
    except TypeError:
        message = "customer codes must be of one sortable kind"
        raise ValueError(message) from None
    return number


def _by_table(
    names: NDArray[Any], ends: NDArray[Any]
) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
    """Return a faster search for whole numbers, within a customer or so of the ends."""
    if names.dtype.kind not in "iu" or names.dtype.itemsize < 4 or not ends.size:
        return None
    least, most = int(names.min()), int(names.max())
    step = (most - least) // _BINS + 1
    if most - least >= DAY_LIMIT or int(np.diff(ends).min(initial=most)) < 2 * step:
        return None
    bins = np.searchsorted((ends - least) // step, np.arange(_BINS), side="right")
    number, shift = bins.astype(np.uint8), names.dtype.type(least)
    return lambda some: number[(some - shift) // step]
