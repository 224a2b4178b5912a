"""`return-curve`: of those silent for so long, how many purchased in the days after."""

from collections import Counter
from typing import Final

from app.postgres.db import ReadSession, fetch_rows
from app.services.customer_base import net_purchases
from app.services.runs.live_reports import tables
from app.services.runs.live_reports.questions import Question
from app.services.runs.live_reports.tables import OF_PROFILE, Table

SILENCES: Final = (*range(30, 361, 30), 365)
"""Days without a purchase."""
WINDOWS: Final = (90, 180)
"""Days that follow."""
WAYS = ("silent_days", "purchase_days_before", *OF_PROFILE)
_BEFORE: Final = {"1": "nth = 1", "2": "nth = 2", "3_to_4": "nth <= 4"}
_MANY: Final = "5_or_more"


async def of_silences(session: ReadSession, question: Question) -> Table:
    """Return for each length of silence how many lasted so long, and how they went on."""
    column, group = tables.parted(question)
    if question.by == "purchase_days_before":
        cases = " ".join(f"WHEN {test} THEN '{code}'" for code, test in _BEFORE.items())
        column, group = [question.by], f"CASE {cases} ELSE '{_MANY}' END"
    rows = await fetch_rows(
        session,
        _statement(group),
        question.as_of.at,
        question.first_on,
        question.last_on,
        question.until_on,
    )
    tables.check_groups(row[0] for row in rows)
    found, totals = [], Counter[int]()
    for value, silent, n, *known in sorted(rows, key=lambda row: (tables.by_name(row[0]), row[1])):
        row = {**dict.fromkeys(column, value), "silent_days": silent, "silences": n}
        for place, days in enumerate(WINDOWS):
            over, bought = known[2 * place : 2 * place + 2]
            row[f"bought_within_{days}"] = tables.rate(bought, over)
            row[f"open_{days}"] = n - over
        found.append(row)
        totals[silent] += n
    told = [f"{name}_{days}" for days in WINDOWS for name in ("bought_within", "open")]
    return Table(
        [*column, "silent_days", "silences", *told],
        found,
        {"silences": totals[SILENCES[0]]},
        tables.notes_of(question, "silences_counted", "none_left_out"),
    )


def _statement(group: str) -> str:
    counts = ", ".join(
        f"count(*) FILTER (WHERE {over}), count(*) FILTER (WHERE {over}"
        f" AND g.next_on <= g.occurred_on + s.days + {days})"
        for days in WINDOWS
        for over in [f"g.occurred_on + s.days + {days} <= $4"]
    )
    lengths = ", ".join(f"({days})" for days in SILENCES)
    return (
        "WITH days AS (SELECT DISTINCT customer_id, occurred_on"  # noqa: S608  # no value of a caller
        f" FROM ({net_purchases.snapshot('$1')}) AS p"
        "), gaps AS ("
        " SELECT customer_id, occurred_on, lead(occurred_on) OVER own AS next_on,"
        " row_number() OVER own AS nth FROM days"
        " WINDOW own AS (PARTITION BY customer_id ORDER BY occurred_on)"
        "), long AS ("
        f" SELECT * FROM gaps WHERE (next_on IS NULL OR next_on > occurred_on + {SILENCES[0]})"
        f" AND occurred_on BETWEEN CAST($2 AS date) - {SILENCES[-1]}"
        f" AND CAST($3 AS date) - {SILENCES[0]}"
        f") SELECT {group}, s.days, count(*), {counts}"
        " FROM long g JOIN customers c USING (customer_id)"
        f" JOIN (VALUES {lengths}) AS s (days) ON g.next_on IS NULL"
        " OR g.next_on > g.occurred_on + s.days"
        " WHERE g.occurred_on + s.days BETWEEN $2 AND $3 GROUP BY 1, 2"
    )
