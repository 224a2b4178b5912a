"""Whose recorded stage time has changed."""

from datetime import datetime

import numpy as np

from app.db import ReadSession
from app.deployment import Deployment
from app.lifecycle.evaluator import evaluate, turns
from app.services import (
    policies,
    populations,
    purchase_summaries,
    records,
    settings,
)


async def due(
    session: ReadSession, here: Deployment, now: datetime, *, after: str, up_to: str
) -> list[str]:
    """Return the customers with `after` < id <= `up_to` whose ledger has moves to come."""
    regime = await policies.regime(session)
    policy, today = regime.current, here.as_of(now)
    people = await populations.read(session, policy.silence, today, after=after, up_to=up_to)
    known = await records.at_instant(session, here, policy, people, today)
    rows = np.arange(len(people))
    day = np.full(len(people), today.day)
    stage, _ = evaluate(policy, known, rows, day)
    recorded = np.array(people.recorded_stages, dtype=object)
    moved = np.array(policy.stages, dtype=object)[stage] != recorded
    # Who moved and came back since everybody was last looked at stands where recorded, too.
    since = here.calendar.day_of(await settings.moved_until(session))
    first = np.minimum(np.maximum(known.columns.last_day, since), today.day)
    place, _ = turns(policy, known, rows, first, day)
    moved[place] = True
    found = {people.customer_ids[row] for row in np.flatnonzero(moved).tolist()}
    # With a fact that has waited for its time, a customer may have left and come back.
    found |= await purchase_summaries.overdue(session, after, up_to, at=now)
    return sorted(found)
