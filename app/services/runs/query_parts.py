"""Queries that take a worker: the same question, evaluated in parts."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.days import AsOf
from app.deployment import Deployment
from app.errors import Conflict
from app.postgres.db import ReadSession, WriteSession
from app.schemas.common.types import format_instant
from app.schemas.queries import CustomerQuery
from app.services.common import as_of as as_ofs
from app.services.common import deployment_settings
from app.services.common.stored_documents import Section
from app.services.customer_base import populations
from app.services.operations import operations, parts
from app.services.operations.parts import Part
from app.services.runs import query_columns, query_pages
from app.services.runs.query_answers import (
    Total,
    columns_of,
    items_of,
    rows_of,
    shown_total,
    total_of,
)
from app.services.runs.query_pages import Row
from app.services.runs.query_prepared import Prepared, prepare
from app.services.runs.query_rules import SCORES, May
from app.services.runs.segments import definitions

QUERY, LOOK = "customer_query", "query_customers"
PART = 20_000


class AskedInParts(Section):
    """What was asked, as it was sent; `scores` says whether it may be told what a run found."""

    asked: dict[str, Any]
    scores: bool


async def submit(
    session: WriteSession, kind: str, asked: dict[str, Any], *, now: datetime, by: str, may: May
) -> dict[str, Any]:
    """Have a worker find what was asked."""
    request = AskedInParts(asked=asked, scores=may(SCORES))
    row = await operations.submit(session, kind, request, now=now, requested_by=by)
    return operations.to_response(row)


async def plan(session: WriteSession, part: Part, task: str, now: datetime) -> None:
    """Split everybody into ranges that are looked at as of one instant and by one run."""
    pointers = await deployment_settings.pointers(session)
    ranges = [
        (task, {"after": after, "up_to": up_to})
        for after, up_to in await populations.boundaries(session, PART)
    ]
    by = {"now": now.isoformat(), "run_id": pointers.run_id, "segments": pointers.segments}
    await parts.plan(session, part, ranges, by)


async def check_segments(session: ReadSession, part: Part) -> None:
    """End what names segments if they have changed: its parts would go by different rules."""
    now = (await deployment_settings.pointers(session)).segments
    has_changed = part.context.get("segments", now) != now
    if has_changed and any(definitions.named_in(part.asked(AskedInParts).asked, "segment")):
        raise Conflict("Segments have changed since this was begun: ask again.")


def may_of(part: Part) -> May:
    """Return what who asked may read, which was checked when it was asked."""
    scores = part.asked(AskedInParts).scores
    return lambda scope: scores or scope != SCORES


def as_of_part(deployment: Deployment, part: Part, given: str | None) -> AsOf:
    """Return the instant that a part is looked at as of."""
    now = datetime.fromisoformat(part.context["now"])
    return as_ofs.parse(given, deployment, now, pointer="/as_of")


async def plan_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Split everybody into ranges."""
    del deployment
    await plan(session, part, LOOK, now)


async def _prepared(session: ReadSession, deployment: Deployment, part: Part) -> Prepared:
    await check_segments(session, part)
    secret = await deployment_settings.get(session, deployment_settings.CURSOR_SECRET)
    asked = CustomerQuery.model_validate(part.asked(AskedInParts).asked)
    return await prepare(
        session,
        deployment,
        asked,
        secret=bytes.fromhex(secret),
        as_of=as_of_part(deployment, part, asked.as_of),
        may=may_of(part),
        run_id=part.context["run_id"],
    )


async def look_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Evaluate the rule for a range, and keep who comes first and what all are worth."""
    del now
    query = await _prepared(session, deployment, part)
    found = await query_columns.of_range(
        session, deployment, query.question, query.wanted, **part.arguments
    )
    rows = query_pages.in_order(
        rows_of(query, found), query.order, query.place, query.page.limit + 1
    )
    total = total_of(query, found)
    await parts.note(
        session,
        part,
        {"rows": rows, "total": [total.customers, total.revenue, list(total.others)]},
    )


async def result(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> dict[str, Any]:
    """Return the page, and the count."""
    del now
    query = await _prepared(session, deployment, part)
    noted = await parts.noted(session, part)
    read = _reads(query)
    rows: list[Row] = [(read(key), each) for outcome in noted for key, each in outcome["rows"]]
    rows = query_pages.in_order(rows, query.order, query.place, query.page.limit + 1)
    rows, cursor = query_pages.cut(query.page, rows, query.order, query.bound_to)
    total = Total()
    for outcome in noted:
        customers, revenue, others = outcome["total"]
        total = total.plus(Total(customers, revenue, tuple(others)))
    items = await items_of(session, deployment, query, [row[1] for row in rows])
    return {
        "items": [{"customer_id": e["customer_id"], "values": e["values"]} for e in items],
        "next_cursor": cursor,
        "as_of": format_instant(query.question.as_of.at),
        "run_id": query.question.run_id,
        "columns": columns_of(query),
        "count": shown_total(deployment, total) if query.counts else None,
    }


def _reads(query: Prepared) -> Callable[[Any], Any]:
    """Return how a key is read that JSON has kept."""
    if query.kind != "money":
        return lambda key: key
    return lambda key: None if key is None else Decimal(key)
