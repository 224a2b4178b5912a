"""Versions of the policy: writing, listing and showing them."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import delete as remove
from sqlalchemy import func, insert, or_, select, text

from app.errors import Conflict, FieldError, NotFound, ValidationFailed, printable
from app.lifecycle import documents, kinds
from app.lifecycle.expressions import OPERATORS, words
from app.lifecycle.variables.choices import CHOICES
from app.lifecycle.variables.definition import Term, Turning, Variable
from app.lifecycle.variables.registry import VARIABLES
from app.models import Operation, Policy, PolicyActivation
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.schemas.common.types import MAX_TEXT
from app.schemas.policies.policies import PolicyDocument, SeasonRequest
from app.services.common import deployment_settings, interaction_kinds
from app.services.common.paging import PageRequest, Sort, fetch_responses
from app.services.models import model_store
from app.services.operations.operations import OPEN
from app.services.policies import policies
from app.services.policy_changes import previews, taking_effect

MAX_POLICIES = 1_000
_NEWEST = Sort((Policy.version,), descending=True)
_COLUMNS = list(Policy.__table__.columns)
_SEASONAL = {"en": ", by season", "zh": "（按季节）"}
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
# No number is given twice, and of two at once the second waits for the first.
_NEXT = text(
    "INSERT INTO settings (key, value)"
    " SELECT :key, to_jsonb(coalesce(max(version), 0) + 1) FROM policies"
    " ON CONFLICT (key) DO UPDATE SET value = to_jsonb(1 + greatest(CAST(settings.value AS int),"
    " (SELECT max(version) FROM policies))) RETURNING CAST(value AS int)"
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
    version = await session.scalar(_NEXT, {"key": deployment_settings.LAST_POLICY})
    assert version is not None
    await _refuse_too_many(session)
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


async def with_season(
    session: WriteSession, version: int, asked: SeasonRequest, *, now: datetime, by: str
) -> dict[str, Any]:
    """Store a version like another one that counts inactivity by a season."""
    row = await policies.stored(session, version)
    factors = asked.factors or await _learnt(session, asked)
    name = {
        language: row.document["name"][language][: MAX_TEXT - len(more)] + more
        for language, more in _SEASONAL.items()
    }
    document = {**row.document, "name": name, "season": factors}
    return await create(session, PolicyDocument.model_validate(document), now=now, by=by)


async def _learnt(session: ReadSession, asked: SeasonRequest) -> list[float]:
    """Return the factors of the model that is asked for, or of the active one."""
    if asked.model_id is not None:
        await _require_model(session, asked.model_id)
    model_id = asked.model_id or (await deployment_settings.pointers(session)).model_id
    if model_id is None:
        raise Conflict("There is no active model that could have learnt a season: fit one first.")
    season = (await model_store.load(session, model_id)).season
    if season is None:
        raise Conflict(
            f"Model {model_id!r} has no season: `season` of GET /v1/models/{model_id} says why."
        )
    return list(season.factors)


async def _refuse_too_many(session: ReadSession) -> None:
    if (await session.scalar(select(func.count()).select_from(Policy)) or 0) >= MAX_POLICIES:
        raise Conflict(
            f"There are {MAX_POLICIES} policies, as many as are kept. Delete some that were never"
            " in force."
        )


async def delete(session: WriteSession, version: int) -> None:
    """Delete a version that nothing has ever followed, and that nobody is about to activate."""
    locked = select(Policy.preset).where(Policy.version == version).with_for_update()
    row = (await session.execute(locked)).one_or_none()
    if row is None:
        raise policies.unknown(version)
    if row.preset is not None:
        raise Conflict(f"Policy {version} is one of those that are ready to use.")
    activated = select(PolicyActivation.activation_id).where(PolicyActivation.version == version)
    if await session.scalar(activated.limit(1)) is not None:
        raise Conflict(f"Policy {version} has been in force: what was recorded by it names it.")
    fresh = Operation.finished_at > func.now() - previews.GOOD_FOR
    naming = select(Operation.operation_id).where(
        Operation.kind.in_((previews.PREVIEW, taking_effect.ACTIVATION)),
        Operation.request["version"].as_integer() == version,
        or_(Operation.state.in_(OPEN), fresh),
    )
    operation_id = await session.scalar(naming.limit(1))
    if operation_id is not None:
        raise Conflict(
            f"Operation {operation_id} names policy {version}, and may lead to its activation. It"
            " can be deleted a day after that has ended."
        )
    await _keep_number(session, version)
    await session.execute(remove(Policy).where(Policy.version == version))


async def _keep_number(session: WriteSession, version: int) -> None:
    last = deployment_settings.LAST_POLICY
    if version > (await deployment_settings.get(session, last) or 0):
        await deployment_settings.put(session, last, version)


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


async def variables(session: ReadSession) -> dict[str, Any]:
    """Return the registry of what rules may name, with the stages of the policy in force."""
    pointers = await deployment_settings.pointers(session)
    stages = await policies.described_stages(session, pointers.policy_version)
    called = {**CHOICES, "stage": {stage["code"]: stage["name"] for stage in stages}}
    items = [_variable(row, called.get(row.name, {})) for row in VARIABLES.values()]
    return {"items": items, "operators": list(OPERATORS)}


def _variable(row: Variable, called: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    turning = (row.narrowed or row).turning
    return {
        "name": row.name,
        "type": row.type,
        "unit": row.unit,
        "source": row.source,
        "title": Term.of(row.narrowed or row).title(),
        "meaning": dict(zip(("en", "zh"), row.meaning, strict=True)),
        "minimum": row.minimum,
        "maximum": row.maximum,
        "values": row.values,
        "words": [{"code": code, "name": name} for code, name in called.items()],
        "changes_with_time": turning is not Turning.STILL,
        "parameters": list(row.accepts),
        "levels": row.levels,
        "alias_of": None if row.alias_of is None else _alias(row.alias_of),
        "in_stage_policies": row.in_stage_policies,
    }


def _alias(term: Term) -> dict[str, Any]:
    return {"variable": term.name, **dict(term.given)}
