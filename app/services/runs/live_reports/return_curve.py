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
    column, group, whose = tables.parted(question)
    # What came before the first silence that counts is looked at for its number alone.
    since = f" WHERE occurred_on >= CAST($2 AS date) - {SILENCES[-1]}"
    if question.by == "purchase_days_before":
        cases = " ".join(f"WHEN {test} THEN '{code}'" for code, test in _BEFORE.items())
        since = ""
        column, group = [question.by], f"CASE {cases} ELSE '{_MANY}' END"
    rows = await fetch_rows(
        session,
        _statement(group, whose, since),
        question.as_of.at,
        question.first_on,
        question.last_on,
        question.until_on,
    )
    tables.check_groups(row[0] for row in rows)
    found, totals = [], Counter[int]()
    for value, silent, *counts in sorted(rows, key=lambda row: (tables.by_name(row[0]), row[1])):
        n, *known = map(int, counts)
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


def _statement(group: str, whose: str, since: str) -> str:
    """Return how to count silences: first those alike, so that few are held against lengths."""
    counts = ", ".join(
        f"coalesce(sum(n) FILTER (WHERE {over}), 0), coalesce(sum(n) FILTER (WHERE {over}"
        f" AND g.gap <= s.days + {days}), 0)"
        for days in WINDOWS
        for over in [f"g.occurred_on + s.days + {days} <= $4"]
    )
    lengths = ", ".join(f"({days})" for days in SILENCES)
    longest = SILENCES[-1] + WINDOWS[-1] + 1
    return (
        "WITH days AS (SELECT DISTINCT customer_id, occurred_on"  # noqa: S608  # no value of a caller
        f" FROM ({net_purchases.snapshot('$1')}) AS p{since}"
        "), gaps AS ("
        f" SELECT customer_id, occurred_on, least(lead(occurred_on, 1, 'infinity') OVER own,"
        f" occurred_on + {longest}) - occurred_on AS gap, row_number() OVER own AS nth FROM days"
        " WINDOW own AS (PARTITION BY customer_id ORDER BY occurred_on)"
        "), alike AS ("
        f" SELECT {group} AS value, occurred_on, gap, count(*) AS n FROM gaps{whose}"
        f" WHERE gap > {SILENCES[0]} AND occurred_on BETWEEN CAST($2 AS date) - {SILENCES[-1]}"
        f" AND CAST($3 AS date) - {SILENCES[0]} GROUP BY 1, 2, 3"
        f") SELECT value, s.days, sum(n), {counts}"
        f" FROM alike g JOIN (VALUES {lengths}) AS s (days) ON g.gap > s.days"
        " WHERE g.occurred_on + s.days BETWEEN $2 AND $3 GROUP BY 1, 2"
    )
