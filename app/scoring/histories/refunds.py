"""What refunds leave of purchases, in a bare log of days, where no refund can name its purchase.

Refunds are set off in the order of their days, and of their amounts on one day, against purchases
not after them: one of which just the amount of the refund is left, the latest of several, first;
else against the latest, and what is more than that against the one before. Of the purchases of one
day the largest is the latest. What finds nothing takes nothing back.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final, TypeAlias

import numpy as np

from app.scoring.numerics.array_types import FloatArray, IntArray

Refunds: TypeAlias = tuple[IntArray, IntArray, FloatArray]
"""Customer, day and positive amount of each refund, in any order, shape (m,) each."""

_DIGITS: Final = 6
"""Decimals to which amounts are told apart: differences of sums are not exact."""


def set_off(
    customer: IntArray, day: IntArray, amount: FloatArray, *, refunds: Refunds
) -> FloatArray:
    """Return what refunds leave of each purchase.

    Parameters
    ----------
    customer, day : IntArray
        Of each purchase, in any order, shape (n,).
    amount : FloatArray
        What was paid, at least 0, shape (n,).
    refunds : Refunds
        What was given back.

    Returns
    -------
    FloatArray
        The amount left of each purchase, shape (n,); of one refunded in full it is 0.
    """
    left = amount.astype(np.float64)
    who, when, taken = refunds
    order = np.lexsort((amount, day, customer))
    back = np.lexsort((taken, when, who))
    first = np.searchsorted(customer[order], who[back], side="left")
    last = np.searchsorted(customer[order], who[back], side="right")
    _, starts, counts = np.unique(who[back], return_index=True, return_counts=True)
    for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
        own = order[first[start] : last[start]]
        those = back[start : start + count]
        left[own] = _of_one(
            day[own].tolist(), amount[own].tolist(), when[those].tolist(), taken[those].tolist()
        )
    return left


def _of_one(
    days: list[int], amounts: list[float], refund_days: list[int], refunds: list[float]
) -> list[float]:
    """Return what is left of the purchases of one customer; both are in the order of time."""
    left = [round(amount, _DIGITS) for amount in amounts]
    latest: list[int] = []
    by_left: dict[float, list[int]] = {}
    known = 0
    for day, refund in zip(refund_days, refunds, strict=True):
        while known < len(days) and days[known] <= day:
            if left[known]:
                latest.append(known)
                heappush(by_left.setdefault(left[known], []), -known)
            known += 1
        rest = round(refund, _DIGITS)
        equal = _equal(by_left.get(rest, []), left, rest)
        if equal is not None:
            left[equal] = 0.0
            continue
        while rest and latest:
            place = latest[-1]
            taken = min(rest, left[place])
            left[place] = round(left[place] - taken, _DIGITS)
            rest = round(rest - taken, _DIGITS)
            if left[place]:
                heappush(by_left.setdefault(left[place], []), -place)
            else:
                latest.pop()
    return left


def _equal(places: list[int], left: list[float], rest: float) -> int | None:
    """Return the latest purchase of which so much is left, dropping what is out of date."""
    while places:
        if left[-places[0]] == rest:
            return -places[0]
        heappop(places)
    return None
