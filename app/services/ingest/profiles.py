"""Profiles in: made exactly so, or merged; and the stage that may follow from what they say."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import PydanticCustomError
from sqlalchemy import select, text

from app.days import from_micros, to_micros
from app.deployment import Deployment
from app.errors import FieldError, ValidationFailed
from app.lifecycle import profiles
from app.models import Customer
from app.postgres.db import AnyRow, ReadSession, WriteSession, fetch_row
from app.schemas.common.types import format_instant
from app.schemas.common.warnings import Warnings
from app.schemas.customers import ProfilePatch, ProfileWrite
from app.services.common import etags, threads
from app.services.customers import customers, profile_changes, search_rows
from app.services.customers.customers import PROFILE_FIELDS
from app.services.customers.found_by import LOOKED_AT, Derived
from app.services.ingest import profile_drafts, profile_warnings
from app.services.ingest.profile_drafts import Draft
from app.services.stages import derivation
from app.services.stages.resuming import Change


@dataclass(frozen=True, slots=True)
class Written:
    """A customer whose profile was written, and what is to be told of it."""

    row: AnyRow
    warnings: Warnings
    created: bool
    as_of: datetime

    def to_response(self) -> dict[str, Any]:
        shown = {**customers.to_response(self.row), "as_of": self.as_of, "recorded_at": None}
        return {**shown, "warnings": self.warnings.of(0)}


async def put(
    session: WriteSession,
    deployment: Deployment,
    customer_id: str,
    profile: ProfileWrite,
    *,
    if_match: str | None,
    now: datetime,
    by: str,
) -> Written:
    """Make the profile exactly this."""
    _refuse(profile, now)
    if if_match is not None:
        _check(if_match, await _locked(session, customer_id))
    created = await customers.lock_or_create(session, [customer_id], now)
    draft = (await drafts(session, created, stated([(customer_id, profile)]), now))[customer_id]
    with _refused_attributes():
        is_news = draft.put(profile, by)
    warnings = await _write(session, deployment, profile, draft, now, is_news=is_news)
    row = await customers.get(session, customer_id)
    return Written(row, warnings, created=created[customer_id], as_of=now)


async def patch(
    session: WriteSession,
    deployment: Deployment,
    customer_id: str,
    change: ProfilePatch,
    *,
    if_match: str | None,
    now: datetime,
    by: str,
) -> Written:
    """Merge a change into the profile of a known customer."""
    _refuse(change, now)
    row = await _locked(session, customer_id)
    if row is None:
        raise customers.unknown(customer_id)
    _check(if_match, row)
    created = await customers.lock_or_create(session, [customer_id], now)
    draft = (await drafts(session, created, stated([(customer_id, change)]), now))[customer_id]
    with _refused_attributes():
        is_news = draft.merge(change, by)
    warnings = await _write(session, deployment, change, draft, now, is_news=is_news)
    return Written(await customers.get(session, customer_id), warnings, created=False, as_of=now)


async def _write(
    session: WriteSession,
    deployment: Deployment,
    profile: ProfileWrite,
    draft: Draft,
    now: datetime,
    *,
    is_news: bool,
) -> Warnings:
    """Write one profile, and return what is to be told of it."""
    warnings = Warnings()
    profile_warnings.say_not_current(warnings, 0, profile, draft, is_news=is_news)
    await profile_warnings.say_unread(warnings, [(0, profile, draft)], deployment)
    await write(session, deployment, [draft], now)
    return warnings


def _refuse(profile: ProfileWrite, now: datetime) -> None:
    fault = profile_drafts.fault_of(profile, now)
    if fault is not None:
        raise ValidationFailed(errors=[fault])


@contextmanager
def _refused_attributes() -> Iterator[None]:
    try:
        yield
    except PydanticCustomError as error:
        fault = FieldError("/attributes", error.type, error.message())
        raise ValidationFailed(errors=[fault]) from None


def stated(written: Sequence[tuple[str, ProfileWrite]]) -> set[str]:
    """Return the customers of whom something is said to be true since an instant."""
    return {customer_id for customer_id, each in written if each.valid_from is not None}


async def drafts(
    session: ReadSession, created: Mapping[str, bool], stated: Collection[str], now: datetime
) -> dict[str, Draft]:
    """Return customers taken, to be written; histories are read of whom the past is spoken."""
    statement = select(*profile_changes.STORED).where(
        Customer.customer_id == text("ANY(CAST(:customer_ids AS text[]))")
    )
    rows = (await session.execute(statement, {"customer_ids": list(created)})).all()
    asked = [
        row.customer_id
        for row in rows
        if row.profile_holds_from is not None and row.customer_id in stated
    ]
    said = await profile_changes.stored(session, asked) if asked else {}
    return {
        row.customer_id: Draft.of(
            row, said.get(row.customer_id, ()), now, created=created[row.customer_id]
        )
        async for row in threads.in_turns(rows)
    }


def _check(if_match: str | None, row: Any | None) -> None:
    etags.check(if_match, None if row is None else row["profile_version"], "the profile")


_LOCKED = "SELECT profile_version FROM customers WHERE customer_id = $1 FOR UPDATE"


async def _locked(session: WriteSession, customer_id: str) -> Any | None:
    return await fetch_row(session, _LOCKED, customer_id)


async def write(
    session: WriteSession, deployment: Deployment, drafted: Sequence[Draft], now: datetime
) -> None:
    """Write the profiles of which anything new was said, and what follows for the stages."""
    changed = {draft.row.customer_id: draft for draft in drafted if draft.new}
    if not changed:
        return
    derived = await search_rows.derive(_looked_at(changed), deployment)
    rows = [
        json.dumps(_row(draft, derived.get(key)), ensure_ascii=False)
        async for key, draft in threads.in_turns(changed.items())
    ]
    written = f"[{','.join(rows)}]"
    await session.execute(_UPDATE, {"customer_ids": list(changed), "written": written})
    await search_rows.replace(session, derived)
    unstored = {key: draft.unstored for key, draft in changed.items()}
    await profile_changes.store(session, {key: said for key, said in unstored.items() if said})
    news = {key: _change(changed[key]) async for key in threads.in_turns(sorted(changed))}
    # A change that is true since it is known has come to pass, also by a clock a little behind.
    until = from_micros(max(draft.recorded_at for draft in changed.values()))
    await derivation.revise(session, deployment, news, max(now, until))


def _looked_at(changed: Mapping[str, Draft]) -> dict[str, dict[str, Any]]:
    """Return what those are found by of whom anything of that was said."""
    return {
        key: {name: draft.cells.get(name) for name in LOOKED_AT}
        for key, draft in changed.items()
        if any(cell in each.values for each in draft.new for cell in LOOKED_AT)
    }


def _row(draft: Draft, derived: Derived | None) -> dict[str, Any]:
    """Return what is written of a customer, as JSON."""
    first, holds_from = (*draft.before, *draft.new)[0], draft.holds_from
    return {
        **profiles.profile_of(draft.cells, ()),
        **{cell: value for cell, value in draft.cells.items() if cell in _FIELDS},
        "customer_id": draft.row.customer_id,
        "source": draft.row.source or first.source,
        "profile_version": draft.version,
        "profile_holds_from": None if holds_from is None else _instant(holds_from),
        "profile_actor": draft.new[-1].actor,
        "phone_e164": draft.row.phone_e164 if derived is None else derived.phone_e164,
        "updated_at": _instant(draft.recorded_at),
    }


def _instant(at: int) -> str:
    return format_instant(from_micros(at))


def _change(draft: Draft) -> Change:
    """Return what is new, and since when: what is said of a cell first holds from the beginning."""
    after = draft.cells.get("first_contact_at")
    told = {draft.row.first_contact_at, after and datetime.fromisoformat(after)}
    instants = [to_micros(at) for at in told if at is not None]
    known, cells = profile_changes.current(draft.row), dict[str, int]()
    for said in draft.new:
        for cell in said.values:
            unsaid = profiles.BEGINNING if cell not in known else said.recorded_at
            at = unsaid if said.valid_from is None else said.valid_from
            cells[cell] = min(at, cells.get(cell, at))
    return Change(min(instants) if len(told) > 1 else None, cells=cells)


_FIELDS = frozenset(PROFILE_FIELDS)
_WRITTEN = (
    *PROFILE_FIELDS, "source", "profile_version", "profile_holds_from", "profile_actor",
    "phone_e164", "updated_at",
)  # fmt: skip
# One statement for all: the database reads the values as the columns have them.
_UPDATE = text(
    f"UPDATE customers SET {', '.join(f'{name} = written.{name}' for name in _WRITTEN)}"  # noqa: S608  # names of columns
    " FROM jsonb_populate_recordset(CAST(NULL AS customers), CAST(:written AS jsonb)) AS written"
    " WHERE customers.customer_id = written.customer_id"
    " AND customers.customer_id = ANY(CAST(:customer_ids AS text[]))"
)
