"""`value`: revenue, lifetime value and repurchases by stage, group or profile; concentration."""

from collections import defaultdict
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import select

from app.days import to_micros
from app.lifecycle.policy import Names
from app.lifecycle.variables.choices import RFM_GROUPS
from app.models import Run
from app.models.scoring import scores_name
from app.postgres.db import ReadSession, fetch_rows
from app.services.customer_base import net_purchases, rule_facts
from app.services.runs.live_reports import tables
from app.services.runs.live_reports.ledger_words import LedgerWords, standing
from app.services.runs.live_reports.questions import Question
from app.services.runs.live_reports.tables import OF_PROFILE, Row, Table
from app.services.runs.segments import definitions

_OF_RUN: Final = ("rfm_group", "value_tier")
WAYS = ("stage", *_OF_RUN, "segment", *OF_PROFILE, "top_percent")
TOPS: Final = (1, 5, 10, 20, 50, 100)
"""The best so many percent of all who purchased, rounded up to whole customers."""


async def of_period(session: ReadSession, question: Question) -> Table:
    """Return what customers purchased in a period, by where they stand at its end."""
    if question.by == "top_percent":
        return await _concentration(session, question)
    run_id = await _run_at(session, question)
    words = LedgerWords(question.timeline)
    asked = (question.as_of.at, question.ends_at, question.first_on, question.last_on,
             words.changes)  # fmt: skip
    statement = _statement(question.by, run_id, words)
    rows = await fetch_rows(session, statement, *asked)
    sums: dict[str | None, _Sums] = defaultdict(_Sums)
    last = to_micros(question.ends_at)
    for value, stage, period, *counts in rows:
        told = words.name(stage, period, last) if question.by == "stage" else value
        sums[told].add(counts)
    tables.check_groups(sums)
    whole = _Sums()
    of_all = [own.all for own in sums.values()]
    if question.by == "segment":  # somebody may be in several
        of_all = [
            row[3:] for row in await fetch_rows(session, _statement("", run_id, words), *asked)
        ]
    for one in of_all:
        whole.add(list(one))

    def order(value: str | None) -> Any:
        return words.place(value or "", last) if question.by == "stage" else tables.by_name(value)

    names = ["customers", "buyers", "repurchased", "revenue", "revenue_share", "clv",
             "clv_per_customer"]  # fmt: skip
    return Table(
        [question.by, *names],
        [
            {question.by: value, **sums[value].told(question, whole)}
            for value in sorted(sums, key=order)
        ],
        whole.told(question, whole),
        tables.notes_of(
            question,
            "none_left_out",
            "clv_of_run" if run_id else "no_clv",
            *(("segments_overlap",) if question.by == "segment" else ()),
            stages=question.by == "stage",
        ),
        {
            "stage": words.names(),
            "rfm_group": RFM_GROUPS,
            "segment": await _segments(session, question),
        },
        run_id,
    )


class _Sums:
    """Customers, buyers, who bought on two days, scored ones; revenue and lifetime value."""

    def __init__(self) -> None:
        self.all: list[Any] = [0, 0, 0, 0, Decimal(), Decimal()]

    def add(self, more: list[Any]) -> None:
        self.all = [a + (b or 0) for a, b in zip(self.all, more, strict=True)]

    def told(self, question: Question, whole: "_Sums") -> Row:
        customers, buyers, again, scored, revenue, clv = self.all
        return {
            "customers": customers,
            "buyers": buyers,
            "repurchased": tables.rate(again, buyers),
            "revenue": tables.money(question, revenue),
            "revenue_share": tables.share(revenue, whole.all[4]),
            "clv": tables.money(question, clv) if scored else None,
            "clv_per_customer": tables.per_head(question, clv, scored),
        }


async def _run_at(session: ReadSession, question: Question) -> int | None:
    """Return the published run, None if it tells of a later instant than was asked for."""
    run_id = question.pointers.run_id
    if run_id is None:
        return None
    as_of = await session.scalar(select(Run.as_of).where(Run.run_id == run_id))
    return run_id if as_of is not None and as_of <= question.as_of.at else None


async def _segments(session: ReadSession, question: Question) -> dict[str, Names]:
    """Return what segments are called."""
    if question.by != "segment":
        return {}
    known = await definitions.named(session, question.pointers.segments)
    return {code: each.document["name"] for code, each in known.by_code.items()}


def _statement(by: str, run_id: int | None, words: LedgerWords) -> str:
    begun = words.beginnings("$5")
    group, scores, clv = OF_PROFILE.get(by, "CAST(NULL AS text)"), "", "CAST(NULL AS numeric)"
    inside = ""
    if by == "segment":
        group, inside = "g.code", _INSIDE
    if run_id is not None:
        scores = f" LEFT JOIN {scores_name(run_id)} s USING (customer_id)"
        clv = "s.clv"
        group = f"s.{by}" if by in _OF_RUN else group
    return (
        f"WITH {begun.cte}b AS ({standing('$2')}),"  # noqa: S608  # no value of a caller
        " bought AS (SELECT customer_id, sum(net) AS revenue,"
        " min(occurred_on) AS first_on, max(occurred_on) AS last_on"
        f" FROM ({net_purchases.snapshot('$1')}) AS p WHERE occurred_on BETWEEN $3 AND $4"
        " GROUP BY 1)"
        f" SELECT {group}, b.to_stage, {begun.period('b.effective_at')},"
        " count(*), count(o.first_on), count(*) FILTER (WHERE o.last_on > o.first_on),"
        f" count({clv}), sum(o.revenue), sum({clv})"
        f" FROM customers c{begun.join} LEFT JOIN b USING (customer_id)"
        f" LEFT JOIN bought o USING (customer_id){scores}{inside}"
        f" WHERE {rule_facts.heard_of_by('$2')} GROUP BY 1, 2, 3"
    )


_INSIDE: Final = (
    " LEFT JOIN segment_periods g ON g.customer_id = c.customer_id AND g.entered_at <= $2"
    " AND (g.left_at IS NULL OR g.left_at > $2)"
)
"""The segments that customers were kept to be in at the end of the period."""


async def _concentration(session: ReadSession, question: Question) -> Table:
    rows = await fetch_rows(
        session, _RANKED, question.as_of.at, question.first_on, question.last_on
    )
    whole = next((row[2] for row in rows if row[0] == 100), Decimal())
    found = [
        {
            "top_percent": top,
            "customers": n,
            "revenue": tables.money(question, revenue),
            "revenue_share": tables.share(revenue, whole),
        }
        for top, n, revenue in rows
    ]
    buyers = next((row[1] for row in rows if row[0] == 100), 0)
    return Table(
        ["top_percent", "customers", "revenue", "revenue_share"],
        found,
        {"customers": buyers, "revenue": tables.money(question, whole)},
        (),
    )


_RANKED: Final = (
    "WITH bought AS (SELECT customer_id, sum(net) AS revenue"  # noqa: S608  # no value of a caller
    f" FROM ({net_purchases.snapshot('$1')}) AS p WHERE occurred_on BETWEEN $2 AND $3 GROUP BY 1"
    "), ranked AS (SELECT revenue, row_number() OVER (ORDER BY revenue DESC, customer_id) AS nth,"
    " count(*) OVER () AS buyers FROM bought)"
    " SELECT t.top, count(*), sum(revenue) FROM ranked"
    f" JOIN (VALUES {', '.join(f'({top})' for top in TOPS)}) AS t (top)"
    " ON nth <= (buyers * t.top + 99) / 100 GROUP BY 1 ORDER BY 1"
)
