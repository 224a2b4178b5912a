"""What transactions and interactions have in common: how they are written, one by one or many."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, Table, select

from app.db import ReadSession, WriteSession
from app.deployment import Deployment
from app.errors import BatchRejected, Conflict, FieldError, ValidationFailed
from app.schemas.common.shapes import Rejected
from app.schemas.common.warnings import Warnings
from app.schemas.ingest.facts import FactIn
from app.services.common import batches
from app.services.common.batches import Outcome
from app.services.common.paging import PageRequest, Sort, choose_sort, fetch_responses
from app.services.customers import customers
from app.services.ingest import fact_store
from app.services.ingest.fact_intake import Intake, Refused
from app.services.ingest.fact_store import Fact, Store, Written

Item = TypeVar("Item", bound=FactIn)


@dataclass(frozen=True)
class Family(Generic[Item, Fact]):
    """What sets one kind of facts apart; `settle` derives what follows from a write.

    Either may add to the warnings of the intake what has no effect, or none yet.
    """

    store: Store[Fact]
    table: Table
    normalise: Callable[[int, Item, Intake], Fact]
    settle: Callable[[WriteSession, Intake, Written[Fact]], Awaitable[None]]
    to_response: Callable[[Deployment, Any], dict[str, Any]]
    review: Callable[[Intake, Sequence[Fact], Collection[int]], None] | None = None
    """Tells what is odd about a batch as a whole, of which some items were in conflict."""

    @cached_property
    def columns(self) -> list[Column[Any]]:
        """Return what is read to show a fact."""
        hidden = ("fingerprint", "occurred_on")
        return [column for column in self.table.columns if column.key not in hidden]

    @cached_property
    def sorts(self) -> dict[str, Sort]:
        names = ("occurred_at", "source", self.store.id_column)
        columns = [self.table.c[name] for name in names]
        return {
            "-occurred_at": Sort(columns, descending=True),
            "occurred_at": Sort(columns),
        }


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of each item of a batch, in order."""

    outcomes: list[Outcome]
    customers_created: int
    warnings: Warnings

    def counts(self) -> Counter[str]:
        return Counter(status for status, _ in self.outcomes)


async def ingest(
    session: WriteSession,
    deployment: Deployment,
    family: Family[Item, Fact],
    items: Sequence[Item | Rejected],
    *,
    atomic: bool,
    now: datetime,
    time_zone: str | None = None,
) -> Ingested:
    """Write a batch; what is kept of every touched customer is exact after it."""
    outcomes = batches.rejections(items)
    intake = Intake(deployment, now, Warnings(), time_zone)
    incoming = _normalised(intake, family, items, outcomes)
    if atomic and len(incoming) < len(items):
        raise BatchRejected(errors=batches.faults(outcomes))
    if not incoming:
        return Ingested(outcomes, 0, intake.warnings)
    created = await customers.lock_or_create(session, [fact.customer_id for fact in incoming], now)
    written = await fact_store.write(session, family.store, incoming, created, now)
    for index, status in written.statuses.items():
        outcomes[index] = (status, None)
    for index in written.conflicts:
        detail = f"This revision of the {family.store.noun} is stored with other content."
        outcomes[index] = ("rejected", batches.item_error(Conflict.code, detail))
        intake.warnings.drop(index)
    if atomic and written.conflicts:
        raise BatchRejected(errors=batches.faults(outcomes))
    for index, revision in written.superseded.items():
        detail = f"Revision {revision} was there before, and is in force."
        intake.warnings.add(index, "superseded", detail, "/revision")
    if family.review is not None:
        family.review(intake, incoming, written.conflicts)
    await family.settle(session, intake, written)
    return Ingested(outcomes, sum(created.values()), intake.warnings)


def _normalised(
    intake: Intake,
    family: Family[Item, Fact],
    items: Sequence[Item | Rejected],
    outcomes: list[Outcome],
) -> list[Fact]:
    """Return the items as they will be stored, and reject those that do not fit."""
    incoming = []
    for index, item in enumerate(items):
        if isinstance(item, Rejected):
            continue
        try:
            incoming.append(family.normalise(index, item, intake))
        except Refused as refused:
            fault = FieldError(f"/items/{index}{refused.pointer}", refused.code, refused.detail)
            outcomes[index] = ("rejected", batches.validation_error([fault]))
            intake.warnings.drop(index)
    return incoming


async def create(
    session: WriteSession,
    deployment: Deployment,
    family: Family[Item, Fact],
    item: Item,
    *,
    now: datetime,
) -> dict[str, Any]:
    """Write one fact; return what became of it, and what is in force now."""
    try:
        ingested = await ingest(session, deployment, family, [item], atomic=True, now=now)
    except BatchRejected as rejected:
        if rejected.errors[0].code == Conflict.code:
            raise Conflict(rejected.errors[0].detail) from None
        faults = [
            FieldError(fault.pointer.removeprefix("/items/0"), fault.code, fault.detail)
            for fault in rejected.errors
        ]
        raise ValidationFailed(errors=faults) from None
    column, id_column = family.table.c, family.store.id_column
    statement = select(*family.columns).where(
        column.customer_id == item.customer_id,
        column.source == item.source,
        column[id_column] == getattr(item, id_column),
    )
    return {
        "status": ingested.outcomes[0][0],
        "customer_created": bool(ingested.customers_created),
        "warnings": ingested.warnings.of(0),
        family.store.noun: family.to_response(deployment, (await session.execute(statement)).one()),
    }


async def of_customer(
    session: ReadSession,
    deployment: Deployment,
    family: Family[Item, Fact],
    customer_id: str,
    page: PageRequest,
    **equal: str | None,
) -> dict[str, Any]:
    """Return a page of a customer's facts, of which columns equal what is given."""
    name, sort = choose_sort(page, family.sorts, "-occurred_at")
    statement = select(*family.columns, *sort.columns).where(
        family.table.c.customer_id == customer_id
    )
    for column, value in equal.items():
        if value is not None:
            statement = statement.where(family.table.c[column] == value)
    bound_to = {"list": family.table.name, "sort": name, "customer_id": customer_id, **equal}
    found = await fetch_responses(
        session, statement, page, sort, bound_to, partial(family.to_response, deployment)
    )
    if not found["items"]:
        await customers.require(session, customer_id)
    return found
