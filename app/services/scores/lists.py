"""Lists of a run: which run, which customers of it, and what is shown of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from app.deployment import Deployment
from app.errors import FieldError, InvalidCursor, NotFound, ValidationFailed
from app.models import Run
from app.models.scoring import KEPT_RUNS, RUN_GRACE
from app.postgres.db import ReadSession, fetch_rows
from app.postgres.sqlstates import is_missing_table
from app.scoring.churn.churn_risk import CAUSES
from app.scoring.rfm import rfm
from app.services.common.paging import PageRequest, Sort, choose_sort, next_part, read_bound
from app.services.scores import kept_runs, run_selects
from app.services.scores.kept_runs import KeptRun
from app.services.scores.risk_answers import rhythm_answer
from app.services.scores.run_selects import BY_ID, COLUMNS, Asked, RunSelect

CODES = {"reason": tuple(CAUSES), "rfm_group": tuple(rfm.GROUPS)}
"""Filters that take one of some codes, of which there may be more one day."""
SORTS = {
    "customer_id": BY_ID,
    "-probability": Sort((COLUMNS.probability, COLUMNS.customer_id), descending=True),
    "-value_to_save": Sort((COLUMNS.value_to_save, COLUMNS.customer_id), descending=True),
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
    "totals": None,
}
_PUBLISHED = "(SELECT value::text::bigint FROM settings WHERE key = 'published_run_id')"


@dataclass
class Question:
    """A page of a run, to be asked for in one statement: its rows `s`, and what is joined to them.

    A cursor behind its last row is bound to `bound_to`; behind the last page the list goes on with
    the cursor `rest`, if there is one.
    """

    select: RunSelect
    sort: Sort
    bound_to: Mapping[str, object]
    columns: Sequence[str] = ("s.*",)
    joined: str = ""
    rest: str | None = None

    def sql(self, page: PageRequest) -> str:
        rows = self.select.page(page, self.sort, self.bound_to)
        columns = ", ".join([*self.columns, f"{_PUBLISHED} AS published"])
        order = run_selects.in_order(self.sort)
        return f"SELECT {columns} FROM ({rows}) AS s{self.joined} {order}"  # noqa: S608


async def fetch(
    session: ReadSession,
    deployment: Deployment,
    page: PageRequest,
    asked: Asked,
    ask: Callable[[KeptRun], Question],
) -> tuple[KeptRun, list[Any], str | None] | None:
    """Return a run, a page of its rows, and the next cursor; None before the first run.

    Of the published run unless another one is asked for: if it is another one by now, its page.
    """
    run = await run_of(session, deployment, page, asked)
    follows = asked.run_id is None and page.cursor is None
    while run is not None:
        question = ask(run)
        rows = await _rows(session, question, page)
        if rows is None and follows:
            kept_runs.forget(session)
            run, follows = await run_of(session, deployment, page, asked), False
            continue
        if rows is None:
            raise _dropped(asked)
        if follows:
            told = rows[0]["published"] if rows else None
            if not await kept_runs.is_published(session, run, told):
                run = await run_of(session, deployment, page, asked)
                continue
        cursor = question.rest
        if len(rows) > page.limit:
            rows = rows[: page.limit]
            keys = [rows[-1][column.key] for column in question.sort.columns]
            cursor = next_part(page, keys, question.bound_to)
        return run, rows, cursor
    return None


async def _rows(session: ReadSession, question: Question, page: PageRequest) -> list[Any] | None:
    """Return the rows, or None if a table that they are in has been dropped."""
    try:
        return await fetch_rows(session, question.sql(page), *question.select.arguments)
    except Exception as error:
        if is_missing_table(error):
            return None
        raise


def _dropped(asked: Asked) -> NotFound | InvalidCursor:
    for pointer, run_id in (("run_id", asked.run_id), ("changed_since_run", asked.since)):
        if run_id is not None:
            return _unknown(run_id, f"query:{pointer}")
    return InvalidCursor("The run that this cursor belongs to is no longer kept.")


async def run_of(
    session: ReadSession, deployment: Deployment, page: PageRequest, asked: Asked
) -> KeptRun | None:
    """Return the run asked for, that of the cursor, or the published one; None before the first."""
    _check(asked.filters)
    if asked.since is not None:
        await _require(session, asked.since, "query:changed_since_run")
    bound = read_bound(page, "=run_id")
    if asked.run_id is not None:
        await _require(session, asked.run_id, "query:run_id")
        return await kept_runs.find(session, deployment, asked.run_id)
    if bound is None:
        return await kept_runs.published(session, deployment)
    run = await kept_runs.find(session, deployment, bound)
    if run is None:
        raise _dropped(asked)
    return run


def _check(filters: dict[str, Any]) -> None:
    faults = [
        FieldError(f"query:{name}", "enum", f"must be one of {', '.join(codes)}")
        for name, codes in CODES.items()
        if filters.get(name) not in (None, *codes)
    ]
    if faults:
        raise ValidationFailed(errors=faults)


async def _require(session: ReadSession, run_id: int, pointer: str) -> None:
    """Require a run that was published and is not being dropped."""
    newer = select(func.count()).where(Run.run_id > run_id, Run.published_at.is_not(None))
    statement = select(Run.run_id).where(
        Run.run_id == run_id,
        Run.published_at.is_not(None),
        Run.replaced_at.is_(None)
        | (Run.replaced_at >= func.now() - RUN_GRACE)
        | (newer.scalar_subquery() < KEPT_RUNS),
    )
    if await session.scalar(statement) is None:
        raise _unknown(run_id, pointer)


def _unknown(run_id: int, pointer: str) -> NotFound:
    fault = FieldError(pointer, "unknown_run", "is no run, not published yet, or not kept")
    return NotFound(f"Run {run_id} is not kept.", errors=[fault])


def rhythm(row: Mapping[str, Any], run: KeptRun) -> dict[str, Any] | None:
    """Return the rhythm of a row; None for who never purchased, and in runs of before it."""
    if row["rhythm"] is None:
        return None
    silent = run.silent(row["last_purchase_on"])
    return rhythm_answer(row["rhythm"], row["usual_gap_days"], silent, row["chance_if_active"])


def previous(row: Mapping[str, Any], since: int | None) -> dict[str, Any] | None:
    """Return what the earlier run said; None if it did not know the customer."""
    if since is None or row["is_new"]:
        return None
    return {
        "run_id": since,
        "probability": row["previous_probability"],
        "rhythm": row["previous_rhythm"],
    }


AMOUNTS = ("revenue", "clv", "value_to_save")
"""Money; what is computed of it was rounded when it was written."""
OF_RHYTHM = ("rhythm", "usual_gap_days", "chance_if_active")
_APART = (*AMOUNTS, *OF_RHYTHM, "customer_version", "next_actions", "explanation")
_KEPT = tuple(column.key for column in COLUMNS if column.key not in _APART)
PLAIN = (_KEPT[0], "run_id", *_KEPT[1:])
"""What is shown as it stands, in this order."""


async def search(
    session: ReadSession, deployment: Deployment, page: PageRequest, asked: Asked
) -> dict[str, Any]:
    """Return a page of everybody of a run.

    Ordered by a score, those who have none come behind the others, by id.
    """
    found = await fetch(session, deployment, page, asked, lambda run: _question(page, asked, run))
    if found is None:
        return EMPTY
    run, rows, cursor = found
    return {
        "items": [_item(deployment, run, row, asked.since) for row in rows],
        "next_cursor": cursor,
        **run.head,
    }


def _question(page: PageRequest, asked: Asked, run: KeptRun) -> Question:
    name, sort = choose_sort(page, SORTS, "customer_id")
    rest = read_bound(page, "=rest") or sort is BY_ID
    bound_to: dict[str, Any] = {"list": "scores", "sort": name, "=run_id": run.run_id,
                                **asked.bound_to}  # fmt: skip
    chosen = RunSelect(run.run_id, asked)
    if sort is not BY_ID:
        scored = "IS NULL" if rest else "IS NOT NULL"
        chosen.conditions.append(f"s.{sort.columns[0].key} {scored}")
    last_part = {**bound_to, "=rest": True}
    columns = [f"s.{name}" for name in (*_KEPT, *AMOUNTS, *OF_RHYTHM)]
    if asked.since is not None:
        columns += ["s.is_new", "s.previous_probability", "s.previous_rhythm"]
    return Question(
        chosen,
        BY_ID if rest else sort,
        last_part if rest else bound_to,
        columns,
        rest=None if rest else next_part(page, [""], last_part),
    )


def _item(
    deployment: Deployment, run: KeptRun, row: Mapping[str, Any], since: int | None
) -> dict[str, Any]:
    item: dict[str, Any] = {name: row[name] for name in _KEPT}
    for name in AMOUNTS:
        amount = row[name]
        item[name] = None if amount is None else deployment.money(amount)
    return {
        **item,
        "run_id": run.run_id,
        "rhythm": rhythm(row, run),
        "horizon_days": run.horizon_days,
        "previous": previous(row, since),
    }
