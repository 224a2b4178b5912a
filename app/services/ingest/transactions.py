"""Transactions in, and the lifecycle that follows from them in the same database transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from app.days import AsOf
from app.deployment import Deployment
from app.lifecycle.fact_columns import FactColumns
from app.models import Transaction
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.schemas.common.shapes import Rejected
from app.schemas.ingest.transactions import TransactionIn, Unallocated
from app.services.common.paging import PageRequest
from app.services.ingest import (
    facts,
    order_lines,
    refunds,
    transaction_intake,
    voided_facts,
    voids,
)
from app.services.ingest.fact_intake import Intake
from app.services.ingest.fact_store import Store, Written
from app.services.ingest.facts import Family, Ingested
from app.services.ingest.voids import Voiding
from app.services.stages import derivation
from app.services.stages.resuming import NewFacts, Removed


async def _settle(session: WriteSession, intake: Intake, written: Written) -> None:
    """Make summary, stage and ledger of every touched customer exact."""
    await derivation.settle(session, intake.deployment, _new_facts(written), intake.now)
    await refunds.warn(session, intake, written.stored)


def _new_facts(written: Written) -> NewFacts:
    """Return what was stored as the lifecycle sees it."""
    replaced: dict[str, list[Removed]] = {}
    for customer_id, kind, day in written.removed:
        replaced.setdefault(customer_id, []).append((kind, day))
    stored, said = written.stored, written.stored.content
    number: dict[str, int] = {customer_id: place for place, customer_id in enumerate(replaced)}
    owner = [number.setdefault(each, len(number)) for each in stored.customer_ids]
    facts = FactColumns(
        customer_ids=list(number),
        owner=np.array(owner, dtype=np.int64),
        at=stored.at,
        day=stored.day,
        value=np.asarray(said["value"], dtype=np.int64),
        amount=np.asarray(said["amount"], dtype=np.int64),
        currency=list(said["currency"]),
        source=stored.sources,
        fact_id=stored.fact_ids,
        refunds=refunds.taken_back(stored),
    )
    return NewFacts(facts, replaced, written.created, written.voided_now)


def to_response(deployment: Deployment, row: AnyRow | Transaction) -> dict[str, Any]:
    """Return a transaction as the API shows it."""
    named = row.refunds_transaction_id
    rate, margin = row.exchange_rate, row.margin
    return {
        **{name: getattr(row, name) for name in _PLAIN},
        "amount": {"amount": row.amount, "currency": row.currency},
        "value": deployment.money(row.value),
        "margin": None if margin is None else {"amount": margin, "currency": row.currency},
        "exchange_rate": None if rate is None else f"{rate.normalize():f}",
        "attributes": row.attributes or {},
        "voided": voided_facts.to_response(row),
        "refunds": named and {"source": row.refunds_source, "transaction_id": named},
    }


FAMILY: Family[TransactionIn] = Family(
    Store.of("transaction"),
    Transaction.metadata.tables["transactions"],
    transaction_intake.accept,
    transaction_intake.to_columns,
    _settle,
    to_response,
    order_lines.warn,
    refunds.complete,
)
_TOLD_OTHERWISE = (
    "amount", "currency", "value", "margin", "exchange_rate", "refunds_source",
    "refunds_transaction_id", "attributes",
)  # fmt: skip
_PLAIN = [column.key for column in FAMILY.columns if column.key not in _TOLD_OTHERWISE]


async def ingest(
    session: WriteSession,
    deployment: Deployment,
    items: Sequence[TransactionIn | Rejected],
    *,
    atomic: bool,
    now: datetime,
    time_zone: str | None = None,
) -> Ingested:
    """Write a batch; summary, stage and ledger of every touched customer are exact after it."""
    return await facts.ingest(
        session, deployment, FAMILY, items, atomic=atomic, now=now, time_zone=time_zone
    )


async def create(
    session: WriteSession, deployment: Deployment, item: TransactionIn, *, now: datetime
) -> dict[str, Any]:
    """Write one transaction; return what became of it, and what is in force now."""
    return await facts.create(session, deployment, FAMILY, item, now=now)


async def void(
    session: WriteSession, deployment: Deployment, asked: Voiding, *, now: datetime
) -> dict[str, Any]:
    """Take a transaction out of force; return it, and what is to be told of it."""
    return await voids.void(session, deployment, FAMILY, asked, now=now)


async def of_customer(
    session: ReadSession,
    deployment: Deployment,
    customer_id: str,
    page: PageRequest,
    *,
    include_voided: bool,
) -> dict[str, Any]:
    """Return a page of a customer's transactions."""
    return await facts.of_customer(
        session, deployment, FAMILY, customer_id, page, include_voided=include_voided
    )


async def search(
    session: ReadSession,
    deployment: Deployment,
    page: PageRequest,
    *,
    since: AsOf | None,
    until: AsOf | None,
    received_since: AsOf | None,
    unallocated: Unallocated | None,
    **equal: str | None,
) -> dict[str, Any]:
    """Return a page of the transactions of all customers that fit all filters."""
    also = {}
    if unallocated is not None:
        waits = None if unallocated == "any" else unallocated == "waiting"
        also[f"unallocated_{unallocated}"] = refunds.unallocated(waits=waits)
    return await facts.search(
        session,
        deployment,
        FAMILY,
        page,
        since=since,
        until=until,
        received_since=received_since,
        also=also,
        **equal,
    )
