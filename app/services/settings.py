"""The settings table: what facts depend on, and the pointers to what is active."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from app.config import Settings
from app.db import ReadSession, WriteSession
from app.lifecycle import policy as policies
from app.models import Policy, Setting

ACTIVE_POLICY = "active_policy_version"
ACTIVE_MODEL = "active_model_id"
PUBLISHED_RUN = "published_run_id"
CURSOR_SECRET = "cursor_secret"  # noqa: S105  # the name of one


class SettingsMismatch(RuntimeError):
    """The environment names another zone or currency than the one the facts were stored under."""


@dataclass(frozen=True, slots=True)
class Pointers:
    """What is active right now."""

    policy_version: int
    model_id: str | None
    run_id: int | None


async def initialise(session: WriteSession, settings: Settings, now: datetime) -> None:
    """Write what a new database needs; what is there already stays."""
    values = {
        "time_zone": settings.time_zone,
        "currency": settings.currency,
        ACTIVE_POLICY: 1,
        CURSOR_SECRET: secrets.token_hex(32),
    }
    rows = [{"key": key, "value": value} for key, value in values.items()]
    await session.execute(insert(Setting).values(rows).on_conflict_do_nothing())
    policy = {"version": 1, "document": policies.DEFAULT_DOCUMENT, "created_at": now}
    await session.execute(insert(Policy).values(policy).on_conflict_do_nothing())


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


async def get(session: ReadSession, key: str) -> Any:
    """Return one value, or None."""
    return await session.scalar(select(Setting.value).where(Setting.key == key))


async def put(session: WriteSession, key: str, value: object) -> None:
    """Write one value."""
    statement = insert(Setting).values(key=key, value=value)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[Setting.key], set_={"value": statement.excluded.value}
        )
    )


_POINTERS = text(
    "SELECT (SELECT value FROM settings WHERE key = 'active_policy_version'),"
    " (SELECT value FROM settings WHERE key = 'active_model_id'),"
    " (SELECT value FROM settings WHERE key = 'published_run_id')"
).columns(policy=Setting.value.type, model=Setting.value.type, run=Setting.value.type)


async def pointers(session: ReadSession) -> Pointers:
    """Return what is active."""
    return Pointers(*(await session.execute(_POINTERS)).one())
