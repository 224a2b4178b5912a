"""Versions of the policy: writing, listing and showing them."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import func, insert, select, text

from app.db import AnyRow, ReadSession, WriteSession
from app.errors import FieldError, NotFound, ValidationFailed, printable
from app.lifecycle import documents, kinds
from app.lifecycle.expressions import OPERATORS, words
from app.lifecycle.variables.definition import Term, Turning, Variable
from app.lifecycle.variables.registry import VARIABLES
from app.models import Policy, PolicyActivation
from app.schemas.policies.policies import PolicyDocument
from app.services.common import deployment_settings, interaction_kinds, locks
from app.services.common.paging import PageRequest, Sort, fetch_responses
from app.services.models import model_store
from app.services.policies import policies

_NEWEST = Sort((Policy.version,), descending=True)
_COLUMNS = list(Policy.__table__.columns)
_LAST = (
    select(func.max(PolicyActivation.activated_at))
    .where(PolicyActivation.version == Policy.version)
    .scalar_subquery()
    .label("activated_at")
)


_CODES = text(
    "SELECT DISTINCT stage ->> 'code'"
    " FROM policies, jsonb_array_elements(document -> 'stages') AS stage"
)


async def create(
    session: WriteSession, asked: PolicyDocument, *, now: datetime, by: str
) -> dict[str, Any]:
    """Store a new version; nothing changes by it before it is activated."""
    document = asked.model_dump(exclude_unset=True)
    declared = (await interaction_kinds.declared(session)).kinds
    faults = await _unknown(session, asked.maps or {})
    try:
        policy = documents.parse(0, document, declared)
    except documents.InvalidPolicy as invalid:
        faults = [*(_fault(*fault) for fault in invalid.faults), *faults]
    if faults:
        raise ValidationFailed(errors=faults[:20])
    if asked.model_id is not None:
        await _require_model(session, asked.model_id)
    await locks.hold(session, locks.POLICY_VERSIONS)
    version = 1 + (await session.scalar(select(func.max(Policy.version))) or 0)
    await session.execute(
        insert(Policy).values(
            version=version,
            document=document,
            interaction_kinds=kinds.copy_of(declared, policy.kinds_read),
            created_at=now,
            created_by=by,
        )
    )
    return (await describe(session, version))[0]


async def _unknown(session: ReadSession, maps: Mapping[str, str]) -> list[FieldError]:
    """Return what is wrong with renaming stages that no version has."""
    if not maps:
        return []
    codes = set(await session.scalars(_CODES))
    return [
        _fault(f"/maps/{code}", "unknown_stage", f"no earlier version has a stage {code!r}")
        for code in maps
        if code not in codes
    ]


def _fault(pointer: str, code: str, detail: str) -> FieldError:
    # What is pointed at may be called anything.
    return FieldError(printable(pointer, 1_000), code, printable(detail, 500))


async def _require_model(session: ReadSession, model_id: str) -> None:
    try:
        await model_store.get(session, model_id)
    except NotFound:
        fault = FieldError("/model_id", "unknown_model", f"there is no model {model_id!r}")
        raise ValidationFailed(errors=[fault]) from None


async def search(session: ReadSession, page: PageRequest) -> dict[str, Any]:
    """Return a page of versions, newest first."""
    statement = select(*_COLUMNS, _LAST, *_NEWEST.columns)
    active = (await deployment_settings.pointers(session)).policy_version
    return await fetch_responses(
        session, statement, page, _NEWEST, {"list": "policies"}, partial(_head, active=active)
    )


async def describe(session: ReadSession, version: int) -> tuple[dict[str, Any], int]:
    """Return a version, and the number of activations there were: the ETag of all policies."""
    statement = select(*_COLUMNS, _LAST).where(Policy.version == version)
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise policies.unknown(version)
    active = (await deployment_settings.pointers(session)).policy_version
    policy = policies.restore(row)
    told = [
        {
            "code": rule.code,
            "stage": rule.stage,
            "words": {language: words(rule.when, language) for language in ("en", "zh")},
        }
        for rule in policy.rules
    ]
    answer = {
        **_head(row, active),
        "document": row.document,
        "interaction_kinds": row.interaction_kinds,
        "rules": told,
    }
    return answer, await generation(session)


async def generation(session: ReadSession) -> int:
    """Return how many activations there were."""
    return await session.scalar(select(func.max(PolicyActivation.activation_id))) or 0


def _head(row: AnyRow, active: int) -> dict[str, Any]:
    return {
        "version": row.version,
        "name": row.document["name"],
        "preset": row.preset,
        "active": row.version == active,
        "activated_at": row.activated_at,
        "created_at": row.created_at,
        "created_by": row.created_by,
    }


def variables() -> dict[str, Any]:
    """Return the registry of what rules may name."""
    return {"items": list(map(_variable, VARIABLES.values())), "operators": list(OPERATORS)}


def _variable(row: Variable) -> dict[str, Any]:
    turning = (row.narrowed or row).turning
    return {
        "name": row.name,
        "type": row.type,
        "unit": row.unit,
        "source": row.source,
        "meaning": dict(zip(("en", "zh"), row.meaning, strict=True)),
        "minimum": row.minimum,
        "maximum": row.maximum,
        "values": row.values,
        "changes_with_time": turning is not Turning.STILL,
        "parameters": list(row.accepts),
        "levels": row.levels,
        "alias_of": None if row.alias_of is None else _alias(row.alias_of),
        "in_stage_policies": row.in_stage_policies,
    }


def _alias(term: Term) -> dict[str, Any]:
    return {"variable": term.name, **dict(term.given)}
