"""What rules look at, read for many customers: at one instant, or through all their history."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from app.days import AsOf
from app.deployment import Deployment
from app.lifecycle.dated import NEVER as NO_DAY
from app.lifecycle.dated import Interactions, Ints
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.policy import Policy
from app.lifecycle.records import Computed, PurchaseFilter, Purchases, Records, Span, Stages
from app.lifecycle.steps import Instants, Worth, merged, states_in_force
from app.lifecycle.summary_columns import NEVER, PointColumns
from app.lifecycle.variables.definition import Term
from app.lifecycle.variables.registry import sources
from app.postgres.db import ReadSession
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
        seen = population.may_have_interactions
        events = await rule_facts.counted(session, asked, seen, as_of, since)
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
class Timelines:
    """Customers by number whose stages are followed: what purchases amount to, and since when.

    `since` is the instant of which all is known from the first point and the first sums, so that
    one goes on from there; `begun_at` is where everything begins. `NEVER` stands for neither; with
    both, the first point is the first purchase, before which nothing can have happened.
    """

    customer_ids: Sequence[str]
    points: PointColumns
    worth: Worth
    since: Ints
    begun_at: Ints


async def through_time(
    session: ReadSession,
    deployment: Deployment,
    policies: Sequence[Policy],
    followed: Mapping[InactivityLimit, Timelines],
    until: AsOf,
    purchases: Mapping[int, Purchases],
) -> list[Records]:
    """Return for each policy a record for each instant at which its rules may look anew.

    Of some customers, by number, what windows look at of all `purchases` is known.
    """
    terms = tuple(dict.fromkeys(term for policy in policies for term in policy.terms))
    one = next(iter(followed.values()))
    ids = list(one.customer_ids)
    resumed = one.since != NEVER
    days = np.full(len(ids), NO_DAY)
    if sources(terms) & {"interactions", "answers", "transactions"} and resumed.any():
        days[resumed] = deployment.calendar.days_of(one.since[resumed])
    read = _Read(
        deployment,
        followed,
        await rule_facts.through_time(session, deployment, terms, ids, days, until),
        await rule_profiles.through_time(session, terms, ids, one.since.tolist()),
        await rule_purchases.through_time(session, terms, ids, days, until, purchases),
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
    """What was read of customers who are followed."""

    deployment: Deployment
    followed: Mapping[InactivityLimit, Timelines]
    interactions: Interactions | None
    profiles: ProfileTimelines
    purchases: Mapping[PurchaseFilter, Purchases]

    def history(self, look: _RuleInputs) -> Records:
        """Return a record for each instant of a customer at which something is new."""
        customers = self.followed[look.inactivity_limit]
        points = customers.points
        owner, at, day, states = points.owner, points.at, points.day, points.states
        news = [each for each in self._news(look, customers) if len(each[0])]
        if news:
            owner, at = merged([(owner, at), *news])
            day = self.deployment.calendar.days_of(at)
            states = states_in_force(points, owner, at)
        return Records(
            inactivity_limit=look.inactivity_limit,
            owner=owner,
            at=at,
            day=day,
            span=Span.until_next(owner, day),
            columns=states,
            money=customers.worth.in_force(owner, at) if look.worth else None,
            interactions=self.interactions,
            purchases=self.purchases,
            profiles=self.profiles.profiles,
        )

    def _news(self, look: _RuleInputs, customers: Timelines) -> Iterator[Instants]:
        """Yield when something besides purchase days is new.

        What is true of somebody before anybody heard of him begins no history.
        """
        start = np.maximum(customers.since, customers.begun_at)
        begun = np.flatnonzero(customers.begun_at != NEVER)
        yield begun, customers.begun_at[begun]
        if look.worth:
            yield customers.worth.owner, customers.worth.at
        if self.interactions is not None:
            events = self.interactions.of_kinds(look.kinds)
            yield _after(start, events.owner, events.at)
        yield _after(start, *self.profiles.turns_of(look.cells))


def _after(start: Ints, owner: Ints, at: Ints) -> Instants:
    later = at > start[owner]
    return owner[later], at[later]
