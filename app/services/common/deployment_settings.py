"""The settings table: what facts depend on, and the pointers to what is active."""

import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import insert

from app.config import Settings
from app.db import ReadSession, WriteSession, fetch_row, fetch_rows
from app.errors import Conflict
from app.lifecycle.version import DERIVATION_VERSION
from app.models import PolicyActivation, Setting
from app.services.common import ready_made

ACTIVE_POLICY = "active_policy_version"
ACTIVE_MODEL = "active_model_id"
PUBLISHED_RUN = "published_run_id"
POLICY_TIMELINE = "policy_timeline"
"""A name for the activations so far, another one with each: what is known of them is kept by it."""
SETTLED_POLICY = "settled_policy_version"
"""The version under which all recorded stages are; behind the active one while it takes effect."""
BEGINNING = "beginning_stage"
"""Where the active policy puts customers of whom nothing is known yet."""
RECORDED_UNTIL = "recorded_until"
"""Up to when the transitions of time have been recorded for everybody."""
DERIVATION = "derivation_version"
"""The version of the rules by which everything stored was derived."""
INTERACTION_KINDS = "interaction_kinds"
"""A name for what is declared of kinds, another one with each change: it is kept by it."""
COUNTRY = "country"
"""Whose phone numbers are those without one; another one at each `clm migrate`."""
SEARCH_FILLED = "customer_search_filled"
"""By which derivation what customers are found by is stored, and up to whom."""
LAST_HOUSEKEEPING = "last_housekeeping"
LAST_BACKUP = "last_backup"
"""When what is watched for last succeeded."""
CURSOR_SECRET = "cursor_secret"  # noqa: S105  # the name of one


class SettingsMismatch(RuntimeError):
    """The environment names another zone, currency or country than what is stored goes by."""


@dataclass(frozen=True, slots=True)
class Pointers:
    """What is active right now."""

    policy_version: int
    model_id: str | None
    run_id: int | None
    timeline: str
    settled_policy_version: int


def new_name() -> str:
    """Return a name that no database has used."""
    return secrets.token_hex(8)


async def initialise(session: WriteSession, settings: Settings, now: datetime) -> None:
    """Write what a new database needs; what is there already stays."""
    values = {
        "time_zone": settings.time_zone,
        "currency": settings.currency,
        ACTIVE_POLICY: 1,
        SETTLED_POLICY: 1,
        POLICY_TIMELINE: new_name(),
        BEGINNING: "potential",
        RECORDED_UNTIL: now.isoformat(),
        DERIVATION: DERIVATION_VERSION,
        INTERACTION_KINDS: new_name(),
        SEARCH_FILLED: {},
        CURSOR_SECRET: secrets.token_hex(32),
    }
    rows = [{"key": key, "value": value} for key, value in values.items()]
    await session.execute(insert(Setting).values(rows).on_conflict_do_nothing())
    await put(session, COUNTRY, settings.country)
    await ready_made.add(session, now)
    first = {"activation_id": 1, "version": 1, "activated_at": now}
    await session.execute(insert(PolicyActivation).values(first).on_conflict_do_nothing())


async def verify(session: ReadSession, settings: Settings) -> None:
    """Refuse another zone or currency than the stored one: every day and sum depends on them."""
    for key in ("time_zone", "currency"):
        stored = await get(session, key)
        asked = getattr(settings, key)
        if stored != asked:
            raise SettingsMismatch(
                f"this database was made with CLM_{key.upper()}={stored}, "
                f"but the environment says {asked}"
            )
    stored = await get(session, COUNTRY)
    if stored != settings.country:
        raise SettingsMismatch(
            f"phone numbers are read with CLM_COUNTRY={stored or ''}, but the environment says "
            f"{settings.country or 'nothing'}: `clm migrate` has them read anew"
        )


async def get(session: ReadSession, key: str) -> Any:
    """Return one value, or None."""
    row = await fetch_row(session, "SELECT CAST(value AS text) FROM settings WHERE key = $1", key)
    return None if row is None else _read(row[0])


def _read(value: str | None) -> Any:
    """Return a value of the JSON that the driver has of it."""
    return None if value is None else json.loads(value)


async def recorded_until(session: ReadSession) -> datetime:
    """Return up to when the transitions of time have been recorded for everybody."""
    return datetime.fromisoformat(await get(session, RECORDED_UNTIL))


async def put(session: WriteSession, key: str, value: object) -> None:
    """Write one value."""
    statement = insert(Setting).values(key=key, value=value)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[Setting.key], set_={"value": statement.excluded.value}
        )
    )


async def require_derived(session: ReadSession) -> None:
    """Refuse what reads everybody while an older release's derivations are derived anew."""
    if await get(session, DERIVATION) != DERIVATION_VERSION:
        raise Conflict(
            "What is stored is being derived anew after an upgrade. Try again when the operation of"
            " the kind rebuild has succeeded."
        )


_POINTERS = (
    "SELECT (SELECT CAST(value AS text) FROM settings WHERE key = 'active_policy_version'),"
    " (SELECT CAST(value AS text) FROM settings WHERE key = 'active_model_id'),"
    " (SELECT CAST(value AS text) FROM settings WHERE key = 'published_run_id'),"
    " (SELECT CAST(value AS text) FROM settings WHERE key = 'policy_timeline'),"
    " (SELECT CAST(value AS text) FROM settings WHERE key = 'settled_policy_version')"
)


async def pointers(session: ReadSession) -> Pointers:
    """Return what is active."""
    (row,) = await fetch_rows(session, _POINTERS)
    return Pointers(*map(_read, row))
