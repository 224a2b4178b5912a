"""Putting another policy in force: counted again, then the pointer, then everybody's ledger.

What broke off after the pointer has moved is gone on with by activating the same version again, or
is settled together with whatever version comes next.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select

from app.deployment import Deployment
from app.errors import Conflict, PreviewStale
from app.models import Operation, PolicyActivation
from app.postgres.db import ReadSession, WriteSession
from app.schemas.policies.policies import ActivationRequest
from app.services.common import deployment_settings, etags
from app.services.common.stored_documents import Section
from app.services.operations import operations, parts
from app.services.operations.parts import Part
from app.services.policies import policies
from app.services.policy_changes import matrices, previews, taking_effect, versions

ACTIVATION = taking_effect.ACTIVATION


class ActivationOrder(Section):
    """Which version is to be put in force by whom, after which preview.

    `resumes` is the activation that is gone on with, if it is one that broke off.
    """

    version: int
    preview: str
    max_drift: int
    by: str
    resumes: int | None = None


async def submit(
    session: WriteSession,
    version: int,
    asked: ActivationRequest,
    *,
    if_match: str | None,
    now: datetime,
    by: str,
) -> dict[str, Any]:
    """Start to put a version in force, if the caller has seen who will change stage.

    If it is in force, and broke off before it was recorded for everybody, that is gone on with.
    """
    await policies.stored(session, version, keep=True)
    etags.check(if_match, await versions.generation(session), "the policy in force")
    if version == (await deployment_settings.pointers(session)).policy_version:
        return await _resume(session, version, now=now, by=by)
    preview = await previews.redeem(session, asked.token, version)
    request = ActivationOrder(version=version, preview=preview, max_drift=asked.max_drift, by=by)
    row = await operations.submit(session, ACTIVATION, request, now=now, requested_by=by)
    return operations.to_response(row)


async def _resume(session: WriteSession, version: int, *, now: datetime, by: str) -> dict[str, Any]:
    """Start to record what is left of the activation in force; one that runs is left to run."""
    last = await taking_effect.last(session)
    if last.settled_at is not None:
        raise Conflict(f"Policy {version} is in force already.")
    row = await operations.find_open(session, ACTIVATION)
    if row is None or operations.request_of(row)["version"] != version:
        request = ActivationOrder(
            version=version, preview="", max_drift=0, by=by, resumes=last.activation_id
        )
        row = await operations.submit(session, ACTIVATION, request, now=now, requested_by=by)
    return operations.to_response(row)


async def plan_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Count again who would change stage, or go on with what broke off."""
    del deployment
    order = part.asked(ActivationOrder)
    if order.resumes is None:
        await previews.plan(session, part, order.version, now)
    else:
        await parts.plan(session, part, [(taking_effect.AWAIT, {})], await _left_of(session, part))


async def _left_of(session: ReadSession, part: Part) -> dict[str, Any]:
    """Return the context of what broke off, as its operation left it, or what is known without."""
    last = await taking_effect.last(session)
    at = last.activated_at.isoformat()
    left = Operation.kind == ACTIVATION, Operation.context["activated_at"].astext == at
    context = await session.scalar(
        select(Operation.context)
        .where(*left, Operation.operation_id != part.operation_id)
        .order_by(Operation.created_at.desc())
        .limit(1)
    )
    first = await session.scalar(select(func.min(PolicyActivation.activated_at)))
    assert first is not None
    known = {"activated_at": at, "version": last.version, "matrix": [],
             "recorded_until": first.isoformat(), **(context or {})}  # fmt: skip
    return {name: value for name, value in known.items() if name != "applying"}


async def apply_next_parts(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> dict[str, Any] | None:
    """After the count, put the policy in force; after all writers know it, record; then say so."""
    if "applying" in part.context:
        return await taking_effect.settle(session, part, now)
    if "activated_at" in part.context:
        return await taking_effect.plan(session, part, now)
    cells = matrices.add_up(
        outcome for outcome in await parts.noted(session, part) if "cells" in outcome
    )
    order = part.asked(ActivationOrder)
    policy = await policies.get(session, order.version)
    matrix = matrices.matrix(deployment, policy, cells)
    await _check_drift(session, part, matrix)
    recorded_until = (await deployment_settings.recorded_until(session)).isoformat()
    at = await _put_in_force(session, order, now)
    context = {**part.context, "activated_at": at.isoformat(), "matrix": matrix,
               "recorded_until": recorded_until}  # fmt: skip
    await parts.plan(session, part, [(taking_effect.AWAIT, {})], context)
    return None


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
    """Move the pointer, later than it ever was moved; recorded stages are behind from then on."""
    policy = policies.restore(await policies.stored(session, order.version, keep=True))
    last = await taking_effect.last(session)
    at: datetime = max(now, last.activated_at + timedelta(microseconds=1))
    await session.execute(
        insert(PolicyActivation).values(
            activation_id=last.activation_id + 1,
            version=order.version,
            activated_at=at,
            activated_by=order.by,
        )
    )
    recorded_until = min(at, await deployment_settings.recorded_until(session))
    await deployment_settings.put(
        session, deployment_settings.RECORDED_UNTIL, recorded_until.isoformat()
    )
    await deployment_settings.put(session, deployment_settings.SETTLED_POLICY, last.version)
    await deployment_settings.put(session, deployment_settings.ACTIVE_POLICY, order.version)
    await deployment_settings.put(
        session, deployment_settings.POLICY_TIMELINE, deployment_settings.new_name()
    )
    await deployment_settings.put(session, deployment_settings.BEGINNING, policy.beginning)
    return at
