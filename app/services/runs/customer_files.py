"""The customer file: all that is known of one, in one answer; each part as its own door has it."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select

from app.days import from_micros
from app.deployment import Deployment
from app.errors import MissingScope
from app.lifecycle import profiles
from app.models import Customer, Interaction
from app.postgres.db import ReadSession
from app.schemas.common import personal
from app.services.common.paging import PageRequest
from app.services.customers import customers, profile_changes
from app.services.runs import habits
from app.services.runs.query_rules import May
from app.services.runs.segments import customer_segments
from app.services.runs.worklist import worklist
from app.services.scores import cards
from app.services.stages import ledger, stages

CUSTOMERS: Final = "customers:read"
INTERACTIONS: Final = 10
TRANSITIONS: Final = 20
_INTERACTIONS = list(Interaction.__table__.columns)
_LATEST = (Interaction.occurred_at, Interaction.source, Interaction.interaction_id)


async def get(
    session: ReadSession, deployment: Deployment, customer_id: str, *, now: datetime, may: May
) -> dict[str, Any]:
    """Return the file of a customer. What is written meanwhile may be in its later parts."""
    statement = select(*profile_changes.STORED).where(Customer.customer_id == customer_id)
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise customers.unknown(customer_id)
    if not may(CUSTOMERS):
        raise MissingScope("The file of a customer needs customers:read.", missing_scope=CUSTOMERS)
    as_of = deployment.as_of(now)
    scored = await cards.of_customers(
        session, deployment, [customer_id], as_of=as_of, now=now, tells_segments=personal.is_shown()
    )
    stage, _ = await stages.get(
        session, deployment, customer_id, as_of=as_of, policy_version=None, now=now
    )
    page = PageRequest(TRANSITIONS, None, None, b"")
    moves = await ledger.of_customer(session, customer_id, page, include_voided=False)
    return {
        "customer": customers.shown(row._asdict()),
        "provenance": await _provenance(session, row, as_of.micros),
        "stage": stage,
        "transitions": moves["items"],
        "scores": json.loads(scored.cards[customer_id]),
        "segments": await customer_segments.describe(
            session, deployment, customer_id, replace(as_of, is_now=True), may=may
        ),
        "habits": await habits.of_customer(session, deployment, customer_id, as_of),
        "worklist": await worklist.of_customer(session, deployment, customer_id, now=now, may=may),
        "interactions": await _interactions(session, customer_id, now),
        "as_of": now,
    }


async def _provenance(session: ReadSession, row: Any, at: int) -> list[dict[str, Any]]:
    """Return of each field that has a value who told of it, and since when it holds."""
    said = await profile_changes.of(session, row)
    found = []
    for field, own in sorted(profiles.statements(said).items()):
        held = profiles.holding(own, at)
        if held is not None and held.value is not None:
            found.append(
                {
                    "field": field,
                    "source": held.said.source,
                    "actor": held.said.actor,
                    "valid_from": None if held.at == profiles.BEGINNING else from_micros(held.at),
                    "recorded_at": from_micros(held.said.recorded_at),
                }
            )
    return found


async def _interactions(
    session: ReadSession, customer_id: str, now: datetime
) -> list[dict[str, Any]]:
    """Return the last interactions, newest first."""
    statement = (
        select(*_INTERACTIONS)
        .where(Interaction.customer_id == customer_id, Interaction.occurred_at <= now)
        .order_by(*(column.desc() for column in _LATEST))
        .limit(INTERACTIONS)
    )
    names = [column.key for column in _INTERACTIONS
             if column.key not in ("fingerprint", "occurred_on")]  # fmt: skip
    return [
        {**{name: getattr(row, name) for name in names}, "attributes": row.attributes or {},
         "voided": None}
        for row in await session.execute(statement)
    ]  # fmt: skip
