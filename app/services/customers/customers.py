"""Customers: taking them for a write, and showing them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, text

from app.db import AnyRow, ReadSession, WriteSession
from app.errors import NotFound
from app.models import Customer
from app.schemas.customers import Profile
from app.services.common import locks
from app.services.customers import countries

PROFILE_FIELDS = tuple(Profile.model_fields)
COLUMNS = [
    Customer.customer_id,
    *(getattr(Customer, field) for field in PROFILE_FIELDS),
    Customer.phone_e164,
    Customer.source,
    Customer.profile_version,
    Customer.stage,
    Customer.stage_since,
    Customer.created_at,
    Customer.updated_at,
]
_NAMES = tuple(column.key for column in COLUMNS)
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
    return shown(row._asdict())


def shown(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a customer as the API shows it, of the columns by name."""
    found = {name: stored[name] for name in _NAMES}
    return {**found, **country_of(found)}


def country_of(profile: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the code of a profile's country, or else the text that is no country."""
    text = profile["country"]
    code = None if text is None else countries.code_of(text)
    return {"country": code, "country_text": text if code is None else None}
