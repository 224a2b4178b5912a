"""What rules look at, read for many customers: at one instant, or through all their history."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from app.days import AsOf
from app.db import ReadSession
from app.deployment import Deployment
from app.lifecycle.dated import NEVER, Interactions, Ints
from app.lifecycle.facts import Point
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.money import MonetaryState
from app.lifecycle.policy import Policy
from app.lifecycle.profiles import BEGINNING
from app.lifecycle.records import Computed, PurchaseFilter, Purchases, Records, Span, Stages
from app.lifecycle.steps import Instants, States, Worth, merged
from app.lifecycle.variables.definition import Term
from app.lifecycle.variables.registry import sources
from app.services.customer_base import rule_facts, rule_purchases
from app.services.customer_base.populations import Population
from app.services.customer_base.rule_facts import interaction_columns
from app.services.models import model_variables
from app.services.stages import rule_profiles, rule_stages
from app.services.stages.rule_profiles import ProfileTimelines


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


async def _computed(session: ReadSession, policy: Policy, terms: Iterable[Term]) -> Computed | None:
    """Return how the variables of the policy's own model are computed, if any is asked for."""
    if "model" not in sources(terms) or policy.model_id is None:
        return None
    return await model_variables.of(session, policy.model_id)


@dataclass(frozen=True, slots=True)
class CustomerTimeline:
    """A customer whose stage is followed: what purchases amount to, and since when there is one.

    Without `begun_at` the first point is where the ledger stands, `since` it is gone on with, or
    the first purchase, before which nothing can have happened.
    """

    customer_id: str
    points: Sequence[Point]
    worth: Sequence[MonetaryState]
    begun_at: int | None
    since: int | None = None

    @property
    def start(self) -> int:
        """The instant before which nothing is looked at."""
        known = (at for at in (self.since, self.begun_at) if at is not None)
        return next(known, self.points[0].at if self.points else BEGINNING)


async def through_time(
    session: ReadSession,
    deployment: Deployment,
    policies: Sequence[Policy],
    followed: Mapping[InactivityLimit, Sequence[CustomerTimeline]],
    until: AsOf,
) -> list[Records]:
    """Return for each policy a record for each instant at which its rules may look anew."""
    terms = tuple(dict.fromkeys(term for policy in policies for term in policy.terms))
    customers = next(iter(followed.values()))
    ids = [each.customer_id for each in customers]
    since = [BEGINNING if each.since is None else each.since for each in customers]
    read = _Read(
        deployment,
        np.array([each.start for each in customers], dtype=np.int64),
        {limit: States.of([each.points for each in own]) for limit, own in followed.items()},
        Worth.of([each.worth for each in customers]),
        await _interactions(session, deployment, terms, customers, until),
        await rule_profiles.through_time(session, terms, ids, since),
        await rule_purchases.through_time(session, terms, ids, days, until),
    )
    made: dict[_RuleInputs, Records] = {}
    found = []
    for policy in policies:
        look = _RuleInputs.of(policy)
        if look not in made:
            made[look] = read.history(look)
        computed = await _computed(session, policy, policy.terms)
        found.append(replace(made[look], computed=computed))
    return found


async def _interactions(
    session: ReadSession,
    deployment: Deployment,
    terms: Iterable[Term],
    customers: Sequence[CustomerTimeline],
    until: AsOf,
) -> Interactions | None:
    """Return what is looked at of interactions: all, or what is seen from where one goes on."""
    resumed = np.array([each.since is not None for each in customers])
    since = np.array([each.since or 0 for each in customers], dtype=np.int64)
    days = np.where(resumed, deployment.calendar.days(since), NEVER)
    ids = [each.customer_id for each in customers]
    return await rule_facts.through_time(session, deployment, terms, ids, days, until)


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


@dataclass(frozen=True)
class _Read:
    """What was read of customers, each from a `start` on."""

    deployment: Deployment
    start: Ints
    states: Mapping[InactivityLimit, States]
    worth: Worth
    interactions: Interactions | None
    profiles: ProfileTimelines
    purchases: Mapping[PurchaseFilter, Purchases]

    def history(self, look: _RuleInputs) -> Records:
        """Return a record for each instant of a customer at which something is new."""
        states = self.states[look.inactivity_limit]
        owner, at = merged(self._news(look, states))
        day = self.deployment.calendar.days(at)
        return Records(
            inactivity_limit=look.inactivity_limit,
            owner=owner,
            at=at,
            day=day,
            span=Span.until_next(owner, day),
            columns=states.in_force(owner, at),
            money=self.worth.in_force(owner, at) if look.worth else None,
            interactions=self.interactions,
            purchases=self.purchases,
            profiles=self.profiles.profiles,
        )

    def _news(self, look: _RuleInputs, states: States) -> Iterator[Instants]:
        """Yield when what is looked at may be new.

        What is true of somebody before anybody heard of him begins no history.
        """
        yield states.owner, states.at
        begun = np.flatnonzero(self.start > BEGINNING)
        yield begun, self.start[begun]
        if look.worth:
            yield self.worth.owner, self.worth.at
        if self.interactions is not None:
            events = self.interactions.of_kinds(look.kinds)
            yield self._after_start(events.owner, events.at)
        yield self._after_start(*self.profiles.turns_of(look.cells))

    def _after_start(self, owner: Ints, at: Ints) -> Instants:
        later = at > self.start[owner]
        return owner[later], at[later]
