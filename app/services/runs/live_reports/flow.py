"""`flow`: who was in which stage on two days."""

from collections import Counter
from typing import Any

from app.days import to_micros
from app.postgres.db import ReadSession, fetch_rows
from app.services.customer_base import rule_facts
from app.services.runs.live_reports import tables
from app.services.runs.live_reports.ledger_words import LedgerWords, standing
from app.services.runs.live_reports.questions import Question
from app.services.runs.live_reports.tables import OF_PROFILE, Table

WAYS = ("stage", *OF_PROFILE)


async def of_days(session: ReadSession, question: Question) -> Table:
    """Return how many customers went from which stage to which; renames are told apart."""
    words = LedgerWords(question.timeline)
    column, group, _ = tables.parted(question)
    rows = await fetch_rows(
        session, _statement(group, words), question.first_ends_at, question.ends_at, words.changes
    )
    cells, bases = Counter[tuple[Any, ...]](), Counter[tuple[Any, ...]]()
    for value, known, *stages, n in rows:
        before, after, change = _between(words, question, known, *stages)
        cells[value, before, after, change] += n
        bases[value, before] += n
    tables.check_groups(value for value, *_ in cells)
    first, last = to_micros(question.first_ends_at), to_micros(question.ends_at)

    def order(cell: tuple[Any, ...]) -> Any:
        value, before, after, change = cell
        told = (True, ()) if before is None else (False, words.place(before, first))
        return tables.by_name(value), told, words.place(after, last), change

    found = [
        {
            **dict.fromkeys(column, value),
            "from_stage": before,
            "to_stage": after,
            "change": change,
            "customers": cells[cell],
            "share": tables.rate(cells[cell], bases[value, before]),
        }
        for cell in sorted(cells, key=order)
        for value, before, after, change in [cell]
    ]
    there = sum(n for (_, before, *_), n in cells.items() if before is not None)
    moved = sum(n for (*_, change), n in cells.items() if change == "moved")
    names = words.names()
    return Table(
        [*column, "from_stage", "to_stage", "change", "customers", "share"],
        found,
        {"customers": cells.total(), "share": tables.rate(moved, there), "change": "moved"},
        tables.notes_of(question, "none_left_out", "days_not_events", stages=True),
        {"from_stage": names, "to_stage": names},
    )


def _between(
    words: LedgerWords,
    question: Question,
    known: bool,  # noqa: FBT001  # a column
    stage: str | None,
    period: int,
    later_stage: str | None,
    later_period: int,
) -> tuple[str | None, str, str]:
    """Return what a stage was called on the first day, the other on the last, and what changed."""
    first, last = to_micros(question.first_ends_at), to_micros(question.ends_at)
    after = words.name(later_stage, later_period, last)
    if not known:
        return None, after, "new"
    before = words.name(stage, period, first)
    if words.later(before, first, last) != after:
        return before, after, "moved"
    return before, after, "stayed" if before == after else "renamed"


def _statement(group: str, words: LedgerWords) -> str:
    begun = words.beginnings("$3")
    return (
        f"WITH {begun.cte}a AS ({standing('$1')}), b AS ({standing('$2')})"  # noqa: S608  # no value of a caller
        f" SELECT {group}, {rule_facts.heard_of_by('$1')}, a.to_stage,"
        f" {begun.period('a.effective_at')}, b.to_stage, {begun.period('b.effective_at')}, count(*)"
        f" FROM customers c{begun.join} LEFT JOIN a USING (customer_id)"
        f" LEFT JOIN b USING (customer_id) WHERE {rule_facts.heard_of_by('$2')}"
        " GROUP BY 1, 2, 3, 4, 5, 6"
    )
