"""Columns of what happened to customers: each of an owner, counting from an instant on, for a day.

Rows are in order of owner and time, so that what lies between an instant and the beginning of a
window is found by bisection for all who are asked for at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
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
    """Return the place of the last row of each asked owner up to a time, -1 if there is none.

    Found by bisection within the rows of the owner, for all who are asked for at once.
    """
    first = np.searchsorted(owner, asked_owner, side="left")
    low, high = first, np.searchsorted(owner, asked_owner, side="right")
    while (still := low < high).any():
        middle = (low + high) // 2
        passed = at[np.minimum(middle, len(at) - 1)] <= asked_at
        low = np.where(still & passed, middle + 1, low)
        high = np.where(still & ~passed, middle, high)
    return np.where(low > first, low - 1, -1)


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

    Those of days before `from_day`, of all or of each owner, may be missing, so that no window may
    reach further back; `whole` says that nothing is missing, but stands on the last of these days.
    """

    owner: Ints
    at: Ints
    day: Ints
    amount: Ints
    from_day: int | Ints = NEVER
    late: Late | None = None
    whole: bool = False

    @cached_property
    def _before(self) -> Ints:
        """The sum of all that stands before each place."""
        found: Ints = np.r_[0, np.cumsum(self.amount)]
        return found

    def within(self, owner: Ints, at: Ints, after_day: Ints | None) -> Ints:
        """Return the sum of each owner of what counts at an instant, of days after one."""
        first = np.searchsorted(self.owner, owner, side="left")
        if after_day is None:
            assert self.whole or np.all(self.from_day == NEVER), "not all was read"
        else:
            assert (after_day >= self._from(owner) - 1).all(), "a window reaches back too far"
            passed = last_place(self.owner, self.day, owner, after_day) + 1
            first = np.maximum(first, passed)
        end = last_place(self.owner, self.at, owner, at) + 1
        before = self._before
        found = np.where(end > first, before[end] - before[np.minimum(first, end)], 0)
        if self.late is not None and len(self.late.owner):
            found = found + _late(self.late, owner, at, after_day)
        return found

    @classmethod
    def join(cls, parts: Sequence[tuple[Ints, "Amounts"]], from_day: Ints) -> "Amounts":
        """Return the amounts of several, given who the owners of each are among all."""
        late = [(owners, own.late) for owners, own in parts if own.late is not None]
        owner, at, day, amount = _joined(parts)
        return cls(owner, at, day, amount, from_day, Late(*_joined(late)) if late else None)

    def _from(self, owner: Ints) -> int | Ints:
        return self.from_day if isinstance(self.from_day, int) else self.from_day[owner]


def _joined(parts: Sequence[tuple[Ints, Any]]) -> tuple[Ints, Ints, Ints, Ints]:
    """Return owner, at, day and amount of all parts, in order of owner and time."""
    owner = np.concatenate([owners[own.owner] for owners, own in parts])
    at, day, amount = (
        np.concatenate([getattr(own, name) for _, own in parts]) for name in ("at", "day", "amount")
    )
    order = np.argsort(owner, kind="stable")
    return owner[order], at[order], day[order], amount[order]


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
    may be missing, as of `Amounts`.
    """

    owner: Ints
    at: Ints
    day: Ints
    kind: Column
    count: Ints
    score: Floats
    from_day: int | Ints = NEVER
    whole: bool = False
    _narrowed: dict[frozenset[str] | None, "Interactions"] = field(
        default_factory=dict, repr=False, compare=False
    )

    def of_kinds(self, kinds: frozenset[str] | None) -> "Interactions":
        """Return those of some kinds; made once, for rules ask for them over and over."""
        if kinds is None:
            return self
        if kinds not in self._narrowed:
            self._narrowed[kinds] = self._take(np.isin(self.kind, list(kinds)))
        return self._narrowed[kinds]

    def _take(self, kept: Bools) -> "Interactions":
        return Interactions(
            self.owner[kept],
            self.at[kept],
            self.day[kept],
            self.kind[kept],
            self.count[kept],
            self.score[kept],
            self.from_day,
            self.whole,
        )

    @cached_property
    def counts(self) -> Amounts:
        return Amounts(self.owner, self.at, self.day, self.count, self.from_day, whole=self.whole)

    @cached_property
    def answers(self) -> "Interactions":
        """Those with a score."""
        return self._take(~np.isnan(self.score))
