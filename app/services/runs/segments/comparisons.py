"""Members of a segment against those just outside its cut, over the same days.

Both are those of an earlier day, and what they did since is counted. Those outside fulfil all but
one comparison of the rule, and come nearest to that; as many are taken as there are members. Who
was not known by then is on neither side. It is no proof of a cause: who is inside differs in what
the cut is of, and in what goes with it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from typing import Any

import numpy as np

from app.days import AsOf
from app.deployment import Deployment
from app.lifecycle.dated import Bools, Column, Floats
from app.lifecycle.expressions import ALWAYS, ORDERED, AllOf, Compare, Expression
from app.lifecycle.variables.definition import Term
from app.lifecycle.variables.registry import VARIABLES
from app.postgres.db import ReadSession, fetch_rows
from app.scoring.churn.churn_bands import NORMAL_95, wilson
from app.services.common.deployment_settings import Pointers
from app.services.customer_base import rule_facts
from app.services.runs import queries, query_columns
from app.services.runs.query_rules import May, can_be_asked
from app.services.runs.segments import keeping

FEWEST = 20
"""Customers of each side, below which nothing is said."""
_BOUGHT, _REVENUE = (Term.of(VARIABLES[name]) for name in ("days_since_last_purchase", "revenue"))


@dataclass(frozen=True)
class Outcome:
    """What customers did since a day: whether they bought, and what that came to."""

    bought: Floats
    revenue: Floats


async def compare(
    session: ReadSession,
    deployment: Deployment,
    pointers: Pointers,
    code: str,
    *,
    days: int,
    now: datetime,
    may: May,
) -> dict[str, Any]:
    """Return both sides and their differences, or why there is none."""
    today = deployment.calendar.day_of(now)
    then = AsOf(deployment.calendar.end_of(today - days), today - days)

    def asks(rule: Expression) -> bool:
        return can_be_asked(rule, then, may)

    rules = await keeping.rules_at(session, pointers, then, asks)
    if code not in rules.rules:
        return _none(days, "not_at_that_day")
    cut = next(_cuts(rules.rules[code]), None)
    if cut is None:
        return _none(days, "no_number")
    if await query_columns.end_of(session, "", queries.AT_ONCE + 1) is not None:
        return _none(days, "too_many")
    whole = rules.rules[code]
    found = await query_columns.of_range(
        session, deployment, rules.question, (cut.term,), rules=(whole, _without(whole, cut))
    )
    known = await _known(session, then, found.customer_ids)
    inside, relaxed = (found.shares[place].astype(bool) & known for place in (0, 1))
    members = np.flatnonzero(inside)
    outside = _just_outside(found.values[cut.term], relaxed & ~inside, cut, len(members))
    about = {"days": days, "since": then.at, "cut": cut.term.key, "at": _number(cut)}
    if min(len(members), len(outside)) < FEWEST:
        return {**_none(days, "too_few"), **about}
    ids = found.customer_ids
    sides = [
        await _outcome(session, deployment, pointers, [ids[row] for row in rows], then, now)
        for rows in (members, outside)
    ]
    return {"status": "ok", "proves_cause": False, **about, **_compared(deployment, *sides)}


def _none(days: int, status: str) -> dict[str, Any]:
    named = ("since", "cut", "at", "members", "outside", "bought", "revenue")
    return {"status": status, "days": days, "proves_cause": False, **dict.fromkeys(named)}


async def _known(session: ReadSession, then: AsOf, ids: list[str]) -> Bools:
    """Say who had been heard of by an instant."""
    seen = {row[0] for row in await fetch_rows(session, _SEEN, then.at)}
    return np.array([each in seen for each in ids], dtype=bool)


_SEEN = f"SELECT customer_id FROM ({rule_facts.FIRST_SEEN_OF_ALL}) AS seen WHERE begun <= $1"  # noqa: S608  # ours


def _number(cut: Compare) -> float:
    assert isinstance(cut.value, float)
    return cut.value


def _cuts(rule: Expression) -> Iterator[Compare]:
    """Yield the comparisons of numbers that each member has to fulfil, the last one first.

    The rule of a segment itself comes behind that of its parent.
    """
    if isinstance(rule, AllOf):
        for part in reversed(rule.parts):
            yield from _cuts(part)
    elif isinstance(rule, Compare) and rule.op in ORDERED and isinstance(rule.value, float):
        yield rule


def _without(rule: Expression, cut: Compare) -> Expression:
    if rule is cut:
        return ALWAYS
    if isinstance(rule, AllOf):
        return AllOf(tuple(_without(part, cut) for part in rule.parts))
    return rule


def _just_outside(values: Column, others: Any, cut: Compare, most: int) -> Any:
    """Return the rows nearest to a cut among others; of equals the first."""
    distance = np.abs(np.asarray(values, dtype=np.float64) - _number(cut))
    rows = np.flatnonzero(others & ~np.isnan(distance))
    return rows[np.argsort(distance[rows], kind="stable")[:most]]


async def _outcome(
    session: ReadSession,
    deployment: Deployment,
    pointers: Pointers,
    ids: list[str],
    then: AsOf,
    now: datetime,
) -> Outcome:
    told: list[Mapping[Term, Column]] = []
    for as_of in (then, deployment.as_of(now)):
        rules = await keeping.rules_at(session, pointers, as_of, lambda _: False)
        found = await query_columns.of_customers(
            session, deployment, rules.question, (_BOUGHT, _REVENUE), ids, holding=False
        )
        told.append(found.values)
    silent = told[1][_BOUGHT]
    days = deployment.calendar.day_of(now) - then.day
    bought = np.where(np.isnan(silent), 0.0, silent < days)
    return Outcome(bought.astype(np.float64), told[1][_REVENUE] - told[0][_REVENUE])


def _compared(deployment: Deployment, members: Outcome, outside: Outcome) -> dict[str, Any]:
    """Return the share who bought and the mean revenue of each, with 95 % intervals."""
    one, other = members.bought, outside.bought
    low, high = _newcombe(one, other)
    mean = members.revenue.mean() - outside.revenue.mean()
    half = NORMAL_95 * sqrt(
        sum(each.var(ddof=1) / len(each) for each in (members.revenue, outside.revenue))
    )
    money = deployment.computed_money
    return {
        "members": len(one),
        "outside": len(other),
        "bought": {
            "members": float(one.mean()), "outside": float(other.mean()),
            "difference": float(one.mean() - other.mean()), "interval": {"low": low, "high": high},
        },
        "revenue": {
            "members": money(members.revenue.mean()), "outside": money(outside.revenue.mean()),
            "difference": money(mean),
            "interval": {"low": money(mean - half), "high": money(mean + half)},
        },
    }  # fmt: skip


def _newcombe(one: Floats, other: Floats) -> tuple[float, float]:
    """Return Newcombe's interval of a difference of shares, of the Wilson intervals of both."""
    (p, q), n = (one.mean(), other.mean()), [len(one), len(other)]
    low, high = wilson(np.array([one.sum(), other.sum()]), np.array(n))
    difference = p - q
    below = sqrt((p - low[0]) ** 2 + (high[1] - q) ** 2)
    above = sqrt((high[0] - p) ** 2 + (q - low[1]) ** 2)
    return float(difference - below), float(difference + above)
