"""The recorded stages that rules look at: for rules of other things than stages."""

from collections.abc import Sequence

import numpy as np

from app.days import AsOf, to_micros
from app.deployment import Deployment
from app.lifecycle.dated import objects
from app.lifecycle.records import Stages
from app.postgres.db import ReadSession, fetch_rows
from app.services.common.id_texts import NAMED, named
from app.services.customer_base import rule_facts
from app.services.policies import policies

# Who came into the present stage by then is told by the customer alone, where no policy has given
# stages other names.
_RECORDED = (
    "SELECT c.customer_id, CASE WHEN now.tells THEN c.stage ELSE last.to_stage END,"  # noqa: S608  # no value of a caller
    " CASE WHEN now.tells THEN c.stage_since ELSE last.effective_at END FROM customers c"
    " CROSS JOIN LATERAL (SELECT $3::bool AND coalesce(c.stage_since <= $2, false)) AS now (tells)"
    " LEFT JOIN LATERAL (SELECT to_stage, effective_at FROM stage_transitions t"
    "  WHERE NOT now.tells AND t.customer_id = c.customer_id"
    "  AND t.voided_at IS NULL AND t.effective_at <= $2"
    "  ORDER BY t.effective_at DESC, t.transition_id DESC LIMIT 1) AS last ON true"
    f" WHERE c.customer_id = ANY({NAMED})"
)


async def read(
    session: ReadSession, deployment: Deployment, customer_ids: Sequence[str], as_of: AsOf
) -> Stages:
    """Return what the ledger says of customers at an instant; nothing of those not yet known."""
    ids = list(customer_ids)
    timeline = await policies.timeline(session)
    same_names = not any(policy.maps for policy in timeline.policies)
    found = await fetch_rows(session, _RECORDED, named(ids), as_of.at, same_names)
    rows = {row[0]: row[1:] for row in found}
    begun = [row[0] for row in found if row[2] is None]
    first_seen = await rule_facts.first_seen(session, begun) if begun else {}
    since = np.empty(len(ids), dtype=np.int64)
    stage: list[str | None] = []
    for row, customer_id in enumerate(ids):
        recorded, at = rows[customer_id]
        since[row] = since_at = first_seen[customer_id] if at is None else to_micros(at)
        # Before the first transition there was the stage in which the customer began.
        entered = recorded or timeline.at(since_at).beginning
        if not same_names:
            entered = timeline.called(entered, since_at, as_of.micros)
        stage.append(entered if since_at <= as_of.micros else None)
    known = since <= as_of.micros
    since_day = np.where(known, deployment.calendar.days_of(since), np.nan)
    return Stages(objects(stage), since_day)
