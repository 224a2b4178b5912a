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
from app.schemas.policies import ActivationRequest
from app.schemas.types import format_instant
from app.services import (
    customers,
    etags,
    lifecycle,
    locks,
    operations,
    parts,
    policies,
    policy_previews,
    policy_versions,
    populations,
    settings,
    stage_moves,
)
from app.services.parts import Part

ACTIVATION = "policy_activation"
APPLY = "apply_policy"
APPLY_PART = 5_000


async def submit(
    session: WriteSession,
    version: int,
    asked: ActivationRequest,
    *,
    if_match: str | None,
    now: datetime,
    by: str,
) -> dict[str, Any]:
    """Start to put a version in force, if the caller has seen who will move."""
    await policies.stored(session, version)
    etags.check(if_match, await policy_versions.generation(session), "the policy in force")
    if version == (await settings.pointers(session)).policy_version:
        raise Conflict(f"Policy {version} is in force already.")
    preview = await policy_previews.redeem(session, asked.token, version, now)
    request = {"version": version, "preview": preview, "max_drift": asked.max_drift, "by": by}
    row = await operations.submit(session, ACTIVATION, request, now=now, requested_by=by)
    return operations.shown(row)


async def plan_part(session: WriteSession, here: Deployment, part: Part, now: datetime) -> None:
    """Count again who would move."""
    del here
    await policy_previews.plan(session, part, part.request["version"], now)


async def go_on(
    session: WriteSession, here: Deployment, part: Part, now: datetime
) -> dict[str, Any] | None:
    """After the count, put the policy in force; after everybody has moved, say so."""
    if "activated_at" in part.context:
        version = part.context["version"]
        await settings.put(session, settings.SETTLED_POLICY, version)
        moved = sum(outcome.get("moved", 0) for outcome in await parts.noted(session, part))
        return {
            "policy_version": version,
            "activated_at": format_instant(datetime.fromisoformat(part.context["activated_at"])),
            "moved": moved,
            "matrix": part.context["matrix"],
        }
    cells = policy_previews.add_up(
        outcome for outcome in await parts.noted(session, part) if "cells" in outcome
    )
    matrix = policy_previews.matrix(here, cells)
    await _check_drift(session, part, matrix)
    at = await _put_in_force(session, part, now)
    ranges = [
        (APPLY, {"after": after, "up_to": up_to})
        for after, up_to in await populations.boundaries(session, APPLY_PART)
    ]
    recorded_until = (await settings.moved_until(session)).isoformat()
    context = {**part.context, "activated_at": at.isoformat(), "matrix": matrix,
               "recorded_until": recorded_until}  # fmt: skip
    await parts.plan(session, part, ranges, context)
    if ranges:
        return None
    return await go_on(session, here, await parts.refresh(session, part), now)


async def _check_drift(session: WriteSession, part: Part, matrix: list[dict[str, Any]]) -> None:
    """Refuse to go on if more customers moved between stages than were allowed to."""
    preview = await operations.get(session, part.request["preview"])
    seen = _counts(preview.result["matrix"])
    found = _counts(matrix)
    drift = {
        cell: abs(found.get(cell, 0) - seen.get(cell, 0)) for cell in seen.keys() | found.keys()
    }
    allowed = part.request["max_drift"]
    if max(drift.values(), default=0) > allowed:
        raise PreviewStale(
            f"Up to {max(drift.values())} customers of a cell have moved since the preview;"
            f" max_drift allows {allowed}. Nothing was activated.",
            matrix=matrix,
            previewed=preview.result["matrix"],
        )


def _counts(matrix: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    return {(cell["from"], cell["to"]): cell["customers"] for cell in matrix}


async def _put_in_force(session: WriteSession, part: Part, now: datetime) -> datetime:
    """Move the pointer, once nobody is writing by the policy that was in force."""
    await locks.hold(session, locks.POLICY_IN_FORCE)
    version = part.request["version"]
    policy = await policies.get(session, version)
    at = max(now, datetime.now(UTC))
    await session.execute(
        insert(PolicyActivation).values(
            activation_id=await policy_versions.generation(session) + 1,
            version=version,
            activated_at=at,
            activated_by=part.request["by"],
        )
    )
    await settings.put(session, settings.ACTIVE_POLICY, version)
    await settings.put(session, settings.REGIME, settings.new_name())
    await settings.put(session, settings.BEGINNING, policy.beginning)
    return at


async def apply_part(session: WriteSession, here: Deployment, part: Part, now: datetime) -> None:
    """Record the moves of a range of customers that the new policy makes."""
    regime = await policies.regime(session)
    at = datetime.fromisoformat(part.context["activated_at"])
    found = await policy_previews.compare(
        session, here, regime.before_last(), regime.current, here.as_of(at), **part.arguments
    )
    people = found.people
    due = np.array(found.before, dtype=object) != np.array(found.after, dtype=object)
    due |= np.array(found.after, dtype=object) != np.array(people.recorded_stages, dtype=object)
    # Lives are counted anew where another silence ends them, and what came later is looked at.
    kept = people.summaries.column
    alike = [each.version for each in regime.policies if each.silence == regime.current.silence]
    due |= (kept("facts") > 0) & ~np.isin(kept("policy_version"), alike)
    due |= kept("facts_until") >= to_micros(at)
    to_and_fro = await _left_and_came_back(session, here, part, here.as_of(at))
    moved = [each for row, each in enumerate(people.customer_ids) if due[row] or each in to_and_fro]
    if moved:
        await customers.take(session, moved, now)
        await lifecycle.advance(session, here, moved, max(now, at), doubted_from=at)
    pairs = zip(found.before, found.after, strict=True)
    await parts.note(session, part, {"moved": sum(before != after for before, after in pairs)})


async def _left_and_came_back(
    session: WriteSession, here: Deployment, part: Part, at: AsOf
) -> set[str]:
    """Return whom time may have moved, also to and fro, under the policy that was in force."""
    timeline = (await policies.regime(session)).before_last()
    recorded_until = to_micros(datetime.fromisoformat(part.context["recorded_until"]))
    since = from_micros(max(timeline.starts[-1], recorded_until))
    ends = part.arguments
    return await stage_moves.unrecorded(session, here, timeline.current, since, at, **ends)
