"""`interactions`: how many there were, and how long complaints stayed open."""

import json
from typing import Any, Final

from app.postgres.db import ReadSession, fetch_rows
from app.services.runs.live_reports import tables
from app.services.runs.live_reports.questions import Question
from app.services.runs.live_reports.tables import Row, Table

_GROUPS: Final = {
    "kind": "i.kind",
    "phase": "coalesce(k.phase, 'none')",
    "channel": "i.channel",
    "campaign": "i.campaign",
    "outcome": "i.outcome",
    "month": "to_char(i.occurred_on, 'YYYY-MM')",
}
WAYS = tuple(_GROUPS)


async def of_period(session: ReadSession, question: Question) -> Table:
    """Return the interactions of a period by what they were."""
    rows = await fetch_rows(
        session,
        _statement(_GROUPS[question.by]),
        question.as_of.at,
        question.first_on,
        question.last_on,
    )
    named = await fetch_rows(session, "SELECT kind, CAST(name AS text) FROM interaction_kinds")
    groups = [row for row in rows if not row[-1]]
    (whole,) = [row for row in rows if row[-1]] or [(None, 0, 0, 0, 0, None, 1)]
    tables.check_groups(row[0] for row in groups)
    return Table(
        [question.by, "interactions", "customers", "complaints", "solved", "median_hours_to_close"],
        [
            {question.by: value, **_told(counts)}
            for value, *counts, _ in sorted(groups, key=lambda row: tables.by_name(row[0]))
        ],
        _told(whole[1:-1]),
        tables.notes_of(question, "none_left_out", "solved_when_told"),
        {"kind": {kind: json.loads(name) for kind, name in named if name}},
    )


def _told(counts: Any) -> Row:
    interactions, customers, complaints, solved, hours = counts
    return {
        "interactions": interactions,
        "customers": customers,
        "complaints": complaints,
        "solved": tables.rate(solved, complaints),
        "median_hours_to_close": hours,
    }


# Of a complaint in force as solved: when the first revision came behind the last unsolved one. One
# that was told as solved from the beginning has no such time.
_SOLVED_AT: Final = (
    "SELECT CASE WHEN u.revision IS NULL THEN NULL ELSE least(i.received_at,"
    " (SELECT min(r.received_at) FROM interaction_revisions r WHERE r.customer_id = i.customer_id"
    " AND r.source = i.source AND r.interaction_id = i.interaction_id"
    " AND r.revision > u.revision AND r.revision < i.revision)) END AS at,"
    " u.revision IS NULL AS always FROM (SELECT max(r.revision) AS revision"
    " FROM interaction_revisions r WHERE r.customer_id = i.customer_id AND r.source = i.source"
    " AND r.interaction_id = i.interaction_id AND r.revision < i.revision"
    " AND r.content ->> 'outcome' IS DISTINCT FROM 'solved') AS u"
)


def _statement(group: str) -> str:
    solved = "i.kind = 'complaint' AND i.outcome = 'solved' AND (s.always OR s.at <= $1)"
    return (
        f"SELECT {group}, count(*), count(DISTINCT i.customer_id),"  # noqa: S608  # no value of a caller
        " count(*) FILTER (WHERE i.kind = 'complaint'),"
        f" count(*) FILTER (WHERE {solved}),"
        " percentile_cont(0.5) WITHIN GROUP"
        " (ORDER BY CAST(extract(epoch FROM s.at - i.occurred_at) AS float8) / 3600)"
        f" FILTER (WHERE {solved} AND s.at IS NOT NULL), grouping({group})"
        " FROM interactions i LEFT JOIN interaction_kinds k USING (kind)"
        f" LEFT JOIN LATERAL ({_SOLVED_AT}) AS s"
        " ON i.kind = 'complaint' AND i.outcome = 'solved'"
        " WHERE i.occurred_at <= $1 AND i.occurred_on BETWEEN $2 AND $3"
        f" GROUP BY GROUPING SETS (({group}), ())"
    )
