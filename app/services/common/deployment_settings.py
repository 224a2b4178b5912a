"""The settings table: what facts depend on, and the pointers to what is active."""

import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.config import Settings
from app.errors import Conflict
from app.lifecycle.version import DERIVATION_VERSION
from app.models import PolicyActivation, Setting
from app.postgres.db import ReadSession, WriteSession, fetch_row, fetch_rows
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
IN_CHARGE = "derivation_version_in_charge"
"""The version of the rules of the release that migrated last: its workers alone derive anew.

While processes of two releases run, or after a return to an older one, they would undo each
other's work.
"""
INTERACTION_KINDS = "interaction_kinds"
"""A name for what is declared of kinds, another one with each change: it is kept by it."""
SEGMENTS = "segments"
"""A name for the segments there are, another one with each change; none before the first.

A transaction keeps what it has last read of it.
"""
SEGMENTS_KEPT = "segments_kept"
"""Up to when everybody's membership of segments has been brought, by which of their rules."""
COUNTRY = "country"
"""Whose phone numbers are those without one; `clm migrate` with another one changes it."""
SEARCH_FILLED = "customer_search_filled"
"""By which derivation what customers are found by is stored, and up to whom."""
HOUSEKEEPING = "housekeeping"
"""Nothing: whoever holds the row keeps house, and nobody else meanwhile."""
LAST_POLICY = "last_policy_version"
"""The highest number that a version of the policy has had, also one that was deleted."""
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
    recorded_until: str
    derivation_version: int
    interaction_kinds: str
    segments: str | None = None


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
        HOUSEKEEPING: {},
        CURSOR_SECRET: secrets.token_hex(32),
    }
    rows = [{"key": key, "value": value} for key, value in values.items()]
    await session.execute(insert(Setting).values(rows).on_conflict_do_nothing())
    await take_charge(session)
    if "country" in settings.model_fields_set or await get(session, COUNTRY) is None:
        await put(session, COUNTRY, settings.country)
    await ready_made.add(session, now, await get(session, LAST_POLICY) or 0)
    first = {"activation_id": 1, "version": 1, "activated_at": now, "settled_at": now}
    await session.execute(insert(PolicyActivation).values(first).on_conflict_do_nothing())


async def take_charge(session: WriteSession) -> None:
    """Have workers derive by the rules of this release what others derived."""
    await put(session, IN_CHARGE, DERIVATION_VERSION)


async def is_behind(session: ReadSession) -> bool:
    """Say whether a release with older rules than these migrated last."""
    in_charge = await get(session, IN_CHARGE)
    return in_charge is not None and bool(in_charge < DERIVATION_VERSION)


async def settled(session: ReadSession, settings: Settings) -> Settings:
    """Return the settings with zone, currency and country as the database has them.

    It refuses another zone or currency that was asked for: every day and sum depends on them.
    """
    stored = {key: await get(session, key) for key in ("time_zone", "currency", COUNTRY)}
    for key, value in stored.items():
        asked = getattr(settings, key)
        if key not in settings.model_fields_set or asked == value:
            continue
        if key == COUNTRY:
            raise SettingsMismatch(
                f"phone numbers are read with CLM_COUNTRY={value or 'off'}, but the environment "
                f"says {asked or 'off'}: `clm migrate` has them read anew"
            )
        raise SettingsMismatch(
            f"this database was made with CLM_{key.upper()}={value}, "
            f"but the environment says {asked}"
        )
    return settings.model_copy(
        update={key: value for key, value in stored.items() if value is not None or key == COUNTRY}
    )


async def get(session: ReadSession, key: str) -> Any:
    """Return one value, or None."""
    row = await fetch_row(session, "SELECT CAST(value AS text) FROM settings WHERE key = $1", key)
    return None if row is None else _read(row[0])


def _read(value: str | None) -> Any:
    """Return a value of the JSON that the driver has of it."""
    return None if value is None else json.loads(value)


_BEGINNING_SINCE = (
    "SELECT CAST(value AS text), (SELECT max(activated_at) FROM policy_activations"
    " WHERE activation_id > 1) FROM settings WHERE key = 'beginning_stage'"
)


async def beginning(session: ReadSession) -> tuple[str, datetime | None]:
    """Return where the active policy puts who is new, and since when; none for the first one."""
    ((value, since),) = await fetch_rows(session, _BEGINNING_SINCE)
    return _read(value), since


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
    written(session)[key] = value


def written(session: WriteSession) -> dict[str, object]:
    """Return the values that a session has written."""
    found: dict[str, object] = session.info.setdefault("settings_written", {})
    return found


async def try_hold(session: WriteSession, key: str) -> bool:
    """Hold a value to the end of the transaction, unless somebody else does."""
    statement = select(Setting.key).where(Setting.key == key)
    return await session.scalar(statement.with_for_update(skip_locked=True)) is not None


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
    " (SELECT CAST(value AS text) FROM settings WHERE key = 'settled_policy_version'),"
    " (SELECT CAST(value AS text) FROM settings WHERE key = 'recorded_until'),"
    " (SELECT CAST(value AS text) FROM settings WHERE key = 'derivation_version'),"
    " (SELECT CAST(value AS text) FROM settings WHERE key = 'interaction_kinds'),"
    " (SELECT CAST(value AS text) FROM settings WHERE key = 'segments')"
)


async def pointers(session: ReadSession) -> Pointers:
    """Return what is active."""
    (row,) = await fetch_rows(session, _POINTERS)
    found = Pointers(*map(_read, row))
    if session.in_transaction():
        session.info[SEGMENTS] = found.segments
    return found
