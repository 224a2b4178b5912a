"""Where days that are told by what they are worth in the end do not say what happened in them.

While a day of purchases without refunds passes, what rules look at lies between what it is without
the day's money and with all of it (`Variable.lies_between`). Where a comparison says the same of
both, it says so all day; where none turns and no stage changes, no fact of the day is needed.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from app.lifecycle.dated import Bools, Column, Ints, last_place
from app.lifecycle.expressions import Compare, Values, compare, comparisons
from app.lifecycle.history import History
from app.lifecycle.instants import PolicyPeriod
from app.lifecycle.money_by_day import WholeDays
from app.lifecycle.records import PurchaseFilter, Span
from app.lifecycle.variables.definition import Term
from app.lifecycle.variables.transactions import filter_of

_MONEY = {"money", "transactions"}


def by_line(terms: Sequence[Term]) -> bool:
    """Whether some term looks at purchases by their channels or lines."""
    return any(
        "transactions" in term.needs and filter_of(term) != PurchaseFilter() for term in terms
    )


def need_facts(terms: Sequence[Term]) -> bool:
    """Whether some term is told by no sums of days."""
    return by_line(terms) or not all(term.variable.lies_between for term in terms)


def undecided(history: History, whole: WholeDays) -> dict[int, set[int]]:
    """Return by owner the days of which a sum at the end does not tell all that happened."""
    found: dict[int, set[int]] = {}
    rows = history.rows
    place, here = _places(whole, rows.owner, rows.at, rows.day)
    parts = [place[here & history.changed]]
    parts += [_turning(period, whole) for period in history.periods]
    for each in np.unique(np.concatenate(parts)).tolist():
        found.setdefault(int(whole.without.owner[each]), set()).add(int(whole.day[each]))
    return found


def _places(whole: WholeDays, owner: Ints, at: Ints, day: Ints) -> tuple[Ints, Bools]:
    """Return the day that has begun last at instants, and whether it is theirs."""
    if not len(whole.day):
        return np.zeros(len(owner), np.int64), np.zeros(len(owner), np.bool_)
    place = last_place(whole.without.owner, whole.without.at, owner, at)
    return place, (place >= 0) & (whole.day[place] == day)


def _turning(period: PolicyPeriod, whole: WholeDays) -> Ints:
    """Return the places of days within which a comparison of a policy may turn."""
    records, policy = period.records, period.policy
    place, here = _places(whole, records.owner, records.at, records.day)
    rows = np.flatnonzero(here)
    money = [term for term in policy.terms if term.needs & _MONEY]
    if not len(rows) or not money:
        return np.zeros(0, np.int64)
    place, day = place[rows], records.day[rows]
    without = replace(
        records,
        owner=records.owner[rows],
        at=whole.without.at[place] - 1,
        day=day,
        span=Span.on(day),
        columns=records.columns.take(rows),
        money=whole.money.take(place),
    )
    after = records.values(policy.terms, rows, day)
    before = {**after, **without.values(money, np.arange(len(rows)), day)}
    turns = np.zeros(len(rows), np.bool_)
    for rule in policy.rules:
        for comparison in comparisons(rule.when):
            turns |= _may_turn(comparison, before, after, len(rows))
    return place[turns]


def _may_turn(comparison: Compare, before: Values, after: Values, n: int) -> Bools:
    """Say where a comparison may hold within a day otherwise than at its ends."""
    own = before[comparison.term], after[comparison.term]
    if isinstance(comparison.value, Term):
        return _differs(*own) | _differs(before[comparison.value], after[comparison.value])
    if own[0] is own[1]:
        return np.zeros(n, np.bool_)
    turns = np.isnan(own[0]) ^ np.isnan(own[1])
    for op, bound in comparison.thresholds() if comparison.op != "known" else ():
        assert not isinstance(bound, Term)
        turns |= compare(op, own[0], bound) ^ compare(op, own[1], bound)
    return np.asarray(turns, dtype=np.bool_)


def _differs(before: Column, after: Column) -> Bools:
    if before is after:
        return np.zeros(len(before), np.bool_)
    found: Bools = ~np.isclose(before, after, rtol=0, atol=0, equal_nan=True)
    return found
