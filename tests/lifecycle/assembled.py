"""Records put together from what happened to people, as the services do it from the database."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from app.lifecycle.dated import Interactions, objects
from app.lifecycle.facts import NO_PURCHASES, RECENT, Point, Summary, fold
from app.lifecycle.history import History, trace
from app.lifecycle.instants import Customers, DayStart, Override, PolicyPeriod
from app.lifecycle.money import NOTHING, MonetaryState, replay
from app.lifecycle.policy import Policy
from app.lifecycle.purchase_steps import purchases_of
from app.lifecycle.purchases import FREE
from app.lifecycle.purchases import Fact as LifecycleFact
from app.lifecycle.records import (
    Columns,
    Computed,
    Money,
    Profiles,
    PurchaseFilter,
    Purchases,
    Records,
    Span,
)
from app.lifecycle.variables.definition import Term
from app.lifecycle.variables.model import TIERS
from app.lifecycle.variables.registry import VARIABLES
from app.lifecycle.variables.transactions import filter_of
from tests.slow_history import differs
from tests.slow_policy import Change, Decision, Person, Slow, Value, share_of
from tests.slow_profile import EVER, instants
from tests.twin import Fact, start_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIELDS = {field for row in VARIABLES.values() for field in row.columns}
DATES = {"birth_date", "contract_ends_on"}


def micros(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def instant(at: int) -> datetime:
    return EPOCH + timedelta(microseconds=at)


def day_number(day: date) -> int:
    return (day - EPOCH.date()).days


def day_of(at: datetime, zone: ZoneInfo) -> int:
    return day_number(at.astimezone(zone).date())


def starts_in(zone: ZoneInfo) -> DayStart:
    def starts(days: Any) -> Any:
        found = [start_of(zone, EPOCH.date() + timedelta(days=int(day))) for day in days]
        return np.array([micros(start) for start in found], dtype=np.int64)

    return starts


def as_lifecycle(fact: Fact, zone: ZoneInfo) -> LifecycleFact:
    refunds = None if fact.kind == "purchase" else fact.refunds or FREE
    return LifecycleFact(
        micros(fact.at),
        day_of(fact.at, zone),
        int(fact.value * 10_000),
        fact.name,
        refunds,
        int(fact.amount * 10_000),
        fact.currency,
    )


def worth_of(at: int, summary: Summary) -> MonetaryState:
    """Return the sums of a summary, as they hold from an instant."""
    return MonetaryState(at, *(getattr(summary, name) for name in MonetaryState._fields[1:]))


def money(worth: Sequence[MonetaryState]) -> Money:
    def recent(rows: list[tuple[int, ...]]) -> Any:
        padded = [(*row, *([0] * (RECENT - len(row)))) for row in rows]
        return np.array(padded, dtype=np.int64).reshape(len(rows), RECENT).T

    sums = [[each[place] for each in worth] for place in range(1, 4)]
    return Money(
        *(np.array(each, dtype=np.int64) for each in sums),
        recent([each.gaps for each in worth]),
        recent([each.values for each in worth]),
    )


def interactions(rows: Sequence[tuple[int, int, int, str, int, float | None]]) -> Interactions:
    """Return columns of (owner, at, day, kind, count, score)."""
    rows = sorted(rows, key=lambda row: row[:2])
    kind = np.empty(len(rows), dtype=object)
    kind[:] = [row[3] for row in rows]
    owner, at, day, count = (
        np.array([row[place] for row in rows], dtype=np.int64) for place in (0, 1, 2, 4)
    )
    score = np.array([np.nan if row[5] is None else row[5] for row in rows], dtype=np.float64)
    return Interactions(owner, at, day, kind, count, score)


def profiles(held: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return profiles as columns."""
    found: dict[str, Any] = {}
    for name in FIELDS - DATES - {"attributes"}:
        found[name] = objects([each.get(name) for each in held])
    found["attributes"] = objects([each.get("attributes") or {} for each in held])
    for name in DATES:
        days = [each.get(name) for each in held]
        found[name] = np.array(
            [np.nan if on is None else day_number(on) for on in days], dtype=np.float64
        )
    return found


def profiles_through_time(people: Sequence[Person]) -> Profiles:
    """Return profiles from the beginning, and from each instant since which anything is true."""
    periods = [
        (owner, at, each.profile_at(at))
        for owner, each in enumerate(people)
        for at in sorted({EVER, *instants(each.told)})
    ]
    owners = np.array([owner for owner, _, _ in periods], dtype=np.int64)
    starts = np.array([micros(at) for _, at, _ in periods], dtype=np.int64)
    return Profiles(owners, starts, profiles([held for _, _, held in periods]))


def purchases(
    people: Sequence[Person], terms: Sequence[Term], now: datetime
) -> dict[PurchaseFilter, Purchases]:
    """Return, for each filter of terms, what facts up to an instant count for through time."""
    found = {}
    for term in terms:
        if "transactions" in term.needs:
            customers = []
            for each in people:
                so_far = [fact for fact in each.facts if fact.at <= now]
                shares = {fact.name: share_of(fact, dict(term.given)) for fact in so_far}
                fitting = {name: share for name, share in shares.items() if share is not None}
                customers.append(([as_lifecycle(fact, each.zone) for fact in so_far], fitting))
            found[filter_of(term)] = purchases_of(customers)
    return found


def stand_in(
    names: frozenset[str], columns: Columns, money: Money, day: Any
) -> dict[str, NDArray[np.float64]]:
    """Compute what a model would, by formulas that a twin can follow."""
    rows = zip(columns.purchase_days, columns.first_day, columns.last_day, money.revenue, day,
               strict=True)  # fmt: skip
    listed = [tuple(map(int, row)) for row in rows]
    return {name: np.array([formula(name, *row) for row in listed], float) for name in names}


def formula(name: str, days: int, first: int, last: int, revenue: int, today: int) -> float:
    if days == 0:
        return math.nan
    inactivity, gap = today - last, (last - first + 40) / (days + 1)
    return {
        "usual_gap_days": gap,
        "inactivity_to_usual_gap": inactivity / gap,
        "r": max(5 - inactivity // 20, 1),
        "f": min(days, 5),
        "m": 1 + (revenue > 0) + (revenue > 100_000),
        "churn_probability": 1 - math.exp(-inactivity / 50),
        "value_tier": max(2 - inactivity // 45, 0),
    }[name]


def slow_stand_in(slow: Slow, name: str, t: datetime) -> Value:
    """Return what the stand-in says of a customer, in the words of the slow evaluator."""
    values, _ = slow.purchases(t)
    if not values:
        return None
    days = [day_number(day) for day in values]
    revenue = slow.value({"variable": "revenue"}, t)
    assert isinstance(revenue, float)
    found = formula(
        name, len(days), days[0], days[-1], round(revenue * 10_000),
        day_number(slow.person.day(t)),
    )  # fmt: skip
    return TIERS[int(found)] if name == "value_tier" else float(found)


def at_instant(
    people: Sequence[Person],
    policy: Policy,
    now: datetime,
    *,
    by_day: bool = False,
    computed: Computed = stand_in,
) -> Records:
    """Return one record each; `by_day` counts the interactions of days that are over together."""
    n, zone = len(people), people[0].zone
    today = day_of(now, zone)
    summaries = [
        fold(
            [as_lifecycle(fact, zone) for fact in each.facts],
            policy.inactivity_limit,
            until=micros(now),
        )[0]
        for each in people
    ]
    events: list[tuple[int, int, int, str, int, float | None]] = []
    for owner, person in enumerate(people):
        counted: dict[tuple[int, str], int] = {}
        for each in person.interactions:
            day = day_of(each.at, zone)
            if each.at > now:
                continue
            if by_day and day < today:
                counted[day, each.kind] = counted.get((day, each.kind), 0) + 1
                if each.score is not None:
                    events.append((owner, micros(each.at), day, each.kind, 0, each.score))
            else:
                events.append((owner, micros(each.at), day, each.kind, 1, each.score))
        for (day, kind), count in counted.items():
            start = micros(start_of(zone, EPOCH.date() + timedelta(days=day)))
            events.append((owner, start, day, kind, count, None))
    return Records(
        inactivity_limit=policy.inactivity_limit,
        owner=np.arange(n),
        at=np.full(n, micros(now)),
        day=np.full(n, today),
        span=Span.on(np.full(n, today)),
        columns=Columns.of([each.state for each in summaries]),
        money=money([worth_of(0, each) for each in summaries]),
        interactions=interactions(events),
        purchases=purchases(people, policy.terms, now),
        profiles=Profiles.constant(profiles([each.profile_at(now) for each in people]), n),
        computed=computed,
    )


def through_time(
    people: Sequence[Person],
    policies: Sequence[Policy],
    now: datetime,
    *,
    computed: Computed = stand_in,
) -> list[Records]:
    """Return for each policy a record for each instant at which its rules may look anew."""
    return [_through_time(people, policy, now, computed) for policy in policies]


def _through_time(
    people: Sequence[Person], policy: Policy, now: datetime, computed: Computed
) -> Records:
    events = [
        (owner, micros(each.at), day_of(each.at, each_person.zone), each.kind, 1, each.score)
        for owner, each_person in enumerate(people)
        for each in each_person.interactions
        if each.at <= now and _wanted(each.kind, policy.terms)
    ]
    worth = policy.follows_transactions
    return replace(
        _followed(people, policy, events, now, worth=worth),
        interactions=interactions(events),
        purchases=purchases(people, policy.terms, now),
        profiles=profiles_through_time(people),
        computed=computed,
    )


def _wanted(kind: str, terms: Sequence[Term]) -> bool:
    asked = [term.kinds for term in terms if term.variable.source == "interactions"]
    return any(kinds is None or kind in kinds for kinds in asked)


def _followed(
    people: Sequence[Person],
    policy: Policy,
    events: Sequence[tuple[Any, ...]],
    now: datetime,
    *,
    worth: bool,
) -> Records:
    limit = policy.inactivity_limit
    cells = {cell for term in policy.terms for cell in term.cells}
    owners: list[int] = []
    merged: list[Point] = []
    sums: list[MonetaryState] = []
    for owner, person in enumerate(people):
        facts = [as_lifecycle(fact, person.zone) for fact in person.facts]
        points = fold(facts, limit, until=micros(now))[1]
        worths = replay(facts, until=micros(now)) if worth else []
        new = {point.at for point in points} | {each.at for each in worths}
        new |= {event[1] for event in events if event[0] == owner}
        happened = [each.at for each in (*person.facts, *person.interactions)]
        first = min([person.begun_at, *happened])
        new.add(micros(first))
        new |= {
            micros(at)
            for at in instants(person.told)
            if first < at <= now and any(differs(person, cell, at) for cell in cells)
        }
        states = [NO_PURCHASES, *(point.state for point in points)]
        starts = [point.at for point in points]
        steps, step_starts = [NOTHING, *worths], [each.at for each in worths]
        for at in sorted(new):
            day = day_of(instant(at), person.zone)
            merged.append(Point(at, day, states[bisect_right(starts, at)]))
            owners.append(owner)
            sums.append(steps[bisect_right(step_starts, at)])
    owner_of = np.array(owners, dtype=np.int64)
    days = np.array([point.day for point in merged], dtype=np.int64)
    return Records(
        inactivity_limit=limit,
        owner=owner_of,
        at=np.array([point.at for point in merged], dtype=np.int64),
        day=days,
        span=Span.until_next(owner_of, days),
        columns=Columns.of([point.state for point in merged]),
        money=money(sums) if worth else None,
    )


def followed(
    people: Sequence[Person],
    regime: Sequence[tuple[Policy, datetime | None]],
    now: datetime,
    decisions: dict[int, Sequence[Decision]] | None = None,
    computed: Computed = stand_in,
) -> History:
    """Trace people through policies, of which the first has been in force for ever."""
    zone = people[0].zone
    policies = [policy for policy, _ in regime]
    found = through_time(people, policies, now, computed=computed)
    periods = [
        PolicyPeriod(policy, records)
        if start is None
        else PolicyPeriod(policy, records, micros(start), day_of(start, zone))
        for (policy, start), records in zip(regime, found, strict=True)
    ]
    customers = Customers(
        until=np.full(len(people), micros(now)),
        until_day=np.full(len(people), day_of(now, zone)),
        known=np.zeros(len(people), dtype=bool),
        overrides={
            owner: [override(each, zone) for each in made]
            for owner, made in (decisions or {}).items()
        },
        purchases={
            owner: {
                micros(fact.at): day_of(fact.at, zone)
                for fact in people[owner].facts
                if fact.kind == "purchase"
            }
            for owner in decisions or {}
        },
    )
    return trace(periods, customers, starts_in(zone))


def override(decision: Decision, zone: ZoneInfo) -> Override:
    until = decision.until
    return Override(
        at=micros(decision.at),
        day=day_of(decision.at, zone),
        stage=decision.stage,
        until=None if until is None else micros(until),
        until_day=0 if until is None else day_of(until, zone),
        reason="a reason",
        actor="somebody",
    )


def changes(history: History, owner: int = 0) -> list[Change]:
    """Return the transitions of one customer in the words of the slow evaluator."""
    return [
        Change(
            transition.from_stage,
            transition.to_stage,
            instant(transition.at),
            transition.cause,
            transition.rule,
        )
        for transition in history.transitions()
        if transition.owner == owner
    ]
