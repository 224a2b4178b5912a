"""Profiles as they were: at an instant, by what was known at another, and all that was said."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import BigInteger, Text, literal

from app.days import AsOf, from_micros, to_micros
from app.deployment import Deployment
from app.errors import FieldError, NotFound, ValidationFailed
from app.lifecycle import profiles
from app.lifecycle.profiles import ATTRIBUTES, BEGINNING, Cells, Said, Statement
from app.models import Customer, ProfileChange
from app.postgres.db import ReadSession, fetch_row
from app.services.common import paging, threads
from app.services.common.paging import PageRequest, Sort
from app.services.customers import customers, found_by, profile_changes
from app.services.customers.customers import PROFILE_FIELDS
from app.services.stages import ledger

_ORDER = Sort((literal(0, BigInteger()), literal("", Text())), descending=True)
"""Version, then cell: what became known last comes first."""
_STORED = (
    f"SELECT {', '.join(column.key for column in profile_changes.STORED)}"  # noqa: S608  # names
    " FROM customers WHERE customer_id = $1"
)


async def get(
    session: ReadSession,
    deployment: Deployment,
    customer_id: str,
    *,
    as_of: AsOf | None,
    recorded_at: AsOf | None,
    now: datetime,
) -> dict[str, Any]:
    """Return a customer with the profile and the stage of an instant, as known at another.

    Without instants that is what is stored.
    """
    stored = await _stored(session, customer_id)
    found = {**customers.shown(stored), "as_of": now, "recorded_at": None}
    if as_of is None and recorded_at is None:
        return found
    row: Any = SimpleNamespace(**stored)
    as_of = as_of or deployment.as_of(now)
    found["as_of"] = as_of.at
    if recorded_at is not None:
        found["recorded_at"] = recorded_at.at
        if recorded_at.at < row.created_at:
            raise NotFound(f"Nobody knew of a customer {customer_id!r} at that time.")
    since = row.profile_holds_from
    if recorded_at is not None or (since is not None and since > as_of.at):
        said = await profile_changes.of(session, row)
        if recorded_at is not None:
            said = profiles.known(said, recorded_at.micros)
            found["source"] = said[0].source if said else None
        found |= _held(profiles.cells_at(said, as_of.micros), deployment.country)
    known_at = None if recorded_at is None else recorded_at.at
    stage, stage_since = await ledger.stage_at(session, customer_id, as_of.at, known_at)
    return {**found, "stage": stage, "stage_since": stage_since}


def _held(cells: Cells, country: str | None) -> dict[str, Any]:
    profile = profile_changes.to_columns(cells)
    phones = found_by.phones_of(profile, country)
    number = None if phones is None else phones.e164
    return {**profile, **customers.country_of(profile), "phone_e164": number}


async def page(
    session: ReadSession, customer_id: str, page: PageRequest, *, field: str | None, now: datetime
) -> dict[str, Any]:
    """Return a page of what was said of a profile, what became known last first."""
    _check(field)
    bound_to = {"list": "profile_history", "customer_id": customer_id, "field": field}
    after = paging.keys_before(page, _ORDER, bound_to)
    row: Any = SimpleNamespace(**await _stored(session, customer_id))
    said = await profile_changes.of(session, row)
    at = to_micros(max(now, row.updated_at))
    entries = await threads.compute(len(said), _entries, said, field, at)
    if after is not None:
        entries = [each for each in entries if _key(each) < tuple(after)]
    more = len(entries) > page.limit
    items = entries[: page.limit]
    cursor = paging.next_part(page, _key(items[-1]), bound_to) if more else None
    return {"items": items, "next_cursor": cursor}


def _check(field: str | None) -> None:
    if field is not None and field not in PROFILE_FIELDS and not profiles.is_attribute(field):
        detail = "must be a field of the profile, or `attributes.` and a key"
        raise ValidationFailed(errors=[FieldError("query:field", "field", detail)])


def _entries(said: Sequence[Said], field: str | None, at: int) -> list[dict[str, Any]]:
    found = []
    for cell, own in profiles.statements(said).items():
        if field in (None, cell) or (field == ATTRIBUTES and profiles.is_attribute(cell)):
            holding = profiles.holding(own, at)
            found += [_entry(cell, each, holds=each is holding) for each in own]
    return sorted(found, key=_key, reverse=True)


def _entry(cell: str, statement: Statement, *, holds: bool) -> dict[str, Any]:
    return {
        "field": cell,
        "value": statement.value,
        "valid_from": None if statement.at == BEGINNING else from_micros(statement.at),
        "recorded_at": from_micros(statement.said.recorded_at),
        "source": statement.said.source,
        "actor": statement.said.actor,
        "profile_version": statement.said.version,
        "holds": holds,
    }


def _key(entry: dict[str, Any]) -> tuple[int, str]:
    return entry["profile_version"], entry["field"]


def change(row: ProfileChange) -> dict[str, Any]:
    """Return what one write said, as the timeline shows it."""
    names = ("changes", "valid_from", "recorded_at", "source", "actor")
    return {**{name: getattr(row, name) for name in names}, "profile_version": row.version}


def written_once(customer: Customer) -> dict[str, Any]:
    """Return what the one write of a profile said, as the timeline shows it."""
    (said,) = profile_changes.written_once(customer)
    return {
        "changes": said.values,
        "valid_from": None,
        "recorded_at": customer.updated_at,
        "source": said.source,
        "actor": said.actor,
        "profile_version": said.version,
    }


async def _stored(session: ReadSession, customer_id: str) -> Mapping[str, Any]:
    row = await fetch_row(session, _STORED, customer_id)
    if row is None:
        raise customers.unknown(customer_id)
    return dict(row)
