"""Whose recorded stage time has changed."""

from datetime import datetime

import numpy as np

from app.days import AsOf, from_micros, to_micros
from app.deployment import Deployment
from app.lifecycle.dated import Bools, Ints
from app.lifecycle.evaluator import evaluate, threshold_crossings
from app.lifecycle.policy import Policy
from app.lifecycle.records import Records
from app.postgres.db import ReadSession
from app.services.common import deployment_settings, threads
from app.services.customer_base import populations, purchase_summaries, rule_facts
from app.services.customer_base.populations import Population
from app.services.policies import policies
from app.services.policies.policies import PolicyTimeline
from app.services.stages import overridden_stages, placement, rule_records
from app.services.stages.placement import Placement


async def due(
    session: ReadSession, deployment: Deployment, now: datetime, *, after: str, up_to: str
) -> list[str]:
    """Return the customers with `after` < id <= `up_to` whose ledger lacks transitions, by id."""
    timeline = await policies.timeline(session)
    since, until = await _recorded_until(session, timeline), deployment.as_of(now)
    found = await unrecorded(
        session, deployment, timeline.current, since, until, after=after, up_to=up_to
    )
    return sorted(found)


async def placed_and_due(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    as_of: AsOf,
    until: datetime,
    *,
    after: str,
    up_to: str,
    gap_days: float | None,
) -> tuple[Placement, list[str]]:
    """Place the customers with `after` < id <= `up_to`, and return who of them is `due`.

    They are read once for both, unless it is another instant or policy that says the latter.
    """
    ends, policy = {"after": after, "up_to": up_to}, timeline.at(as_of.micros)
    current = await policies.timeline(session)
    since = await _recorded_until(session, current)
    population = await populations.read(session, policy.inactivity_limit, as_of, **ends)
    alone = current.current.version != policy.version or not since <= until == as_of.at
    since_day = None if alone else deployment.calendar.day_of(since)
    known = await rule_records.at_instant(
        session, deployment, policy, population, as_of, since_day=since_day
    )
    overrides = await overridden_stages.of_range(session, deployment, timeline, as_of, **ends)
    placed = await threads.compute(
        len(population), placement.place, policy, population, known, as_of, gap_days, overrides
    )
    if alone:
        return placed, await due(session, deployment, until, **ends)
    found = await _among(session, deployment, policy, population, known, since, as_of, **ends)
    return placed, sorted(found)


async def _recorded_until(session: ReadSession, timeline: PolicyTimeline) -> datetime:
    """Return up to when all that time has changed stands in the ledger."""
    # What time had done before another policy came into force was recorded with that.
    recorded = await deployment_settings.recorded_until(session)
    return from_micros(max(timeline.starts[-1], to_micros(recorded)))


async def unrecorded(
    session: ReadSession,
    deployment: Deployment,
    policy: Policy,
    since: datetime,
    until: AsOf,
    *,
    after: str,
    up_to: str,
) -> set[str]:
    """Return the customers whose stage time may have changed since all was recorded.

    All facts that came in were followed up to the moment in which they came.
    """
    read = populations.read if "money" in policy.sources else populations.read_states
    population = await read(session, policy.inactivity_limit, until, after=after, up_to=up_to)
    since_day = deployment.calendar.day_of(since)
    known = await rule_records.at_instant(
        session, deployment, policy, population, until, since_day=since_day
    )
    return await _among(
        session, deployment, policy, population, known, since, until, after=after, up_to=up_to
    )


async def _among(
    session: ReadSession,
    deployment: Deployment,
    policy: Policy,
    population: Population,
    known: Records,
    since: datetime,
    until: AsOf,
    *,
    after: str,
    up_to: str,
) -> set[str]:
    """Return those of a range that has been read, with records of all days since."""
    rows = await threads.compute(len(population), elsewhere, policy, population, known, until.day)
    found = {population.customer_ids[row] for row in rows.tolist()}
    # With a fact that has waited for its time, a customer may have left and come back.
    found |= await purchase_summaries.overdue(session, after, up_to, at=until.at)
    found |= await waited(session, deployment, population, known, since, until.at)
    # With an override that has ended, rules may since have led away and back to where it held.
    return found | await overridden_stages.ended(session, after, up_to, since=since, at=until.at)


async def waited(
    session: ReadSession,
    deployment: Deployment,
    population: Population,
    known: Records,
    since: datetime,
    until: datetime,
) -> set[str]:
    """Return of whom an interaction that rules look at came before its time, since an instant."""
    if known.interactions is None:
        return set()
    events, since_day = known.interactions, deployment.calendar.day_of(since)
    new = np.unique(events.owner[events.day >= since_day]).tolist()
    ids = [population.customer_ids[row] for row in new]
    return await rule_facts.waited(session, ids, since, until) if ids else set()


def elsewhere(policy: Policy, population: Population, known: Records, today: int) -> Ints:
    """Return the rows of those who are not where they are recorded, or have been elsewhere."""
    rows = np.arange(len(population))
    places = {stage: place for place, stage in enumerate(population.stages)}
    recorded_as = np.array([places.get(stage, -1) for stage in policy.stages])

    def differ(rows: Ints, day: Ints) -> Bools:
        stage, _ = evaluate(policy, known, rows, day)
        return np.asarray(recorded_as[stage] != population.recorded[rows], dtype=np.bool_)

    day = np.full(len(population), today)
    gone = differ(rows, day)
    # Who left and came back since the last fact, or the last look, stands where recorded, too.
    turning, on = threshold_crossings(policy, known, rows, known.span.first, day)
    gone[turning[differ(turning, on)]] = True
    return np.flatnonzero(gone)
