"""Profiles in: made exactly so, or merged; and the stage that may follow from what they say."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from pydantic_core import PydanticCustomError
from sqlalchemy import Integer, bindparam, select, update

from app.days import from_day
from app.db import AnyRow, WriteSession
from app.deployment import Deployment
from app.errors import FieldError, ValidationFailed
from app.models import Customer
from app.schemas.common.types import check_attributes
from app.schemas.common.warnings import Warnings
from app.schemas.customers import Profile, ProfilePatch
from app.services.common import etags, locks
from app.services.customers import customers
from app.services.customers.customers import COLUMNS, PROFILE_FIELDS
from app.services.stages import derivation


@dataclass(frozen=True, slots=True)
class Written:
    """A customer whose profile was written, and what is to be told of it."""

    row: AnyRow
    warnings: Warnings
    created: bool

    def to_response(self) -> dict[str, Any]:
        return {**customers.to_response(self.row), "warnings": self.warnings.of(0)}


async def put(
    session: WriteSession,
    deployment: Deployment,
    customer_id: str,
    profile: Profile,
    *,
    if_match: str | None,
    now: datetime,
) -> Written:
    """Make the profile exactly this."""
    if if_match is not None:
        _check(if_match, await _locked(session, customer_id))
    created = await customers.lock_or_create(session, [customer_id], now)
    before = profile_of(await customers.get(session, customer_id))
    after = {customer_id: profile.model_dump()}
    await write(session, deployment, {customer_id: before}, after, created, now)
    row = await customers.get(session, customer_id)
    return Written(row, Warnings(), created=created[customer_id])


async def patch(
    session: WriteSession,
    deployment: Deployment,
    customer_id: str,
    change: ProfilePatch,
    *,
    if_match: str | None,
    now: datetime,
) -> Written:
    """Merge a change into the profile of a known customer."""
    row = await _locked(session, customer_id)
    if row is None:
        raise customers.unknown(customer_id)
    _check(if_match, row)
    created = await customers.lock_or_create(session, [customer_id], now)
    before = profile_of(row)
    try:
        after = {customer_id: merged(before, change)}
    except PydanticCustomError as error:
        fault = FieldError("/attributes", error.type, error.message())
        raise ValidationFailed(errors=[fault]) from None
    await write(session, deployment, {customer_id: before}, after, created, now)
    return Written(await customers.get(session, customer_id), Warnings(), created=False)


def profile_of(row: AnyRow) -> dict[str, Any]:
    return {field: getattr(row, field) for field in PROFILE_FIELDS}


def merged(profile: Mapping[str, Any], change: ProfilePatch) -> dict[str, Any]:
    """Return a profile after a JSON merge patch; what results must be storable, too."""
    given = change.model_dump(exclude_unset=True, include=set(PROFILE_FIELDS))
    result = {field: given.get(field, profile[field]) for field in PROFILE_FIELDS}
    if "attributes" in given:
        patch_of = given["attributes"]
        attributes = {} if patch_of is None else _merge_patch(profile["attributes"], patch_of)
        result["attributes"] = check_attributes(attributes)
    return result


def _merge_patch(target: Any, change: Any) -> Any:
    """Apply RFC 7396 to free JSON."""
    if not isinstance(change, dict):
        return change
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge_patch(result.get(key), value)
    return result


def same(profile: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Say whether two profiles are equal as JSON, where `true` is not 1 as it is in Python."""
    return all(_same_json(profile[field], other[field]) for field in PROFILE_FIELDS)


def _same_json(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same_json(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same_json, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def _check(if_match: str | None, row: AnyRow | None) -> None:
    etags.check(if_match, None if row is None else row.profile_version, "the profile")


async def _locked(session: WriteSession, customer_id: str) -> AnyRow | None:
    # In the order in which `customers.lock_or_create` locks, lest two writers wait for each other.
    await locks.share(session, locks.POLICY_IN_FORCE)
    statement = select(*COLUMNS).where(Customer.customer_id == customer_id).with_for_update()
    return (await session.execute(statement)).one_or_none()


async def write(
    session: WriteSession,
    deployment: Deployment,
    before: Mapping[str, Mapping[str, Any]],
    after: Mapping[str, Mapping[str, Any]],
    created: Mapping[str, bool],
    now: datetime,
) -> None:
    """Write the profiles that differ, of customers taken, and what follows for their stages.

    The version moves only then; one made in this transaction keeps its first version.
    """
    changed = {
        customer_id: new for customer_id, new in after.items() if not same(new, before[customer_id])
    }
    if changed:
        connection = await session.connection()
        await connection.execute(
            _UPDATE,
            [
                {
                    "taken_id": customer_id,
                    "step": 0 if created[customer_id] else 1,
                    "now": now,
                    **{f"new_{field}": value for field, value in profile.items()},
                }
                for customer_id, profile in changed.items()
            ],
        )
        heard_of = {
            customer_id: _is_first_seen(deployment, before[customer_id], changed[customer_id])
            for customer_id in sorted(changed)
        }
        await derivation.revise(session, deployment, heard_of, now)


def _is_first_seen(
    deployment: Deployment, before: Mapping[str, Any], after: Mapping[str, Any]
) -> date | None:
    """Return the first day whose being the first contact has changed."""
    told = {before["first_contact_at"], after["first_contact_at"]}
    days = [from_day(deployment.calendar.day_of(at)) for at in told if at is not None]
    return min(days) if len(told) > 1 else None


_UPDATE = (
    update(Customer.metadata.tables["customers"])
    .where(Customer.customer_id == bindparam("taken_id"))
    .values(
        **{field: bindparam(f"new_{field}") for field in PROFILE_FIELDS},
        profile_version=Customer.profile_version + bindparam("step", type_=Integer),
        updated_at=bindparam("now"),
    )
)
