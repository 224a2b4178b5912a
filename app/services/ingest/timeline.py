"""Everything that happened to a customer, merged from several tables in one order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Integer, Text, and_, cast, func, literal, select, union_all
from sqlalchemy.sql.selectable import Subquery

from app.deployment import Deployment
from app.models import (
    ChurnRecord,
    Customer,
    Interaction,
    ProfileChange,
    StageTransition,
    Transaction,
)
from app.postgres.db import AnyRow, AnySelect, ReadSession
from app.services.common import paging
from app.services.common.paging import PageRequest, Sort
from app.services.customers import customers, profile_changes
from app.services.ingest import interactions, profile_history, refunds, transactions
from app.services.stages import ledger, why_churned

_NO_NAME = literal("", Text()).collate("C")


@dataclass(frozen=True)
class _Source:
    """One of the tables: its keys are an instant, and two that tell rows of one instant apart."""

    type: str
    entity: Any
    keys: tuple[Any, ...]
    to_response: Callable[[Deployment, Any], Mapping[str, Any]]
    counts: ColumnElement[bool] | None = None


def _padded(number: Any) -> ColumnElement[str]:
    """Return numbers as texts of the same order."""
    return func.lpad(cast(number, Text), 19, "0").collate("C")


# In order of rank: a transition is newer than the fact of the same instant, which it follows from.
_SOURCES = (
    _Source(
        "profile_change",
        Customer,
        (Customer.updated_at, _NO_NAME, _padded(Customer.profile_version)),
        lambda _, row: profile_history.written_once(row),
        Customer.profile_holds_from.is_(None) & profile_changes.HAS_PROFILE,
    ),
    _Source(
        "profile_change",
        ProfileChange,
        (
            func.coalesce(ProfileChange.valid_from, ProfileChange.recorded_at),
            _NO_NAME,
            _padded(ProfileChange.version),
        ),
        lambda _, row: profile_history.change(row),
    ),
    _Source(
        "transaction",
        Transaction,
        (Transaction.occurred_at, Transaction.source, Transaction.transaction_id),
        transactions.to_response,
    ),
    _Source(
        "interaction",
        Interaction,
        (Interaction.occurred_at, Interaction.source, Interaction.interaction_id),
        interactions.to_response,
    ),
    _Source(
        "churn_record",
        ChurnRecord,
        (ChurnRecord.occurred_at, ChurnRecord.source, ChurnRecord.churn_record_id),
        lambda _, row: why_churned.to_response(row),
    ),
    _Source(
        "transition",
        StageTransition,
        (StageTransition.effective_at, _NO_NAME, _NO_NAME),  # one live transition to an instant
        lambda _, row: ledger.to_response(row),
        StageTransition.voided_at.is_(None),
    ),
)


async def of_customer(
    session: ReadSession,
    deployment: Deployment,
    customer_id: str,
    page: PageRequest,
    *,
    only: str | None,
) -> dict[str, Any]:
    """Return a page of what happened, newest first."""
    bound_to = {"list": "timeline", "customer_id": customer_id, "type": only}
    asked = [rank for rank, source in enumerate(_SOURCES) if only in (None, source.type)]
    keys = _keys(customer_id, page, asked, bound_to)
    sort = Sort((keys.c.at, keys.c.rank, keys.c.source, keys.c.id), descending=True)
    statement = select(*(_SOURCES[rank].entity for rank in asked), *sort.columns)
    joined: Any = keys
    for rank in asked:
        joined = joined.outerjoin(_SOURCES[rank].entity, _is_named(keys, rank, customer_id))
    statement = statement.select_from(joined)
    found = await paging.fetch_responses(
        session, statement, page, sort, bound_to, partial(_shown, deployment)
    )
    if not found["items"]:
        await customers.require(session, customer_id)
    told = [entry["transaction"] for entry in found["items"] if entry["type"] == "transaction"]
    await refunds.complete(session, told)
    return found


def _keys(
    customer_id: str, page: PageRequest, asked: Sequence[int], bound_to: Mapping[str, object]
) -> Subquery:
    """Return the keys of a page of each source; an index gives them however many there are."""
    branches = []
    for rank in asked:
        source = _SOURCES[rank]
        at, *names = source.keys
        columns = (at, literal(rank, Integer), *names)
        labels = zip(columns, ("at", "rank", "source", "id"), strict=True)
        statement: AnySelect = select(*(column.label(name) for column, name in labels)).where(
            source.entity.customer_id == customer_id
        )
        if source.counts is not None:
            statement = statement.where(source.counts)
        sort = Sort(columns, descending=True)
        after = paging.keys_before(page, sort, bound_to)
        branches.append(select(paging.cut(statement, page, sort, after).subquery()))
    return union_all(*branches).subquery()


def _is_named(keys: Subquery, rank: int, customer_id: str) -> ColumnElement[bool]:
    """Say which row of a source a key is of."""
    source = _SOURCES[rank]
    named = (keys.c.at, keys.c.source, keys.c.id)
    same = [column == key for column, key in zip(source.keys, named, strict=True)]
    if source.counts is not None:
        same.append(source.counts)
    return and_(keys.c.rank == rank, source.entity.customer_id == customer_id, *same)


def _shown(deployment: Deployment, row: AnyRow) -> dict[str, Any]:
    source = _SOURCES[row.rank]
    entity = getattr(row, source.entity.__name__)
    return {"type": source.type, "at": row.at, source.type: source.to_response(deployment, entity)}
