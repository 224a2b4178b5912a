"""Lists of a run: which run, which customers of it, and what is shown of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import aliased

from app.days import AsOf, to_day
from app.db import AnyRow, AnySelect, ReadSession
from app.deployment import Deployment
from app.errors import FieldError, InvalidCursor, NotFound, ValidationFailed
from app.models import Customer, Run, Score
from app.scoring.churn.churn_risk import CAUSES
from app.scoring.rfm import rfm
from app.services.common import deployment_settings
from app.services.common.paging import PageRequest, Sort, choose_sort, fetch, next_part, read_bound
from app.services.models import clv_terms, model_store
from app.services.models.fitted_models import FittedModel
from app.services.operations.housekeeping import KEPT_RUNS, RUN_GRACE
from app.services.scores import run_rows
from app.services.scores.cards import kind_of_risk, rhythm_answer

OF_CUSTOMERS = {"owner": Customer.owner, "channel": Customer.acquisition_channel}
"""Filters by what is known of a customer now; the others are by what the run says."""
CODES = {"reason": tuple(CAUSES), "rfm_group": tuple(rfm.GROUPS)}
"""Filters that take one of some codes, of which there may be more one day."""
PREVIOUS = aliased(Score, name="previous")
IS_NEW = PREVIOUS.customer_id.is_(None)
BY_ID = Sort((Score.customer_id,))
SORTS = {
    "customer_id": BY_ID,
    "-probability": Sort((Score.probability, Score.customer_id), descending=True),
    "-value_to_save": Sort((Score.value_to_save, Score.customer_id), descending=True),
}
EMPTY: dict[str, Any] = {
    "items": [],
    "next_cursor": None,
    "as_of": None,
    "run_id": None,
    "model_id": None,
    "stage_policy_version": None,
    "churn_risk": None,
    "clv": None,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """Which run a list is of, which of its customers, and since which run they changed."""

    filters: dict[str, Any]
    run_id: int | None
    since: int | None
    now: datetime

    @property
    def bound_to(self) -> dict[str, Any]:
        """Return what a cursor belongs to."""
        return {**self.filters, "asked": self.run_id, "since": self.since}


async def run_of(session: ReadSession, page: PageRequest, asked: Asked) -> AnyRow | None:
    """Return the run asked for, that of the cursor, or the published one; None before the first."""
    _check(asked.filters)
    if asked.since is not None:
        await _kept(session, asked.since, asked.now, "query:changed_since_run")
    bound = read_bound(page, "=run_id")
    if asked.run_id is not None:
        return await _kept(session, asked.run_id, asked.now, "query:run_id")
    run_id = bound or (await deployment_settings.pointers(session)).run_id
    if run_id is None:
        return None
    run = await run_rows.find(session, run_id)
    if run is None:
        raise InvalidCursor("The run that this cursor belongs to is no longer kept.")
    return run


def _check(filters: dict[str, Any]) -> None:
    faults = [
        FieldError(f"query:{name}", "enum", f"must be one of {', '.join(codes)}")
        for name, codes in CODES.items()
        if filters.get(name) not in (None, *codes)
    ]
    if faults:
        raise ValidationFailed(errors=faults)


async def _kept(session: ReadSession, run_id: int, now: datetime, pointer: str) -> AnyRow:
    """Return a run that was published and is not being dropped."""
    newer = select(func.count()).where(Run.run_id > run_id, Run.published_at.is_not(None))
    statement = select(*Run.__table__.columns).where(
        Run.run_id == run_id,
        Run.published_at.is_not(None),
        Run.replaced_at.is_(None)
        | (Run.replaced_at >= now - RUN_GRACE)
        | (newer.scalar_subquery() < KEPT_RUNS),
    )
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        fault = FieldError(pointer, "unknown_run", "is no run, not published yet, or not kept")
        raise NotFound(f"Run {run_id} is not kept.", errors=[fault])
    return row


def head(run: AnyRow, model: FittedModel) -> dict[str, Any]:
    """Return what a list says of its run as a whole."""
    window = 0 if model.risk is None else model.risk.label_window
    risk = kind_of_risk(model, run.horizon_days or model.horizon_days)
    return {
        "as_of": run.as_of,
        "run_id": run.run_id,
        "model_id": run.model_id,
        "stage_policy_version": run.policy_version,
        "churn_risk": {**risk, "label_window_days": window or None},
        "clv": clv_terms.head(model, model.clv_terms),
    }


def chosen(
    columns: Sequence[ColumnElement[Any]],
    run_id: int,
    asked: Asked,
    *,
    profiles: bool = False,
) -> AnySelect:
    """Select customers of a run.

    With `since` those whose rhythm was another one in that run, or who were not in it.
    """
    statement: AnySelect = select(*columns).select_from(Score).where(Score.run_id == run_id)
    if profiles or any(asked.filters.get(name) is not None for name in OF_CUSTOMERS):
        statement = statement.join(Customer, Customer.customer_id == Score.customer_id)
    for name, value in asked.filters.items():
        if value is not None:
            column = OF_CUSTOMERS[name] if name in OF_CUSTOMERS else getattr(Score, name)
            statement = statement.where(column == value)
    return statement if asked.since is None else _changed(statement, asked.since)


def _changed(statement: AnySelect, since: int) -> AnySelect:
    same = and_(PREVIOUS.customer_id == Score.customer_id, PREVIOUS.run_id == since)
    return (
        statement.outerjoin(PREVIOUS, same)
        .where(or_(IS_NEW, PREVIOUS.rhythm.is_distinct_from(Score.rhythm)))
        .add_columns(
            IS_NEW.label("is_new"),
            PREVIOUS.probability.label("previous_probability"),
            PREVIOUS.rhythm.label("previous_rhythm"),
        )
    )


def rhythm(row: AnyRow, as_of: AsOf) -> dict[str, Any] | None:
    """Return the rhythm of a row; None for who never purchased, and in runs of before it."""
    if row.rhythm is None:
        return None
    silent = as_of.day - to_day(row.last_purchase_on)
    return rhythm_answer(row.rhythm, row.usual_gap_days, silent, row.chance_if_active)


def previous(row: AnyRow, since: int | None) -> dict[str, Any] | None:
    """Return what the earlier run said; None if it did not know the customer."""
    if since is None or row.is_new:
        return None
    return {
        "run_id": since,
        "probability": row.previous_probability,
        "rhythm": row.previous_rhythm,
    }


AMOUNTS: dict[str, ColumnElement[Any]] = {
    name: Score.__table__.c[name] for name in ("revenue", "clv", "value_to_save")
}
"""Money; what is computed of it was rounded when it was written."""
OF_RHYTHM = ("rhythm", "usual_gap_days", "chance_if_active")
PLAIN: list[ColumnElement[Any]] = [
    column
    for column in Score.__table__.columns
    if column.key not in AMOUNTS and column.key not in OF_RHYTHM
]
NAMES = [str(column.key) for column in PLAIN]


async def search(
    session: ReadSession, deployment: Deployment, page: PageRequest, asked: Asked
) -> dict[str, Any]:
    """Return a page of everybody of a run.

    Ordered by a score, those who have none come behind the others, by id.
    """
    run = await run_of(session, page, asked)
    if run is None:
        return EMPTY
    name, sort = choose_sort(page, SORTS, "customer_id")
    rest = read_bound(page, "=rest") or sort is BY_ID
    bound_to: dict[str, Any] = {"list": "scores", "sort": name, "=run_id": run.run_id,
                                **asked.bound_to}  # fmt: skip
    columns = [*PLAIN, *AMOUNTS.values(), *(getattr(Score, name) for name in OF_RHYTHM)]
    statement = chosen(columns, run.run_id, asked)
    if sort is not BY_ID:
        scored = sort.columns[0].is_not(None)
        statement = statement.where(sort.columns[0].is_(None) if rest else scored)
    in_order = BY_ID if rest else sort
    last_part = {**bound_to, "=rest": True}
    rows, cursor = await fetch(
        session,
        statement.add_columns(*in_order.columns),
        page,
        in_order,
        last_part if rest else bound_to,
    )
    if cursor is None and not rest:
        cursor = next_part(page, [""], last_part)
    return {
        "items": [_item(deployment, run, row, asked.since) for row in rows],
        "next_cursor": cursor,
        **head(run, await model_store.load(session, run.model_id)),
    }


def _item(deployment: Deployment, run: AnyRow, row: AnyRow, since: int | None) -> dict[str, Any]:
    item: dict[str, Any] = {name: getattr(row, name) for name in NAMES}
    for name in AMOUNTS:
        amount = getattr(row, name)
        item[name] = None if amount is None else deployment.money(amount)
    return {
        **item,
        "rhythm": rhythm(row, deployment.as_of(run.as_of)),
        "horizon_days": run.horizon_days,
        "previous": previous(row, since),
    }
