"""What customers are found by, as it is stored: replaced with their profiles, filled once."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, text

from app.deployment import Deployment
from app.models import Customer, CustomerSearch, Setting
from app.postgres.db import WriteSession, copy_rows
from app.services.common import deployment_settings, threads
from app.services.customers import contact_points, customers, found_by
from app.services.customers.found_by import DERIVATION, LOOKED_AT, Derived

CHUNK = 1_000
_COST = 20
_NAMES = ("customer_id", "email", "words", "numbers", "terms")
_SET_NUMBERS = text(
    "UPDATE customers SET phone_e164 = given.number"
    " FROM unnest(CAST(:customer_ids AS text[]), CAST(:numbers AS text[])) AS given (id, number)"
    " WHERE customers.customer_id = given.id"
    " AND customers.customer_id = ANY(CAST(:customer_ids AS text[]))"
)
_ASKED = Customer.customer_id == text("ANY(CAST(:customer_ids AS text[]))")


async def derive(
    profiles: Mapping[str, Mapping[str, Any]], deployment: Deployment
) -> dict[str, Derived]:
    """Derive what customers are found by."""

    def each() -> dict[str, Derived]:
        return {key: found_by.derive(one, deployment.country) for key, one in profiles.items()}

    return await threads.compute(weight(len(profiles)), each)


def weight(contacts: int) -> int:
    """Return of how many rows of numbers reading so many phones and addresses is the work."""
    if contacts and not contact_points.is_loaded():
        return threads.INLINE_ROWS + 1
    return _COST * contacts


async def replace(session: WriteSession, derived: Mapping[str, Derived]) -> None:
    """Store what customers taken are found by, in place of what was stored."""
    if not derived:
        return
    gone = delete(CustomerSearch).where(
        CustomerSearch.customer_id == text("ANY(CAST(:customer_ids AS text[]))")
    )
    await session.execute(gone, {"customer_ids": sorted(derived)})
    found = ((key, derived[key].found_by) for key in sorted(derived))
    rows = [(key, *row) for key, row in found if row is not None]
    await copy_rows(session, "customer_search", _NAMES, rows)


async def set_numbers(session: WriteSession, numbers: Mapping[str, str | None]) -> None:
    """Store the phone numbers of customers taken, as they are dialled from anywhere."""
    changed = {"customer_ids": list(numbers), "numbers": list(numbers.values())}
    await session.execute(_SET_NUMBERS, changed)


async def fill(session: WriteSession, deployment: Deployment, now: datetime) -> bool:
    """Derive what the next customers are found by, where that is not known; True if it may be more.

    That is so after the migration that made the table, and after a change of the derivation or of
    the deployment's country. Each call is one short transaction, and the next goes on from there.
    """
    key = deployment_settings.SEARCH_FILLED
    held = select(Setting.value).where(Setting.key == key).with_for_update(skip_locked=True)
    stored = (await session.execute(held)).scalar_one_or_none()
    wanted = {"derivation": DERIVATION, "country": deployment.country}
    if stored is None:  # another worker is at it
        return False
    if {**stored, "until": None} != {**wanted, "until": None}:
        stored = {**wanted, "until": ""}
    if stored["until"] is None:
        return False
    ids = await _next(session, stored["until"])
    if ids:
        await _fill(session, deployment, ids, now)
    until = ids[-1] if ids else None
    await deployment_settings.put(session, key, {**wanted, "until": until})
    return until is not None


async def _next(session: WriteSession, until: str) -> Sequence[str]:
    statement = select(Customer.customer_id).where(Customer.customer_id > until)
    found = await session.scalars(statement.order_by(Customer.customer_id).limit(CHUNK))
    return found.all()


async def _fill(
    session: WriteSession, deployment: Deployment, ids: Sequence[str], now: datetime
) -> None:
    await customers.lock_or_create(session, ids, now)
    fields = [getattr(Customer, name) for name in LOOKED_AT]
    statement = select(Customer.customer_id, Customer.phone_e164, *fields).where(_ASKED)
    rows = (await session.execute(statement, {"customer_ids": list(ids)})).all()
    profiles = {row.customer_id: {name: getattr(row, name) for name in LOOKED_AT} for row in rows}
    derived = await derive(profiles, deployment)
    numbers = {
        row.customer_id: derived[row.customer_id].phone_e164
        for row in rows
        if derived[row.customer_id].phone_e164 != row.phone_e164
    }
    await set_numbers(session, numbers)
    await replace(session, derived)
