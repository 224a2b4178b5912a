"""Whose recorded stage time has changed."""

import asyncio
from datetime import datetime

import numpy as np

from app.db import ReadSession
from app.deployment import Deployment
from app.lifecycle.evaluator import evaluate, turns
from app.lifecycle.policy import Policy
from app.lifecycle.records import Bools, Ints, Records
from app.services import (
    decided_stages,
    policies,
    populations,
    purchase_summaries,
    records,
    settings,
)
from app.services.populations import Population

INLINE = 500
"""Customers that are looked at at once; more go to a thread."""


async def due(
    session: ReadSession, here: Deployment, now: datetime, *, after: str, up_to: str
) -> list[str]:
    """Return the customers with `after` < id <= `up_to` whose ledger has moves to come, by id."""
    regime = await policies.regime(session)
    policy, today = regime.current, here.as_of(now)
    by_worth = policy.sources & {"money", "model"}
    read = populations.read if by_worth else populations.read_states
    people = await read(session, policy.silence, today, after=after, up_to=up_to)
    known = await records.at_instant(session, here, policy, people, today)
    looked = await settings.moved_until(session)
    asked = policy, people, known, here.calendar.day_of(looked), today.day
    moved = await asyncio.to_thread(_moved, *asked) if len(people) > INLINE else _moved(*asked)
    found = {people.customer_ids[row] for row in moved.tolist()}
    # With a fact that has waited for its time, a customer may have left and come back.
    found |= await purchase_summaries.overdue(session, after, up_to, at=now)
    # With a pin that has ended, rules may since have led away and back to where it held.
    found |= await decided_stages.pins_ended(session, after, up_to, since=looked, at=now)
    return sorted(found)


def _moved(policy: Policy, people: Population, known: Records, since: int, today: int) -> Ints:
    """Return the rows of those who are not where they are recorded, or have been elsewhere."""
    rows = np.arange(len(people))
    places = {each: place for place, each in enumerate(people.stages)}
    recorded_as = np.array([places.get(each, -1) for each in policy.stages])

    def elsewhere(rows: Ints, day: Ints) -> Bools:
        stage, _ = evaluate(policy, known, rows, day)
        return np.asarray(recorded_as[stage] != people.recorded[rows], dtype=np.bool_)

    day = np.full(len(people), today)
    moved = elsewhere(rows, day)
    # Who moved and came back since everybody was last looked at stands where recorded, too.
    first = np.minimum(np.maximum(known.columns.last_day, since), today)
    turning, on = turns(policy, known, rows, first, day)
    moved[turning[elsewhere(turning, on)]] = True
    return np.flatnonzero(moved)
