"""The instants at which stages may change: facts, the passing of time, activations, overrides."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from app.lifecycle.dated import Bools, Ints, in_order, last_place
from app.lifecycle.evaluator import threshold_crossings
from app.lifecycle.policy import Policy
from app.lifecycle.records import Records

DayStart = Callable[[Ints], Ints]
"""From days to the instants at which they begin in the deployment's zone."""

_NEVER = np.iinfo(np.int64).max
INACTIVITY, FACT, POLICY, MANUAL = range(4)
"""Why a stage may change, in the order in which changes of one instant take effect."""


@dataclass(frozen=True)
class PolicyPeriod:
    """A policy, from when on it is in force, and the customers' records under it."""

    policy: Policy
    records: Records
    start: int = np.iinfo(np.int64).min
    start_day: int = 0


@dataclass(frozen=True, slots=True)
class Override:
    """A stage that somebody set. With `until`, no rule replaces it before then.

    Without, it stands until the next purchase, or until time or another fact makes the rules name
    another stage. One that ends as it is made lets rules decide again. A change of policy carries
    it over, see `Policy.carried`.
    """

    at: int
    day: int
    stage: str
    until: int | None
    until_day: int
    reason: str
    actor: str


@dataclass(frozen=True)
class Customers:
    """Whose history is asked for: by owner number, up to when, and from where.

    `known` says whose first record is where the ledger stands already, so that it is no transition;
    everybody else begins where the policy then in force puts somebody not known. `purchases` has
    the instant and day of each purchase of those with overrides that is later than the first of
    them, whatever became of it: also one on a day that had others, which is no news to rules, or
    one refunded since.
    """

    until: Ints
    until_day: Ints
    known: Bools
    overrides: Mapping[int, Sequence[Override]] = field(default_factory=dict)
    purchases: Mapping[int, Mapping[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Rows:
    """Instants at which a stage may change."""

    owner: Ints
    at: Ints
    day: Ints
    cause: Ints
    period: Ints
    record: Ints

    @classmethod
    def join(cls, parts: Sequence["Rows"]) -> "Rows":
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in _NAMES))

    def take(self, rows: Ints) -> "Rows":
        return Rows(*(getattr(self, name)[rows] for name in _NAMES))

    def in_order(self) -> "Rows":
        """Return the rows by owner and time; of those of one instant the last cause counts."""
        rows = self.take(in_order(self.owner, self.at, self.cause))
        same = (rows.owner[1:] == rows.owner[:-1]) & (rows.at[1:] == rows.at[:-1])
        return rows.take(np.flatnonzero(~np.r_[same, False])) if same.any() else rows


_NAMES = ("owner", "at", "day", "cause", "period", "record")


def instants(periods: Sequence[PolicyPeriod], customers: Customers, day_start: DayStart) -> Rows:
    """Return the instants up to the end of each customer, in order of owner and time."""
    rows = _rows(periods, customers)
    return Rows.join([rows, _threshold_crossings(periods, customers, rows, day_start)]).in_order()


def _rows(periods: Sequence[PolicyPeriod], customers: Customers) -> Rows:
    """Return the instants of facts, of activations and of overrides, in order."""
    parts = []
    owners = np.arange(len(customers.until))
    ends = [period.start for period in periods[1:]] + [_NEVER]
    for number, (period, end) in enumerate(zip(periods, ends, strict=True)):
        records = period.records
        counted = (records.at < end) & (records.at <= customers.until[records.owner])
        own = np.flatnonzero((records.at >= period.start) & counted)
        parts.append(_at(records.owner[own], records.at[own], records.day[own], FACT, number, own))
        if number:
            reached = owners[customers.until >= period.start]
            begun = _in_force(records, reached, period.start - 1) >= 0
            record = _in_force(records, reached, period.start)
            parts.append(
                _at(reached[begun], period.start, period.start_day, POLICY, number, record[begun])
            )
    return Rows.join([*parts, *_overrides(periods, customers)]).in_order()


def _overrides(periods: Sequence[PolicyPeriod], customers: Customers) -> list[Rows]:
    """Return the instants at which overrides begin and end, or may end, by period."""
    times = [
        (owner, *time)
        for owner, decided in customers.overrides.items()
        for time in _of_overrides(decided, customers.purchases.get(owner, {}))
    ]
    owner, at, day, cause = np.array(times, dtype=np.int64).reshape(-1, 4).T
    reached = at <= customers.until[owner]
    in_force = np.searchsorted([period.start for period in periods[1:]], at, side="right")
    parts = []
    for number, period in enumerate(periods):
        own = np.flatnonzero(reached & (in_force == number))
        if len(own):
            records, asked = period.records, (owner[own], at[own])
            record = last_place(records.owner, records.at, *asked)
            parts.append(Rows(*asked, day[own], cause[own], np.full(len(own), number), record))
    return parts


def _of_overrides(
    decided: Sequence[Override], purchases: Mapping[int, int]
) -> list[tuple[int, int, int]]:
    """Return when overrides begin and end, and the purchases that may end one, with the cause."""
    times = [(override.at, override.day, MANUAL) for override in decided]
    times += [
        (override.until, override.until_day, MANUAL)
        for n, override in enumerate(decided)
        # Where another override took its place before, nothing ends with this one.
        if override.until is not None
        and not any(later.at <= override.until for later in decided[n + 1 :])
    ]
    # Those that follow the first one after an override end none, and are no cause of anything.
    bought = sorted(purchases)
    open_since = [override.at for override in decided if override.until is None]
    ending = {bisect_right(bought, at) for at in open_since} - {len(bought)}
    return times + [(bought[n], purchases[bought[n]], INACTIVITY) for n in sorted(ending)]


def _at(
    owner: Ints, at: Ints | int, day: Ints | int, cause: int, period: int, record: Ints
) -> Rows:
    n = len(owner)
    return Rows(
        owner,
        np.broadcast_to(at, n),
        np.broadcast_to(day, n),
        np.full(n, cause),
        np.full(n, period),
        record,
    )


def _in_force(records: Records, owner: Ints, at: int) -> Ints:
    """Return the record of each owner that is in force at an instant, -1 before the first."""
    before = np.r_[0, np.cumsum(records.at <= at)]
    start = np.searchsorted(records.owner, owner, side="left")
    end = np.searchsorted(records.owner, owner, side="right")
    seen = before[end] - before[start]
    return np.where(seen > 0, start + seen - 1, -1)


def _threshold_crossings(
    periods: Sequence[PolicyPeriod], customers: Customers, rows: Rows, day_start: DayStart
) -> Rows:
    """Return the turns of time that come before the next row and up to the end.

    A turn at the very instant of the next row is no period of its own: that row decides.
    """
    n = len(rows.owner)
    last = customers.until_day[rows.owner]
    if n > 1:
        has_next = np.flatnonzero(rows.owner[1:] == rows.owner[:-1])
        next_at, next_day = rows.at[has_next + 1], rows.day[has_next + 1]
        last[has_next] = np.where(day_start(next_day) < next_at, next_day, next_day - 1)
    parts = []
    for number, period in enumerate(periods):
        own = np.flatnonzero(rows.period == number)
        place, day = threshold_crossings(
            period.policy, period.records, rows.record[own], rows.day[own], last[own]
        )
        row = own[place]
        parts.append(
            replace(rows.take(row), at=day_start(day), day=day, cause=np.full(len(row), INACTIVITY))
        )
    return Rows.join(parts)
