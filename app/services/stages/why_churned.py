"""Why customers who have churned left: the churn record that applies, if there is one.

A record counts for the churned stage that holds at its time, or else for the next one: after the
last win-back, the latest one up to the asked instant applies.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select, text

from app.days import AsOf, from_micros
from app.deployment import Deployment
from app.lifecycle.presets import CHURN_REASONS
from app.models import ChurnRecord
from app.postgres.db import AnyRow, ReadSession
from app.services.policies import policies
from app.services.policies.policies import PolicyTimeline
from app.services.stages import following, overrides
from app.services.stages.placement import Placement

REASONS: Final = tuple(reason["code"] for reason in CHURN_REASONS)
NO_REASON: Final = f"must be a code of GET /v1/churn-reasons: one of {', '.join(REASONS)}"
_ORDER = ChurnRecord.occurred_at, ChurnRecord.source, ChurnRecord.churn_record_id
_SHOWN = [
    column
    for column in ChurnRecord.__table__.columns
    if column.key not in ("fingerprint", "occurred_on")
]


async def of_churned(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    customer_ids: Sequence[str],
    as_of: AsOf,
) -> dict[str, dict[str, Any]]:
    """Return the record that applies to each of some customers who have churned; many have none."""
    recorded = await _recorded(session, customer_ids, as_of)
    if not recorded:
        return {}
    overridden = await overrides.of(session, deployment, list(recorded))
    history = await following.follow_overridden(
        session,
        deployment,
        timeline,
        {customer_id: overridden.get(customer_id, ()) for customer_id in recorded},
        as_of,
    )
    found = {}
    for number, (customer_id, last) in enumerate(recorded.items()):
        returns = history.returns(number)
        if not returns or last.occurred_at >= from_micros(returns[-1]):
            found[customer_id] = to_response(last)
    return found


async def since(
    session: ReadSession, returned: Mapping[str, datetime | None], as_of: AsOf
) -> dict[str, dict[str, Any]]:
    """Return the same of customers of whom it is known when they last came back, if ever."""
    recorded = await _recorded(session, list(returned), as_of)
    return {
        customer_id: to_response(last)
        for customer_id, last in recorded.items()
        if (at := returned[customer_id]) is None or last.occurred_at >= at
    }


async def _recorded(
    session: ReadSession, customer_ids: Sequence[str], as_of: AsOf
) -> dict[str, AnyRow]:
    """Return the last record of each customer up to an instant."""
    if not customer_ids:
        return {}
    statement = (
        select(*_SHOWN)
        .where(
            ChurnRecord.customer_id == text("ANY(CAST(:customer_ids AS text[]))"),
            ChurnRecord.occurred_at <= as_of.at,
        )
        .order_by(*_ORDER)
    )
    rows = await session.execute(statement, {"customer_ids": list(customer_ids)})
    return {row.customer_id: row for row in rows}


async def of_placement(
    session: ReadSession, deployment: Deployment, timeline: PolicyTimeline, placement: Placement
) -> dict[str, dict[str, Any]]:
    """Return the record that applies to each who has churned of those placed."""
    ids = zip(placement.population.customer_ids, placement.churned.tolist(), strict=True)
    churned = [customer_id for customer_id, has_left in ids if has_left]
    return await of_churned(session, deployment, timeline, churned, placement.as_of)


def to_response(row: AnyRow | ChurnRecord) -> dict[str, Any]:
    """Return a churn record as the API shows it."""
    return {**{column.key: getattr(row, column.key) for column in _SHOWN}, "voided": None}


async def churned_stages(session: ReadSession) -> frozenset[str]:
    """Return the stages of customers who have left, by the policy in force."""
    policy = await policies.active(session)
    return frozenset(stage for stage in policy.stages if policy.has_left(stage))


def reasons() -> dict[str, Any]:
    """Return the taxonomy of reasons for which customers leave."""
    return {"items": CHURN_REASONS}
