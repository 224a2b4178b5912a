"""For whom a rule holds, now or at an earlier instant: a page of them, and what they are worth.

What is stored is asked by SQL. Of those few of whom it says another instant, and of everybody where
a rule looks at what is stored nowhere, the rule is evaluated: at once where they are few, in parts
by a worker where they are many. Both say the same; see docs/decisions/0052.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.deployment import Deployment
from app.errors import DatabaseUnavailable, FieldError, ValidationFailed
from app.lifecycle.expressions import ALWAYS
from app.money import UNITS
from app.postgres.db import ReadSession, fetch_rows
from app.postgres.sqlstates import hindrance, is_missing_table
from app.schemas.common import personal
from app.schemas.queries import CustomerQuery
from app.services.common import as_of as as_ofs
from app.services.common.paging import next_part
from app.services.runs import query_columns, query_pages, query_sql
from app.services.runs.query_answers import (
    Total,
    columns_of,
    items_of,
    rows_of,
    shown_total,
    total_of,
)
from app.services.runs.query_pages import Doubtful, Row, Told
from app.services.runs.query_prepared import Prepared, prepare
from app.services.runs.query_rules import PERSONAL, May, Question

AT_ONCE = 20_000
"""Customers who are evaluated while a caller waits."""
DOUBTED = 1_000
"""Of how many it may be told by evaluation that what is stored is of another instant."""
PIECE, SECONDS = 2_000, 2.0
"""Customers who are looked at in turn, and for how long, for a page by id."""


class TooMany(Exception):
    """There are more customers than are evaluated while somebody waits."""


async def search(
    session: ReadSession,
    deployment: Deployment,
    asked: CustomerQuery,
    *,
    secret: bytes,
    now: datetime,
    may: May,
) -> dict[str, Any] | None:
    """Return a page; None where it takes a worker to find it."""
    as_of = as_ofs.parse(asked.as_of, deployment, now, pointer="/as_of")
    query = await prepare(session, deployment, asked, secret=secret, as_of=as_of, may=may)
    try:
        return await _answer(session, deployment, query, await find(session, deployment, query))
    except TooMany:
        _refuse_personal(query)
        return None
    except Exception as error:
        if is_missing_table(error):
            if asked.cursor is not None:
                raise query_pages.refused() from None
            raise DatabaseUnavailable("The run was dropped meanwhile; ask again.") from None
        if hindrance(error) == "statement_timeout":
            _refuse_personal(query)
            return None
        raise


@dataclass(frozen=True)
class Page:
    """The rows of a page and one too many, if there are more, and what was read beside.

    `cursor` leads on where it was not looked to the end of the page.
    """

    rows: list[Row]
    total: Total | None = None
    told: Told | None = None
    evaluated: bool = False
    cursor: str | None = None


async def find(session: ReadSession, deployment: Deployment, query: Prepared) -> Page:
    """Find a page, of those of whom what is stored tells, or by looking at everybody."""
    for question, told in ((query.with_told, {}), (query.question, None)):
        if question is None:
            continue
        if question.is_stored and question.as_of.is_now and not query.counts:
            with suppress(Doubtful):
                return await _stored(session, deployment, query, (), told, doubting=question)
        doubted = await doubts(session, deployment, question, money=query.counts)
        if doubted is not None:
            return await _stored(session, deployment, query, doubted, told)
    return await _evaluated(session, deployment, query)


def _refuse_personal(query: Prepared) -> None:
    """Refuse to have kept with an operation what not everybody may read who follows it."""
    for place, term in enumerate(query.told):
        if term.name in PERSONAL:
            detail = "is personal data, which is not kept with the operation that this takes"
            raise ValidationFailed(errors=[FieldError(f"/select/{place}", "personal", detail)])


async def doubts(
    session: ReadSession, deployment: Deployment, question: Question, *, money: bool
) -> list[str] | None:
    """Return of whom what is stored says another instant; None if too many, or not stored."""
    if not question.is_stored:
        return None
    tables = question.tables(deployment)
    conditions = question.doubts(tables, money=money)
    if not conditions:
        return []
    any_of = " OR ".join(f"({each})" for each in conditions)
    query = tables.select(["c.customer_id"], [f"({any_of})"], f" LIMIT {DOUBTED + 1}")
    rows = await fetch_rows(session, query, *tables.arguments)
    return None if len(rows) > DOUBTED else [row[0] for row in rows]


async def _stored(
    session: ReadSession,
    deployment: Deployment,
    query: Prepared,
    doubted: Sequence[str],
    told: Told | None,
    *,
    doubting: Question | None = None,
) -> Page:
    """Find a page of those of whom what is stored tells, and of some others.

    Raises
    ------
    Doubtful
        If it is not known who these are, and there are some by what is `doubting`, or may be.
    """
    question, most = query.question, query.page.limit + 1
    rows = await query_pages.stored(
        session, deployment, question, query.order, query.place, most, doubted,
        shown=query.shown, told=told, doubting=doubting,
    )  # fmt: skip
    if doubting is not None:
        return Page(rows, None, told)
    found = await query_columns.of_customers(session, deployment, question, query.wanted, doubted)
    rows += rows_of(query, found)
    total = None
    if query.counts:
        total = total_of(query, found).plus(
            await _count_stored(session, deployment, query, doubted)
        )
    rows = query_pages.in_order(rows, query.order, query.place, most)
    return Page(rows, total, told)


async def _evaluated(session: ReadSession, deployment: Deployment, query: Prepared) -> Page:
    question, most = query.question, query.page.limit + 1
    if await query_columns.end_of(session, "", AT_ONCE + 1) is not None:
        if query.counts or query.order.term is not None or query.order.descending:
            raise TooMany
        return await _walk(session, deployment, query)
    found = await query_columns.of_range(session, deployment, question, query.wanted)
    rows = query_pages.in_order(rows_of(query, found), query.order, query.place, most)
    return Page(rows, total_of(query, found) if query.counts else None, evaluated=True)


async def _walk(session: ReadSession, deployment: Deployment, query: Prepared) -> Page:
    """Look at customers by id until a page is full, or for as long as a caller is let wait."""
    clock = asyncio.get_running_loop().time
    until, after = clock() + SECONDS, "" if query.place.after is None else query.place.after[0]
    rows: list[Row] = []
    while len(rows) <= query.page.limit:
        up_to = await query_columns.end_of(session, after, PIECE)
        found = await query_columns.of_range(
            session, deployment, query.question, after=after, up_to=up_to
        )
        rows += rows_of(query, found)
        if up_to is None:
            break
        after = up_to
        if clock() > until and len(rows) <= query.page.limit:
            cursor = next_part(query.page, [after], query.bound_to)
            return Page(rows, evaluated=True, cursor=cursor)
    return Page(rows, evaluated=True)


async def _count_stored(
    session: ReadSession, deployment: Deployment, query: Prepared, doubted: Sequence[str]
) -> Total:
    tables = query.question.tables(deployment, everybody=True)
    when = query.question.when
    conditions = [] if when == ALWAYS else [query_sql.holds(when, tables)]
    if doubted:
        conditions.append(f"c.customer_id <> ALL({tables.bind(list(doubted), 'text[]')})")
    summed = [f"{tables.summary}.revenue"]
    summed += [query_sql.value(term, tables).sql for term in query.money]
    columns = ["count(*)", *(f"coalesce(sum({each}), 0) * {UNITS}" for each in summed)]
    ((customers, revenue, *others),) = await fetch_rows(
        session, tables.select(columns, conditions), *tables.arguments
    )
    return Total(customers, int(revenue), tuple(map(int, others)))


async def _answer(
    session: ReadSession, deployment: Deployment, query: Prepared, page: Page
) -> dict[str, Any]:
    rows, cursor = cut(query, page)
    items = await items_of(session, deployment, query, [row[1] for row in rows], page.told)
    masked = not personal.is_shown() and any(item["name"] is not None for item in items)
    if masked:
        items = [{**item, "name": None} for item in items]
    return {
        "items": items,
        "next_cursor": cursor,
        "as_of": query.question.as_of.at,
        "run_id": query.question.run_id,
        "evaluated": page.evaluated,
        "columns": columns_of(query),
        "count": None if page.total is None else shown_total(deployment, page.total),
        "masked": ["name"] if masked else [],
    }


def cut(query: Prepared, page: Page) -> tuple[list[Row], str | None]:
    """Return the rows of a page, and the cursor behind them."""
    if page.cursor is not None:
        return page.rows, page.cursor
    return query_pages.cut(query.page, page.rows, query.order, query.bound_to)
