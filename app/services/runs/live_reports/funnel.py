"""`funnel`: how far those first seen in a period have come, stage by stage."""

from typing import Any

from app.days import from_day
from app.postgres.db import ReadSession, fetch_rows
from app.services.customer_base import rule_facts
from app.services.runs.live_reports import tables
from app.services.runs.live_reports.ledger_words import NOWHERE, LedgerWords
from app.services.runs.live_reports.questions import Question
from app.services.runs.live_reports.tables import OF_PROFILE, Table

WAYS = ("stage", *OF_PROFILE, "open")
_LISTED = 1_000
_LEFT = -1


def _steps(question: Question) -> list[str]:
    """Return the stages of the policy at `as_of` that lead on, in order."""
    policy = question.timeline.at(question.as_of.micros)
    return [stage.code for stage in policy.described if stage.role != "churned"]


def _step_of(words: LedgerWords, question: Question, stage: str, period: int) -> int:
    """Return which step a stage is; one that the policy has no longer, the first of its role."""
    policy = question.timeline.at(question.as_of.micros)
    name = words.name(stage, period, question.as_of.micros)
    steps = _steps(question)
    if name in steps:
        return steps.index(name)
    role = words.role(stage, period)
    if role == "churned" or name in policy.stages:
        return _LEFT
    return next((n for n, code in enumerate(steps) if policy.stage(code).role == role), 0)


async def of_new_customers(session: ReadSession, question: Question) -> Table:
    """Return how many went on from each stage, how long they took, and who has not yet."""
    words = LedgerWords(question.timeline)
    steps = _steps(question)
    listed = question.by == "open"
    column, group, _ = tables.parted(question)
    stages, periods = words.all()
    rows = await fetch_rows(
        session,
        _statement(group, _OPEN if listed else _HOPS),
        question.begins_at,
        question.ends_at,
        question.as_of.at,
        words.changes,
        stages,
        periods,
        [_step_of(words, question, *pair) for pair in zip(stages, periods, strict=True)],
        len(steps),
        *([] if listed else [question.day_starts(question.as_of.day)]),
    )
    return (_still_open if listed else _hops)(question, words, steps, column, rows)


def _hops(
    question: Question, words: LedgerWords, steps: list[str], column: list[str], rows: list[Any]
) -> Table:
    tables.check_groups(row[0] for row in rows)
    begun = {row[0]: row[2] for row in rows if row[1] == 0}
    found = []
    for value, step, reached, converted, days, left in sorted(
        rows, key=lambda row: (tables.by_name(row[0]), row[1])
    ):
        is_last = step == len(steps) - 1
        found.append(
            {
                **dict.fromkeys(column, value),
                "stage": steps[step],
                "customers": reached,
                "reached": tables.rate(reached, begun[value]),
                "converted": None if is_last else tables.rate(converted, reached),
                "median_days": days,
                "open": None if is_last else reached - converted - left,
                "left": None if is_last else left,
            }
        )
    whole = sum(begun.values())
    through = sum(row[2] for row in rows if row[1] == len(steps) - 1)
    return Table(
        [*column, "stage", "customers", "reached", "converted", "median_days", "open", "left"],
        found,
        {"customers": whole, "reached": tables.rate(through, whole)},
        tables.notes_of(question, "median_of_those_who_went_on", stages=True),
        {"stage": words.names()},
    )


def _still_open(
    question: Question, words: LedgerWords, steps: list[str], _: list[str], rows: list[Any]
) -> Table:
    calendar = question.deployment.calendar
    found = [
        {
            "customer_id": customer_id,
            "stage": steps[step],
            "since": from_day(day),
            "days": question.as_of.day - day,
        }
        for customer_id, step, since in rows[:_LISTED]
        for day in [calendar.day_of(since)]
    ]
    return Table(
        ["customer_id", "stage", "since", "days"],
        found,
        None,
        tables.notes_of(question, *["first_1000"][: len(rows) > _LISTED], stages=True),
        {"stage": words.names()},
    )


_HOPS = (
    "SELECT value, step, count(*), count(next_at),"  # noqa: S608  # no value of a caller
    " percentile_cont(0.5) WITHIN GROUP (ORDER BY"
    " width_bucket(next_at, CAST($9 AS timestamptz[]))"
    " - width_bucket(at, CAST($9 AS timestamptz[]))) FILTER (WHERE next_at IS NOT NULL),"
    f" count(*) FILTER (WHERE next_at IS NULL AND now_at = {_LEFT})"
    " FROM hops GROUP BY 1, 2"
)
_OPEN = (
    "SELECT customer_id, step, at FROM hops"  # noqa: S608  # no value of a caller
    f" WHERE next_at IS NULL AND step < $8 - 1 AND now_at <> {_LEFT}"
    f" ORDER BY at, customer_id LIMIT {_LISTED + 1}"
)


def _statement(group: str, told: str) -> str:
    """Return how to read the hops: when each step, or one behind it, was first reached."""
    return (
        f"WITH seen AS ({rule_facts.FIRST_SEEN_OF_ALL}), cohort AS ("  # noqa: S608  # no value of a caller
        f" SELECT c.customer_id, seen.begun, {group} AS value FROM customers c"
        " JOIN seen USING (customer_id) WHERE seen.begun BETWEEN $1 AND $2"
        "), words AS ("
        " SELECT * FROM unnest(CAST($5 AS text[]), CAST($6 AS int[]), CAST($7 AS int[]))"
        " AS w (stage, period, step)"
        "), past AS ("
        " SELECT c.customer_id, c.value, c.begun AS at, 0 AS nth, w.step"
        " FROM cohort c JOIN words w"
        f" ON w.stage = '{NOWHERE}' AND w.period = width_bucket(c.begun, CAST($4 AS timestamptz[]))"
        " UNION ALL SELECT t.customer_id, c.value, t.effective_at, 1, w.step FROM cohort c"
        " JOIN stage_transitions t ON t.customer_id = c.customer_id AND t.voided_at IS NULL"
        " AND t.effective_at <= $3 JOIN words w ON w.stage = t.to_stage"
        " AND w.period = width_bucket(t.effective_at, CAST($4 AS timestamptz[]))"
        "), known AS ("
        " SELECT *, first_value(step) OVER (PARTITION BY customer_id ORDER BY at DESC, nth DESC)"
        " AS now_at FROM past"
        "), reached AS ("
        " SELECT customer_id, value, now_at, s.step, min(at) AS at FROM known"
        " JOIN generate_series(0, CAST($8 AS int) - 1) AS s (step) ON known.step >= s.step"
        " GROUP BY 1, 2, 3, 4"
        "), hops AS ("
        " SELECT *, lead(at) OVER (PARTITION BY customer_id ORDER BY step) AS next_at FROM reached"
        f") {told}"
    )
