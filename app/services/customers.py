"""Customers: taking them for a write, and their profiles."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic_core import PydanticCustomError
from sqlalchemy import ColumnElement, func, or_, select, text, update

from app.db import AnyRow, ReadSession, WriteSession
from app.errors import FieldError, NotFound, StaleVersion, ValidationFailed
from app.lifecycle.policy import POTENTIAL
from app.models import Customer
from app.schemas.customers import Profile, ProfilePatch
from app.schemas.types import check_attributes
from app.services.paging import PageRequest, Sort, choose_sort, fetch_shown

PROFILE_FIELDS = tuple(Profile.model_fields)
COLUMNS = [
    Customer.customer_id,
    *(getattr(Customer, field) for field in PROFILE_FIELDS),
    Customer.profile_version,
    Customer.stage,
    Customer.stage_since,
    Customer.created_at,
    Customer.updated_at,
]
SORTS = {
    name: Sort(columns, descending=name.startswith("-"))
    for names, columns in {
        ("customer_id", "-customer_id"): (Customer.customer_id,),
        ("created_at", "-created_at"): (Customer.created_at, Customer.customer_id),
    }.items()
    for name in names
}

_TAKE = text(
    "INSERT INTO customers (customer_id, version, profile_version, attributes, stage,"
    " stage_version, created_at, updated_at)"
    " SELECT customer_id, 1, 1, '{}', :stage, 1, :now, :now"
    " FROM unnest(CAST(:customer_ids AS text[])) AS asked (customer_id)"
    ' ORDER BY customer_id COLLATE "C"'
    " ON CONFLICT (customer_id) DO UPDATE SET version = customers.version + 1"
    " RETURNING customer_id, version = 1"
)


async def take(
    session: WriteSession, customer_ids: Sequence[str], now: datetime
) -> dict[str, bool]:
    """Lock customers in one order for this transaction, making those not known; tell which.

    What is read in later statements is what the writers before this one committed.
    """
    ids = sorted(set(customer_ids))
    rows = await session.execute(_TAKE, {"customer_ids": ids, "stage": POTENTIAL, "now": now})
    return {row[0]: row[1] for row in rows}


async def get(session: ReadSession, customer_id: str) -> AnyRow:
    """Return a customer's profile and recorded stage."""
    row = (
        await session.execute(select(*COLUMNS).where(Customer.customer_id == customer_id))
    ).one_or_none()
    if row is None:
        raise unknown(customer_id)
    return row


async def require(session: ReadSession, customer_id: str) -> None:
    """Raise NotFound for a customer not known, so that an empty list says what it means."""
    statement = select(Customer.customer_id).where(Customer.customer_id == customer_id)
    if await session.scalar(statement) is None:
        raise unknown(customer_id)


def unknown(customer_id: str) -> NotFound:
    return NotFound(f"There is no customer {customer_id!r}.")


async def put(
    session: WriteSession,
    customer_id: str,
    profile: Profile,
    *,
    if_match: str | None,
    now: datetime,
) -> tuple[AnyRow, bool]:
    """Make the profile exactly this; return the customer, and whether it is new."""
    if if_match is not None:
        _check_version(await _locked(session, customer_id, required=False), if_match)
    created = (await take(session, [customer_id], now))[customer_id]
    row = await get(session, customer_id)
    await _write(
        session, row, profile.model_dump(), now, version=row.profile_version + (not created)
    )
    return await get(session, customer_id), created


async def patch(
    session: WriteSession,
    customer_id: str,
    change: ProfilePatch,
    *,
    if_match: str | None,
    now: datetime,
) -> AnyRow:
    """Merge a change into the profile of a known customer."""
    row = await _locked(session, customer_id, required=True)
    if if_match is not None:
        _check_version(row, if_match)
    assert row is not None
    await session.execute(
        update(Customer)
        .where(Customer.customer_id == customer_id)
        .values(version=Customer.version + 1)
    )
    try:
        profile = merged(shown(row), change)
    except PydanticCustomError as error:
        fault = FieldError("/attributes", error.type, error.message())
        raise ValidationFailed(errors=[fault]) from None
    await _write(session, row, profile, now, version=row.profile_version + 1)
    return await get(session, customer_id)


def merged(profile: Mapping[str, Any], change: ProfilePatch) -> dict[str, Any]:
    """Return a profile after a JSON merge patch; what results must be storable, too."""
    given = change.model_dump(exclude_unset=True, include=set(PROFILE_FIELDS))
    result = {field: given.get(field, profile[field]) for field in PROFILE_FIELDS}
    if "attributes" in given:
        patch_of = given["attributes"]
        attributes = {} if patch_of is None else merge_patch(profile["attributes"], patch_of)
        result["attributes"] = check_attributes(attributes)
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


def merge_patch(target: Any, change: Any) -> Any:
    """Apply RFC 7396 to free JSON."""
    if not isinstance(change, dict):
        return change
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


async def _locked(session: WriteSession, customer_id: str, *, required: bool) -> AnyRow | None:
    statement = select(*COLUMNS).where(Customer.customer_id == customer_id).with_for_update()
    row = (await session.execute(statement)).one_or_none()
    if row is None and required:
        raise unknown(customer_id)
    return row


def _check_version(row: AnyRow | None, if_match: str) -> None:
    current = None if row is None else etag(row.profile_version)
    if current is None or (if_match.strip() != "*" and current not in _listed(if_match)):
        raise StaleVersion(
            "The profile is not at the version named in If-Match.",
            errors=[FieldError("header:If-Match", "stale_version", f"the profile is at {current}")],
        )


def _listed(if_match: str) -> list[str]:
    return [tag.strip() for tag in if_match.split(",")]


def shown(row: AnyRow) -> dict[str, Any]:
    """Return a customer as the API shows it."""
    return {column.key: getattr(row, column.key) for column in COLUMNS}


def etag(version: int) -> str:
    return f'"{version}"'


async def _write(
    session: WriteSession, row: AnyRow, profile: dict[str, Any], now: datetime, *, version: int
) -> None:
    """Write a profile if it differs; its version moves only then."""
    if not same(profile, shown(row)):
        await session.execute(
            update(Customer)
            .where(Customer.customer_id == row.customer_id)
            .values(**profile, profile_version=version, updated_at=now)
        )


async def search(
    session: ReadSession,
    page: PageRequest,
    *,
    stage: str | None,
    owner: str | None,
    q: str | None,
) -> dict[str, Any]:
    """Return a page of the customers that fit all filters."""
    name, sort = choose_sort(page, SORTS, "customer_id")
    statement = select(*COLUMNS, *sort.columns)
    if stage is not None:
        statement = statement.where(Customer.stage == stage)
    if owner is not None:
        statement = statement.where(Customer.owner == owner)
    if q is not None:
        statement = statement.where(_begins_with(q))
    bound_to = {"list": "customers", "sort": name, "stage": stage, "owner": owner, "q": q}
    return await fetch_shown(session, statement, page, sort, bound_to, shown)


def _begins_with(prefix: str) -> ColumnElement[bool]:
    """Compare ranges, not LIKE: a range finds its index under any plan, and needs no escaping."""
    last = "\U0010ffff"
    lowered = func.lower(prefix), func.lower(prefix + last)
    plain = prefix, prefix + last
    columns = [
        (Customer.customer_id, plain),
        (func.lower(Customer.name).collate("C"), lowered),
        (func.lower(Customer.email).collate("C"), lowered),
        (Customer.phone.collate("C"), plain),
    ]
    return or_(*((column >= low) & (column <= high) for column, (low, high) in columns))
