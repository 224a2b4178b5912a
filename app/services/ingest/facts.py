"""What transactions and interactions have in common: how they are written, one by one or many."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Column, ColumnElement, Table, select, union_all

from app.days import AsOf
from app.deployment import Deployment
from app.errors import BatchRejected, Conflict, FieldError, ValidationFailed
from app.postgres.db import AnyRow, AnySelect, ReadSession, WriteSession
from app.schemas.common.shapes import Rejected
from app.schemas.common.warnings import Warnings
from app.schemas.ingest.facts import FactIn
from app.services.common import batches, threads
from app.services.common.batches import Outcome
from app.services.common.paging import PageRequest, Sort, choose_sort, fetch_responses
from app.services.customers import customers
from app.services.ingest import fact_store, voided_facts
from app.services.ingest.fact_intake import IncomingFacts, Intake, Name, Refused
from app.services.ingest.fact_store import Store, Written

Item = TypeVar("Item", bound=FactIn)


@dataclass(frozen=True)
class Family(Generic[Item]):
    """What sets one kind of facts apart; `settle` derives what follows from a write.

    `accept` returns when an item happened, or raises Refused; `to_columns` returns what was
    accepted, with places and instants, as it will be stored. Each may add to the warnings of the
    intake what has no effect, or none yet.
    """

    store: Store
    table: Table
    accept: Callable[[int, Item, Intake], datetime]
    to_columns: Callable[[Intake, Sequence[int], Sequence[Item], Sequence[datetime]], IncomingFacts]
    settle: Callable[[WriteSession, Intake, Written], Awaitable[None]]
    to_response: Callable[[Deployment, Any], dict[str, Any]]
    review: Callable[[Intake, IncomingFacts, Collection[int]], None] | None = None
    """Tells what is odd about a batch with several facts of a customer; some are in conflict."""
    complete: Callable[[ReadSession, Sequence[dict[str, Any]]], Awaitable[None]] | None = None
    """Adds to facts as they are shown what other tables know of them."""

    @cached_property
    def columns(self) -> list[Column[Any]]:
        """Return what is read to show a fact."""
        hidden = ("fingerprint", "occurred_on")
        return [column for column in self.table.columns if column.key not in hidden]

    @cached_property
    def voided(self) -> AnySelect:
        """Return the select of the same columns of facts that are voided now."""
        return voided_facts.voided(self.table, self.columns)


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
    family: Family[Item],
    items: Sequence[Item | Rejected],
    *,
    atomic: bool,
    now: datetime,
    time_zone: str | None = None,
) -> Ingested:
    """Write a batch; what is kept of every touched customer is exact after it."""
    outcomes = await batches.rejections(items)
    intake = Intake(deployment, now, Warnings(), time_zone)
    places, times = await _accepted(intake, family, items, outcomes)
    if atomic and len(places) < len(items):
        raise BatchRejected(errors=batches.faults(outcomes))
    if not places:
        return Ingested(outcomes, 0, intake.warnings)
    accepted = [cast("Item", items[place]) for place in places]
    incoming = family.to_columns(intake, places, accepted, times)
    created = await customers.lock_or_create(session, incoming.customer_ids, now)
    written = await fact_store.write(session, family.store, incoming, created, now)
    for index, status in written.statuses.items():
        outcomes[index] = (status, None)
    for index in written.conflicts:
        detail = f"This revision of the {family.store.noun} is stored with other content."
        outcomes[index] = ("rejected", batches.item_error(Conflict.code, detail))
        intake.warnings.drop(index)
    if atomic and written.conflicts:
        raise BatchRejected(errors=batches.faults(outcomes))
    _tell(intake, written)
    if family.review is not None and len(created) < len(incoming):
        family.review(intake, incoming, written.conflicts)
    await family.settle(session, intake, written)
    return Ingested(outcomes, sum(created.values()), intake.warnings)


def _tell(intake: Intake, written: Written) -> None:
    """Tell of items that change nothing, because of what was there before, that and no more."""
    for index in (*written.superseded, *written.voided):
        intake.warnings.drop(index)
    for index, revision in written.superseded.items():
        detail = f"Revision {revision} was there before, and is in force."
        intake.warnings.add(index, "superseded", detail, "/revision")
    for index, revision in written.voided.items():
        detail = f"Revision {revision} was voided; a higher one brings the fact back."
        intake.warnings.add(index, "voided", detail, "/revision")


async def _accepted(
    intake: Intake,
    family: Family[Item],
    items: Sequence[Item | Rejected],
    outcomes: list[Outcome],
) -> tuple[list[int], list[datetime]]:
    """Return places and instants of the items that fit, and reject the others."""
    places, times = [], []
    async for index, item in threads.in_turns(enumerate(items)):
        if isinstance(item, Rejected):
            continue
        try:
            times.append(family.accept(index, item, intake))
        except Refused as refused:
            fault = FieldError(f"/items/{index}{refused.pointer}", refused.code, refused.detail)
            outcomes[index] = ("rejected", batches.validation_error([fault]))
            intake.warnings.drop(index)
        else:
            places.append(index)
    return places, times


async def create(
    session: WriteSession,
    deployment: Deployment,
    family: Family[Item],
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
    name = (item.customer_id, item.source, getattr(item, family.store.id_column))
    return {
        "status": ingested.outcomes[0][0],
        "customer_created": bool(ingested.customers_created),
        "warnings": ingested.warnings.of(0),
        family.store.noun: await shown(session, deployment, family, name),
    }


async def shown(
    session: ReadSession, deployment: Deployment, family: Family[Item], name: Name
) -> dict[str, Any]:
    """Return a fact as the API shows it: the revision in force, or the one that was voided."""
    row: AnyRow | None = None
    for statement in (select(*family.columns), family.voided):
        row = row or (await session.execute(_named(statement, name))).one_or_none()
    assert row is not None
    found = family.to_response(deployment, row)
    if family.complete is not None:
        await family.complete(session, [found])
    return found


def _named(statement: AnySelect, name: Name) -> AnySelect:
    """Return a select of facts of one identity alone."""
    identity = list(statement.selected_columns)[:3]
    return statement.where(*(key == value for key, value in zip(identity, name, strict=True)))


async def of_customer(
    session: ReadSession,
    deployment: Deployment,
    family: Family[Item],
    customer_id: str,
    page: PageRequest,
    *,
    include_voided: bool,
    **equal: str | None,
) -> dict[str, Any]:
    """Return a page of a customer's facts, of which columns equal what is given."""
    rows: Any = family.table
    if include_voided:
        rows = union_all(voided_facts.in_force(family.columns), family.voided).subquery()
    asked = {"customer_id": customer_id, **equal}
    found = await _page(session, deployment, family, rows, page, asked, voided=include_voided)
    if not found["items"]:
        await customers.require(session, customer_id)
    return found


async def search(
    session: ReadSession,
    deployment: Deployment,
    family: Family[Item],
    page: PageRequest,
    *,
    since: AsOf | None,
    until: AsOf | None,
    received_since: AsOf | None,
    also: Mapping[str, ColumnElement[bool]] | None = None,
    **equal: str | None,
) -> dict[str, Any]:
    """Return a page of the facts in force of all customers, of which columns equal what is given.

    `also` has further conditions, each by what it is called.

    Indexes have the times alone: of one instant, the rows are sorted as they are read.
    """
    at, received = family.table.c.occurred_at, family.table.c.received_at
    bounds = [
        column >= bound.at if lower else column <= bound.at
        for column, bound, lower in (
            (at, since, True),
            (at, until, False),
            (received, received_since, True),
        )
        if bound is not None
    ]
    times = [bound and bound.at.isoformat() for bound in (since, until, received_since)]
    more = dict(also or {})
    return await _page(
        session, deployment, family, family.table, page, equal, *bounds, *more.values(),
        all_times=times, also=sorted(more),
    )  # fmt: skip


async def _page(
    session: ReadSession,
    deployment: Deployment,
    family: Family[Item],
    rows: Any,
    page: PageRequest,
    equal: Mapping[str, str | None],
    *bounds: ColumnElement[bool],
    **bound_to: object,
) -> dict[str, Any]:
    """Return a page of some rows, of which columns equal what is given."""
    sorts = _sorts(family, rows, everybody="all_times" in bound_to)
    name, sort = choose_sort(page, sorts, "-occurred_at")
    shown = rows.c if rows is not family.table else family.columns
    statement = select(*shown, *sort.columns).where(
        *bounds, *(rows.c[column] == value for column, value in equal.items() if value is not None)
    )
    bound_to |= {"list": family.table.name, "sort": name, **equal}
    found = await fetch_responses(
        session, statement, page, sort, bound_to, partial(family.to_response, deployment)
    )
    if family.complete is not None:
        await family.complete(session, found["items"])
    return found


def _sorts(family: Family[Item], rows: Any, *, everybody: bool) -> dict[str, Sort]:
    """Return the orders of a list; that of all customers can also be by time of arrival."""
    whose = ("customer_id",) if everybody else ()
    sorts: dict[str, Sort] = {}
    for time in ("occurred_at", "received_at") if everybody else ("occurred_at",):
        columns = [rows.c[name] for name in (time, *whose, "source", family.store.id_column)]
        sorts |= {time: Sort(columns), f"-{time}": Sort(columns, descending=True)}
    return sorts
