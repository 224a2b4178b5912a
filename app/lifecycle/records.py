"""What is known of many customers, as columns: what the variables of rules are computed from.

A record says what a customer's facts amount to from one instant on; who has several has them in
order of time. For one instant, each customer has one record.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from app.lifecycle.dated import (
    NO_END,
    Amounts,
    Column,
    Floats,
    Interactions,
    Ints,
    last_place,
)
from app.lifecycle.facts import State
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.profiles import BEGINNING

UNITS = 10_000
"""Smallest stored units of money in one of the currency."""


@dataclass(frozen=True)
class Columns:
    """States as columns of equal length; days of those who never purchased are 0."""

    purchase_days: Ints
    first_day: Ints
    last_day: Ints
    life_start_day: Ints
    life_purchase_days: Ints
    lives: Ints

    @classmethod
    def of(cls, states: Sequence[State]) -> "Columns":
        table = np.array(states, dtype=np.int64).reshape(len(states), len(State._fields))
        return cls(*np.ascontiguousarray(table.T))

    def take(self, rows: Ints) -> "Columns":
        return Columns(
            self.purchase_days[rows],
            self.first_day[rows],
            self.last_day[rows],
            self.life_start_day[rows],
            self.life_purchase_days[rows],
            self.lives[rows],
        )

    def __len__(self) -> int:
        return len(self.purchase_days)


@dataclass(frozen=True)
class Money:
    """Sums of money as columns beside `Columns`, in smallest units, and the last gaps.

    `gaps` and `values` have a row for each of the last three purchase days, the latest first;
    0 gaps are unknown.
    """

    revenue: Ints
    first_day_value: Ints
    paid_days: Ints
    gaps: Ints
    values: Ints

    def take(self, rows: Ints) -> "Money":
        return Money(
            self.revenue[rows],
            self.first_day_value[rows],
            self.paid_days[rows],
            self.gaps[:, rows],
            self.values[:, rows],
        )


class PurchaseFilter(NamedTuple):
    """Which purchases, and which of their lines, are counted; None: all."""

    category: str | None = None
    product: str | None = None
    channel: str | None = None

    @property
    def by_line(self) -> bool:
        return self.category is not None or self.product is not None


@dataclass(frozen=True)
class Purchases:
    """The purchases of one filter by day: 1 for each purchase day, and what they are worth."""

    days: Amounts
    value: Amounts


@dataclass(frozen=True)
class Stages:
    """The stage of each owner at the end, and the day since which it holds; None if unknown."""

    stage: Column
    since_day: Floats


@dataclass(frozen=True)
class Profiles:
    """Profiles by field, each of an owner and since an instant, in this order.

    Every owner has at least one. Attributes are dictionaries, dates are days or NaN.
    """

    owner: Ints
    at: Ints
    columns: Mapping[str, Column]

    @classmethod
    def constant(cls, columns: Mapping[str, Column], owners: int) -> "Profiles":
        """Return the profiles of owners that hold at all instants asked for."""
        return cls(np.arange(owners), np.full(owners, BEGINNING), columns)

    @cached_property
    def is_constant(self) -> bool:
        return not (self.owner[1:] == self.owner[:-1]).any()

    def places(self, owner: Ints, at: Ints) -> Ints:
        """Return which profile of each asked owner holds at an instant."""
        return owner if self.is_constant else last_place(self.owner, self.at, owner, at)


@dataclass(frozen=True)
class Span:
    """For each record, the first and the last day of which it is true: no value of another day."""

    first: Ints
    last: Ints

    @classmethod
    def on(cls, day: Ints) -> "Span":
        """Return the span of records that were read for one day alone."""
        return cls(day, day)

    @classmethod
    def until_next(cls, owner: Ints, day: Ints) -> "Span":
        """Return the spans of records each of which is true until the next of its owner."""
        last = np.full(len(day), NO_END)
        followed = np.flatnonzero(owner[1:] == owner[:-1])
        last[followed] = day[followed + 1]
        return cls(day, last)

    def check(self, rows: Ints, day: Ints) -> None:
        """Fail where a record is asked for a day of which it says nothing."""
        assert (self.first[rows] <= day).all(), "asked for a day before the facts of the record"
        assert (day <= self.last[rows]).all(), "asked for a day after what the record knows"


Computed = Callable[[frozenset[str], Columns, Money, Ints], Mapping[str, Floats]]
"""From names of variables that a stored model computes, records and days to their values."""


class Computable(Protocol):
    """What has a value for records and days: a variable with its parameters."""

    def compute(self, inputs: "Inputs") -> Column: ...


Asked = TypeVar("Asked", bound=Computable)


@dataclass(frozen=True)
class Records:
    """Records of customers numbered by `owner`, ascending, each in force from `at`."""

    inactivity_limit: InactivityLimit
    owner: Ints
    at: Ints
    day: Ints
    span: Span
    columns: Columns
    money: Money | None = None
    interactions: Interactions | None = None
    purchases: Mapping[PurchaseFilter, Purchases] = field(default_factory=dict)
    profiles: Profiles | None = None
    stages: Stages | None = None
    scores: Mapping[str, Column] | None = None
    """What the published run says of each owner, by the name of the variable."""
    computed: Computed | None = None

    def values(self, terms: Iterable[Asked], rows: Ints, day: Ints) -> dict[Asked, Column]:
        """Return the values that terms have on `day` where the records of `rows` are in force."""
        self.span.check(rows, day)
        inputs = Inputs(self, rows, day)
        return {term: term.compute(inputs) for term in terms}


@dataclass(frozen=True)
class Inputs:
    """What a variable is computed from: records in force, each on a day."""

    records: Records
    rows: Ints
    day: Ints

    @cached_property
    def owner(self) -> Ints:
        return self.records.owner[self.rows]

    @cached_property
    def at(self) -> Ints:
        return self.records.at[self.rows]

    @cached_property
    def columns(self) -> Columns:
        return self.records.columns.take(self.rows)

    @cached_property
    def money(self) -> Money:
        assert self.records.money is not None, "no money was read"
        return self.records.money.take(self.rows)

    @property
    def interactions(self) -> Interactions:
        assert self.records.interactions is not None, "no interactions were read"
        return self.records.interactions

    @cached_property
    def _profile(self) -> Ints:
        assert self.records.profiles is not None, "no profiles were read"
        return self.records.profiles.places(self.owner, self.at)

    def profile(self, column: str) -> Column:
        """Return a field of the profile that holds where the record does."""
        assert self.records.profiles is not None, "no profiles were read"
        return self.records.profiles.columns[column][self._profile]

    def of_run(self, name: str) -> Column:
        assert self.records.scores is not None, "no run was read"
        return self.records.scores[name][self.owner]

    def of_model(self, name: str) -> Floats:
        assert self.records.computed is not None, "the policy names no model"
        computed = self.records.computed(frozenset((name,)), self.columns, self.money, self.day)
        return computed[name]


def inactivity_limit(rule: InactivityLimit, columns: Columns) -> Floats:
    """Return `InactivityLimit.after` of each row."""
    return rule.after_each(columns.life_start_day, columns.last_day, columns.life_purchase_days)
