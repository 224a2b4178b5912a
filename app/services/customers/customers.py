"""Customers: taking them for a write, finding and showing them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, text

from app.db import AnyRow, ReadSession, WriteSession
from app.errors import NotFound
from app.models import Customer
from app.schemas.customers import Profile
from app.services.common import deployment_settings, locks
from app.services.common.paging import PageRequest, Sort, choose_sort, fetch_responses

PROFILE_FIELDS = tuple(Profile.model_fields)
COLUMNS = [
    Customer.customer_id,
    *(getattr(Customer, field) for field in PROFILE_FIELDS),
    Customer.source,
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
    " SELECT customer_id, 1, 1, '{}',"
    " (SELECT value #>> '{}' FROM settings WHERE key = 'beginning_stage'), 1, :now, :now"
    " FROM unnest(CAST(:customer_ids AS text[])) AS asked (customer_id)"
    ' ORDER BY customer_id COLLATE "C"'
    " ON CONFLICT (customer_id) DO UPDATE SET version = customers.version + 1"
    " RETURNING customer_id, version = 1"
)


async def lock_or_create(
    session: WriteSession, customer_ids: Sequence[str], now: datetime
) -> dict[str, bool]:
    """Lock customers in one order for this transaction, making those not known; tell which.

    What is read in later statements is what the writers before this one committed.
    """
    await locks.share(session, locks.POLICY_IN_FORCE)
    ids = sorted(set(customer_ids))
    rows = await session.execute(_TAKE, {"customer_ids": ids, "now": now})
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


def to_response(row: AnyRow) -> dict[str, Any]:
    """Return a customer as the API shows it."""
    return {column.key: getattr(row, column.key) for column in COLUMNS}


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
    found = await fetch_responses(session, statement, page, sort, bound_to, to_response)
    settled = (await deployment_settings.pointers(session)).settled_policy_version
    return {**found, "stage_policy_version": settled}


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
