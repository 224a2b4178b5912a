"""Overrides: the stage somebody set a customer to, and until when no rule replaces it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update

from app.days import to_micros
from app.deployment import Deployment
from app.lifecycle.instants import Override
from app.models import Customer, StageOverride
from app.postgres.db import ReadSession, WriteSession, fetch_rows
from app.services.common.id_texts import NAMED, named

_OF = (
    "SELECT customer_id, set_at, stage, stands_until, released_at, reason, actor"  # noqa: S608
    f" FROM stage_overrides WHERE customer_id = ANY({NAMED}) ORDER BY set_at, override_id"
)


async def of(
    session: ReadSession, deployment: Deployment, customer_ids: Sequence[str]
) -> dict[str, list[Override]]:
    """Return the overrides of customers, in order; most have none."""
    found: dict[str, list[Override]] = {}
    for customer_id, *row in await fetch_rows(session, _OF, named(customer_ids)):
        found.setdefault(customer_id, []).append(_read(deployment, *row))
    return found


def _read(
    deployment: Deployment,
    set_at: datetime,
    stage: str,
    stands_until: datetime | None,
    released_at: datetime | None,
    reason: str,
    actor: str,
) -> Override:
    ends = [at for at in (stands_until, released_at) if at is not None]
    until = min(ends) if ends else None
    return Override(
        at=to_micros(set_at),
        day=deployment.calendar.day_of(set_at),
        stage=stage,
        until=None if until is None else to_micros(until),
        until_day=0 if until is None else deployment.calendar.day_of(until),
        reason=reason,
        actor=actor,
    )


async def overridden(session: ReadSession, after: str, up_to: str) -> list[str]:
    """Return the customers with `after` < id <= `up_to` who have ever had an override."""
    statement = (
        select(StageOverride.customer_id)
        .where(StageOverride.customer_id > after, StageOverride.customer_id <= up_to)
        .distinct()
    )
    return list(await session.scalars(statement))


async def add(session: WriteSession, customer_id: str, **values: Any) -> None:
    """Write an override of a customer that the session has locked: the stage has a new version."""
    await session.execute(insert(StageOverride).values(customer_id=customer_id, **values))
    await session.execute(
        update(Customer)
        .where(Customer.customer_id == customer_id)
        .values(stage_version=Customer.stage_version + 1)
    )
