"""How good a segment is: how large, how steady, how much of others, and whether its cut matters."""

from collections.abc import Container
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from app.days import from_day, to_day
from app.deployment import Deployment
from app.lifecycle.expressions import Expression
from app.postgres.db import ReadSession, fetch_row, fetch_rows
from app.services.common import deployment_settings
from app.services.common.deployment_settings import Pointers
from app.services.runs import query_rules
from app.services.runs.query_rules import May
from app.services.runs.segments import comparisons, definitions, keeping

MONTHS = 12
_SIZE = (
    "SELECT (SELECT count(*) FROM segment_periods WHERE code = $1 AND left_at IS NULL),"
    " (SELECT count(*) FROM customers)"
)
_FLOW = (
    "SELECT width_bucket(at, $2::timestamptz[]), sum(entered)::int8, sum(gone)::int8 FROM ("
    "SELECT entered_at AS at, 1 AS entered, 0 AS gone FROM segment_periods"
    " WHERE code = $1 AND entered_at >= $3"
    " UNION ALL SELECT left_at, 0, 1 FROM segment_periods WHERE code = $1 AND left_at >= $3"
    ") AS moves GROUP BY 1"
)
_OVERLAP = (
    "SELECT o.code, count(*), (SELECT count(*) FROM segment_periods a"
    " WHERE a.code = o.code AND a.left_at IS NULL)"
    " FROM segment_periods m JOIN segment_periods o ON o.customer_id = m.customer_id"
    " WHERE m.code = $1 AND m.left_at IS NULL AND o.left_at IS NULL AND o.code <> $1"
    " GROUP BY o.code ORDER BY 2 DESC, 1"
)
UNUSED = timedelta(days=90)
_USED = "SELECT last_used_at, updated_at FROM segments WHERE code = $1"
_LAST_MOVE = "SELECT greatest(max(entered_at), max(left_at)) FROM segment_periods WHERE code = $1"


async def describe(
    session: ReadSession,
    deployment: Deployment,
    code: str,
    *,
    days: int,
    now: datetime,
    may: May,
) -> dict[str, Any]:
    """Tell of what is kept of a segment, and hold its members against those just outside.

    How many are in a segment tells what its rule looks at, as who is in it does.
    """
    pointers = await deployment_settings.pointers(session)
    known = await definitions.named(session, pointers.segments)
    segment = known.require(code)
    await query_rules.require_segment(session, code, may)
    others = await _readable(session, deployment, pointers, now, may)
    row = await fetch_row(session, _SIZE, code)
    assert row is not None
    size, customers = row
    kept = await deployment_settings.get(session, deployment_settings.SEGMENTS_KEPT) or {}
    is_kept = kept.get("versions", {}).get(code) == segment.version
    last = await fetch_row(session, _LAST_MOVE, code)
    used = await fetch_row(session, _USED, code)
    assert used is not None
    return {
        "code": code,
        "version": segment.version,
        "as_of": now,
        "kept_until": kept["as_of"] if is_kept else None,
        "members": size,
        "customers": customers,
        "coverage": size / customers if customers else None,
        "flow": await _flow(session, deployment, code, now),
        "overlap": await _overlap(session, code, size, others),
        "last_change_at": None if last is None else last[0],
        "last_used_at": used[0],
        "unused": now - max(filter(None, used)) > UNUSED,
        "comparison": await comparisons.compare(
            session, deployment, pointers, code, days=days, now=now, may=may
        ),
    }


async def _readable(
    session: ReadSession, deployment: Deployment, pointers: Pointers, now: datetime, may: May
) -> Container[str]:
    """Return the segments that the key may be told of."""
    today = replace(deployment.as_of(now), is_now=True)

    def asks(rule: Expression) -> bool:
        return query_rules.can_be_asked(rule, today, may)

    return (await keeping.rules_at(session, pointers, today, asks)).rules


def _months(today: date) -> list[date]:
    """Return the first days of the last months, and of the one after."""
    found = [today.replace(day=1)]
    while len(found) < MONTHS:
        found.append((found[-1] - timedelta(days=1)).replace(day=1))
    after = (found[0] + timedelta(days=32)).replace(day=1)
    return [*reversed(found), after]


async def _flow(
    session: ReadSession, deployment: Deployment, code: str, now: datetime
) -> list[dict[str, Any]]:
    months = _months(from_day(deployment.calendar.day_of(now)))
    starts = [deployment.calendar.start_of(to_day(month)) for month in months]
    rows = await fetch_rows(session, _FLOW, code, starts[:-1], starts[0])
    moved = {row[0]: (row[1], row[2]) for row in rows}
    found = []
    for place, month in enumerate(months[:-1], start=1):
        entered, left = moved.get(place, (0, 0))
        found.append({"month": f"{month:%Y-%m}", "entered": entered, "left": left})
    return found


async def _overlap(
    session: ReadSession, code: str, size: int, others: Container[str]
) -> list[dict[str, Any]]:
    rows = await fetch_rows(session, _OVERLAP, code)
    return [
        {"code": other, "members": both, "share": both / size if size else None,
         "jaccard": both / (size + of - both)}
        for other, both, of in rows
        if other in others
    ]  # fmt: skip
