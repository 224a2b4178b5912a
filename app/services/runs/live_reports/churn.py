"""`churn`: who left and who came back, by month, cohort or profile, and for which reasons."""

from collections.abc import Sequence
from typing import Any, Final

from app.lifecycle.presets import CHURN_REASONS
from app.postgres.db import ReadSession, fetch_rows
from app.services.customer_base import net_purchases, rule_facts
from app.services.runs.live_reports import tables
from app.services.runs.live_reports.ledger_words import NOWHERE, LedgerWords
from app.services.runs.live_reports.questions import Question
from app.services.runs.live_reports.tables import OF_PROFILE, Row, Table
from app.services.runs.live_reports.words import OTHER

_REASONS: Final = ("reason", "branch", "competitor")
WAYS = ("month", "cohort", *_REASONS, *OF_PROFILE)
NOT_RECORDED: Final = "not_recorded"
_BRANCH_OF: Final = {reason["code"]: reason["branch"] for reason in CHURN_REASONS}
_DEPARTED: Final = "before = 'customer' AND after = 'churned' AND cause <> 'policy'"
_RETURNED: Final = "before = 'churned' AND after = 'customer' AND cause <> 'policy'"


async def of_period(session: ReadSession, question: Question) -> Table:
    """Return departures and win-backs of a period; changes of policy are neither."""
    words = LedgerWords(question.timeline)
    stages, periods = words.all()
    changes, plain = words.changes, words.roles_are_plain()
    if plain:  # in all periods alike
        changes, stages = [], list(dict.fromkeys(stages))
        periods = [0] * len(stages)
    roles = [words.role(*pair) for pair in zip(stages, periods, strict=True)]
    given = [changes, stages, periods, roles]
    events = _events(beginnings=words.begins_as_customer(), plain=plain)
    if question.by == "month":
        return await _by_month(session, question, events, given)
    if question.by in _REASONS:
        return await _by_reason(session, question, events, given)
    return await _by_group(session, question, events, given)


def _events(*, beginnings: bool, plain: bool) -> str:
    """Return the CTEs of changes between roles; $1 to $4 are the words, $5 is the last instant.

    Where roles are plain, transitions within a role say nothing that those around do not.
    """

    def role(name: str, stage: str) -> str:
        return (
            f" JOIN words {name} ON {name}.stage = t.{stage}"
            f" AND {name}.period = width_bucket(t.effective_at, CAST($1 AS timestamptz[]))"
        )

    within = " AND was.role <> becomes.role" if plain else ""
    begun = (
        f" UNION ALL SELECT s.customer_id, s.begun, 0, 'beginning', 'none', w.role"  # noqa: S608  # no value of a caller
        f" FROM ({rule_facts.FIRST_SEEN_OF_ALL}) AS s JOIN words w ON w.stage = '{NOWHERE}'"
        " AND w.period = width_bucket(s.begun, CAST($1 AS timestamptz[])) WHERE s.begun <= $5"
    )
    return (
        "WITH words AS ("  # noqa: S608  # no value of a caller
        " SELECT * FROM unnest(CAST($2 AS text[]), CAST($3 AS int[]), CAST($4 AS text[]))"
        " AS w (stage, period, role)"
        "), events AS ("
        " SELECT t.customer_id, t.effective_at AS at, 1 AS nth, t.cause, was.role AS before,"
        " becomes.role AS after FROM stage_transitions t"
        f"{role('was', 'from_stage')}{role('becomes', 'to_stage')}"
        f" WHERE t.voided_at IS NULL AND t.effective_at <= $5{within}"
        f"{begun if beginnings else ''})"
    )


async def _by_month(
    session: ReadSession, question: Question, events: str, given: Sequence[Any]
) -> Table:
    months = question.months()
    rows = {
        row[0]: row[1:]
        for row in await fetch_rows(
            session, f"{events}{_MONTHS}", *given, question.ends_at, [at for _, at in months]
        )
    }
    customers, gone = rows.get(0, _NOTHING)[4:]
    found = []
    for place, (month, _) in enumerate(months, start=1):
        departures, churned, win_backs, won_back, more, more_gone = rows.get(place, _NOTHING)
        found.append(
            {
                "month": month,
                "customers": customers,
                "churned": tables.rate(churned, customers),
                "departures": departures,
                "win_backs": win_backs,
                "won_back": tables.rate(won_back, gone),
            }
        )
        customers, gone = customers + more, gone + more_gone
    totals = {name: sum(row[name] for row in found) for name in ("departures", "win_backs")}
    running = [] if question.is_over(months[-1][0]) else ["month_running"]
    return Table(
        ["month", "customers", "churned", "departures", "win_backs", "won_back"],
        found,
        totals,
        tables.notes_of(question, "churned_of_customers_at_start", *running, stages=True),
    )


_NOTHING: Final = (0,) * 6
_MONTHS: Final = (
    ", marked AS (SELECT *, width_bucket(at, CAST($6 AS timestamptz[])) AS month,"  # noqa: S608  # no value of a caller
    " first_value(before) OVER (PARTITION BY customer_id,"
    " width_bucket(at, CAST($6 AS timestamptz[])) ORDER BY at, nth) AS began_as FROM events"
    f") SELECT month, count(*) FILTER (WHERE {_DEPARTED}),"
    f" count(DISTINCT customer_id) FILTER (WHERE {_DEPARTED} AND began_as = 'customer'),"
    f" count(*) FILTER (WHERE {_RETURNED}),"
    f" count(DISTINCT customer_id) FILTER (WHERE {_RETURNED} AND began_as = 'churned'),"
    " sum(CAST(after = 'customer' AS int) - CAST(before = 'customer' AS int)),"
    " sum(CAST(after = 'churned' AS int) - CAST(before = 'churned' AS int))"
    " FROM marked GROUP BY 1"
)


async def _by_group(
    session: ReadSession, question: Question, events: str, given: Sequence[Any]
) -> Table:
    _, group, joined = tables.parted(question)
    more: list[Any] = [question.begins_at]
    if question.by == "cohort":
        group, more = "to_char(f.first_on, 'YYYY-MM')", [*more, question.as_of.at]
        joined = (
            " LEFT JOIN (SELECT customer_id, min(occurred_on) AS first_on"  # noqa: S608  # no value of a caller
            f" FROM ({net_purchases.snapshot('$7')}) AS p GROUP BY 1) AS f USING (customer_id)"
        )
    rows = await fetch_rows(
        session, f"{events}{_groups(group, joined)}", *given, question.ends_at, *more
    )
    tables.check_groups(row[0] for row in rows)
    found = [
        _of_group({question.by: value}, *counts)
        for value, *counts in sorted(rows, key=lambda row: tables.by_name(row[0]))
        if any(counts)
    ]
    whole = [sum(counts) for counts in zip(*(row[1:] for row in rows), strict=True)] or [0] * 6
    return Table(
        [question.by, "customers", "churned", "departures", "win_backs", "won_back"],
        found,
        _of_group({}, *whole),
        tables.notes_of(question, "churned_of_customers_in_period", "none_left_out", stages=True),
    )


def _of_group(
    named: Row, customers: int, churned: int, departures: int, gone: int, won: int, win_backs: int
) -> Row:
    return {
        **named,
        "customers": customers,
        "churned": tables.rate(churned, customers),
        "departures": departures,
        "win_backs": win_backs,
        "won_back": tables.rate(won, gone),
    }


def _groups(group: str, joined: str) -> str:
    return (
        ", own AS (SELECT customer_id,"  # noqa: S608  # no value of a caller
        " coalesce((array_agg(after ORDER BY at DESC, nth DESC) FILTER (WHERE at < $6))[1],"
        " (array_agg(before ORDER BY at, nth))[1]) AS began_as,"
        " bool_or(at >= $6 AND after = 'customer') AS came,"
        f" count(*) FILTER (WHERE at >= $6 AND {_DEPARTED}) AS departures,"
        f" count(*) FILTER (WHERE at >= $6 AND {_RETURNED}) AS win_backs"
        " FROM events GROUP BY 1)"
        f" SELECT {group}, count(*) FILTER (WHERE began_as = 'customer' OR came),"
        " count(*) FILTER (WHERE departures > 0),"
        " CAST(sum(departures) AS int),"
        " count(*) FILTER (WHERE began_as = 'churned' OR departures > 0),"
        " count(*) FILTER (WHERE win_backs > 0), CAST(sum(win_backs) AS int)"
        f" FROM own{joined} GROUP BY 1"
    )


async def _by_reason(
    session: ReadSession, question: Question, events: str, given: Sequence[Any]
) -> Table:
    rows = await fetch_rows(
        session,
        f"{events}{_WHY}",
        *given,
        question.as_of.at,
        question.begins_at,
        question.ends_at,
    )
    counts: dict[str | None, list[int]] = {}
    for reason, competitor, departures, won in rows:
        told = competitor if question.by == "competitor" else reason or NOT_RECORDED
        if question.by == "branch":
            told = _BRANCH_OF.get(reason, NOT_RECORDED)
        own = counts.setdefault(told, [0, 0])
        own[0] += departures
        own[1] += won
    tables.check_groups(counts)
    whole = sum(departures for departures, _ in counts.values())
    found = [
        {
            question.by: told,
            "departures": departures,
            "share": tables.rate(departures, whole),
            "won_back": tables.rate(won, departures),
        }
        for told, (departures, won) in sorted(
            counts.items(), key=lambda each: (-each[1][0], tables.by_name(each[0]))
        )
    ]
    won = sum(won for _, won in counts.values())
    names = {reason["code"]: reason["name"] for reason in CHURN_REASONS}
    return Table(
        [question.by, "departures", "share", "won_back"],
        found,
        {"departures": whole, "won_back": tables.rate(won, whole)},
        tables.notes_of(question, "records_may_be_missing", stages=True),
        {"reason": {**names, NOT_RECORDED: OTHER[NOT_RECORDED]}},
    )


# A record counts for the departure behind the last return before it: see `stages/why_churned`.
_WHY: Final = (
    ", lives AS (SELECT *,"  # noqa: S608  # no value of a caller
    f" max(CASE WHEN {_RETURNED} THEN at END) OVER (own ROWS UNBOUNDED PRECEDING) AS came_at,"
    f" min(CASE WHEN {_RETURNED} THEN at END) OVER"
    " (own ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS back_at"
    " FROM events WINDOW own AS (PARTITION BY customer_id ORDER BY at, nth)"
    ") SELECT r.reason, r.competitor, count(*), count(l.back_at)"
    " FROM lives l LEFT JOIN LATERAL ("
    " SELECT reason, competitor FROM churn_records r WHERE r.customer_id = l.customer_id"
    " AND r.occurred_at <= $5 AND (l.came_at IS NULL OR r.occurred_at >= l.came_at)"
    " AND (l.back_at IS NULL OR r.occurred_at < l.back_at)"
    " ORDER BY r.occurred_at DESC, r.source DESC, r.churn_record_id DESC LIMIT 1"
    f") AS r ON true WHERE {_DEPARTED} AND l.at BETWEEN $6 AND $7 GROUP BY 1, 2"
)
