"""The doors that facts of a file go through: those of bulks, each with the shape of its items."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter

from app.deployment import Deployment
from app.mappings.document import FactKind
from app.mappings.rows import Problem
from app.postgres.db import WriteSession
from app.schemas.common.shapes import BulkItemError, Lenient, Rejected
from app.schemas.customers import BulkProfile
from app.schemas.ingest.churn_records import ChurnRecordIn
from app.schemas.ingest.interactions import InteractionIn
from app.schemas.ingest.transactions import TransactionIn
from app.schemas.stages.stages import DatedStage
from app.services.common.batches import Outcome
from app.services.ingest import bulk_profiles, churn_records, facts, interactions, transactions
from app.services.ingest.fact_intake import IncomingFacts
from app.services.ingest.facts import Ingested
from app.services.stages import imported_stages


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes, where and when."""

    session: WriteSession
    deployment: Deployment
    now: datetime
    by: str


@dataclass(slots=True)
class Batch:
    """Items of one door; of those that are None, `columns` have what is to be stored."""

    items: list[Any] = field(default_factory=list)
    columns: IncomingFacts | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What became of each item, in order; `accepted` are the facts that fit, if they are dated."""

    outcomes: Sequence[Outcome]
    customers_created: int
    accepted: IncomingFacts | None = None

    @classmethod
    def of(cls, ingested: Ingested) -> "Written":
        return cls(ingested.outcomes, ingested.customers_created, ingested.accepted)


async def _customers(writer: Writer, batch: Batch) -> Written:
    outcomes, _ = await bulk_profiles.merge(
        writer.session, writer.deployment, batch.items, atomic=False, now=writer.now, by=writer.by
    )
    return Written(outcomes, sum(status == "created" for status, _ in outcomes))


async def _transactions(writer: Writer, batch: Batch) -> Written:
    return Written.of(
        await transactions.ingest(
            writer.session,
            writer.deployment,
            batch.items,
            atomic=False,
            now=writer.now,
            columns=batch.columns,
        )
    )


async def _interactions(writer: Writer, batch: Batch) -> Written:
    return Written.of(
        await interactions.ingest(
            writer.session, writer.deployment, batch.items, atomic=False, now=writer.now
        )
    )


async def _churn_records(writer: Writer, batch: Batch) -> Written:
    family = churn_records.FAMILY
    return Written.of(
        await facts.ingest(
            writer.session, writer.deployment, family, batch.items, atomic=False, now=writer.now
        )
    )


async def _overrides(writer: Writer, batch: Batch) -> Written:
    return Written(
        *await imported_stages.ingest(
            writer.session, writer.deployment, batch.items, now=writer.now, by=writer.by
        )
    )


@dataclass(frozen=True, slots=True)
class Door:
    """The shape of its items, and what writes them."""

    shape: TypeAdapter[Any]
    write: Callable[[Writer, Batch], Awaitable[Written]]


DOORS: Final[Mapping[FactKind, Door]] = {
    "customers": Door(TypeAdapter(Lenient[BulkProfile]), _customers),
    "transactions": Door(TypeAdapter(Lenient[TransactionIn]), _transactions),
    "interactions": Door(TypeAdapter(Lenient[InteractionIn]), _interactions),
    "churn_records": Door(TypeAdapter(Lenient[ChurnRecordIn]), _churn_records),
    "overrides": Door(TypeAdapter(Lenient[DatedStage]), _overrides),
}
"""In the order in which facts of a chunk are written."""
OF_PURCHASE = "customer_id"
"""What a refund need not name that names its purchase: the purchase says it."""


def problem_of(error: BulkItemError) -> Problem:
    """Return the first fault of an item that a door refused, by the field of the fact."""
    if not error.errors:
        return Problem(None, error.code, error.detail)
    first = error.errors[0]
    field = "/".join(first.pointer.split("/")[3:])
    return Problem(field or None, first.code, first.detail)


def fault_of(kind: FactKind, item: Mapping[str, Any]) -> Problem | None:
    """Return why a door refuses an item by its shape alone."""
    checked = DOORS[kind].shape.validate_python(item)
    if not isinstance(checked, Rejected):
        return None
    faults = [fault for fault in checked.faults if not _is_of_purchase(item, fault.pointer)]
    return (
        Problem(faults[0].pointer.lstrip("/"), faults[0].code, faults[0].detail) if faults else None
    )


def _is_of_purchase(item: Mapping[str, Any], pointer: str) -> bool:
    return pointer == f"/{OF_PURCHASE}" and OF_PURCHASE not in item and "refunds" in item
