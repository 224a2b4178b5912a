"""What the facts of many customers amount to, as columns, and the states on the way there."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from app.lifecycle.dated import Column, Floats, Ints
from app.lifecycle.facts import RECENT, Point, State, Summary
from app.lifecycle.records import Columns

NEVER = -(2**62)
"""`facts_until` where nothing counts yet."""
NO_MORE = 2**62
"""`next_fact_at` where no fact waits for its time."""
LARGEST = 2.0**62
"""Sums of money up to here are added in 64 bits; beyond, as numbers of any size."""


@dataclass(frozen=True)
class SummaryColumns:
    """A `Summary` of each customer; columns of money are of integers, or of objects if too large.

    `gaps` and `values` have a row for each of the last three purchase days, the latest first;
    0 where there is none.
    """

    facts: Ints
    refunds: Ints
    facts_until: Ints
    next_fact_at: Ints
    states: Columns
    revenue: Column
    first_day_value: Column
    paid_days: Ints
    refund_excess: Column
    sum_log_gaps: Floats
    gaps: Ints
    values: Column
    policy_version: Ints

    @classmethod
    def empty(cls, n: int) -> "SummaryColumns":
        """Return the summaries of customers without facts."""
        zero, recent = np.zeros(n, np.int64), np.zeros((RECENT, n), np.int64)
        never, no_more = np.full(n, NEVER), np.full(n, NO_MORE)
        states = Columns(zero, zero, zero, zero, zero, zero)
        return cls(
            zero, zero, never, no_more, states, zero, zero, zero, zero, np.zeros(n), recent,
            recent, zero,
        )  # fmt: skip

    @classmethod
    def of(cls, listed: Sequence[Summary]) -> "SummaryColumns":
        def ints(values: list[int]) -> Ints:
            return np.array(values, dtype=np.int64)

        def recent(rows: list[tuple[int, ...]]) -> list[Column]:
            padded = [(*row, *([0] * (RECENT - len(row)))) for row in rows]
            return [money([row[place] for row in padded]) for place in range(RECENT)]

        return cls(
            ints([each.facts for each in listed]),
            ints([each.refunds for each in listed]),
            ints([NEVER if each.facts_until is None else each.facts_until for each in listed]),
            ints([NO_MORE if each.next_fact_at is None else each.next_fact_at for each in listed]),
            Columns.of([each.state for each in listed]),
            money([each.revenue for each in listed]),
            money([each.first_day_value for each in listed]),
            ints([each.paid_days for each in listed]),
            money([each.refund_excess for each in listed]),
            np.array([each.sum_log_gaps for each in listed], dtype=np.float64),
            np.array(recent([each.gaps for each in listed])),
            np.array(recent([each.values for each in listed])),
            ints([each.policy_version for each in listed]),
        )

    def __len__(self) -> int:
        return len(self.facts)

    def take(self, rows: Ints) -> "SummaryColumns":
        return SummaryColumns(*(_taken(getattr(self, name), rows) for name in _NAMES))

    @classmethod
    def join(cls, parts: Sequence["SummaryColumns"]) -> "SummaryColumns":
        """Return the summaries of some customers, and behind them those of others."""
        return cls(*(_joined([getattr(part, name) for part in parts]) for name in _NAMES))

    def summaries(self) -> list[Summary]:
        """Return the summary of each customer."""
        columns = [
            list(zip(*(getattr(found, name).tolist() for name in State._fields), strict=True))
            if isinstance(found, Columns)
            else list(zip(*found.tolist(), strict=True))
            if found.ndim == 2
            else found.tolist()
            for found in (getattr(self, name) for name in _NAMES)
        ]
        return [_summary(*row) for row in zip(*columns, strict=True)]


_NAMES = tuple(each.name for each in fields(SummaryColumns))


def money(values: Sequence[int]) -> Column:
    """Return amounts as a column."""
    large = any(abs(value) >= LARGEST for value in values)
    return np.array(values, dtype=object if large else np.int64)


def _taken(column: Column | Columns, rows: Ints) -> Any:
    return column.take(rows) if isinstance(column, Columns) else column[..., rows]


def _joined(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], Columns):
        columns = ([getattr(part, name) for part in parts] for name in State._fields)
        return Columns(*(np.concatenate(each) for each in columns))
    return np.concatenate(parts, axis=-1)


def _summary(
    facts: int,
    refunds: int,
    facts_until: int,
    next_fact_at: int,
    state: tuple[int, ...],
    revenue: int,
    first_day_value: int,
    paid_days: int,
    refund_excess: int,
    sum_log_gaps: float,
    gaps: tuple[int, ...],
    values: tuple[int, ...],
    policy_version: int,
) -> Summary:
    days = state[0]
    return Summary(
        facts,
        refunds,
        None if facts_until == NEVER else facts_until,
        None if next_fact_at == NO_MORE else next_fact_at,
        State(*state),
        revenue,
        first_day_value,
        values[0],
        paid_days,
        refund_excess,
        sum_log_gaps,
        gaps[: max(days - 1, 0)],
        values[:days],
        policy_version,
    )


@dataclass(frozen=True)
class PointColumns:
    """States and the instants and days from which they held, in order of owner and time."""

    owner: Ints
    at: Ints
    day: Ints
    states: Columns

    @classmethod
    def of(cls, points: Sequence[Sequence[Point]]) -> "PointColumns":
        """Return the points of customers as columns."""
        owner = np.repeat(np.arange(len(points)), [len(own) for own in points])
        listed = [point for own in points for point in own]
        at = np.array([point.at for point in listed], dtype=np.int64)
        day = np.array([point.day for point in listed], dtype=np.int64)
        return cls(owner, at, day, Columns.of([point.state for point in listed]))

    def __len__(self) -> int:
        return len(self.owner)

    def take(self, rows: Ints) -> "PointColumns":
        return PointColumns(self.owner[rows], self.at[rows], self.day[rows], self.states.take(rows))

    def of_owners(self, owners: Ints) -> "PointColumns":
        """Return the same points of customers who have other numbers elsewhere."""
        return PointColumns(owners[self.owner], self.at, self.day, self.states)

    @classmethod
    def join(cls, parts: Sequence["PointColumns"]) -> "PointColumns":
        """Return the points of several, by owner; those of one owner in the order of the parts."""
        joined = cls(
            np.concatenate([part.owner for part in parts]),
            np.concatenate([part.at for part in parts]),
            np.concatenate([part.day for part in parts]),
            _joined([part.states for part in parts]),
        )
        return joined.take(np.argsort(joined.owner, kind="stable"))

    def points(self, owners: int) -> list[list[Point]]:
        """Return the points of each owner."""
        states = zip(*(getattr(self.states, name).tolist() for name in State._fields), strict=True)
        rows = zip(self.owner.tolist(), self.at.tolist(), self.day.tolist(), states, strict=True)
        found: list[list[Point]] = [[] for _ in range(owners)]
        for owner, at, day, state in rows:
            found[owner].append(Point(at, day, State(*state)))
        return found
