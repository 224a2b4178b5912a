"""Stages that another system had decided on, as overrides with the dates they were set.

Which transitions the policy allows binds nobody here: it is history, not a decision of now.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, text, update

from app.deployment import Deployment
from app.errors import Conflict, FieldError
from app.lifecycle.policy import Policy
from app.models import Customer, StageOverride
from app.postgres.db import ReadSession, WriteSession
from app.schemas.common.shapes import Rejected
from app.schemas.stages.stages import DatedStage
from app.services.common import batches
from app.services.common.batches import Outcome
from app.services.customers import customers
from app.services.policies import policies
from app.services.stages import derivation, why_churned
from app.services.stages.manual_transitions import LONGEST_PIN

_KNOWN = text(
    "SELECT customer_id, set_at, stage FROM stage_overrides"
    " WHERE customer_id = ANY(CAST(:customer_ids AS text[]))"
)
_WHOSE = text("customer_id = ANY(CAST(:customer_ids AS text[]))")


async def ingest(
    session: WriteSession,
    deployment: Deployment,
    items: Sequence[DatedStage | Rejected],
    *,
    now: datetime,
    by: str,
) -> tuple[list[Outcome], int]:
    """Write the overrides; return what became of each, and how many customers were made.

    The same stage of the same instant is known already; another one of it is refused.
    """
    outcomes = await batches.rejections(items)
    policy = await policies.active(session)
    good: list[tuple[int, DatedStage]] = []
    for index, item in enumerate(items):
        if isinstance(item, Rejected):
            continue
        fault = _fault_of(policy, item, now)
        if fault is None:
            good.append((index, item))
        else:
            outcomes[index] = ("rejected", batches.validation_error([fault]))
    if not good:
        return outcomes, 0
    ids = sorted({item.customer_id for _, item in good})
    created = await customers.lock_or_create(session, ids, now)
    known = await _known(session, ids)
    rows: list[dict[str, Any]] = []
    for index, item in good:
        stage = known.setdefault((item.customer_id, item.set_at), "")
        if not stage:
            known[item.customer_id, item.set_at] = item.stage
            rows.append(_row(item, by))
            outcomes[index] = ("created", None)
        elif stage == item.stage:
            outcomes[index] = ("duplicate", None)
        else:
            detail = f"The customer was set to {stage} at the same instant."
            outcomes[index] = ("rejected", batches.item_error(Conflict.code, detail))
    if rows:
        await session.execute(insert(StageOverride), rows)
        touched = sorted({row["customer_id"] for row in rows})
        versions = update(Customer).where(_WHOSE).values(stage_version=Customer.stage_version + 1)
        await session.execute(versions, {"customer_ids": touched})
        await derivation.rebuild(session, deployment, touched, now)
    return outcomes, sum(created.values())


async def _known(session: ReadSession, ids: Sequence[str]) -> dict[tuple[str, datetime], str]:
    rows = await session.execute(_KNOWN, {"customer_ids": list(ids)})
    return {(row.customer_id, row.set_at): row.stage for row in rows}


def _row(item: DatedStage, by: str) -> dict[str, Any]:
    return {
        "customer_id": item.customer_id,
        "set_at": item.set_at,
        "stage": item.stage,
        "stands_until": item.until,
        "reason": item.reason,
        "actor": by,
    }


def _fault_of(policy: Policy, item: DatedStage, now: datetime) -> FieldError | None:
    if item.stage not in policy.stages:
        detail = f"must be one of {', '.join(policy.stages)}"
        return FieldError("/items/0/stage", "unknown_stage", detail)
    if policy.has_left(item.stage) and item.reason not in why_churned.REASONS:
        return FieldError("/items/0/reason", "unknown_reason", why_churned.NO_REASON)
    if item.set_at > now:
        return FieldError("/items/0/set_at", "future", "must not lie ahead")
    if item.until is not None and not item.set_at < item.until <= item.set_at + LONGEST_PIN:
        detail = "must lie after `set_at`, at most ten years"
        return FieldError("/items/0/until", "out_of_range", detail)
    return None
