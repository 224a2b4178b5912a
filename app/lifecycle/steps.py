"""What becomes new of many customers when: instants merged by sorting, found again by bisection.

Rows are in order of owner and time. A step says what holds from its instant on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from app.lifecycle.dated import Ints, last_place
from app.lifecycle.facts import NO_PURCHASES, RECENT
from app.lifecycle.money import MonetaryState
from app.lifecycle.records import Columns, Money
from app.lifecycle.summary_columns import PointColumns

Instants = tuple[Ints, Ints]
"""Owners, and an instant of each."""


def merged(parts: Iterable[Instants]) -> Instants:
    """Return the instants of all parts in order, each of an owner once."""
    owner, at = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((at, owner))
    owner, at = owner[order], at[order]
    again = (owner[1:] == owner[:-1]) & (at[1:] == at[:-1])
    kept = np.flatnonzero(np.r_[True, ~again][: len(owner)])
    return owner[kept], at[kept]


def states_in_force(points: PointColumns, owner: Ints, at: Ints) -> Columns:
    """Return the states at instants, of no purchases before the first point of an owner."""
    before = (np.r_[0, getattr(points.states, name)] for name in NO_PURCHASES._fields)
    return Columns(*before).take(last_place(points.owner, points.at, owner, at) + 1)


@dataclass(frozen=True)
class Worth:
    """What purchases are worth, by owner and from an instant on."""

    owner: Ints
    at: Ints
    money: Money

    @classmethod
    def of(cls, worth: Sequence[Sequence[MonetaryState]]) -> "Worth":
        """Return the sums of each customer as columns; of gaps and values not there, 0."""
        numbers = chain.from_iterable(
            (each.at, each.revenue, each.first_day_value, each.paid_days,
             *_padded(each.gaps), *_padded(each.values))
            for own in worth for each in own
        )  # fmt: skip
        table = np.fromiter(numbers, dtype=np.int64).reshape(-1, 4 + 2 * RECENT).T
        at, revenue, first_day_value, paid_days = np.ascontiguousarray(table[:4])
        gaps, values = np.ascontiguousarray(table[4:]).reshape(2, RECENT, -1)
        money = Money(revenue, first_day_value, paid_days, gaps, values)
        return cls(_owners(worth), at, money)

    @classmethod
    def none(cls) -> "Worth":
        return cls.of([])

    @classmethod
    def join(cls, parts: Sequence["Worth"]) -> "Worth":
        """Return the sums of several, by owner; those of one owner in the order of the parts."""
        owner = np.concatenate([part.owner for part in parts])
        order = np.argsort(owner, kind="stable")
        return cls(
            owner[order],
            np.concatenate([part.at for part in parts])[order],
            Money(
                *(
                    np.concatenate([getattr(part.money, name) for part in parts], axis=-1)[
                        ..., order
                    ]
                    for name in ("revenue", "first_day_value", "paid_days", "gaps", "values")
                )
            ),
        )

    def of_owners(self, owners: Ints) -> "Worth":
        """Return the same of customers who have other numbers elsewhere."""
        return Worth(owners[self.owner], self.at, self.money)

    def in_force(self, owner: Ints, at: Ints) -> Money:
        """Return the sums at instants, nothing before the first of an owner."""
        money, nothing = self.money, np.zeros((RECENT, 1), dtype=np.int64)
        before = Money(
            np.r_[0, money.revenue],
            np.r_[0, money.first_day_value],
            np.r_[0, money.paid_days],
            np.c_[nothing, money.gaps],
            np.c_[nothing, money.values],
        )
        return before.take(last_place(self.owner, self.at, owner, at) + 1)


def _padded(last: tuple[int, ...]) -> tuple[int, ...]:
    return (*last, *(0,) * (RECENT - len(last)))


def _owners(parts: Sequence[Sequence[object]]) -> Ints:
    return np.repeat(np.arange(len(parts)), np.array([len(own) for own in parts], dtype=np.int64))
