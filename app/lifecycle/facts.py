"""From the facts of one customer to what they amount to, and to every state on the way there.

`purchases` says what refunds leave of each purchase, and from when on. Facts later than the asked
instant count for nothing.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.purchases import Fact, Purchase, set_off


class State(NamedTuple):
    """The purchase days of a customer after one of them."""

    purchase_days: int
    first_day: int
    last_day: int
    life_start_day: int
    life_purchase_days: int
    lives: int


NO_PURCHASES = State(0, 0, 0, 0, 0, 0)


class Point(NamedTuple):
    """A state, and the instant and day from which it held."""

    at: int
    day: int
    state: State


class Summary(NamedTuple):
    """What the facts up to an instant amount to; true until `next_fact_at`.

    `gaps` are those before the last three purchase days and `values` what these are worth, the
    latest first. Lives are counted by the silence that the policy of `policy_version` allows.
    """

    facts: int
    refunds: int
    facts_until: int | None
    next_fact_at: int | None
    state: State
    revenue: int
    first_day_value: int
    last_day_value: int
    paid_days: int
    refund_excess: int
    sum_log_gaps: float
    gaps: tuple[int, ...] = ()
    values: tuple[int, ...] = ()
    policy_version: int = 0


EMPTY = Summary(0, 0, None, None, NO_PURCHASES, 0, 0, 0, 0, 0, 0.0)
RECENT = 3
"""How many of the last gaps and values are kept: enough to tell a trend."""


def next_state(state: State, day: int, limit: InactivityLimit) -> State:
    """Return the state after a purchase day; a silence past the limit before it begins a life."""
    days, first, last, life_start, life_days, lives = state
    if days == 0:
        return State(1, day, day, day, 1, 1)
    inactivity = day - last
    if inactivity > limit.least_days and inactivity > limit.after(life_start, last, life_days):
        return State(days + 1, first, day, day, 1, lives + 1)
    return State(days + 1, first, day, life_start, life_days + 1, lives)


def fold(
    facts: Iterable[Fact], limit: InactivityLimit, *, until: int
) -> tuple[Summary, list[Point]]:
    """Fold all facts of one customer, in any order, as they stood at `until`."""
    counted: list[Fact] = []
    later: list[Fact] = []
    for fact in facts:
        (counted if fact.at <= until else later).append(fact)
    netted = set_off(counted, until=until)
    purchases = netted.purchases
    points, states = sweep(purchases, limit)
    value_of: dict[int, int] = {}
    for purchase in purchases:
        if purchase.refunded is None:
            value_of[purchase.day] = value_of.get(purchase.day, 0) + purchase.net
    state = states[-1] if states else NO_PURCHASES
    summary = Summary(
        facts=len(counted) + len(later),
        refunds=sum(fact.refunds is not None for group in (counted, later) for fact in group),
        facts_until=max((fact.at for fact in counted), default=None),
        next_fact_at=min((fact.at for fact in later), default=None),
        state=state,
        revenue=sum(value_of.values()),
        first_day_value=value_of.get(state.first_day, 0),
        last_day_value=value_of.get(state.last_day, 0),
        paid_days=sum(value > 0 for value in value_of.values()),
        refund_excess=sum(each.value for each in netted.unallocated),
        sum_log_gaps=_sum_log_gaps([state.last_day for state in states]),
        gaps=recent_gaps([state.last_day for state in states[-RECENT - 1 :]]),
        values=tuple(value_of[state.last_day] for state in states[: -RECENT - 1 : -1]),
    )
    return summary, points


def lives(facts: Iterable[Fact], limit: InactivityLimit, *, until: int) -> list[State]:
    """Return the state at the end of each life of a customer, as facts stood at `until`."""
    purchases = set_off(facts, until=until).purchases
    return list({state.lives: state for state in sweep(purchases, limit)[1]}.values())


def recent_gaps(days: Sequence[int]) -> tuple[int, ...]:
    """Return the gaps between the last purchase days, the latest first."""
    last = days[-RECENT - 1 :]
    return tuple(after - before for before, after in pairwise(last))[::-1]


def extend(
    summary: Summary, purchases: Sequence[Fact], limit: InactivityLimit
) -> tuple[Summary, list[Point]]:
    """Add purchases that are in order of time, none before `summary.facts_until`.

    Equals `fold` of all facts when no refund is on file and no fact is waiting for its time.
    """
    state, points = summary.state, []
    added, first_value = 0, summary.first_day_value
    gaps, values = summary.gaps, summary.values
    paid_days, log_gaps = summary.paid_days, summary.sum_log_gaps
    for fact in purchases:
        if state.purchase_days == 0 or fact.day > state.last_day:
            if state.purchase_days:
                log_gaps += math.log(fact.day - state.last_day)
                gaps = (fact.day - state.last_day, *gaps)[:RECENT]
            state = next_state(state, fact.day, limit)
            points.append(Point(fact.at, fact.day, state))
            values = (0, *values)[:RECENT]
        paid_days += values[0] == 0 and fact.value > 0
        values = (values[0] + fact.value, *values[1:])
        first_value += fact.value if fact.day == state.first_day else 0
        added += fact.value
    return summary._replace(
        facts=summary.facts + len(purchases),
        facts_until=purchases[-1].at,
        state=state,
        revenue=summary.revenue + added,
        first_day_value=first_value,
        last_day_value=values[0],
        paid_days=paid_days,
        sum_log_gaps=log_gaps,
        gaps=gaps,
        values=values,
    ), points


def sweep(purchases: Sequence[Purchase], limit: InactivityLimit) -> tuple[list[Point], list[State]]:
    """Follow the purchase days through time; return each change, and the states at the end."""
    refunded = [
        (purchase.day, purchase.refunded) for purchase in purchases if purchase.refunded is not None
    ]
    if not refunded:
        return _rise(purchases, limit)
    events = [(purchase.at, purchase.day, purchase.day, False) for purchase in purchases]
    events += [(since.at, since.day, day, True) for day, since in refunded]
    events.sort()
    standing: dict[int, int] = {}
    states: list[State] = []
    points: list[Point] = []
    for at, today, day, cancels in events:
        before = standing.get(day, 0)
        standing[day] = after = before - 1 if cancels else before + 1
        if before and after:
            continue
        if after and (not states or day > states[-1].last_day):
            states.append(next_state(states[-1] if states else NO_PURCHASES, day, limit))
        else:
            _set_day(states, day, limit, stands=bool(after))
        if points and points[-1].at == at:
            points.pop()
        state = states[-1] if states else NO_PURCHASES
        # A purchase refunded in full as it happened changes nothing.
        if state != (points[-1].state if points else NO_PURCHASES):
            points.append(Point(at, today, state))
    return points, states


def _rise(purchases: Sequence[Purchase], limit: InactivityLimit) -> tuple[list[Point], list[State]]:
    """Do what `sweep` does where purchase days are only added: in order of time, each once."""
    state = NO_PURCHASES
    states: list[State] = []
    points: list[Point] = []
    for at, day in sorted([(purchase.at, purchase.day) for purchase in purchases]):
        if day > state.last_day or not states:
            state = next_state(state, day, limit)
            states.append(state)
            points.append(Point(at, day, state))
    return points, states


def _set_day(states: list[State], day: int, limit: InactivityLimit, *, stands: bool) -> None:
    """Add a purchase day to the ordered states or take it out, and redo what follows it."""
    place = bisect_left(states, day, key=itemgetter(2))
    following = [state.last_day for state in states[place:] if state.last_day != day]
    del states[place:]
    for each in [day, *following] if stands else following:
        states.append(next_state(states[-1] if states else NO_PURCHASES, each, limit))


def _sum_log_gaps(days: Sequence[int]) -> float:
    """Sum ln(gap) from the first gap to the last, in that order, so that `extend` adds alike."""
    total = 0.0
    for before, after in pairwise(days):
        total += math.log(after - before)
    return total
