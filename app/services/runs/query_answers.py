"""What is answered of those for whom a rule holds: their values, and what all are worth."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from app.deployment import Deployment
from app.lifecycle.evidence import shown
from app.lifecycle.variables.definition import Term
from app.lifecycle.variables.profile import read_attribute
from app.money import UNITS, to_amount
from app.postgres.db import ReadSession, fetch_rows
from app.schemas.common.types import format_amount
from app.services.common.id_texts import NAMED, named
from app.services.runs import query_columns, query_pages
from app.services.runs.query_columns import Found
from app.services.runs.query_pages import Row, Told
from app.services.runs.query_prepared import Prepared

_WHOLE: Final = frozenset(("days", "count", "years", "score 1-5"))
_NAMES = f"SELECT customer_id, name FROM customers WHERE customer_id = ANY({NAMED})"  # noqa: S608


@dataclass(frozen=True)
class Total:
    """How many customers, and sums of money; None of what nobody may be told."""

    customers: int = 0
    revenue: int = 0
    others: tuple[int, ...] = ()

    def plus(self, more: "Total") -> "Total":
        pairs = zip(self.others or (0,) * len(more.others), more.others, strict=True)
        return Total(
            self.customers + more.customers,
            self.revenue + more.revenue,
            tuple(one + other for one, other in pairs) or self.others,
        )


def rows_of(query: Prepared, found: Found) -> list[Row]:
    """Return evaluated customers as rows of a list."""
    term = query.order.term
    values = None if term is None else found.values[term]
    return query_pages.rows_of(found.customer_ids, query.order, query.kind, values)


def total_of(query: Prepared, found: Found) -> Total:
    """Return what evaluated customers are worth."""
    sums = (np.rint(np.nan_to_num(found.values[term]) * UNITS) for term in query.money)
    others = tuple(sum(map(int, each.tolist())) for each in sums)
    return Total(len(found), sum(map(int, found.revenue.tolist())), others)


def shown_total(deployment: Deployment, total: Total) -> dict[str, Any]:
    """Return a count as the API shows it."""
    others = [deployment.money(to_amount(each)) for each in total.others]
    clv, to_save = others or (None, None)
    return {
        "customers": total.customers,
        "revenue": deployment.money(to_amount(total.revenue)),
        "clv": clv,
        "value_to_save": to_save,
    }


def columns_of(query: Prepared) -> list[dict[str, Any]]:
    """Return what is told of each customer, and what it is called."""
    return [
        {
            "name": term.key,
            "title": term.title(),
            "type": term.variable.type,
            "unit": term.variable.unit,
        }
        for term in query.shown
    ]


async def items_of(
    session: ReadSession,
    deployment: Deployment,
    query: Prepared,
    ids: Sequence[str],
    told: Told | None = None,
) -> list[dict[str, Any]]:
    """Return what was asked of customers, in their order; but for whom is there no more.

    Of those of whom it is not `told` yet it is evaluated.
    """
    terms = query.shown
    keys = [term.key for term in terms]
    found = {
        each: (name, [of_stored(term, value) for term, value in zip(terms, values, strict=True)])
        for each, (name, *values) in (told or {}).items()
    }
    others = [each for each in ids if each not in found]
    if others:
        names = dict(await fetch_rows(session, _NAMES, named(others)))
        values = await _evaluated(session, deployment, query, others)
        found |= {each: (name, values.get(each, [])) for each, name in names.items()}
    return [
        {
            "customer_id": each,
            "name": found[each][0],
            "values": {
                key: told_of(deployment, term, value)
                for key, term, value in zip(keys, terms, found[each][1], strict=True)
            },
        }
        for each in ids
        if each in found
    ]


async def _evaluated(
    session: ReadSession, deployment: Deployment, query: Prepared, ids: Sequence[str]
) -> dict[str, list[Any]]:
    if not query.shown:
        return {}
    found = await query_columns.of_customers(
        session, deployment, query.question, query.shown, ids, holding=False
    )
    columns = (shown(term, found.values[term]) for term in query.shown)
    rows = map(list, zip(*columns, strict=True))
    return dict(zip(found.customer_ids, rows, strict=True))


def of_stored(term: Term, value: Any) -> Any:
    """Return a value as the evaluator has it."""
    if term.variable.type == "any" and isinstance(value, str):
        value = read_attribute(json.loads(value))
        return list(value) if isinstance(value, tuple) else value
    return value


def told_of(deployment: Deployment, term: Term, value: Any) -> Any:
    """Return a value as answers tell it."""
    unit = term.variable.unit
    if value is None:
        return None
    if unit == "currency":
        money = deployment.computed_money(value)
        return {**money, "amount": format_amount(money["amount"])}
    if unit in _WHOLE and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
