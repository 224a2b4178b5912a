"""What follows once the pointer has moved: writers are waited for, and everybody's ledger follows.

All that a range of customers needs is done in one part, so that what broke off goes on with those
ranges that are left. Where a version follows on one that broke off, everybody is looked at from
where that one began.
"""

from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.orm import InstrumentedAttribute

from app.days import AsOf, from_micros, to_micros
from app.deployment import Deployment
from app.models import (
    Customer,
    Interaction,
    Operation,
    OperationPart,
    PolicyActivation,
    PurchaseSummary,
    StageTransition,
)
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.schemas.common.types import format_instant
from app.services.common import deployment_settings, fence
from app.services.customer_base import populations
from app.services.customers import customers
from app.services.operations import parts
from app.services.operations.parts import Part
from app.services.policies import policies
from app.services.policies.policies import PolicyTimeline
from app.services.policy_changes import previews
from app.services.stages import derivation, due_transitions

ACTIVATION = "policy_activation"
AWAIT = "await_writers"
APPLY = "apply_policy"
APPLY_PART = 5_000
AWAITED_SECONDS = 20.0
"""How long writers are waited for before the part is put off, so that others are not kept."""
Range = tuple[str, str]


async def last(session: ReadSession) -> AnyRow:
    """Return the activation in force."""
    columns = PolicyActivation.__table__.columns
    newest = select(*columns).order_by(PolicyActivation.activation_id.desc()).limit(1)
    return (await session.execute(newest)).one()


async def await_writers_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Wait for those who may write by the policy before; nobody waits for this."""
    del deployment, part, now
    if not await fence.have_ended(session, await fence.writers(session), AWAITED_SECONDS):
        raise parts.PutOff("writers")


async def plan(session: WriteSession, part: Part, now: datetime) -> dict[str, Any] | None:
    """Have the ledger of everybody follow, but of those ranges that have been done before."""
    done = [
        (each.arguments["after"], each.arguments["up_to"]) for each in await _done(session, part)
    ]
    ranges = [
        (APPLY, {"after": after, "up_to": up_to})
        for after, up_to in remaining(await populations.boundaries(session, APPLY_PART), done)
    ]
    since = await _unsettled_since(session)
    context = {**part.context, "applying": True, "unsettled_since": since.isoformat()}
    await parts.plan(session, part, ranges, context)
    return None if ranges else await settle(session, await parts.refresh(session, part), now)


def remaining(ranges: list[Range], done: list[Range]) -> list[Range]:
    """Return what of ranges (after, up to] lies in none of those that are done."""
    ends = sorted({end for each in (*ranges, *done) for end in each})
    end = max((up_to for _, up_to in ranges), default="")
    return [
        (after, up_to)
        for after, up_to in pairwise(ends)
        if up_to <= end and not any(low <= after and up_to <= high for low, high in done)
    ]


async def _done(session: ReadSession, part: Part) -> list[AnyRow]:
    """Return the parts in which an activation has been recorded, by any of its operations."""
    statement = (
        select(OperationPart.arguments, OperationPart.outcome)
        .join(Operation, Operation.operation_id == OperationPart.operation_id)
        .where(
            Operation.kind == ACTIVATION,
            Operation.context["activated_at"].astext == part.context["activated_at"],
            OperationPart.task == APPLY,
            OperationPart.state == "done",
        )
    )
    return list(await session.execute(statement))


async def _unsettled_since(session: ReadSession) -> datetime:
    """Return since when an activation has not been recorded for everybody."""
    settled = select(func.max(PolicyActivation.activation_id)).where(
        PolicyActivation.settled_at.is_not(None)
    )
    since = select(func.min(PolicyActivation.activated_at)).where(
        PolicyActivation.activation_id > settled.scalar_subquery()
    )
    found = await session.scalar(since)
    assert found is not None
    return found


async def settle(session: WriteSession, part: Part, now: datetime) -> dict[str, Any]:
    """Say that the recorded stages of everybody follow the policy in force, and are told by it."""
    version, at = part.context["version"], datetime.fromisoformat(part.context["activated_at"])
    noted = [each.outcome for each in await _done(session, part)]
    until = max([at, *(datetime.fromisoformat(each["told_until"]) for each in noted)])
    await session.execute(
        update(PolicyActivation)
        .where(PolicyActivation.settled_at.is_(None))
        .values(settled_at=now, writers_until=until)
    )
    put, timeline = deployment_settings.put, deployment_settings.POLICY_TIMELINE
    await put(session, deployment_settings.SETTLED_POLICY, version)
    await put(session, timeline, deployment_settings.new_name())  # activations are read anew
    return {
        "policy_version": version,
        "activated_at": format_instant(at),
        "transitions": sum(each["moved"] for each in noted),
        "matrix": part.context["matrix"],
    }


async def apply_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Record the transitions of a range of customers that the new policy makes."""
    timeline = await policies.timeline(session)
    at = datetime.fromisoformat(part.context["activated_at"])
    found = await previews.compare(
        session,
        deployment,
        timeline.before_last(),
        timeline.current,
        deployment.as_of(at),
        **part.arguments,
    )
    population = found.population
    # Whose stage is called otherwise is due, too: the recorded stage is to say so.
    due = np.array(found.before, dtype=object) != np.array(found.after, dtype=object)
    due |= np.array(found.after, dtype=object) != np.array(population.recorded_stages, dtype=object)
    # Lives are counted anew where another silence ends them.
    kept = population.summaries.column
    alike = [
        policy.version
        for policy in timeline.policies
        if policy.inactivity_limit == timeline.current.inactivity_limit
    ]
    due |= (kept("facts") > 0) & ~np.isin(kept("policy_version"), alike)
    since = datetime.fromisoformat(part.context.get("unsettled_since", at.isoformat()))
    # Under an activation that broke off, some follow that one and others none.
    due |= since < at
    # What came later, by any clock, is looked at by the new policy.
    late = await _recorded_since(session, part, at)
    to_and_fro = await _left_and_came_back(session, deployment, part, deployment.as_of(at))
    # They begin by the new policy, wherever they were put, and may have no transition.
    created = await _created_since(session, part, at)
    moved = created | {
        customer_id
        for row, customer_id in enumerate(population.customer_ids)
        if due[row] or customer_id in to_and_fro or customer_id in late
    }
    if moved:
        await customers.lock_or_create(session, moved, now)
        await derivation.advance(
            session,
            deployment,
            sorted(moved),
            max(now, at),
            invalid_from=since,
            rewrite=bool(created),
        )
    told = await _told_until(session, timeline, part, at)
    await parts.note(session, part, {"moved": found.transitions, "told_until": told.isoformat()})


async def _recorded_since(session: ReadSession, part: Part, at: datetime) -> set[str]:
    """Return of whom anything from the activation on was recorded, by whichever policy."""
    moved = select(StageTransition.customer_id).where(
        StageTransition.voided_at.is_(None),
        StageTransition.effective_at >= at,
        _within(part, StageTransition.customer_id),
    )
    bought = select(PurchaseSummary.customer_id).where(
        PurchaseSummary.facts_until >= at, _within(part, PurchaseSummary.customer_id)
    )
    return {*await session.scalars(moved), *await session.scalars(bought)}


async def _created_since(session: ReadSession, part: Part, at: datetime) -> set[str]:
    """Return who was first told of later than the activation, also by a clock that was ahead."""
    created = select(Customer.customer_id).where(
        Customer.created_at >= at, _within(part, Customer.customer_id)
    )
    return {*await session.scalars(created)}


def _within(part: Part, customer_id: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    return and_(customer_id > part.arguments["after"], customer_id <= part.arguments["up_to"])


async def _left_and_came_back(
    session: WriteSession, deployment: Deployment, part: Part, at: AsOf
) -> set[str]:
    """Return whose stage time may have changed, also to and fro, under the former policy."""
    timeline = (await policies.timeline(session)).before_last()
    recorded_until = to_micros(datetime.fromisoformat(part.context["recorded_until"]))
    since = from_micros(max(timeline.starts[-1], recorded_until))
    ends = part.arguments
    return await due_transitions.unrecorded(
        session, deployment, timeline.current, since, at, **ends
    )


async def _told_until(
    session: ReadSession, timeline: PolicyTimeline, part: Part, at: datetime
) -> datetime:
    """Return the last instant after an activation that somebody has told of as it happened.

    By whatever clock: who told of it by the policy before has ended.
    """
    if timeline.kinds == frozenset():
        return at
    told = select(func.max(Interaction.occurred_at)).where(
        _within(part, Interaction.customer_id),
        Interaction.occurred_at > at,
        Interaction.received_at >= Interaction.occurred_at,
    )
    return await session.scalar(told) or at
