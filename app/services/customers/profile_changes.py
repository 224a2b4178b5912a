"""What was said of profiles, as it is stored: nothing beside `customers` for one written once."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Date, DateTime, or_, text

from app.days import from_micros, to_micros
from app.lifecycle import profiles
from app.lifecycle.profiles import ATTRIBUTES, Cells, Said
from app.models import Customer
from app.postgres.db import AnyRow, ReadSession, WriteSession, copy_rows, fetch_rows
from app.schemas.common.types import format_instant
from app.services.common import sql_numbers, threads
from app.services.customers.customers import COLUMNS, PROFILE_FIELDS

DEFAULT_SOURCE = "default"
"""Who told of a profile of which that was not kept."""
STORED = [*COLUMNS, Customer.profile_holds_from, Customer.profile_actor]
"""What has to be read of a customer to write the profile, or to tell its history."""
HAS_PROFILE = or_(
    *(getattr(Customer, name).is_not(None) for name in PROFILE_FIELDS if name != ATTRIBUTES),
    Customer.attributes != text("CAST('{}' AS jsonb)"),
)
"""Whether anything holds of a customer's profile."""
_TYPES = Customer.__table__.c
_DAYS = frozenset(name for name in PROFILE_FIELDS if isinstance(_TYPES[name].type, Date))
_INSTANTS = frozenset(name for name in PROFILE_FIELDS if isinstance(_TYPES[name].type, DateTime))
_FROM, _KNOWN = sql_numbers.micros("valid_from"), sql_numbers.micros("recorded_at")
_SAID = (
    f"SELECT customer_id, version, {_FROM}, {_KNOWN}, source, actor, CAST(changes AS text)"  # noqa: S608  # no value of a caller
    " FROM profile_changes WHERE customer_id = ANY($1::text[]) ORDER BY customer_id, version"
)
_NAMES = ("customer_id", "version", "valid_from", "recorded_at", "source", "actor", "changes")


async def stored(session: ReadSession, customer_ids: Sequence[str]) -> dict[str, list[Said]]:
    """Return what has been said of customers whose profiles have changed, in order."""
    found: dict[str, list[Said]] = {}
    for row in await fetch_rows(session, _SAID, list(customer_ids)):
        said = Said(row[1], row[2], row[3], row[4], row[5], json.loads(row[6]))
        found.setdefault(row[0], []).append(said)
    return found


async def store(session: WriteSession, said: Mapping[str, Sequence[Said]]) -> None:
    """Keep what was said of customers."""
    rows = [
        (
            customer_id,
            each.version,
            None if each.valid_from is None else from_micros(each.valid_from),
            from_micros(each.recorded_at),
            each.source,
            each.actor,
            json.dumps(each.values, ensure_ascii=False),
        )
        async for customer_id in threads.in_turns(sorted(said))
        for each in said[customer_id]
    ]
    await copy_rows(session, "profile_changes", _NAMES, rows)


async def of(session: ReadSession, row: AnyRow) -> list[Said]:
    """Return all that has been said of a customer."""
    if row.profile_holds_from is None:
        return written_once(row)
    return (await stored(session, [row.customer_id]))[row.customer_id]


def written_once(row: AnyRow | Customer, cells: Cells | None = None) -> list[Said]:
    """Return what was said of a customer whose profile holds from the beginning."""
    cells = current(row) if cells is None else cells
    if not cells:
        return []
    source = DEFAULT_SOURCE if row.source is None else row.source
    known_at = to_micros(row.updated_at)
    return [Said(row.profile_version, None, known_at, source, row.profile_actor, cells)]


def current(row: AnyRow | Customer) -> Cells:
    """Return the cells that hold now, with values as JSON has them."""
    cells = profiles.cells_of({field: getattr(row, field) for field in PROFILE_FIELDS})
    for field in _DAYS & cells.keys():
        cells[field] = cells[field].isoformat()
    for field in _INSTANTS & cells.keys():
        cells[field] = format_instant(cells[field])
    return cells


def to_columns(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Return the profile that cells make, with values as the database has them."""
    found = profiles.profile_of(cells, PROFILE_FIELDS)
    for field in _DAYS & cells.keys():
        found[field] = date.fromisoformat(found[field])
    for field in _INSTANTS & cells.keys():
        found[field] = datetime.fromisoformat(found[field])
    return found
