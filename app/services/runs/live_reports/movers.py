"""`movers`: who went to another stage between two days, with their revenue before and after."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

from app.days import from_day, to_micros
from app.postgres.db import ReadSession, fetch_rows
from app.services.customer_base import net_purchases, rule_facts
from app.services.runs.live_reports import tables
from app.services.runs.live_reports.ledger_words import LedgerWords, standing
from app.services.runs.live_reports.questions import Question
from app.services.runs.live_reports.tables import OF_PROFILE, Row, Table

WAYS = ("stage", "customer_id", *OF_PROFILE)
YEAR = 365
"""Days whose revenue is compared: those up to the first day, and those up to the last."""
_LISTED = 1_000
_MONEY = ["revenue_before", "revenue_after", "revenue_change"]


async def between_days(session: ReadSession, question: Question) -> Table:
    """Return the transitions between two days with the revenue of the year up to each of them."""
    words = LedgerWords(question.timeline)
    listed = question.by == "customer_id"
    column, group, _ = tables.parted(question)
    stages, periods = words.all()
    last = to_micros(question.ends_at)
    rows = await fetch_rows(
        session,
        _statement(group, _EACH if listed else _TOGETHER),
        question.as_of.at,
        question.first_ends_at,
        question.ends_at,
        words.changes,
        stages,
        periods,
        [words.name(*pair, last) for pair in zip(stages, periods, strict=True)],
        from_day(question.first - YEAR),
        question.first_on,
        from_day(question.last - YEAR),
        question.last_on,
    )
    return (_customers if listed else _stages)(question, words, column, rows)


def _stages(question: Question, words: LedgerWords, column: list[str], rows: list[Any]) -> Table:
    first, last = to_micros(question.first_ends_at), to_micros(question.ends_at)
    sums: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [0, Decimal(), Decimal()])
    for value, stage, period, after, *more in rows:
        cell = value, words.name(stage, period, first), after
        sums[cell] = [a + b for a, b in zip(sums[cell], more, strict=True)]
    tables.check_groups(value for value, *_ in sums)

    def order(cell: tuple[Any, ...]) -> Any:
        value, before, after = cell
        return tables.by_name(value), words.place(before, first), words.place(after, last)

    found = [
        {
            **dict.fromkeys(column, value),
            "from_stage": before,
            "to_stage": after,
            "customers": sums[value, before, after][0],
            **_money(question, *sums[value, before, after][1:]),
        }
        for value, before, after in sorted(sums, key=order)
    ]
    n, *whole = [sum(each) for each in zip(*sums.values(), strict=True)] or [0, 0, 0]
    return Table(
        [*column, "from_stage", "to_stage", "customers", *_MONEY],
        found,
        {"customers": n, **_money(question, *map(Decimal, whole))},
        tables.notes_of(question, "days_not_events", "none_left_out", stages=True),
        {"from_stage": words.names(), "to_stage": words.names()},
    )


def _customers(question: Question, words: LedgerWords, _: list[str], rows: list[Any]) -> Table:
    first, calendar = to_micros(question.first_ends_at), question.deployment.calendar
    found = [
        {
            "customer_id": customer_id,
            "from_stage": words.name(stage, period, first),
            "to_stage": after,
            "moved_on": from_day(calendar.day_of(at)),
            **_money(question, *amounts),
        }
        for customer_id, stage, period, after, at, *amounts in rows[:_LISTED]
    ]
    return Table(
        ["customer_id", "from_stage", "to_stage", "moved_on", *_MONEY],
        found,
        None,
        tables.notes_of(
            question, "days_not_events", *["first_1000"][: len(rows) > _LISTED], stages=True
        ),
        {"from_stage": words.names(), "to_stage": words.names()},
    )


def _money(question: Question, before: Decimal, after: Decimal) -> Row:
    amounts = before, after, after - before
    return dict(zip(_MONEY, (tables.money(question, each) for each in amounts), strict=True))


_TOGETHER = (
    "SELECT value, to_stage, period, after, count(*), sum(revenue_before), sum(revenue_after)"
    " FROM moved GROUP BY 1, 2, 3, 4"
)
_EACH = (
    "SELECT customer_id, to_stage, period, after, at,"  # noqa: S608  # no value of a caller
    " revenue_before, revenue_after FROM moved"
    " ORDER BY abs(revenue_after - revenue_before) DESC, customer_id"
    f" LIMIT {_LISTED + 1}"
)


def _statement(group: str, told: str) -> str:
    """Return how to read who moved; `words` calls each stage as it is called on the last day."""
    return (
        f"WITH seen AS ({rule_facts.FIRST_SEEN_OF_ALL}), a AS ({standing('$2')}),"  # noqa: S608  # no value of a caller
        f" b AS ({standing('$3')}), words AS ("
        " SELECT * FROM unnest(CAST($5 AS text[]), CAST($6 AS int[]), CAST($7 AS text[]))"
        " AS w (stage, period, name)"
        "), placed AS ("
        f" SELECT c.customer_id, {group} AS value, a.to_stage, b.effective_at AS at,"
        " width_bucket(coalesce(a.effective_at, seen.begun), CAST($4 AS timestamptz[])) AS period,"
        " w.name AS after FROM customers c JOIN seen USING (customer_id)"
        " JOIN b USING (customer_id) LEFT JOIN a USING (customer_id)"
        " JOIN words w ON w.stage = b.to_stage"
        " AND w.period = width_bucket(b.effective_at, CAST($4 AS timestamptz[]))"
        " WHERE seen.begun <= $2 AND b.effective_at > $2"
        "), bought AS ("
        " SELECT customer_id,"
        " sum(net) FILTER (WHERE occurred_on > $8 AND occurred_on <= $9) AS before,"
        " sum(net) FILTER (WHERE occurred_on > $10 AND occurred_on <= $11) AS after"
        f" FROM ({net_purchases.snapshot('$1')}) AS p"
        " WHERE occurred_on > $8 AND occurred_on <= $11 GROUP BY 1"
        "), moved AS ("
        " SELECT m.*, coalesce(o.before, 0) AS revenue_before,"
        " coalesce(o.after, 0) AS revenue_after"
        " FROM placed m JOIN words w ON w.stage = coalesce(m.to_stage, '') AND w.period = m.period"
        " LEFT JOIN bought o USING (customer_id) WHERE w.name <> m.after"
        f") {told}"
    )
