"""The recorded stages that rules look at: for rules of other things than stages."""

from collections.abc import Sequence

import numpy as np

from app.days import AsOf, from_micros, to_micros
from app.db import ReadSession, fetch_rows
from app.deployment import Deployment
from app.lifecycle.dated import objects
from app.lifecycle.records import Stages
from app.services.customer_base import rule_facts
from app.services.policies import policies

_RECORDED = (
    "SELECT c.customer_id, last.to_stage, last.effective_at FROM customers c"
    " LEFT JOIN LATERAL (SELECT to_stage, effective_at FROM stage_transitions t"
    "  WHERE t.customer_id = c.customer_id AND t.voided_at IS NULL AND t.effective_at <= $2"
    "  ORDER BY t.effective_at DESC, t.transition_id DESC LIMIT 1) AS last ON true"
    " WHERE c.customer_id = ANY($1::text[])"
)


async def read(
    session: ReadSession, deployment: Deployment, customer_ids: Sequence[str], as_of: AsOf
) -> Stages:
    """Return what the ledger says of customers at an instant; nothing of those not yet known."""
    ids = list(customer_ids)
    rows = {row[0]: row[1:] for row in await fetch_rows(session, _RECORDED, ids, as_of.at)}
    first_seen = await rule_facts.first_seen(session, ids)
    timeline = await policies.timeline(session)
    stage: list[str | None] = []
    since: list[float] = []
    for customer_id in ids:
        recorded, at = rows[customer_id]
        since_at = first_seen[customer_id] if at is None else to_micros(at)
        # Before the first transition there was the stage in which the customer began.
        entered = recorded or timeline.at(since_at).beginning
        at = from_micros(since_at)
        known = at <= as_of.at
        stage.append(timeline.called(entered, since_at, as_of.micros) if known else None)
        since.append(deployment.calendar.day_of(at) if known else np.nan)
    return Stages(objects(stage), np.array(since, dtype=np.float64))
