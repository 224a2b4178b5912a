"""Decisions by hand: what somebody set a customer's stage to, and until when no rule overrules."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, text, update

from app.days import to_micros
from app.db import AnyRow, ReadSession, WriteSession
from app.deployment import Deployment
from app.lifecycle.instants import Override
from app.models import StageOverride

_ORDER = StageOverride.decided_at, StageOverride.override_id


async def of(
    session: ReadSession, here: Deployment, customer_ids: Sequence[str]
) -> dict[str, list[Override]]:
    """Return the decisions on customers, in order; most have none."""
    rows = await session.execute(
        select(*StageOverride.__table__.columns)
        .where(StageOverride.customer_id == text("ANY(CAST(:customer_ids AS text[]))"))
        .order_by(*_ORDER),
        {"customer_ids": list(customer_ids)},
    )
    found: dict[str, list[Override]] = {}
    for row in rows:
        found.setdefault(row.customer_id, []).append(_read(here, row))
    return found


def _read(here: Deployment, row: AnyRow) -> Override:
    ends = [at for at in (row.pinned_until, row.released_at) if at is not None]
    until = min(ends) if ends else None
    return Override(
        at=to_micros(row.decided_at),
        day=here.calendar.day_of(row.decided_at),
        stage=row.stage,
        until=None if until is None else to_micros(until),
        until_day=0 if until is None else here.calendar.day_of(until),
        reason=row.reason,
        actor=row.actor,
    )


async def decided(session: ReadSession, after: str, up_to: str) -> list[str]:
    """Return the customers with `after` < id <= `up_to` on whom somebody has decided."""
    statement = (
        select(StageOverride.customer_id)
        .where(StageOverride.customer_id > after, StageOverride.customer_id <= up_to)
        .distinct()
    )
    return list(await session.scalars(statement))


async def add(session: WriteSession, **values: Any) -> None:
    """Write a decision on a customer that the session has taken."""
    await session.execute(insert(StageOverride).values(**values))


async def pinned_until(session: ReadSession, customer_id: str, now: datetime) -> datetime | None:
    """Return until when the stage of a customer is pinned, if it is."""
    row = await _standing(session, customer_id, now)
    return None if row is None else row.pinned_until


async def release(session: WriteSession, customer_id: str, now: datetime) -> bool:
    """End the pin of a customer; False if there is none."""
    row = await _standing(session, customer_id, now)
    if row is None:
        return False
    await session.execute(
        update(StageOverride)
        .where(
            StageOverride.customer_id == customer_id,
            StageOverride.override_id == row.override_id,
        )
        .values(released_at=now)
    )
    return True


async def _standing(session: ReadSession, customer_id: str, now: datetime) -> AnyRow | None:
    """Return the last decision if it is a pin that has not ended."""
    statement = (
        select(*StageOverride.__table__.columns)
        .where(StageOverride.customer_id == customer_id, StageOverride.decided_at <= now)
        .order_by(*(column.desc() for column in _ORDER))
        .limit(1)
    )
    row = (await session.execute(statement)).one_or_none()
    ends = [] if row is None else [at for at in (row.pinned_until, row.released_at) if at]
    return row if ends and min(ends) > now else None
