"""What purchases count for through time, where only some of them, or of their lines, are asked for.

`app.lifecycle.purchases` says what a refund takes back; here each change of that is told with its
instant, so that windows can be looked at as they were at any earlier one.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from app.lifecycle.dated import Amounts, Late
from app.lifecycle.purchases import Fact, Purchase, set_off
from app.lifecycle.records import Purchases


class _Step(NamedTuple):
    """From an instant on, the purchases of a day are worth so much more, and are so many more."""

    at: int
    today: int
    day: int
    value: int
    purchases: int


def purchases_of(
    customers: Sequence[tuple[Sequence[Fact], Mapping[Hashable, Fraction]]],
) -> Purchases:
    """Return what the facts of customers count for, given by key the shares of those that fit."""
    days: list[tuple[int, ...]] = []
    value: list[tuple[int, ...]] = []
    for owner, (facts, shares) in enumerate(customers):
        steps = sorted(_steps(facts, shares))
        value += [(owner, *step[:4]) for step in steps if step.value]
        days += [(owner, *each) for each in _day_steps(steps)]
    return Purchases(amounts(days), amounts(value))


def _steps(facts: Iterable[Fact], shares: Mapping[Hashable, Fraction]) -> Iterator[_Step]:
    for purchase in set_off(facts).purchases:
        if purchase.key in shares:
            yield from _of_purchase(purchase, shares[purchase.key])


def part(units: int, share: Fraction) -> int:
    """Return a share of an amount in smallest units, rounded down."""
    return units * share.numerator // share.denominator


def _of_purchase(purchase: Purchase, share: Fraction) -> Iterator[_Step]:
    """Yield how a purchase begins to count, and how each refund changes that."""
    early = [step for step in purchase.reductions if step.at == purchase.at]
    left = early[-1].left if early else purchase.value
    if early and early[-1] is purchase.refunded:
        return
    worth = part(left, share)
    yield _Step(purchase.at, purchase.day, purchase.day, worth, 1)
    for step in purchase.reductions[len(early) :]:
        after = part(step.left, share)
        yield _Step(step.at, step.day, purchase.day, after - worth, -(step is purchase.refunded))
        worth = after


def _day_steps(steps: Iterable[_Step]) -> Iterator[tuple[int, int, int, int]]:
    """Yield when a day became a purchase day, and when it ceased to be one."""
    standing: dict[int, int] = {}
    for at, today, day, _, purchases in steps:
        before = standing.get(day, 0)
        after = standing[day] = before + purchases
        if (before > 0) != (after > 0):
            yield at, today, day, (after > 0) - (before > 0)


def amounts(rows: Sequence[tuple[int, ...]]) -> Amounts:
    """Return columns of (owner, at, day of that, day, amount)."""
    table = np.array(rows, dtype=np.int64).reshape(len(rows), 5)
    owner, at, today, day, amount = table[np.lexsort((table[:, 1], table[:, 0]))].T
    kept, late = np.flatnonzero(today == day), np.flatnonzero(today != day)
    after = Late(owner[late], at[late], day[late], amount[late])
    return Amounts(owner[kept], at[kept], day[kept], amount[kept], late=after)
