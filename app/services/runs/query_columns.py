"""Rules evaluated on columns: of whom nothing is stored that tells, or what tells is of before.

The evaluator is that of stages, so that a rule has one meaning wherever it stands.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from app.deployment import Deployment
from app.lifecycle.dated import Column, Ints, objects
from app.lifecycle.expressions import ALWAYS, Expression, terms
from app.lifecycle.records import Records
from app.lifecycle.variables.definition import Term
from app.models.scoring import scores_name
from app.money import UNITS
from app.postgres.db import ReadSession, fetch_row, fetch_rows
from app.services.common import threads
from app.services.common.id_texts import NAMED, named
from app.services.customer_base import populations
from app.services.customer_base.populations import Population
from app.services.runs.query_rules import Question
from app.services.stages import customer_snapshots, rule_records

_NUMBERS: Final = {
    "churn_risk": "probability", "expected_purchases": "expected_purchases", "clv": "clv",
    "value_to_save": "value_to_save",
}  # fmt: skip
_WORDS: Final = {"rhythm": "rhythm", "rfm_group": "rfm_group", "call_reasons": "call_reasons"}
_MONEY: Final = ("clv", "value_to_save")
_NONE: Ints = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Found:
    """Customers for whom a rule holds, and columns of them; revenue is in smallest units."""

    customer_ids: list[str]
    values: Mapping[Term, Column]
    shares: Mapping[int, Column]
    """For whom further rules hold, by their place."""
    revenue: Ints

    def __len__(self) -> int:
        return len(self.customer_ids)


async def of_range(
    session: ReadSession,
    deployment: Deployment,
    question: Question,
    told: Iterable[Term] = (),
    *,
    after: str = "",
    up_to: str | None = None,
    rules: Sequence[Expression] = (),
) -> Found:
    """Return those with `after` < id <= `up_to` for whom the rule holds, by id."""
    limit = question.policy.inactivity_limit
    population = await populations.read(session, limit, question.as_of, after=after, up_to=up_to)
    return await _found(session, deployment, question, told, population, question.when, rules)


async def of_customers(
    session: ReadSession,
    deployment: Deployment,
    question: Question,
    told: Iterable[Term],
    customer_ids: Sequence[str],
    *,
    holding: bool = True,
    rules: Sequence[Expression] = (),
) -> Found:
    """Return those among some customers for whom the rule holds, or all of them."""
    read = await customer_snapshots.read(session, customer_ids) if customer_ids else None
    if read is None:
        return Found([], dict.fromkeys(told, _NONE), dict.fromkeys(range(len(rules)), _NONE),
                     _NONE)  # fmt: skip
    limit, as_of = question.policy.inactivity_limit, question.as_of
    population = await populations.at(session, question.timeline, limit, read.population, as_of)
    when = question.when if holding else ALWAYS
    return await _found(session, deployment, question, told, population, when, rules)


async def end_of(session: ReadSession, after: str, size: int) -> str | None:
    """Return the id of the last of so many customers behind one; None if there are fewer."""
    row = await fetch_row(
        session,
        "SELECT customer_id FROM customers WHERE customer_id > $1"
        " ORDER BY customer_id OFFSET $2 LIMIT 1",
        after,
        size - 1,
    )
    return None if row is None else row[0]


async def _found(
    session: ReadSession,
    deployment: Deployment,
    question: Question,
    told: Iterable[Term],
    population: Population,
    when: Expression,
    rules: Sequence[Expression],
) -> Found:
    of_rules = (term for rule in (when, *rules) for term in terms(rule))
    shown = tuple(dict.fromkeys(told))
    asked = tuple(dict.fromkeys((*of_rules, *shown)))
    records = await rule_records.at_instant(
        session, deployment, question.policy, population, question.as_of, asked
    )
    if any("scores" in term.needs for term in asked):
        scores = await _scores(session, question.run_id, population.customer_ids)
        records = replace(records, scores=scores)
    if any("segments" in term.needs for term in asked):
        kept = {"segments": await _segments(session, population.customer_ids)}
        records = replace(records, scores={**(records.scores or {}), **kept})
    n = len(population)
    return await threads.compute(n, _holding, question, population, records, asked, shown, when,
                                 rules)  # fmt: skip


def _holding(
    question: Question,
    population: Population,
    records: Records,
    asked: Sequence[Term],
    shown: Sequence[Term],
    when: Expression,
    rules: Sequence[Expression],
) -> Found:
    n = len(population)
    values = records.values(asked, np.arange(n), np.full(n, question.as_of.day))
    rows = np.flatnonzero(when.holds(values, n))
    ids = population.customer_ids
    return Found(
        [ids[row] for row in rows.tolist()],
        {term: values[term][rows] for term in shown},
        {place: rule.holds(values, n)[rows] for place, rule in enumerate(rules)},
        population.summaries.column("revenue")[rows],
    )


async def _segments(session: ReadSession, customer_ids: Sequence[str]) -> Column:
    """Return the codes of the segments that customers are kept to be in."""
    query = f"SELECT customer_id, codes FROM customer_segments WHERE customer_id = ANY({NAMED})"  # noqa: S608
    of = dict(await fetch_rows(session, query, named(customer_ids)))
    return objects([tuple(of.get(each, ())) for each in customer_ids])


async def _scores(
    session: ReadSession, run_id: int | None, customer_ids: Sequence[str]
) -> dict[str, Column]:
    """Return what a run says of customers; nothing of those who were not in it."""
    rows: list[Any] = []
    if run_id is not None:
        shown = ", ".join(
            f"({column} * {UNITS})::int8" if name in _MONEY else column
            for name, column in (*_NUMBERS.items(), *_WORDS.items())
        )
        query = f"SELECT customer_id, {shown} FROM {scores_name(run_id)}"  # noqa: S608
        rows = await fetch_rows(
            session, f"{query} WHERE customer_id = ANY({NAMED})", named(customer_ids)
        )
    of = {row[0]: row[1:] for row in rows}
    none = (None,) * (len(_NUMBERS) + len(_WORDS))
    table = list(zip(*(of.get(each, none) for each in customer_ids), strict=True))
    columns = dict(zip((*_NUMBERS, *_WORDS), table or [()] * len(none), strict=True))
    found: dict[str, Column] = {}
    for name, column in columns.items():
        if name in _NUMBERS:
            numbers = [np.nan if each is None else each for each in column]
            units = UNITS if name in _MONEY else 1
            found[name] = np.array(numbers, dtype=np.float64) / units
        else:
            found[name] = objects([tuple(e) if isinstance(e, list) else e for e in column])
    return found
