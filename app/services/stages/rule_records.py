"""What rules look at, read for many customers: at one instant, or through all their history."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from app.days import AsOf, from_micros
from app.db import ReadSession
from app.deployment import Deployment
from app.lifecycle.dated import NEVER, Interactions, Ints
from app.lifecycle.facts import NO_PURCHASES, RECENT, Point
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.money import NOTHING, MonetaryState
from app.lifecycle.policy import Policy
from app.lifecycle.records import Columns, Computed, Money, Records, Span, Stages
from app.lifecycle.summary_columns import PointColumns
from app.lifecycle.variables.definition import Term
from app.lifecycle.variables.registry import sources
from app.services.customer_base import rule_facts, rule_purchases
from app.services.customer_base.populations import Population
from app.services.customer_base.rule_facts import Event, interaction_columns
from app.services.models import model_variables
from app.services.stages import rule_profiles, rule_stages


async def at_instant(
    session: ReadSession,
    deployment: Deployment,
    policy: Policy,
    population: Population,
    as_of: AsOf,
    terms: tuple[Term, ...] | None = None,
    *,
    since_day: int | None = None,
) -> Records:
    """Return one record a customer, enough for the rules of a policy or for given terms.

    The records are true of the day of `as_of`; with `since_day`, of all days from then on that
    come after the last fact of their customer.
    """
    asked = policy.terms if terms is None else terms
    needed = sources(asked)
    ids, n = population.customer_ids, len(population)
    first_day = as_of.day if since_day is None else min(since_day, as_of.day)
    since = rule_facts.looks_back_to(asked, first_day)
    interactions: Interactions | None = None
    if needed & {"interactions", "answers"}:
        events = await rule_facts.counted(session, asked, ids, as_of, since)
        interactions = interaction_columns(deployment, events, ids, since)
    stages = await rule_stages.read(session, deployment, ids, as_of) if "stage" in needed else None
    profiles, profile_since = await rule_profiles.at_instant(session, asked, ids, as_of)
    return Records(
        inactivity_limit=policy.inactivity_limit,
        owner=np.arange(n),
        at=np.full(n, as_of.micros),
        day=np.full(n, as_of.day),
        span=_since_last_fact(
            deployment, population, interactions, stages, profile_since, first_day, as_of
        ),
        columns=population.columns,
        money=population.money() if "money" in needed else None,
        interactions=interactions,
        purchases=await rule_purchases.at_instant(session, deployment, asked, ids, as_of, since),
        profiles=profiles,
        stages=stages,
        computed=await _computed(session, policy, asked),
    )


def _since_last_fact(
    deployment: Deployment,
    population: Population,
    interactions: Interactions | None,
    stages: Stages | None,
    profile_since: Ints | None,
    first_day: int,
    as_of: AsOf,
) -> Span:
    """Return the days up to `as_of` on which what was read of each customer was all there was."""
    starts = deployment.calendar.starts(np.arange(first_day, as_of.day + 1))
    facts_until = population.summaries.column("facts_until")
    if profile_since is not None:
        facts_until = np.maximum(facts_until, profile_since)
    first = first_day - 1 + np.searchsorted(starts, facts_until, side="right")
    first = np.maximum(first, first_day)
    if interactions is not None:
        np.maximum.at(first, interactions.owner, interactions.day)
    if stages is not None:
        first = np.fmax(first, stages.since_day).astype(np.int64)
    return Span(first, np.full(len(population), as_of.day))


def _money(worth: Sequence[MonetaryState]) -> Money:
    def recent(rows: list[tuple[int, ...]]) -> Any:
        padded = [(*row, *([0] * (RECENT - len(row)))) for row in rows]
        return np.array(padded, dtype=np.int64).reshape(len(rows), RECENT).T

    return Money(
        np.array([state.revenue for state in worth], dtype=np.int64),
        np.array([state.first_day_value for state in worth], dtype=np.int64),
        np.array([state.paid_days for state in worth], dtype=np.int64),
        recent([state.gaps for state in worth]),
        recent([state.values for state in worth]),
    )


async def _computed(session: ReadSession, policy: Policy, terms: Iterable[Term]) -> Computed | None:
    """Return how the variables of the policy's own model are computed, if any is asked for."""
    if "model" not in sources(terms) or policy.model_id is None:
        return None
    return await model_variables.of(session, policy.model_id)


@dataclass(frozen=True, slots=True)
class CustomerTimeline:
    """A customer whose stage is followed: what purchases amount to, and since when there is one.

    Without `begun_at` the first point is where the ledger stands, or the first purchase, before
    which nothing can have happened.
    """

    customer_id: str
    points: Sequence[Point]
    worth: Sequence[MonetaryState]
    begun_at: int | None


@dataclass(frozen=True, slots=True)
class Timelines:
    """Customers by number whose stages are followed, as columns; see `CustomerTimeline`."""

    customer_ids: Sequence[str]
    points: PointColumns
    worth: Mapping[int, Sequence[MonetaryState]]
    begun_at: Mapping[int, int]

    def customers(self) -> list[CustomerTimeline]:
        """Return the customers one by one."""
        own = self.points.points(len(self.customer_ids))
        return [
            CustomerTimeline(
                customer_id, own[number], self.worth.get(number, ()), self.begun_at.get(number)
            )
            for number, customer_id in enumerate(self.customer_ids)
        ]


async def through_time(
    session: ReadSession,
    deployment: Deployment,
    policies: Sequence[Policy],
    followed: Mapping[InactivityLimit, Timelines],
    until: AsOf,
) -> list[Records]:
    """Return for each policy a record for each instant at which its rules may look anew."""
    terms = tuple(dict.fromkeys(term for policy in policies for term in policy.terms))
    ids = list(next(iter(followed.values())).customer_ids)
    events: list[Event] = []
    interactions = None
    if sources(terms) & {"interactions", "answers"}:
        events = await rule_facts.events(session, terms, ids, until)
        interactions = interaction_columns(deployment, events, ids, NEVER)
    happened: dict[str, list[Event]] = {}
    for event in events:
        happened.setdefault(event.customer_id, []).append(event)
    profiles = await rule_profiles.through_time(session, terms, ids)
    purchases = await rule_purchases.through_time(session, terms, ids, until)
    made: dict[_RuleInputs, Records] = {}
    found = []
    for policy in policies:
        look = _RuleInputs.of(policy)
        if look not in made:
            records = _history(
                deployment, look, followed[policy.inactivity_limit], happened, profiles.turns
            )
            made[look] = replace(
                records,
                interactions=interactions,
                purchases=purchases,
                profiles=profiles.profiles,
            )
        computed = await _computed(session, policy, policy.terms)
        found.append(replace(made[look], computed=computed))
    return found


class _RuleInputs(NamedTuple):
    """What a policy looks at: what another looks at is no news to it."""

    inactivity_limit: InactivityLimit
    worth: bool
    kinds: frozenset[str] | None
    cells: frozenset[str]

    @classmethod
    def of(cls, policy: Policy) -> "_RuleInputs":
        kinds = rule_facts.kinds_of(policy.terms)
        worth = policy.follows_transactions
        cells = frozenset(cell for term in policy.terms for cell in term.cells)
        return cls(
            policy.inactivity_limit, worth, None if kinds is None else frozenset(kinds), cells
        )


def _history(
    deployment: Deployment,
    look: _RuleInputs,
    followed: Timelines,
    happened: Mapping[str, Sequence[Event]],
    turns: Mapping[str, Sequence[tuple[int, str]]],
) -> Records:
    """Return a record for each instant of a customer at which something is new."""
    if not (look.worth or happened or followed.begun_at):  # Purchase days alone are news.
        known = followed.points
        span = Span.until_next(known.owner, known.day)
        limit = look.inactivity_limit
        return Records(limit, known.owner, known.at, known.day, span, known.states)
    owner: list[int] = []
    points: list[Point] = []
    sums: list[MonetaryState] = []
    for number, each in enumerate(followed.customers()):
        worth = each.worth if look.worth else ()
        events = [
            event
            for event in happened.get(each.customer_id, ())
            if look.kinds is None or event.kind in look.kinds
        ]
        told = [at for at, cell in turns.get(each.customer_id, ()) if cell in look.cells]
        own = list(each.points)
        if each.begun_at is not None or worth or events:
            own = _merged(deployment, each, events, worth, told)
        owner += [number] * len(own)
        points += own
        if look.worth:
            sums += _in_force([point.at for point in own], worth)
    owners = np.array(owner, dtype=np.int64)
    days = np.array([point.day for point in points], dtype=np.int64)
    return Records(
        inactivity_limit=look.inactivity_limit,
        owner=owners,
        at=np.array([point.at for point in points], dtype=np.int64),
        day=days,
        span=Span.until_next(owners, days),
        columns=Columns.of([point.state for point in points]),
        money=_money(sums) if look.worth else None,
    )


def _merged(
    deployment: Deployment,
    each: CustomerTimeline,
    events: Sequence[Event],
    worth: Sequence[MonetaryState],
    told: Sequence[int],
) -> list[Point]:
    """Return the states of a customer at all instants at which anything is new.

    What is true of somebody before anybody heard of him begins no history.
    """
    new = {point.at for point in each.points} | {one.at for one in worth}
    new |= {event.at for event in events if event.at is not None}
    if each.begun_at is not None:
        new.add(each.begun_at)
        new |= {at for at in told if at > each.begun_at}
    states = [NO_PURCHASES, *(point.state for point in each.points)]
    starts = [point.at for point in each.points]
    days = {point.at: point.day for point in each.points}
    days |= {event.at: event.day for event in events if event.at is not None}
    merged = []
    for at in sorted(new):
        day = days[at] if at in days else deployment.calendar.day_of(from_micros(at))
        merged.append(Point(at, day, states[bisect_right(starts, at)]))
    return merged


def _in_force(instants: Sequence[int], worth: Sequence[MonetaryState]) -> list[MonetaryState]:
    starts = [state.at for state in worth]
    steps = [NOTHING, *worth]
    return [steps[bisect_right(starts, at)] for at in instants]
