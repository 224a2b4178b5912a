"""Moves by hand: what the policy allows, recorded as a decision that the ledger then follows."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from app.db import AnyRow, WriteSession
from app.deployment import Deployment
from app.errors import FieldError, InvalidTransition, NotFound, ValidationFailed
from app.lifecycle.policy import Policy
from app.lifecycle.presets import CHURN_REASONS
from app.models import Customer, StageTransition
from app.schemas.stages import MoveRequest
from app.services import customers, etags, lifecycle, overrides, policies

LONGEST_PIN = timedelta(days=3_653)
_REASONS = frozenset(reason["code"] for reason in CHURN_REASONS)


async def move(
    session: WriteSession,
    here: Deployment,
    customer_id: str,
    asked: MoveRequest,
    *,
    if_match: str | None,
    now: datetime,
    by: str,
) -> datetime:
    """Move a customer by hand, if the policy allows it; return when."""
    row = await _take(session, here, customer_id, if_match, now)
    policy = await policies.active(session)
    _check(policy, asked, now)
    allowed = policy.moves.get(row.stage, ())
    stays = asked.to == row.stage
    if asked.to not in allowed and not (stays and asked.pin_until is not None):
        raise InvalidTransition(
            f"The customer is {row.stage!r} already; give pin_until to hold the stage."
            if stays
            else f"The policy allows no move by hand from {row.stage!r} to {asked.to!r}.",
            current_stage=row.stage,
            allowed=list(allowed),
            refused_by={"policy_version": policy.version, "rule": f"moves/{row.stage}"},
        )
    # An instant has one move: this one comes after the last.
    decided_at = now
    if row.last_move_at is not None and row.last_move_at >= now:
        decided_at = row.last_move_at + timedelta(microseconds=1)
    await overrides.add(
        session,
        customer_id=customer_id,
        stage=asked.to,
        decided_at=decided_at,
        pinned_until=asked.pin_until,
        reason=asked.reason,
        actor=by,
    )
    await lifecycle.advance(session, here, [customer_id], decided_at)
    return decided_at


async def unpin(
    session: WriteSession,
    here: Deployment,
    customer_id: str,
    *,
    if_match: str | None,
    now: datetime,
) -> datetime:
    """Let rules decide again from now on; return since when they do."""
    await _take(session, here, customer_id, if_match, now)
    if not await overrides.release(session, customer_id, now):
        raise NotFound("The stage of this customer is not pinned.")
    await lifecycle.advance(session, here, [customer_id], now)
    return now


async def _take(
    session: WriteSession, here: Deployment, customer_id: str, if_match: str | None, now: datetime
) -> AnyRow:
    """Take a known customer, bring the recorded stage up to now, and return it."""
    await customers.require(session, customer_id)
    await customers.take(session, [customer_id], now)
    statement = select(Customer.stage_version).where(Customer.customer_id == customer_id)
    etags.check(if_match, await session.scalar(statement), "the stage")
    await lifecycle.advance(session, here, [customer_id], now)
    last = (
        select(func.max(StageTransition.effective_at))
        .where(StageTransition.customer_id == customer_id, StageTransition.voided_at.is_(None))
        .scalar_subquery()
    )
    return (
        await session.execute(
            select(Customer.stage, last.label("last_move_at")).where(
                Customer.customer_id == customer_id
            )
        )
    ).one()


def _check(policy: Policy, asked: MoveRequest, now: datetime) -> None:
    faults = []
    if asked.to not in policy.stages:
        detail = f"must be one of {', '.join(policy.stages)}"
        faults.append(FieldError("/to", "unknown_stage", detail))
    elif policy.has_left(asked.to) and asked.reason not in _REASONS:
        detail = "must be a code of GET /v1/churn-reasons for who has left"
        faults.append(FieldError("/reason", "unknown_reason", detail))
    if asked.pin_until is not None and not now < asked.pin_until <= now + LONGEST_PIN:
        detail = "must lie in the future, at most ten years ahead"
        faults.append(FieldError("/pin_until", "out_of_range", detail))
    if faults:
        raise ValidationFailed(errors=faults)


def reasons() -> dict[str, Any]:
    """Return the taxonomy of reasons for which customers leave."""
    return {"items": CHURN_REASONS}
