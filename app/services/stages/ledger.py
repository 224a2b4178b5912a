"""Reading the ledger of transitions: one customer's, or everybody's."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select

from app.days import AsOf, to_micros
from app.models import StageTransition
from app.postgres.db import AnyRow, ReadSession
from app.services.common.paging import PageRequest, Sort, choose_sort, fetch_responses
from app.services.customer_base import rule_facts
from app.services.customers import customers
from app.services.policies import policies

_COLUMNS = [
    column for column in StageTransition.__table__.columns if column.key != "derivation_version"
]
_NEWEST = Sort((StageTransition.effective_at, StageTransition.transition_id), descending=True)
_IN_TIME = (
    StageTransition.effective_at,
    StageTransition.customer_id,
    StageTransition.transition_id,
)
SORTS = {
    "-effective_at": Sort(_IN_TIME, descending=True),
    "effective_at": Sort(_IN_TIME),
}


async def of_customer(
    session: ReadSession, customer_id: str, page: PageRequest, *, include_voided: bool
) -> dict[str, Any]:
    """Return a page of a customer's ledger, newest first."""
    statement = select(*_COLUMNS, *_NEWEST.columns).where(
        StageTransition.customer_id == customer_id
    )
    if not include_voided:
        statement = statement.where(StageTransition.voided_at.is_(None))
    bound_to = {"list": "transitions", "customer_id": customer_id, "voided": include_voided}
    found = await fetch_responses(session, statement, page, _NEWEST, bound_to, to_response)
    if not found["items"]:
        await customers.require(session, customer_id)
    return found


async def stage_at(
    session: ReadSession, customer_id: str, at: datetime, recorded_at: datetime | None
) -> tuple[str, datetime | None]:
    """Return the stage that the ledger has at an instant, and since when it holds.

    With `recorded_at`, as the ledger was then. Before the first transition that is where the
    customer began. It has the name that it had at the instant, as far as it had one then.
    """
    timeline = await policies.timeline(session)
    until = to_micros(at if recorded_at is None else min(at, recorded_at))
    row, order = StageTransition, _NEWEST.columns
    known: ColumnElement[bool] = row.voided_at.is_(None)
    if recorded_at is not None:
        known = (row.recorded_at <= recorded_at) & (known | (row.voided_at > recorded_at))
    own = select(row.to_stage, row.effective_at)
    own = own.where(row.customer_id == customer_id).limit(1)
    newest = own.where(known, row.effective_at <= at).order_by(*(each.desc() for each in order))
    last = (await session.execute(newest)).one_or_none()
    if last is not None:
        since = to_micros(last.effective_at)
        return timeline.called(last.to_stage, since, until), last.effective_at
    begun = (await rule_facts.first_seen(session, [customer_id]))[customer_id]
    return timeline.called(timeline.at(begun).beginning, begun, until), None


async def search(
    session: ReadSession,
    page: PageRequest,
    *,
    since: AsOf | None,
    until: AsOf | None,
    **equal: str | None,
) -> dict[str, Any]:
    """Return a page of the live transitions of all customers, by the time they took effect."""
    name, sort = choose_sort(page, SORTS, "-effective_at")
    statement = select(*_COLUMNS, *sort.columns).where(StageTransition.voided_at.is_(None))
    for column, value in equal.items():
        if value is not None:
            statement = statement.where(getattr(StageTransition, column) == value)
    if since is not None:
        statement = statement.where(StageTransition.effective_at >= since.at)
    if until is not None:
        statement = statement.where(StageTransition.effective_at <= until.at)
    bound_to = {
        "list": "all_transitions",
        "sort": name,
        "since": since and since.at.isoformat(),
        "until": until and until.at.isoformat(),
        **equal,
    }
    return await fetch_responses(session, statement, page, sort, bound_to, to_response)


def to_response(row: AnyRow | StageTransition) -> dict[str, Any]:
    """Return a transition as the API shows it."""
    columns = {column.key: getattr(row, column.key) for column in _COLUMNS}
    return {**columns, "transition_id": str(row.transition_id)}
