"""What `facts.fold` and `facts.extend` do, for many customers at once, in columns.

A customer's purchases are put in order of time; each that lies behind the last purchase day makes
one. The lives are found by the silences that may end one: the first of all customers, then the
second, and so on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.lifecycle.dated import Bools, Column, Floats, Ints, in_order
from app.lifecycle.facts import RECENT
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.records import Columns
from app.lifecycle.summary_columns import LARGEST, PointColumns, SummaryColumns

_BEFORE_ALL = -(2**30)
_FEW = 4
"""So few customers are followed one after another rather than at once."""


@dataclass(frozen=True)
class PurchaseColumns:
    """Purchases in any order, with what refunds leave of their values in smallest units."""

    owner: Ints
    at: Ints
    day: Ints
    value: Column

    def __len__(self) -> int:
        return len(self.owner)

    @classmethod
    def none(cls) -> "PurchaseColumns":
        zero = np.zeros(0, np.int64)
        return cls(zero, zero, zero, zero)

    def take(self, rows: Ints | Bools) -> "PurchaseColumns":
        return PurchaseColumns(self.owner[rows], self.at[rows], self.day[rows], self.value[rows])

    @classmethod
    def join(cls, parts: Sequence["PurchaseColumns"]) -> "PurchaseColumns":
        names = ("owner", "at", "day", "value")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def in_order(self) -> "PurchaseColumns":
        """Return the purchases by owner and time; of one instant, in any order."""
        return self.take(in_order(self.owner, self.at))


def extend(
    before: SummaryColumns, bought: PurchaseColumns, limit: InactivityLimit
) -> tuple[SummaryColumns, PointColumns]:
    """Add purchases, none before the last one of a customer; return also each purchase day.

    What is said of facts follows the purchases alone.
    """
    if not len(bought):
        return before, PointColumns.of([])
    bought = exact_values(before, bought.in_order())
    begins = np.r_[True, bought.owner[1:] != bought.owner[:-1]]
    makes_day = makes_purchase_day(before, bought, begins)
    starts = np.flatnonzero(begins | makes_day)
    worth = np.add.reduceat(bought.value, starts)
    # Of who has bought on the last day before, the first stretch belongs to that day still.
    is_new = makes_day[starts]
    days = _Days.of(before, bought.take(starts[is_new]), worth[is_new])
    points = days.points(before, limit)
    still = starts[~is_new]
    after = _summarise(before, bought, days, points, bought.owner[still], worth[~is_new])
    return after, points


def exact_values(before: SummaryColumns, bought: PurchaseColumns) -> PurchaseColumns:
    """Return the purchases with values that can be added without bound, if they are so large."""
    largest = float(np.abs(bought.value.astype(np.float64)).sum())
    for known in (before.revenue, before.first_day_value, before.values):
        largest += float(np.abs(known.astype(np.float64)).max(initial=0))
    return bought if largest < LARGEST else replace(bought, value=bought.value.astype(object))


def makes_purchase_day(before: SummaryColumns, bought: PurchaseColumns, begins: Bools) -> Bools:
    """Say which purchases lie on a later day than all before them."""
    known = before.states.purchase_days > 0
    last = np.where(known, before.states.last_day, _BEFORE_ALL)[bought.owner]
    low = min(int(bought.day.min()), 0)
    width = int(bought.day.max()) - low + 1
    latest = np.maximum.accumulate(bought.owner * width + (bought.day - low))
    earlier = np.r_[0, latest[:-1]] - bought.owner * width + low
    found: Bools = bought.day > np.maximum(np.where(begins, _BEFORE_ALL, earlier), last)
    return found


@dataclass(frozen=True)
class _Days:
    """New purchase days, in order of owner and time.

    `start` is the place of the owner's first of them, and `former` the purchase day before each,
    or the day itself where there is none.
    """

    owner: Ints
    at: Ints
    day: Ints
    value: Column
    begins: Bools
    start: Ints
    former: Ints
    number: Ints
    """How many purchase days the customer then has."""

    @classmethod
    def of(cls, before: SummaryColumns, first: PurchaseColumns, value: Column) -> "_Days":
        owner, day = first.owner, first.day
        begins = np.r_[True, owner[1:] != owner[:-1]][: len(owner)]
        place = np.arange(len(owner))
        start = np.maximum.accumulate(np.where(begins, place, 0))
        known = before.states.purchase_days[owner]
        earlier = np.where(known > 0, before.states.last_day[owner], day)
        former = np.where(begins, earlier, np.r_[0, day[:-1]][: len(day)])
        return cls(owner, first.at, day, value, begins, start, former, known + place - start + 1)

    @property
    def gap(self) -> Ints:
        """The days since the purchase day before, 0 for the first."""
        return self.day - self.former

    def points(self, before: SummaryColumns, limit: InactivityLimit) -> PointColumns:
        """Return the states of which each purchase day begins one."""
        states, owner = before.states, self.owner
        new_life = self._new_lives(before, limit)
        place = np.arange(len(owner))
        life = np.maximum.accumulate(np.where(new_life, place, -1))
        here = life >= self.start
        at_life = np.where(here, life, 0)
        begun = np.cumsum(new_life)
        earlier = begun[self.start] - new_life[self.start] if len(owner) else begun
        former_days = states.life_purchase_days[owner] + place - self.start + 1
        first = np.where(
            states.purchase_days[owner] > 0, states.first_day[owner], self.day[self.start]
        )
        columns = Columns(
            purchase_days=self.number,
            first_day=first,
            last_day=self.day,
            life_start_day=np.where(here, self.day[at_life], states.life_start_day[owner]),
            life_purchase_days=np.where(here, place - at_life + 1, former_days),
            lives=states.lives[owner] + begun - earlier,
        )
        return PointColumns(owner, self.at, self.day, columns)

    def _new_lives(self, before: SummaryColumns, limit: InactivityLimit) -> Bools:
        """Say which purchase days begin a life, as `facts.next_state` does."""
        found: Bools = self.number == 1
        states = before.states
        start_day = np.where(states.purchase_days > 0, states.life_start_day, 0)
        start_number = states.purchase_days - states.life_purchase_days + 1
        firsts = np.flatnonzero(found)
        start_day[self.owner[firsts]] = self.day[firsts]
        start_number[self.owner[firsts]] = 1
        for rows in _rounds(self.owner, np.flatnonzero(limit.may_end(self.former, self.day))):
            own = self.owner[rows]
            days = self.number[rows] - start_number[own]
            allowed = limit.after_each(start_day[own], self.former[rows], days)
            ended = rows[self.gap[rows] > allowed]
            found[ended] = True
            start_day[self.owner[ended]] = self.day[ended]
            start_number[self.owner[ended]] = self.number[ended]
        return found


def _rounds(owner: Ints, rows: Ints) -> list[Ints]:
    """Return the first row of each owner, then the second of each, and so on."""
    own = owner[rows]
    begins = np.r_[True, own[1:] != own[:-1]][: len(own)]
    place = np.arange(len(rows))
    turn = place - np.maximum.accumulate(np.where(begins, place, 0))
    order = np.argsort(turn, kind="stable")
    return np.split(rows[order], np.flatnonzero(np.diff(turn[order])) + 1) if len(rows) else []


def _summarise(
    before: SummaryColumns,
    bought: PurchaseColumns,
    days: _Days,
    points: PointColumns,
    still: Ints,
    worth: Column,
) -> SummaryColumns:
    """Return the summaries after the purchases, of which those `still` belong to the last day."""
    n = len(before)
    large = object if bought.value.dtype == object else np.int64
    values = before.values.astype(large)
    paid = before.paid_days.copy()
    paid[still] += (values[0, still] == 0) & (worth > 0)
    values[0, still] = values[0, still] + worth
    first_value = before.first_day_value.astype(large)
    on_first = before.states.purchase_days[still] == 1
    first_value[still[on_first]] = first_value[still[on_first]] + worth[on_first]
    firsts = np.flatnonzero(days.number == 1)
    first_value[days.owner[firsts]] = days.value[firsts]
    paid += np.bincount(days.owner[days.value > 0], minlength=n)
    added = np.bincount(days.owner, minlength=n)
    last = np.cumsum(added) - 1
    begins = np.flatnonzero(np.r_[True, bought.owner[1:] != bought.owner[:-1]])
    owners = bought.owner[begins]
    ends = np.r_[begins[1:], len(bought)] - 1
    revenue = before.revenue.astype(large)
    revenue[owners] = revenue[owners] + np.add.reduceat(bought.value, begins)
    facts, until = before.facts.copy(), before.facts_until.copy()
    facts[owners] += ends - begins + 1
    until[owners] = bought.at[ends]
    return replace(
        before,
        facts=facts,
        facts_until=until,
        states=_ends(before.states, points, added, last),
        revenue=revenue,
        first_day_value=first_value,
        paid_days=paid,
        sum_log_gaps=_sum_log_gaps(before.sum_log_gaps, days),
        gaps=_recent(before.gaps, days.gap, added, last),
        values=_recent(values, days.value, added, last),
    )


def _ends(states: Columns, points: PointColumns, added: Ints, last: Ints) -> Columns:
    """Return the state of each customer after the points."""
    moved = np.flatnonzero(added)
    columns = []
    for name in Columns.__dataclass_fields__:
        column = getattr(states, name).copy()
        column[moved] = getattr(points.states, name)[last[moved]]
        columns.append(column)
    return Columns(*columns)


def _recent(before: Column, new: Column, added: Ints, last: Ints) -> Column:
    """Return what of the new ones are the last three, and those of before that still are."""
    found = before.copy()
    for place in range(RECENT):
        here = np.flatnonzero(added > place)
        found[place, here] = new[last[here] - place]
        for count in range(1, place + 1):
            kept = np.flatnonzero(added == count)
            found[place, kept] = before[place - count, kept]
    return found


def _sum_log_gaps(before: Floats, days: _Days) -> Floats:
    """Add ln(gap) one after another, so that adding anew or going on gives the same bits."""
    total = before.copy()
    rows = np.flatnonzero(days.number > 1)
    logs = np.zeros(len(days.day))
    logs[rows] = _log(days.gap[rows])
    for turn, more in enumerate(_rounds(days.owner, rows)):
        if turn and len(more) <= _FEW:
            for row in more.tolist():
                owner = days.owner[row]
                end = np.searchsorted(days.owner, owner, side="right")
                total[owner] = np.cumsum(np.r_[total[owner], logs[row:end]])[-1]
            break
        total[days.owner[more]] += logs[more]
    return total


_LOGS = np.array([0.0, *(math.log(gap) for gap in range(1, 4096))])


def _log(gaps: Ints) -> Floats:
    """Return the logarithms as `math.log` has them: numpy's may differ in the last bit."""
    found = _LOGS[np.minimum(gaps, len(_LOGS) - 1)]
    for row in np.flatnonzero(gaps >= len(_LOGS)).tolist():
        found[row] = math.log(int(gaps[row]))
    return found
