"""The table that answers a report: cells, and what customers can be parted by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from app.lifecycle.policy import Names
from app.money import UNIT
from app.scoring.churn.churn_bands import wilson
from app.services.runs.live_reports.questions import Question, refused

Row = dict[str, Any]
MOST_GROUPS = 1_000
"""A report by something with more values than these tells nobody anything."""

OF_PROFILE: Final[Mapping[str, str]] = {
    "channel": "c.acquisition_channel",
    "country": "c.country",
    "owner": "c.owner",
    "customer_kind": "c.kind",
    "industry": "c.industry",
}
"""What customers are parted by, as SQL of `customers c`."""


@dataclass(frozen=True)
class Table:
    """Rows under columns; `words` says what codes of a column are called, beside the usual ones."""

    columns: Sequence[str]
    rows: list[Row]
    totals: Row | None = None
    notes: Sequence[str] = ()
    words: Mapping[str, Mapping[str, Names]] = field(default_factory=dict)
    run_id: int | None = None


def rate(n: int, of: int) -> Row:
    """Return a share with Wilson's interval; of nobody there is none."""
    if not of:
        return {"share": None, "n": n, "of": of, "lower": None, "upper": None}
    lower, upper = wilson(n, of)
    return {"share": n / of, "n": n, "of": of, "lower": float(lower), "upper": float(upper)}


def money(question: Question, amount: Decimal | None) -> Row | None:
    return None if amount is None else question.deployment.money(amount)


def per_head(question: Question, amount: Decimal | None, heads: int) -> Row | None:
    """Return a mean amount, to the smallest unit; of nobody there is none."""
    if amount is None or not heads:
        return None
    return question.deployment.money((amount / heads).quantize(UNIT))


def share(part: Decimal, whole: Decimal) -> float | None:
    return float(part / whole) if whole else None


def parted(question: Question) -> tuple[list[str], str, str]:
    """Return the column that a report by a field of the profile begins with, and its SQL.

    That is the field, and how to join the customers; the others need not look at them.
    """
    if question.by in OF_PROFILE:
        return [question.by], OF_PROFILE[question.by], " JOIN customers c USING (customer_id)"
    return [], "CAST(NULL AS text)", ""


def notes_of(question: Question, *codes: str, stages: bool = False) -> list[str]:
    """Return the notes of a report: its own, and those that follow from what was asked."""
    found = ["wilson", *codes]
    if question.by in OF_PROFILE:
        found.append("profile_of_now")
    if stages and question.as_of.at > datetime.fromisoformat(question.pointers.recorded_until):
        found.append("stages_recorded_until")
    return found


def check_groups(groups: Iterable[Any]) -> None:
    """Refuse a table by something that has too many values."""
    if len(set(groups)) > MOST_GROUPS:
        detail = f"has more than {MOST_GROUPS:,} values here"
        raise refused("by", "too_many_values", detail)


def by_name(value: str | None) -> tuple[bool, str]:
    """Order groups by their values; those without one come last."""
    return value is None, value or ""
