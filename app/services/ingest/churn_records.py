"""Churn records in: why customers left. They move nobody's stage, and none refuses them."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, text

from app.days import to_day, to_micros
from app.deployment import Deployment
from app.models import ChurnRecord, Customer
from app.postgres.db import ReadSession, WriteSession
from app.schemas.ingest.churn_records import ChurnRecordContent, ChurnRecordIn
from app.schemas.stages.stages import OverrideRequest
from app.services.common.paging import PageRequest
from app.services.ingest import fact_intake, facts, voided_facts, voids
from app.services.ingest.fact_intake import IncomingFacts, Intake, Refused
from app.services.ingest.fact_store import Store, Written
from app.services.ingest.facts import Family
from app.services.ingest.voids import Voiding
from app.services.stages import derivation, manual_transitions, why_churned
from app.services.stages.resuming import Change

MANUAL = "manual"
"""The source of records that an override to a churned stage writes."""


def _accept(index: int, item: ChurnRecordIn, intake: Intake) -> datetime:
    """Return when it happened; raise Refused where it does not fit."""
    if item.reason not in why_churned.REASONS:
        raise Refused("/reason", "unknown_reason", why_churned.NO_REASON)
    at = fact_intake.instant(item, intake)
    fact_intake.look_ahead(index, at, intake)
    return at


def _to_columns(
    intake: Intake,
    indexes: Sequence[int],
    items: Sequence[ChurnRecordIn],
    times: Sequence[datetime],
) -> IncomingFacts:
    """Return accepted items as they will be stored; their kind is the reason."""
    content = {
        "competitor": [item.competitor for item in items],
        "note": [item.note for item in items],
    }
    return fact_intake.to_columns(
        intake,
        indexes,
        items,
        times,
        [item.reason for item in items],
        [item.churn_record_id for item in items],
        content,
    )


async def _settle(session: WriteSession, intake: Intake, written: Written) -> None:
    """Bring stage and ledger up to now; tell of whom nothing is explained yet.

    That somebody left tells that there was somebody: a history may begin with it.
    """
    stored = written.stored
    instants = list(zip(stored.customer_ids, stored.at.tolist(), strict=True))
    start_of = intake.deployment.calendar.start_of
    instants += [
        (customer_id, to_micros(start_of(to_day(day)))) for customer_id, _, day in written.removed
    ]
    since = {customer_id: Change(at) for customer_id, at in sorted(instants, reverse=True)}
    if not since:
        return
    await derivation.revise(session, intake.deployment, since, intake.now)
    await derivation.advance(session, intake.deployment, list(since), intake.now)
    churned = await why_churned.churned_stages(session)
    statement = select(Customer.customer_id, Customer.stage).where(
        Customer.customer_id == text("ANY(CAST(:customer_ids AS text[]))")
    )
    rows = await session.execute(statement, {"customer_ids": list(since)})
    stages = {row.customer_id: row.stage for row in rows}
    for index, customer_id in zip(stored.indexes, stored.customer_ids, strict=True):
        stage = stages[customer_id]
        if stage not in churned:
            detail = f"The customer is {stage}; the record counts once that is a churned stage."
            intake.warnings.add(index, "not_churned", detail)


FAMILY: Family[ChurnRecordIn] = Family(
    Store.of("churn_record", kind="reason"),
    ChurnRecord.metadata.tables["churn_records"],
    _accept,
    _to_columns,
    _settle,
    lambda _, row: {**why_churned.to_response(row), "voided": voided_facts.to_response(row)},
)


async def create(
    session: WriteSession,
    deployment: Deployment,
    customer_id: str,
    content: ChurnRecordContent,
    *,
    now: datetime,
) -> dict[str, Any]:
    """Write why a customer left; return what became of it, and what is in force now."""
    item = ChurnRecordIn(customer_id=customer_id, **content.model_dump())
    return await facts.create(session, deployment, FAMILY, item, now=now)


async def void(
    session: WriteSession, deployment: Deployment, asked: Voiding, *, now: datetime
) -> dict[str, Any]:
    """Take a churn record out of force; return it, and what is to be told of it."""
    return await voids.void(session, deployment, FAMILY, asked, now=now)


async def of_customer(
    session: ReadSession,
    deployment: Deployment,
    customer_id: str,
    page: PageRequest,
    *,
    include_voided: bool,
) -> dict[str, Any]:
    """Return a page of a customer's churn records."""
    return await facts.of_customer(
        session, deployment, FAMILY, customer_id, page, include_voided=include_voided
    )


async def override_stage(
    session: WriteSession,
    deployment: Deployment,
    customer_id: str,
    asked: OverrideRequest,
    *,
    if_match: str | None,
    now: datetime,
    by: str,
) -> datetime:
    """Set the stage of a customer; if it is a churned one, record why. Return when."""
    at = await manual_transitions.override(
        session, deployment, customer_id, asked, if_match=if_match, now=now, by=by
    )
    if asked.stage in await why_churned.churned_stages(session):
        record = ChurnRecordContent(
            source=MANUAL,
            churn_record_id=f"override-{secrets.token_hex(8)}",
            reason=asked.reason,
            occurred_at=at,
        )
        await create(session, deployment, customer_id, record, now=now)
    return at
