"""`acquisition`: those first seen in a period, whether they purchased, and what a year brought."""

from typing import Any

from app.postgres.db import ReadSession, fetch_rows
from app.services.customer_base import net_purchases, rule_facts
from app.services.runs.live_reports import tables
from app.services.runs.live_reports.questions import Question
from app.services.runs.live_reports.tables import OF_PROFILE, Row, Table

WAYS = (*OF_PROFILE, "source", "month")
_YEAR = 365
_GROUPS = {**OF_PROFILE, "source": "c.source"}


async def of_new_customers(session: ReadSession, question: Question) -> Table:
    """Return new customers by channel, or by what else their profiles say."""
    months = question.months()
    by_month = question.by == "month"
    group = "width_bucket(seen.begun, CAST($7 AS timestamptz[]))"
    rows = await fetch_rows(
        session,
        _statement(group if by_month else _GROUPS[question.by]),
        question.as_of.at,
        question.begins_at,
        question.ends_at,
        question.first_on,
        question.until_on,
        question.day_starts(question.last),
        *([[at for _, at in months]] if by_month else []),
    )
    tables.check_groups(row[0] for row in rows)
    if by_month:
        rows = [(months[row[0] - 1][0], *row[1:]) for row in rows]
    ordered = sorted(rows, key=lambda row: tables.by_name(row[0]))
    whole = [sum(each) for each in zip(*(row[2:] for row in rows), strict=True)] or [0] * 5
    return Table(
        [question.by, "customers", "prospects", "converted", "median_days_to_purchase",
         "first_year_known", "first_year_revenue", "first_year_value"],
        [
            {question.by: value, **_told(question, counts),
             "median_days_to_purchase": days}
            for value, days, *counts in ordered
        ],
        _told(question, whole),
        [*tables.notes_of(question), *["profile_of_now"][: question.by == "source"]],
    )  # fmt: skip


def _told(question: Question, counts: list[Any]) -> Row:
    customers, prospects, converted, known, revenue = counts
    return {
        "customers": customers,
        "prospects": prospects,
        "converted": tables.rate(converted, prospects),
        "first_year_known": known,
        "first_year_revenue": tables.money(question, revenue),
        "first_year_value": tables.per_head(question, revenue, known),
    }


def _statement(group: str) -> str:
    """Return how to read them; who purchased the instant that they were seen was no prospect."""
    over = f"f.first_on + {_YEAR - 1} <= $5"
    return (
        f"WITH seen AS ({rule_facts.FIRST_SEEN_OF_ALL}), cohort AS MATERIALIZED ("  # noqa: S608  # no value of a caller
        f" SELECT c.customer_id, seen.begun, {group} AS value"
        " FROM customers c JOIN seen USING (customer_id) WHERE seen.begun BETWEEN $2 AND $3"
        "), net AS ("
        " SELECT customer_id, occurred_on, occurred_at, net,"
        " min(occurred_on) OVER (PARTITION BY customer_id) AS first_on"
        f" FROM ({net_purchases.snapshot('$1')}) AS p"
        " WHERE customer_id IN (SELECT customer_id FROM cohort)"
        "), f AS ("
        " SELECT customer_id, first_on, min(occurred_at) AS at,"
        f" sum(net) FILTER (WHERE occurred_on < first_on + {_YEAR}) AS revenue"
        " FROM net GROUP BY 1, 2"
        ") SELECT value, percentile_cont(0.5) WITHIN GROUP (ORDER BY f.first_on"
        " - (CAST($4 AS date) + width_bucket(c.begun, CAST($6 AS timestamptz[])) - 1))"
        " FILTER (WHERE f.at > c.begun),"
        " count(*), count(*) FILTER (WHERE f.at IS NULL OR f.at > c.begun),"
        f" count(*) FILTER (WHERE f.at > c.begun), count(*) FILTER (WHERE {over}),"
        f" coalesce(sum(f.revenue) FILTER (WHERE {over}), 0)"
        " FROM cohort c LEFT JOIN f USING (customer_id) GROUP BY 1"
    )
