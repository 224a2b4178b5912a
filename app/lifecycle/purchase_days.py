"""The facts of a customer by day: what decides states, however many facts there are on each.

A state is a function of the days alone: of when each began to be a purchase day and, where refunds
took all of it back, ceased to be one. A customer with 100,000 facts has a few thousand days.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from app.lifecycle.dated import Ints
from app.lifecycle.facts import NO_PURCHASES, RECENT, State, Summary, fold, recent_gaps
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.purchases import FOR_ALL_TIME, Fact, Purchase
from app.lifecycle.records import Columns
from app.lifecycle.summary_columns import PointColumns

Turn = tuple[int, int]
"""An instant at which a day becomes a purchase day or ceases to be one, and its own day."""


class PurchaseDay(NamedTuple):
    """The purchases of one day: how many, and what refunds leave of their value.

    `turns` are the instants at which it became a purchase day and ceased to be one, by turns.
    """

    day: int
    purchases: int
    value: int
    turns: tuple[Turn, ...]


class PurchaseDays(NamedTuple):
    """All days of a customer with purchases.

    `day` and `begins` are columns, in order of days, of those that stayed purchase days;
    `turns` has the others. `last_values` are those of the last purchase days, the latest first.
    """

    day: Ints
    begins: Ints
    turns: Mapping[int, Sequence[Turn]]
    revenue: int
    paid_days: int
    first_value: int
    last_values: tuple[int, ...]

    @classmethod
    def of(cls, days: Iterable[PurchaseDay]) -> "PurchaseDays":
        """Return the days of a customer as columns."""
        rows = sorted(days)
        stayed = [row for row in rows if len(row.turns) == 1]
        values = [row.value for row in rows if len(row.turns) % 2]
        return cls(
            np.array([row.day for row in stayed], dtype=np.int64),
            np.array([row.turns[0][0] for row in stayed], dtype=np.int64),
            {row.day: row.turns for row in rows if len(row.turns) != 1},
            sum(values),
            sum(value > 0 for value in values),
            values[0] if values else 0,
            tuple(values[: -RECENT - 1 : -1]),
        )

    @property
    def begun(self) -> int:
        """Return when the first of them became a purchase day."""
        begins = [turns[0][0] for turns in self.turns.values() if turns]
        return min([*begins, *self.begins[:1].tolist()], default=FOR_ALL_TIME)

    @property
    def in_order(self) -> bool:
        """Whether days begin in their order: there are zones in which one has begun twice."""
        begun = {day: turns[0][0] for day, turns in self.turns.items() if turns}
        day = np.concatenate([self.day, np.array(list(begun), dtype=np.int64)])
        begins = np.concatenate([self.begins, np.array(list(begun.values()), dtype=np.int64)])
        return bool((np.diff(begins[np.argsort(day)]) > 0).all())


def by_day(purchases: Iterable[Purchase]) -> list[PurchaseDay]:
    """Return the days of purchases, after refunds."""
    grouped: dict[int, list[Purchase]] = {}
    for purchase in purchases:
        grouped.setdefault(purchase.day, []).append(purchase)
    return [
        PurchaseDay(
            day,
            len(own),
            sum(purchase.net for purchase in own if purchase.refunded is None),
            tuple(_turns(own)),
        )
        for day, own in grouped.items()
    ]


def _turns(purchases: Sequence[Purchase]) -> list[Turn]:
    """Return when a day became a purchase day and ceased to be one; at one instant, the end."""
    steps: dict[Turn, int] = {}
    for purchase in purchases:
        bought = purchase.at, purchase.day
        steps[bought] = steps.get(bought, 0) + 1
        if purchase.refunded is not None:
            ended = purchase.refunded.at, purchase.refunded.day
            steps[ended] = steps.get(ended, 0) - 1
    turns: list[Turn] = []
    standing = 0
    for turn in sorted(steps):
        before, standing = standing, standing + steps[turn]
        if (before > 0) is not (standing > 0):
            turns.append(turn)
    return turns


def fold_days(
    days: PurchaseDays, counted: Summary, limit: InactivityLimit, *, since: int | None = None
) -> tuple[Summary, PointColumns]:
    """Return what `fold` makes of all facts, from the days on which purchases were made.

    They are in order. `counted` says what days do not: how many facts there are, when, and the
    excess of refunds.
    With `since`, the points are those after it, behind the one that was in force then.
    """
    if days.turns:
        folded, listed = fold(_stand_ins(days), limit, until=FOR_ALL_TIME)
        found = folded.state, folded.sum_log_gaps, folded.gaps
        if since is not None:
            listed = listed[max(bisect_right(listed, since, key=itemgetter(0)) - 1, 0) :]
        points = PointColumns.of([listed])
    else:
        found, points = _rise(days, limit, since)
    state, sum_log_gaps, gaps = found
    return counted._replace(
        state=state,
        revenue=days.revenue,
        first_day_value=days.first_value,
        last_day_value=days.last_values[0] if days.last_values else 0,
        paid_days=days.paid_days,
        sum_log_gaps=sum_log_gaps,
        gaps=gaps,
        values=days.last_values,
    ), points


def _stand_ins(days: PurchaseDays) -> list[Fact]:
    """Return one purchase for each time that a day was a purchase day, refunded at its end."""
    facts = [
        Fact(at, day, 1, (str(day), ""), None, 1, "")
        for day, at in zip(days.day.tolist(), days.begins.tolist(), strict=True)
    ]
    for day, turns in days.turns.items():
        for number, (at, today) in enumerate(turns):
            key = str(day), str(number - number % 2)
            if number % 2:
                facts.append(Fact(at, today, 1, (*key[:1], str(number)), key, 1, ""))
            else:
                facts.append(Fact(at, day, 1, key, None, 1, ""))
    return facts


def _rise(
    days: PurchaseDays, limit: InactivityLimit, since: int | None
) -> tuple[tuple[State, float, tuple[int, ...]], PointColumns]:
    """Fold days of which none ceased to be one: only where a silence is long can a life end."""
    day = days.day.tolist()
    n = len(day)
    if not n:
        return (NO_PURCHASES, 0.0, ()), PointColumns.of([])
    gaps = np.diff(days.day)
    starts = [0]
    for last in np.flatnonzero(limit.may_end(days.day[:-1], days.day[1:])).tolist():
        if gaps[last] > limit.after(day[starts[-1]], day[last], last + 1 - starts[-1]):
            starts.append(last + 1)
    total = 0.0
    for each in map(math.log, gaps.tolist()):  # from the first gap to the last, as `fold` adds
        total += each
    first = 0
    if since is not None:
        first = max(int(np.searchsorted(days.begins, since, side="right")) - 1, 0)
    place = np.arange(first, n)
    lives = np.searchsorted(starts, place, side="right")
    start = np.array(starts, dtype=np.int64)[lives - 1]
    states = Columns(
        place + 1,
        np.full(n - first, day[0]),
        days.day[first:],
        days.day[start],
        place + 1 - start,
        lives,
    )
    owner = np.zeros(n - first, dtype=np.int64)
    points = PointColumns(owner, days.begins[first:], days.day[first:], states)
    last = n - starts[-1]
    state = State(n, day[0], day[-1], day[starts[-1]], last, len(starts))
    return (state, total, recent_gaps(day[-RECENT - 1 :])), points
