"""Customers followed through time to answer a question: nothing is written, nobody is locked."""

from collections.abc import Mapping, Sequence

import numpy as np

from app.days import AsOf
from app.deployment import Deployment
from app.lifecycle.column_fold import PurchaseColumns
from app.lifecycle.facts import Summary
from app.lifecycle.history import History
from app.lifecycle.instants import Override
from app.postgres.db import ReadSession
from app.services.customer_base.summary_rows import StoredSummaries
from app.services.policies.policies import PolicyTimeline
from app.services.stages import overrides, resuming, resumption, tracing
from app.services.stages.resume_points import ResumePoints
from app.services.stages.resuming import Start


async def history(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    customer_id: str,
    summary: Summary,
    as_of: AsOf,
    *,
    whole: bool = False,
) -> History:
    """Follow one customer up to an instant, from the beginning or from where the summary stands."""
    overridden = await overrides.of(session, deployment, [customer_id])
    kept = StoredSummaries.of(summary)
    going_on = resuming.holds_at(kept, as_of.micros) & (not whole and not overridden)
    if going_on[0]:
        first = np.array([as_of.micros + 1])
        going_on, standing = await resumption.find(
            session, timeline, [customer_id], kept, going_on, first, as_of.micros
        )
    start = Start(going_on, standing, PurchaseColumns.none()) if going_on[0] else Start.anew(1)
    resumed = start.resume(deployment, timeline)
    until = np.array([as_of.micros])
    ids = [customer_id]
    anew = slice(0, 0) if going_on[0] else slice(0, 1)
    folding = await tracing.fold(session, timeline, ids[anew], until[anew])
    return await tracing.trace(
        session, deployment, timeline, ids, resumed, folding, until, overridden
    )


async def follow_overridden(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    overridden: Mapping[str, Sequence[Override]],
    as_of: AsOf,
) -> History:
    """Follow customers with overrides, from their beginnings up to an instant."""
    ids, until = list(overridden), np.full(len(overridden), as_of.micros)
    folding = await tracing.fold(session, timeline, ids, until)
    resumed = ResumePoints.none()
    return await tracing.trace(
        session, deployment, timeline, ids, resumed, folding, until, overridden
    )
