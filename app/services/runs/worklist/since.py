"""Since when a reason is there: it follows from the condition, as SQL of the driver.

Of conditions that must hold together the last one counts, of those of which one must the first that
holds. What has no beginning, such as a value or an industry, has none here.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.lifecycle.expressions import AllOf, AnyOf, Compare, Expression
from app.lifecycle.variables.definition import Term, Turning
from app.services.runs import query_sql
from app.services.runs.query_tables import Tables

_SILENCE: Final = ("overdue", "due", "lost")
_DECLINES: Final = ("declining_frequency", "declining_amount")
_COMPLAINT: Final = "open_complaint"
_COMPLAINTS: Final = frozenset({"complaint"})


@dataclass(frozen=True, slots=True)
class Since:
    """The day on which a reason arose and the instant, each as SQL, or None where it has none.

    `stands` are conditions beside: that an interaction that was asked for is not solved.
    """

    day: str | None = None
    instant: str | None = None
    stands: tuple[str, ...] = ()


def since(rule: Expression, tables: Tables) -> Since:
    """Return since when a rule holds, of customers for whom it does."""
    if isinstance(rule, Compare):
        return _compared(rule, tables)
    if isinstance(rule, AllOf):
        parts = [since(part, tables) for part in rule.parts]
        return Since(
            _joined("greatest", [part.day for part in parts]),
            _joined("greatest", [part.instant for part in parts]),
            tuple(each for part in parts for each in part.stands),
        )
    return _any(rule, tables) if isinstance(rule, AnyOf) else Since()


def _any(rule: AnyOf, tables: Tables) -> Since:
    parts = [since(part, tables) for part in rule.parts]
    holds = [
        " AND ".join((query_sql.holds(part, tables), *own.stands))
        for part, own in zip(rule.parts, parts, strict=True)
    ]

    def first(values: Iterable[str | None]) -> str | None:
        known = zip(holds, values, strict=True)
        of_those = [f"(CASE WHEN {when} THEN {each} END)" for when, each in known if each]
        return _joined("least", of_those)

    stands = (f"({' OR '.join(holds)})",) if any(own.stands for own in parts) else ()
    return Since(first(own.day for own in parts), first(own.instant for own in parts), stands)


def implied(rule: Expression, tables: Tables) -> list[str]:
    """Return what follows from a rule, for the planner: it may begin with whoever had something.

    Of a million customers few answered a survey lately: to look for the last answer of each takes
    many seconds, and to look at the answers of late does not.
    """
    if isinstance(rule, AllOf):
        return [each for part in rule.parts for each in implied(part, tables)]
    if not isinstance(rule, Compare) or not isinstance(rule.value, int | float):
        return []
    if rule.op not in ("<", "<=", "=="):
        return []
    if rule.term.name == "days_since_low_satisfaction":
        return [tables.any_answer(rule.term, _within(rule.value))]
    if rule.term.name == "days_since_interaction":
        return [tables.any_interaction(rule.term.kinds, _within(rule.value))]
    return []


def _within(value: float) -> int:
    """Return in how many days something was that was at most so many days ago."""
    return min(math.floor(value), 36_500) + 1


def _joined(how: str, values: Sequence[str | None]) -> str | None:
    known = [each for each in values if each is not None]
    if len(known) < 2:
        return known[0] if known else None
    return f"{how}({', '.join(known)})"


def _compared(rule: Compare, tables: Tables) -> Since:
    term = rule.term
    if term.name in ("rhythm", "call_reasons"):
        return _of_run(rule, tables)
    if term.name == "stage":
        return Since(instant="c.stage_since")
    if term.name == "interactions":
        return _counted(rule, tables)
    if term.variable.unit != "days" or rule.op in ("known", "!="):
        return Since()
    return _of_days(rule, tables)


def _of_days(rule: Compare, tables: Tables) -> Since:
    """Return since when days since something, or until something, are as they are asked for."""
    term = rule.term
    if rule.op in ("<", "<=") and term.name == "days_since_low_satisfaction":
        return Since(instant=tables.last_low_answer(term, "occurred_at"))
    if rule.op in ("<", "<=") and term.name == "days_since_interaction":
        return Since(instant=tables.last_instant(term.kinds, None))
    turns = term.turning in (Turning.AGES, Turning.FALLS)
    return Since(day=_turned(rule, tables)) if turns else Since()


def _turned(rule: Compare, tables: Tables) -> str | None:
    """Return the day on which a comparison of days began to hold."""
    days = query_sql.value(rule.term, tables).sql
    ages = rule.term.turning is Turning.AGES
    if ages and rule.op in ("<", "<="):
        return f"({tables.today} - {days})"
    if not ages and rule.op in (">", ">="):
        return None
    reached = _days(rule.value, tables, beyond=rule.op in (">", "<"), upwards=ages)
    sign = "-" if ages else "+"
    other = "+" if ages else "-"
    return f"({tables.today} {sign} {days} {other} {reached})"


def _days(value: Any, tables: Tables, *, beyond: bool, upwards: bool) -> str:
    """Return the whole number of days at which a bound is reached, or gone beyond."""
    if isinstance(value, Term):
        bound = query_sql.as_float(query_sql.value(value, tables))
        return f"(floor({bound})::int4 + 1)" if beyond else f"ceil({bound})::int4"
    if upwards:
        number = math.floor(value) + 1 if beyond else math.ceil(value)
    else:
        number = math.ceil(value) - 1 if beyond else math.floor(value)
    return tables.bind(max(min(number, 1_000_000), -1_000_000), "int4")


def _counted(rule: Compare, tables: Tables) -> Since:
    """Return when the last of the interactions came that are asked for, but for solved ones."""
    if rule.op not in (">", ">=") or isinstance(rule.value, Term):
        return Since()
    last = tables.last_instant(rule.term.kinds, rule.term.days)
    return Since(instant=last, stands=(f"{last} IS NOT NULL",))


def _of_run(rule: Compare, tables: Tables) -> Since:
    said = rule.value if isinstance(rule.value, tuple) else (rule.value,)
    gap = f"coalesce(round({tables.run}.usual_gap_days)::int4, 0)"
    if _COMPLAINT in said:
        return Since(instant=tables.last_instant(_COMPLAINTS, None))
    if any(each in _SILENCE for each in said):
        # A silence may be too long before the usual gap is over: no reason is of days to come.
        over = f"r.last_purchase_on + {gap} <= {tables.today}"
        return Since(day=f"(r.last_purchase_on + CASE WHEN {over} THEN {gap} ELSE 1 END)")
    if any(each in _DECLINES for each in said):
        return Since(day="(r.last_purchase_on + 1)")
    return Since()
