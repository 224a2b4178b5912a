"""What has come of a file so far, as JSON that is kept with it: what its source is held against."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

from app.days import from_micros
from app.mappings.applying import LeftOut, Mapped, Outcome
from app.mappings.rows import Problem
from app.schemas.common.types import format_instant
from app.services.ingest.fact_intake import IncomingFacts
from app.services.ingest.imports import money

BEGINNING = {"skip": 0, "drop": 0}
FIRST_FACTS = 10
"""Mapped facts that are kept to be looked at."""
_NOT_TOTALS = ("first_facts", "first_at", "last_at")
_STATUSES = ("created", "updated", "duplicate", "rejected")

Tally = dict[str, Any]


def new() -> Tally:
    """Return the tally of a file of which nothing has been read."""
    return {
        "rows": 0,
        "mapped_rows": 0,
        "rejected_rows": 0,
        "left_out_rows": 0,
        "left_out": {},
        "customers_created": 0,
        "facts": {},
        "rejections": {},
        "warnings": {},
        "money": {},
        "first_at": None,
        "last_at": None,
        "first_facts": [],
    }


def count_rows(tally: Tally, outcomes: Sequence[Outcome], plain: int = 0) -> None:
    """Count rows by what became of them, and warnings of what was left out of some.

    Of `plain` ones there are no outcomes: a fact was made of each.
    """
    tally["rows"] += plain
    for outcome in outcomes:
        rows = len(outcome.rows)
        tally["rows"] += rows
        if isinstance(outcome, LeftOut):
            tally["left_out_rows"] += rows
            _add(tally["left_out"], outcome.filter, rows)
        elif isinstance(outcome, Mapped):
            for warning in outcome.warnings:
                count_problem(tally["warnings"], warning, outcome.rows[0].line)


def count_problem(kinds: dict[str, Any], problem: Problem, line: int) -> None:
    """Count a problem under its kind, of which the first of the file is kept to be shown."""
    kind = f"{problem.code}:{problem.column or ''}"
    known = kinds.setdefault(
        kind,
        {
            "code": problem.code,
            "column": problem.column,
            "detail": problem.detail,
            "first_line": line,
            "count": 0,
        },
    )
    known["count"] += 1
    if line < known["first_line"]:
        known |= {"first_line": line, "detail": problem.detail}


def count_statuses(tally: Tally, kind: str, statuses: Mapping[str, int]) -> None:
    """Count facts by what became of them."""
    counts = tally["facts"].setdefault(kind, dict.fromkeys(_STATUSES, 0))
    for status, number in statuses.items():
        counts[status] += number


def count_days(tally: Tally, stored: IncomingFacts) -> None:
    """Keep from when to when facts are that are stored now, whether they were before or not."""
    if not len(stored):
        return
    first, last = (format_instant(from_micros(at)) for at in (stored.at.min(), stored.at.max()))
    tally["first_at"] = min(tally["first_at"] or first, first)
    tally["last_at"] = max(tally["last_at"] or last, last)


def keep_first(tally: Tally, mapped: Sequence[Mapped]) -> None:
    """Keep the first facts as they were mapped."""
    missing = FIRST_FACTS - len(tally["first_facts"])
    facts = [fact for outcome in mapped[:missing] for fact in outcome.facts]
    tally["first_facts"] += [{"kind": kind, "item": item} for kind, item in facts[:missing]]


def _add(counts: dict[str, int], name: str, more: int) -> None:
    counts[name] = counts.get(name, 0) + more


def result_of(tally: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    """Return the totals as they are told; facts themselves are none of them."""
    told = {name: value for name, value in tally.items() if name not in _NOT_TOTALS}
    lists = {
        name: sorted(tally[name].values(), key=itemgetter("first_line"))
        for name in ("rejections", "warnings")
    }
    days = {
        name: _day(tally[f"{name.removesuffix('_on')}_at"], zone)
        for name in ("first_on", "last_on")
    }
    return {**told, **lists, **days, "money": money.told(tally["money"])}


def _day(at: str | None, zone: ZoneInfo) -> str | None:
    return None if at is None else datetime.fromisoformat(at).astimezone(zone).date().isoformat()
