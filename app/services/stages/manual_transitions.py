"""Overrides: what the policy allows, recorded for the ledger to follow."""

from datetime import datetime, timedelta

from sqlalchemy import func, select

from app.deployment import Deployment
from app.errors import FieldError, InvalidTransition, NotFound, ValidationFailed
from app.lifecycle.facts import EMPTY
from app.lifecycle.policy import Policy
from app.models import Customer, StageOverride, StageTransition
from app.postgres.db import WriteSession
from app.schemas.stages.stages import OverrideRequest
from app.services.common import etags
from app.services.customer_base import purchase_summaries
from app.services.customers import customers
from app.services.policies import policies
from app.services.stages import derivation, following, overrides, why_churned

LONGEST_PIN = timedelta(days=3_653)
OVERRIDE_REMOVED = "override_removed"
"""The reason of a transition back to what rules say when somebody removed an override."""


async def override(
    session: WriteSession,
    deployment: Deployment,
    customer_id: str,
    asked: OverrideRequest,
    *,
    if_match: str | None,
    now: datetime,
    by: str,
) -> datetime:
    """Set the stage of a customer, if the policy allows it; return when.

    Who has left already is told nothing new by being set to have left.
    """
    set_at, stage = await _take(session, deployment, customer_id, if_match, now)
    policy = await policies.active(session)
    _check(policy, asked, now)
    allowed = policy.transitions.get(stage, ())
    stays = asked.stage == stage
    if stays and asked.until is None and policy.has_left(stage):
        return set_at  # there is nothing to change: only why is news, and that is a churn record
    if asked.stage not in allowed and not (stays and asked.until is not None):
        raise InvalidTransition(
            f"The customer is {stage!r} already; give `until` to hold the stage."
            if stays
            else f"The policy allows no override from {stage!r} to {asked.stage!r}.",
            current_stage=stage,
            allowed=list(allowed),
            refused_by={"policy_version": policy.version, "rule": f"transitions/{stage}"},
        )
    await overrides.add(
        session,
        customer_id,
        stage=asked.stage,
        set_at=set_at,
        stands_until=asked.until,
        reason=asked.reason,
        actor=by,
    )
    await derivation.advance(session, deployment, [customer_id], set_at)
    return set_at


async def remove(
    session: WriteSession,
    deployment: Deployment,
    customer_id: str,
    *,
    if_match: str | None,
    now: datetime,
    by: str,
) -> datetime:
    """Let rules decide again from now on; return since when they do."""
    set_at, _ = await _take(session, deployment, customer_id, if_match, now)
    found = await following.history(
        session,
        deployment,
        await policies.timeline(session),
        customer_id,
        (await purchase_summaries.stored(session, [customer_id])).get(customer_id, EMPTY),
        deployment.as_of(set_at),
    )
    standing = found.standing_override(0)
    if standing is None or standing.until is None:
        raise NotFound("No override holds the stage of this customer.")
    # What is released as it is set takes the place of the standing one, and stands for no time.
    await overrides.add(
        session,
        customer_id,
        stage=standing.stage,
        set_at=set_at,
        released_at=set_at,
        reason=OVERRIDE_REMOVED,
        actor=by,
    )
    await derivation.advance(session, deployment, [customer_id], set_at)
    return set_at


async def _take(
    session: WriteSession,
    deployment: Deployment,
    customer_id: str,
    if_match: str | None,
    now: datetime,
) -> tuple[datetime, str]:
    """Take a known customer, bring the recorded stage up to now; return when to decide, and it."""
    await customers.require(session, customer_id)
    await customers.lock_or_create(session, [customer_id], now)
    statement = select(Customer.stage_version).where(Customer.customer_id == customer_id)
    etags.check(if_match, await session.scalar(statement), "the stage")
    await derivation.advance(session, deployment, [customer_id], now)
    # An instant has one transition or override: this one comes after the last.
    moved = select(func.max(StageTransition.effective_at)).where(
        StageTransition.customer_id == customer_id, StageTransition.voided_at.is_(None)
    )
    overridden = select(func.max(StageOverride.set_at)).where(
        StageOverride.customer_id == customer_id
    )
    last = func.greatest(moved.scalar_subquery(), overridden.scalar_subquery()).label("last")
    row = (
        await session.execute(
            select(Customer.stage, last).where(Customer.customer_id == customer_id)
        )
    ).one()
    after = now if row.last is None else max(now, row.last + timedelta(microseconds=1))
    return after, row.stage


def _check(policy: Policy, asked: OverrideRequest, now: datetime) -> None:
    faults = []
    if asked.stage not in policy.stages:
        detail = f"must be one of {', '.join(policy.stages)}"
        faults.append(FieldError("/stage", "unknown_stage", detail))
    elif policy.has_left(asked.stage) and asked.reason not in why_churned.REASONS:
        faults.append(FieldError("/reason", "unknown_reason", why_churned.NO_REASON))
    if asked.until is not None and not now < asked.until <= now + LONGEST_PIN:
        detail = "must lie in the future, at most ten years ahead"
        faults.append(FieldError("/until", "out_of_range", detail))
    if faults:
        raise ValidationFailed(errors=faults)
