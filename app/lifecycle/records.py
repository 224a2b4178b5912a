"""What is known of many customers, as columns, and the values of variables that follow from it.

A record says what a customer's facts amount to from one instant on; who has several has them in
order of time. For one instant, each customer has one record.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.lifecycle.expressions import Column
from app.lifecycle.facts import RECENT, State
from app.lifecycle.policy import SilenceLimit
from app.lifecycle.variables import Term

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
UNITS = 10_000
"""Smallest stored units of money in one of the currency."""
NEVER, NO_END = -700_000, 2**40
"""A day before all days, and one after them."""
_LARGEST = float(np.finfo(np.float64).max)


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
    purchase_value: Ints
    first_day_value: Ints
    paid_days: Ints
    gaps: Ints
    values: Ints

    def take(self, rows: Ints) -> "Money":
        return Money(
            self.revenue[rows],
            self.purchase_value[rows],
            self.first_day_value[rows],
            self.paid_days[rows],
            self.gaps[:, rows],
            self.values[:, rows],
        )


@dataclass(frozen=True)
class Interactions:
    """Interactions as columns in order of owner and time; `count` many of a kind at once.

    Of several at one instant the last one counts as the latest. Those of days before `from_day`
    may be missing, so that no window may reach further back.
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


@dataclass(frozen=True)
class Records:
    """Records of customers numbered by `owner`, ascending, each in force from `at`."""

    silence: SilenceLimit
    owner: Ints
    at: Ints
    day: Ints
    span: Span
    columns: Columns
    money: Money | None = None
    interactions: Interactions | None = None
    profiles: Mapping[str, Column] = field(default_factory=dict)
    """By name, a value for each owner; attributes are dictionaries, a contract's end is a day."""
    computed: Computed | None = None

    def values(self, terms: Iterable[Term], rows: Ints, day: Ints) -> dict[Term, Column]:
        """Return the values that terms have on `day` where the records of `rows` are in force."""
        self.span.check(rows, day)
        columns = self.columns.take(rows)
        asked = tuple(terms)
        found: dict[Term, Column] = {}
        model = self._of_model(asked, columns, rows, day)
        for term in asked:
            source = term.variable.source
            if source == "model":
                found[term] = model[term.name]
            elif source == "purchases":
                found[term] = self._of_purchases(term.name, columns, day)
            elif source == "money":
                assert self.money is not None
                found[term] = _of_money(term.name, columns, self.money.take(rows))
            elif source == "profile":
                found[term] = self._of_profile(term, self.owner[rows], day)
            else:
                found[term] = self._of_interactions(term, rows, day)
        return found

    def _of_model(
        self, terms: tuple[Term, ...], columns: Columns, rows: Ints, day: Ints
    ) -> Mapping[str, Floats]:
        names = frozenset(term.name for term in terms if term.variable.source == "model")
        if not names:
            return {}
        assert self.computed is not None
        assert self.money is not None
        return self.computed(names, columns, self.money.take(rows), day)

    def _of_purchases(self, name: str, columns: Columns, day: Ints) -> Floats:
        if name in ("purchase_days", "life_purchase_days", "lives"):
            count: Ints = getattr(columns, name)
            return count.astype(np.float64)
        bought = columns.purchase_days > 0
        if name == "tenure_days":
            value = (day - columns.first_day).astype(np.float64)
        elif name == "life_tenure_days":
            value = (day - columns.life_start_day).astype(np.float64)
        elif name == "days_silent":
            value = (day - columns.last_day).astype(np.float64)
        elif name == "silence_limit_days":
            value = silence_limit(self.silence, columns)
        elif name == "mean_gap_days":
            return _mean_gap(columns)
        else:
            assert name == "silence_to_mean_gap"
            return _per_mean_gap(day - columns.last_day, columns)
        return np.where(bought, value, np.nan)

    def _of_profile(self, term: Term, owner: Ints, day: Ints) -> Column:
        if term.name == "days_until_contract_end":
            ends: Floats = self.profiles["contract_ends_on"][owner].astype(np.float64)
            return ends - day
        if term.name != "attribute":
            return self.profiles[term.name][owner]
        attributes = self.profiles["attributes"][owner]
        found = np.empty(len(owner), dtype=object)
        found[:] = [_scalar(each.get(term.attribute)) for each in attributes]
        return found

    def _of_interactions(self, term: Term, rows: Ints, day: Ints) -> Floats:
        assert self.interactions is not None
        events = self.interactions.of_kinds(term.kinds)
        owner, at = self.owner[rows], self.at[rows]
        if term.name == "last_satisfaction":
            known = ~np.isnan(events.score)
            place = _last(events.owner[known], events.at[known], owner, at)
            scores: Floats = np.r_[events.score[known], np.nan]
            return np.asarray(scores[place], dtype=np.float64)
        place = _last(events.owner, events.at, owner, at)
        if term.name == "days_since_interaction":
            days = np.r_[events.day.astype(np.float64), np.nan]
            return np.asarray(day - days[place], dtype=np.float64)
        _, window = term.window
        before = np.r_[0, np.cumsum(events.count)]
        first = np.searchsorted(events.owner, owner, side="left")
        if window is not None:
            assert (day - window >= events.from_day - 1).all(), "a window reaches back too far"
            first = np.maximum(first, _first_after(events, owner, day - window))
        end = np.where(place < 0, 0, place + 1)
        return np.where(end > first, before[end] - before[np.minimum(first, end)], 0).astype(
            np.float64
        )


def silence_limit(rule: SilenceLimit, columns: Columns) -> Floats:
    """Return `SilenceLimit.after` of each row."""
    gaps = columns.life_purchase_days - 1
    gap = (columns.last_day - columns.life_start_day) / np.maximum(gaps, 1)
    own = np.minimum(rule.gap_multiple * gap, gap + rule.gap_margin_days)
    return np.where(gaps > 0, np.maximum(rule.floor_days, own), rule.floor_days)


def _mean_gap(columns: Columns) -> Floats:
    gaps = columns.life_purchase_days - 1
    span = columns.last_day - columns.life_start_day
    return np.where(gaps > 0, span / np.maximum(gaps, 1), np.nan)


def _per_mean_gap(silence: Ints, columns: Columns) -> Floats:
    """Return multiples of the mean gap, rounded once, so that 35 days are 15 gaps of 7/3."""
    gaps = columns.life_purchase_days - 1
    span = columns.last_day - columns.life_start_day
    return np.where(gaps > 0, silence * gaps / np.maximum(span, 1), np.nan)


def _of_money(name: str, columns: Columns, money: Money) -> Floats:
    days, value = columns.purchase_days, money.purchase_value
    if name == "revenue":
        return money.revenue / UNITS
    # One division each, so that what should equal a constant does.
    if name == "mean_purchase_value":
        return np.where(days > 0, value / (np.maximum(days, 1) * UNITS), np.nan)
    # With fewer purchase days, the last three are nearly all there are.
    told = days > RECENT
    if name == "amount_trend":
        recent = money.values.sum(axis=0).astype(np.float64) * days
        return np.where(told & (value > 0), recent / (RECENT * np.maximum(value, 1)), np.nan)
    assert name == "frequency_trend"
    span, recent_span = columns.last_day - columns.first_day, money.gaps.sum(axis=0)
    of_recent = np.where(told, (days - 1) * recent_span, 1)
    return np.where(told, RECENT * span / of_recent, np.nan)


def _scalar(value: object) -> object:
    if isinstance(value, int) and abs(value) > _LARGEST:  # JSON has numbers of any length
        return _LARGEST if value > 0 else -_LARGEST
    return value if isinstance(value, (str, int, float, bool)) else None


def _last(owner: Ints, at: Ints, asked_owner: Ints, asked_at: Ints) -> Ints:
    """Return the place of the last event of each asked owner up to an instant, -1 if none."""
    if not len(owner):
        return np.full(len(asked_owner), -1)
    order = np.lexsort((np.r_[np.zeros(len(at)), np.ones(len(asked_at))], np.r_[at, asked_at],
                        np.r_[owner, asked_owner]))  # fmt: skip
    is_event = order < len(owner)
    seen = np.cumsum(is_event) - 1
    place = np.empty(len(asked_owner), dtype=np.int64)
    place[order[~is_event] - len(owner)] = seen[~is_event]
    return np.where((place >= 0) & (owner[place] == asked_owner), place, -1)


def _first_after(events: Interactions, owner: Ints, day: Ints) -> Ints:
    """Return the place of the first event of each owner later than a day."""
    return np.maximum(
        _last(events.owner, events.day, owner, day) + 1,
        np.searchsorted(events.owner, owner, side="left"),
    )
