"""`retention`: of those who first purchased in a month, how many purchase in the months after."""

from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any, Final

from app.postgres.db import ReadSession, fetch_rows
from app.services.customer_base import net_purchases
from app.services.runs.live_reports import tables
from app.services.runs.live_reports.questions import Question, month_of, month_of_number
from app.services.runs.live_reports.tables import OF_PROFILE, Table

WAYS = ("cohort", *OF_PROFILE)


async def of_first_purchases(session: ReadSession, question: Question) -> Table:
    """Return the triangle: cohorts by their first purchase day, months counted from its month."""
    column, group, whose = tables.parted(question)
    rows = await fetch_rows(
        session,
        _statement(group, whose),
        question.as_of.at,
        question.first_on,
        question.last_on,
        question.begins_at,
    )
    until = question.until_on.year * 12 + question.until_on.month - 1
    active, revenue = Counter[tuple[Any, int]](), defaultdict[tuple[Any, int], Decimal](Decimal)
    sizes = Counter[tuple[Any, int]]()
    for value, begun, after, n, net in rows:
        told = value if column else month_of_number(begun)
        active[told, after] += n
        revenue[told, after] += net
        if after == 0:
            for month in range(until - begun + 1):
                sizes[told, month] += n
    tables.check_groups(told for told, _ in sizes)
    found = [
        {
            question.by: told,
            "month_number": month,
            "customers": sizes[told, month],
            "retained": tables.rate(active[told, month], sizes[told, month]),
            "revenue": tables.money(question, revenue[told, month]),
        }
        for told, month in sorted(sizes, key=lambda cell: (tables.by_name(cell[0]), cell[1]))
    ]
    whole = sum(n for (_, month), n in sizes.items() if month == 0)
    running = [] if question.is_over(month_of(question.until_on)) else ["month_running"]
    return Table(
        [question.by, "month_number", "customers", "retained", "revenue"],
        found,
        {"customers": whole, "revenue": tables.money(question, sum(revenue.values(), Decimal()))},
        tables.notes_of(question, *running),
    )


# Whose first fact came before the period is of an earlier cohort, unless it was taken back since.
_MAY_BEGIN: Final = (
    "SELECT customer_id FROM transactions GROUP BY 1 HAVING min(occurred_at) >= $4"
    " UNION SELECT customer_id FROM refund_allocations"
    " UNION SELECT customer_id FROM unallocated_refunds"
)


def _statement(group: str, whose: str) -> str:
    year, month = (f"CAST(date_part('{part}', occurred_on) AS int)" for part in ("year", "month"))
    return (
        f"WITH months AS (SELECT customer_id, {year} * 12 + {month} - 1 AS month,"  # noqa: S608  # no value of a caller
        f" min(occurred_on) AS first_on, sum(net) AS net FROM ({net_purchases.snapshot('$1')}) AS p"
        f" WHERE customer_id IN ({_MAY_BEGIN}) GROUP BY 1, 2"
        "), begun AS ("
        " SELECT customer_id, month, net, min(first_on) OVER own AS begun_on,"
        " min(month) OVER own AS begun FROM months WINDOW own AS (PARTITION BY customer_id)"
        f") SELECT {group}, b.begun, b.month - b.begun, count(*), sum(b.net) FROM begun b{whose}"
        " WHERE b.begun_on BETWEEN $2 AND $3 GROUP BY 1, 2, 3"
    )
