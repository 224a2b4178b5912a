"""Columns of what happened to customers: each of an owner, counting from an instant on, for a day.

Rows are in order of owner and time, so that what lies between an instant and the beginning of a
window is found by bisection for all who are asked for at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = NDArray[Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NEVER, NO_END = -700_000, 2**40
"""A day before all days, and one after them."""


def objects(values: Sequence[object]) -> Column:
    """Return a column of anything, of which lists stay lists."""
    column = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        column[place] = value
    return column


def in_order(owner: Ints, at: Ints, last: Ints | None = None) -> Ints:
    """Return the places of rows by owner, time and, where given, a small number not below 0.

    Where one number says all of it, that is sorted: several times as fast, and faster still where
    rows stand in order already.
    """
    if not len(owner):
        return np.zeros(0, np.int64)
    since = at - at.min()
    width = int(since.max()).bit_length()
    small = 0 if last is None else int(last.max()).bit_length()
    if since.min() >= 0 and int(owner.max()).bit_length() + width + small < 63:
        key = (owner << width | since) << small
        return np.argsort(key if last is None else key | last, kind="stable")
    return np.lexsort((at, owner) if last is None else (last, at, owner))


def last_place(owner: Ints, at: Ints, asked_owner: Ints, asked_at: Ints) -> Ints:
    """Return the place of the last row of each asked owner up to a time, -1 if there is none."""
    if not len(owner):
        return np.full(len(asked_owner), -1)
    order = np.lexsort((np.r_[np.zeros(len(at)), np.ones(len(asked_at))], np.r_[at, asked_at],
                        np.r_[owner, asked_owner]))  # fmt: skip
    is_row = order < len(owner)
    seen = np.cumsum(is_row) - 1
    place = np.empty(len(asked_owner), dtype=np.int64)
    place[order[~is_row] - len(owner)] = seen[~is_row]
    return np.where((place >= 0) & (owner[place] == asked_owner), place, -1)


@dataclass(frozen=True)
class Late:
    """Amounts that began to count on a later day than the one that they belong to."""

    owner: Ints
    at: Ints
    day: Ints
    amount: Ints


@dataclass(frozen=True)
class Amounts:
    """Amounts that belong to days and count from instants of the same days on; few come late.

    Those of days before `from_day` may be missing, so that no window may reach further back.
    """

    owner: Ints
    at: Ints
    day: Ints
    amount: Ints
    from_day: int = NEVER
    late: Late | None = None

    def within(self, owner: Ints, at: Ints, after_day: Ints | None) -> Ints:
        """Return the sum of each owner of what counts at an instant, of days after one."""
        first = np.searchsorted(self.owner, owner, side="left")
        if after_day is None:
            assert self.from_day == NEVER, "not all was read"
        else:
            assert (after_day >= self.from_day - 1).all(), "a window reaches back too far"
            passed = last_place(self.owner, self.day, owner, after_day) + 1
            first = np.maximum(first, passed)
        end = last_place(self.owner, self.at, owner, at) + 1
        before = np.r_[0, np.cumsum(self.amount)]
        found = np.where(end > first, before[end] - before[np.minimum(first, end)], 0)
        if self.late is not None and len(self.late.owner):
            found = found + _late(self.late, owner, at, after_day)
        return found


def _late(late: Late, owner: Ints, at: Ints, after_day: Ints | None) -> Ints:
    found = np.zeros(len(owner), dtype=np.int64)
    for row in np.flatnonzero(np.isin(owner, late.owner)).tolist():
        start, end = np.searchsorted(late.owner, [owner[row], owner[row] + 1])
        counted = late.at[start:end] <= at[row]
        if after_day is not None:
            counted &= late.day[start:end] > after_day[row]
        found[row] = late.amount[start:end][counted].sum()
    return found


@dataclass(frozen=True)
class Interactions:
    """Interactions as columns; `count` many of a kind at once.

    Of several at one instant the last one counts as the latest. Those of days before `from_day`
    may be missing.
    """

    owner: Ints
    at: Ints
    day: Ints
    kind: Column
    count: Ints
    score: Floats
    from_day: int = NEVER

    def of_kinds(self, kinds: frozenset[str] | None) -> "Interactions":
        if kinds is None:
            return self
        kept = np.isin(self.kind, list(kinds))
        return Interactions(
            self.owner[kept],
            self.at[kept],
            self.day[kept],
            self.kind[kept],
            self.count[kept],
            self.score[kept],
            self.from_day,
        )

    @property
    def counts(self) -> Amounts:
        return Amounts(self.owner, self.at, self.day, self.count, self.from_day)
