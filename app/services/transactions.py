"""Transactions in, and the lifecycle that follows from them in the same database transaction."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from app.days import to_day, to_micros
from app.db import AnyRow, ReadSession, WriteSession
from app.deployment import Deployment, to_units
from app.errors import BatchRejected, Conflict, FieldError, ValidationFailed
from app.lifecycle.facts import FREE, Fact
from app.models import Transaction
from app.schemas.common import Rejected
from app.schemas.transactions import TransactionIn
from app.services import (
    batches,
    customers,
    lifecycle,
    policies,
    transaction_intake,
    transaction_store,
)
from app.services.batches import Outcome
from app.services.lifecycle import NewFacts
from app.services.paging import PageRequest, Sort, choose_sort, fetch_shown
from app.services.transaction_intake import Incoming, Refused
from app.services.transaction_store import Written

COLUMNS = [
    column
    for column in Transaction.__table__.columns
    if column.key not in ("fingerprint", "occurred_on")
]
_SHOWN = [
    column.key
    for column in COLUMNS
    if column.key not in ("exchange_rate", "refunds_source", "refunds_transaction_id")
]
_TIME_ORDER = (Transaction.occurred_at, Transaction.source, Transaction.transaction_id)
SORTS = {
    "-occurred_at": Sort(_TIME_ORDER, descending=True),
    "occurred_at": Sort(_TIME_ORDER),
}


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of each item of a batch, in order."""

    outcomes: list[Outcome]
    customers_created: int

    def counts(self) -> Counter[str]:
        return Counter(status for status, _ in self.outcomes)


async def ingest(
    session: WriteSession,
    here: Deployment,
    items: Sequence[TransactionIn | Rejected],
    *,
    atomic: bool,
    now: datetime,
) -> Ingested:
    """Write a batch; summary, stage and ledger of every touched customer are exact after it."""
    outcomes = batches.rejections(items)
    incoming: list[Incoming] = []
    for index, item in enumerate(items):
        if not isinstance(item, TransactionIn):
            continue
        try:
            incoming.append(transaction_intake.normalise(index, item, here, now))
        except Refused as refused:
            fault = FieldError(f"/items/{index}{refused.pointer}", refused.code, refused.detail)
            outcomes[index] = ("rejected", batches.validation_error([fault]))
    if atomic and len(incoming) < len(items):
        raise BatchRejected(errors=batches.faults(outcomes))
    if not incoming:
        return Ingested(outcomes, 0)
    created = await customers.take(session, [each.customer_id for each in incoming], now)
    written = await transaction_store.write(session, incoming, created, now)
    for index, status in written.statuses.items():
        outcomes[index] = (status, None)
    for index in written.conflicts:
        detail = "This revision of the transaction is stored with other content."
        outcomes[index] = ("rejected", batches.item_error(Conflict.code, detail))
    if atomic and written.conflicts:
        raise BatchRejected(errors=batches.faults(outcomes))
    policy = await policies.active(session)
    await lifecycle.settle(session, here, policy, _new_facts(written), now)
    return Ingested(outcomes, sum(created.values()))


def _new_facts(written: Written) -> dict[str, NewFacts]:
    """Group what was stored by customer."""
    facts: dict[str, list[Fact]] = {each: [] for each in written.replaced_of}
    for each in written.stored:
        facts.setdefault(each.customer_id, []).append(to_fact(each))
    return {
        each: NewFacts(found, replaced=each in written.replaced_of) for each, found in facts.items()
    }


def to_fact(each: Incoming) -> Fact:
    """Return a stored transaction as the lifecycle sees it."""
    refunds = None
    if each.kind == "refund":
        named = each.refunds_transaction_id
        refunds = FREE if named is None else (each.refunds_source, named)
    return Fact(
        to_micros(each.occurred_at),
        to_day(each.occurred_on),
        to_units(each.value),
        (each.source, each.transaction_id),
        refunds,
    )


async def create(
    session: WriteSession, here: Deployment, item: TransactionIn, *, now: datetime
) -> dict[str, Any]:
    """Write one transaction; return what became of it, and what is in force now."""
    try:
        ingested = await ingest(session, here, [item], atomic=True, now=now)
    except BatchRejected as rejected:
        if rejected.errors[0].code == Conflict.code:
            raise Conflict(rejected.errors[0].detail) from None
        faults = [
            FieldError(fault.pointer.removeprefix("/items/0"), fault.code, fault.detail)
            for fault in rejected.errors
        ]
        raise ValidationFailed(errors=faults) from None
    row = (
        await session.execute(
            select(*COLUMNS).where(
                Transaction.customer_id == item.customer_id,
                Transaction.source == item.source,
                Transaction.transaction_id == item.transaction_id,
            )
        )
    ).one()
    return {
        "status": ingested.outcomes[0][0],
        "customer_created": bool(ingested.customers_created),
        "transaction": shown(row),
    }


async def of_customer(session: ReadSession, customer_id: str, page: PageRequest) -> dict[str, Any]:
    """Return a page of a customer's transactions."""
    name, sort = choose_sort(page, SORTS, "-occurred_at")
    statement = select(*COLUMNS, *sort.columns).where(Transaction.customer_id == customer_id)
    bound_to = {"list": "transactions", "sort": name, "customer_id": customer_id}
    found = await fetch_shown(session, statement, page, sort, bound_to, shown)
    if not found["items"]:
        await customers.require(session, customer_id)
    return found


def shown(row: AnyRow) -> dict[str, Any]:
    """Return a transaction as the API shows it."""
    named = row.refunds_transaction_id
    rate = row.exchange_rate
    return {
        **{name: getattr(row, name) for name in _SHOWN},
        "exchange_rate": None if rate is None else f"{rate.normalize():f}",
        "refunds": named and {"source": row.refunds_source, "transaction_id": named},
    }
