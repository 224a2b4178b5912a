"""Customers: taking them for a write, and showing them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import select

from app.errors import NotFound
from app.models import Customer
from app.postgres.db import AnyRow, ReadSession, WriteSession, fetch_rows
from app.schemas.customers import Profile
from app.services.common import deployment_settings
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
TAKEN = "customers_taken"
BLOCK = 256
"""Customers taken by one statement at most: a power of two, and a text that the driver keeps."""


async def lock_or_create(
    session: WriteSession, customer_ids: Iterable[str], now: datetime
) -> dict[str, bool]:
    """Lock customers in one order for this transaction, making those not known; tell which.

    What is read in later statements is what the writers before this one committed, and whoever
    puts another policy in force waits for who has read the one before (`common/fence`).
    """
    beginning, since = await deployment_settings.beginning(session)
    # By a clock that is behind, those who begin by this policy began before it: none of them did.
    now = now if since is None else max(now, since)
    ids = sorted(set(customer_ids))
    taken: dict[str, bool] = {}
    while len(taken) < len(ids):
        block = ids[len(taken) :]
        size = min(BLOCK, 1 << (len(block).bit_length() - 1))
        taken |= await fetch_rows(session, _take(size), now, beginning, *block[:size])
    note_taken(session, ids, now)
    made = [customer_id for customer_id, created in taken.items() if created]
    if made:
        begins, _ = await deployment_settings.beginning(session)
        if begins != beginning:  # another policy came into force between the two
            await fetch_rows(session, _BEGIN_ANEW, begins, made)
    return taken


@dataclass
class Taken:
    """The customers whom a transaction has taken so far, and the latest instant it writes at."""

    customer_ids: set[str]
    now: datetime


def note_taken(session: WriteSession, ids: Iterable[str], now: datetime) -> None:
    """Keep with the session whom it writes to, for what follows from all that it has written.

    What it has read of segments before is forgotten: who keeps everybody by the first one waits for
    those who have taken customers by then (`common/fence`), and others have to see it.
    """
    session.info.pop(deployment_settings.SEGMENTS, None)
    taken: Taken | None = session.info.get(TAKEN)
    if taken is None:
        session.info[TAKEN] = Taken(set(ids), now)
    else:
        taken.customer_ids.update(ids)
        taken.now = max(taken.now, now)


_BEGIN_ANEW = "UPDATE customers SET stage = $1 WHERE customer_id = ANY($2::text[])"


@cache
def _take(size: int) -> str:
    """Return the statement for so many customers: of a few sizes, so that it stays prepared.

    Rows given one by one are locked one by one, in their order, on any number of servers; those
    that a query yields are not.
    """
    rows = (f"(${place},1,1,'{{}}',$2,1,$1,$1)" for place in range(3, 3 + size))
    return (
        "INSERT INTO customers (customer_id, version, profile_version, attributes, stage,"  # noqa: S608  # numbers alone
        f" stage_version, created_at, updated_at) VALUES {','.join(rows)}"
        " ON CONFLICT (customer_id) DO UPDATE SET version = customers.version + 1"
        " RETURNING customer_id, version = 1"
    )


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
