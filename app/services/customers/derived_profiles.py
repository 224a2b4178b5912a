"""What follows from what was said of customers: the profile of now, and what they are found by."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select, text

from app.deployment import Deployment
from app.lifecycle import profiles
from app.lifecycle.profiles import Cells, Said
from app.models import Customer, CustomerSearch
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.services.customers import profile_changes, search_rows
from app.services.customers.customers import PROFILE_FIELDS
from app.services.customers.found_by import LOOKED_AT, Derived
from app.services.customers.profile_changes import STORED

Documents = dict[str, dict[str, Any]]
"""By customer: the cells of a profile that was written more than once, and what finds them."""

_FOR_EVER = 2**62
_ASKED = text("ANY(CAST(:customer_ids AS text[]))")
_ROWS = select(*STORED).where(Customer.customer_id == _ASKED)
_FOUND_BY = select(CustomerSearch).where(CustomerSearch.customer_id == _ASKED)
_UPDATE = text(
    f"UPDATE customers SET {', '.join(f'{name} = written.{name}' for name in PROFILE_FIELDS)}"  # noqa: S608  # names of columns
    " FROM jsonb_populate_recordset(CAST(NULL AS customers), CAST(:written AS jsonb)) AS written"
    " WHERE customers.customer_id = written.customer_id"
    " AND customers.customer_id = ANY(CAST(:customer_ids AS text[]))"
)


async def kept(session: ReadSession, customer_ids: Sequence[str]) -> Documents:
    """Return what is kept of known customers."""
    asked = {"customer_ids": list(customer_ids)}
    found_by = {row.customer_id: row for row in await session.scalars(_FOUND_BY, asked)}
    return {
        row.customer_id: {
            "profile": None if row.profile_holds_from is None else profile_changes.current(row),
            "phone_e164": row.phone_e164,
            "found_by": _found_by(found_by.get(row.customer_id)),
        }
        for row in await session.execute(_ROWS, asked)
    }


async def derived(
    session: ReadSession, deployment: Deployment, customer_ids: Sequence[str]
) -> Documents:
    """Return what follows from what was said of known customers."""
    cells, found = await _derive(session, deployment, customer_ids)
    return {
        customer_id: {
            "profile": cells.get(customer_id),
            "phone_e164": one.phone_e164,
            "found_by": _found_by(one.found_by),
        }
        for customer_id, one in found.items()
    }


async def rewrite(
    session: WriteSession, deployment: Deployment, customer_ids: Sequence[str]
) -> None:
    """Write anew what is kept of customers that the session has taken."""
    cells, found = await _derive(session, deployment, customer_ids)
    written = [
        {"customer_id": customer_id, **profiles.profile_of(own, PROFILE_FIELDS)}
        for customer_id, own in cells.items()
    ]
    values = {"customer_ids": list(cells), "written": json.dumps(written, ensure_ascii=False)}
    await session.execute(_UPDATE, values)
    numbers = {customer_id: one.phone_e164 for customer_id, one in found.items()}
    await search_rows.set_numbers(session, numbers)
    await search_rows.replace(session, found)


async def _derive(
    session: ReadSession, deployment: Deployment, customer_ids: Sequence[str]
) -> tuple[dict[str, Cells], dict[str, Derived]]:
    """Return the cells of those with a history, and what everybody is found by."""
    said = await profile_changes.stored(session, customer_ids)
    rows = await session.execute(_ROWS, {"customer_ids": list(customer_ids)})
    cells: dict[str, Cells] = {}
    looked_at: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        own = said.get(row.customer_id)
        if own is not None:
            cells[row.customer_id] = profiles.cells_at(own, _FOR_EVER)
        looked_at[row.customer_id] = _looked_at(row, own)
    return cells, await search_rows.derive(looked_at, deployment)


def _looked_at(row: AnyRow, said: Sequence[Said] | None) -> dict[str, Any]:
    cells = profile_changes.current(row) if said is None else profiles.cells_at(said, _FOR_EVER)
    return {name: cells.get(name) for name in LOOKED_AT}


def _found_by(row: Any) -> dict[str, Any] | None:
    if row is None:
        return None
    plain = {name: getattr(row, name) for name in ("email", "words", "numbers")}
    return {**plain, "terms": sorted(row.terms)}
