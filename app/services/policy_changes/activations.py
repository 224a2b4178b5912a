"""Putting another policy in force: counted again, then the pointer, then everybody's ledger."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import insert

from app.days import AsOf, from_micros, to_micros
from app.db import WriteSession
from app.deployment import Deployment
from app.errors import Conflict, PreviewStale
from app.models import PolicyActivation
from app.schemas.common.types import format_instant
from app.schemas.policies.policies import ActivationRequest
from app.services.common import deployment_settings, etags, locks
from app.services.common.stored_documents import Section
from app.services.customer_base import populations
from app.services.customers import customers
from app.services.operations import operations, parts
from app.services.operations.parts import Part
from app.services.policies import policies
from app.services.policy_changes import matrices, previews, versions
from app.services.stages import derivation, due_transitions

ACTIVATION = "policy_activation"
APPLY = "apply_policy"
APPLY_PART = 5_000


class ActivationOrder(Section):
    """Which version is to be put in force by whom, after which preview."""

    version: int
    preview: str
    max_drift: int
    by: str


async def submit(
    session: WriteSession,
    version: int,
    asked: ActivationRequest,
    *,
    if_match: str | None,
    now: datetime,
    by: str,
) -> dict[str, Any]:
    """Start to put a version in force, if the caller has seen who will change stage."""
    await policies.stored(session, version)
    etags.check(if_match, await versions.generation(session), "the policy in force")
    if version == (await deployment_settings.pointers(session)).policy_version:
        raise Conflict(f"Policy {version} is in force already.")
    preview = await previews.redeem(session, asked.token, version)
    request = ActivationOrder(version=version, preview=preview, max_drift=asked.max_drift, by=by)
    row = await operations.submit(session, ACTIVATION, request, now=now, requested_by=by)
    return operations.to_response(row)


async def plan_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Count again who would change stage."""
    del deployment
    await previews.plan(session, part, part.asked(ActivationOrder).version, now)


async def apply_next_parts(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> dict[str, Any] | None:
    """After the count, put the policy in force; after everybody has, say so."""
    if "activated_at" in part.context:
        version = part.context["version"]
        await deployment_settings.put(session, deployment_settings.SETTLED_POLICY, version)
        moved = sum(outcome.get("moved", 0) for outcome in await parts.noted(session, part))
        return {
            "policy_version": version,
            "activated_at": format_instant(datetime.fromisoformat(part.context["activated_at"])),
            "transitions": moved,
            "matrix": part.context["matrix"],
        }
    cells = matrices.add_up(
        outcome for outcome in await parts.noted(session, part) if "cells" in outcome
    )
    policy = await policies.get(session, part.asked(ActivationOrder).version)
    matrix = matrices.matrix(deployment, policy, cells)
    await _check_drift(session, part, matrix)
    at = await _put_in_force(session, part.asked(ActivationOrder), now)
    ranges = [
        (APPLY, {"after": after, "up_to": up_to})
        for after, up_to in await populations.boundaries(session, APPLY_PART)
    ]
    recorded_until = (await deployment_settings.recorded_until(session)).isoformat()
    context = {**part.context, "activated_at": at.isoformat(), "matrix": matrix,
               "recorded_until": recorded_until}  # fmt: skip
    await parts.plan(session, part, ranges, context)
    if ranges:
        return None
    return await apply_next_parts(session, deployment, await parts.refresh(session, part), now)


async def _check_drift(session: WriteSession, part: Part, matrix: list[dict[str, Any]]) -> None:
    """Refuse to go on if more customers changed stage than were allowed to."""
    order = part.asked(ActivationOrder)
    previewed = operations.result_of(await operations.get(session, order.preview))["matrix"]
    seen = _counts(previewed)
    found = _counts(matrix)
    drift = {
        cell: abs(found.get(cell, 0) - seen.get(cell, 0)) for cell in seen.keys() | found.keys()
    }
    allowed = order.max_drift
    if max(drift.values(), default=0) > allowed:
        raise PreviewStale(
            f"A cell differs by up to {max(drift.values())} customers from the preview;"
            f" max_drift allows {allowed}. Nothing was activated.",
            matrix=matrix,
            previewed=previewed,
        )


def _counts(matrix: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    return {(cell["from"], cell["to"]): cell["customers"] for cell in matrix}


async def _put_in_force(session: WriteSession, order: ActivationOrder, now: datetime) -> datetime:
    """Move the pointer, once nobody is writing by the policy that was in force."""
    await locks.hold(session, locks.POLICY_IN_FORCE)
    policy = await policies.get(session, order.version)
    at = max(now, datetime.now(UTC))
    await session.execute(
        insert(PolicyActivation).values(
            activation_id=await versions.generation(session) + 1,
            version=order.version,
            activated_at=at,
            activated_by=order.by,
        )
    )
    await deployment_settings.put(session, deployment_settings.ACTIVE_POLICY, order.version)
    await deployment_settings.put(
        session, deployment_settings.POLICY_TIMELINE, deployment_settings.new_name()
    )
    await deployment_settings.put(session, deployment_settings.BEGINNING, policy.beginning)
    return at


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
    # Lives are counted anew where another silence ends them, and what came later is looked at.
    kept = population.summaries.column
    alike = [
        policy.version
        for policy in timeline.policies
        if policy.inactivity_limit == timeline.current.inactivity_limit
    ]
    due |= (kept("facts") > 0) & ~np.isin(kept("policy_version"), alike)
    due |= kept("facts_until") >= to_micros(at)
    to_and_fro = await _left_and_came_back(session, deployment, part, deployment.as_of(at))
    moved = [
        customer_id
        for row, customer_id in enumerate(population.customer_ids)
        if due[row] or customer_id in to_and_fro
    ]
    if moved:
        await customers.lock_or_create(session, moved, now)
        await derivation.advance(session, deployment, moved, max(now, at), invalid_from=at)
    await parts.note(session, part, {"moved": found.transitions})


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
