"""One customer and the segments: inside or not, since when, and what would change that."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from app.days import AsOf, from_day
from app.deployment import Deployment
from app.lifecycle.evidence import shown
from app.lifecycle.expressions import Compare, Expression, comparisons, terms, words
from app.lifecycle.nearest import Known, Turn, Way, nearest
from app.postgres.db import ReadSession, fetch_rows
from app.services.common import deployment_settings
from app.services.customers import customers
from app.services.runs import query_columns
from app.services.runs.query_answers import told_of
from app.services.runs.query_rules import May, can_be_asked
from app.services.runs.segments import keeping
from app.services.runs.segments.keeping import Rules

_PERIODS = (
    "SELECT code, version, entered_at, left_at FROM segment_periods WHERE customer_id = $1"
    " ORDER BY entered_at DESC, code LIMIT 100"
)
_OPEN = "SELECT code, entered_at FROM segment_periods WHERE customer_id = $1 AND left_at IS NULL"


async def describe(
    session: ReadSession, deployment: Deployment, customer_id: str, as_of: AsOf, *, may: May
) -> dict[str, Any]:
    """Tell of all segments that the key may be told of."""
    await customers.require(session, customer_id)
    pointers = await deployment_settings.pointers(session)

    def asks(rule: Expression) -> bool:
        return can_be_asked(rule, as_of, may)

    rules = await keeping.rules_at(session, pointers, as_of, asks)
    known, holds = await _evaluated(session, deployment, rules, customer_id)
    since: dict[str, datetime] = {}
    if as_of.is_now:
        since = {row[0]: row[1] for row in await fetch_rows(session, _OPEN, customer_id)}
    today = from_day(as_of.day)
    items = []
    for code, rule in rules.rules.items():
        inside = holds(rule)
        way = nearest(rule, known, holds, must_hold=not inside)
        segment = rules.known.by_code[code]
        items.append(
            {
                "code": code,
                "version": segment.version,
                "name": segment.document["name"],
                "inside": inside,
                "entered_at": since.get(code) if inside else None,
                "nearest": None if way is None else _way(deployment, way, today),
            }
        )
    names = ("code", "version", "entered_at", "left_at")
    rows = await fetch_rows(session, _PERIODS, customer_id)
    readable = [dict(zip(names, row, strict=True)) for row in rows]
    return {
        "customer_id": customer_id,
        "as_of": as_of.at,
        "items": items,
        "periods": [each for each in readable if each["code"] in rules.rules],
        "withheld": sorted(rules.known.by_code.keys() - rules.rules.keys()),
    }


async def _evaluated(
    session: ReadSession, deployment: Deployment, rules: Rules, customer_id: str
) -> tuple[Known, Callable[[Expression], bool]]:
    """Return the values of all terms, and which rules and comparisons hold."""
    asked = list(rules.rules.values())
    asked += [each for rule in rules.rules.values() for each in comparisons(rule)]
    told = dict.fromkeys(term for rule in rules.rules.values() for term in terms(rule))
    found = await query_columns.of_customers(
        session, deployment, rules.question, told, [customer_id], holding=False, rules=asked
    )
    known = {term: shown(term, found.values[term])[0] for term in told}
    # By their identity: == 1 and == true are equal, and do not hold of the same.
    holds = {id(rule): bool(found.shares[place][0]) for place, rule in enumerate(asked)}
    return known, lambda rule: holds[id(rule)]


def _way(deployment: Deployment, way: Way, today: date) -> dict[str, Any]:
    last = None if way.within_days is None else _after(today, way.within_days - 1)
    return {"turns": [_turn(deployment, each, today) for each in way.turns], "until": last}


def _turn(deployment: Deployment, turn: Turn, today: date) -> dict[str, Any]:
    compare: Compare = turn.compare
    variable = compare.term.variable
    return {
        "words": {language: words(compare, language) for language in ("en", "zh")},
        "must_hold": turn.must_hold,
        "variable": compare.term.key,
        "value": told_of(deployment, compare.term, turn.value),
        "missing": turn.missing,
        "unit": variable.unit,
        "on": None if turn.in_days is None else _after(today, turn.in_days),
    }


def _after(today: date, days: int) -> date | None:
    """Return a day to come; None beyond those that are known."""
    found = today.toordinal() + days
    return date.fromordinal(found) if found <= date(2199, 12, 31).toordinal() else None
