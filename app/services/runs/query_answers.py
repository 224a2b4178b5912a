"""What is answered of those for whom a rule holds: their values, and what all are worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from app.deployment import Deployment
from app.lifecycle.evidence import shown
from app.lifecycle.variables.definition import Term
from app.money import UNITS, to_amount
from app.postgres.db import ReadSession, fetch_rows
from app.schemas.common.types import format_amount
from app.services.common.id_texts import NAMED, named
from app.services.runs import query_columns, query_pages
from app.services.runs.query_columns import Found
from app.services.runs.query_pages import Row
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


async def items_of(
    session: ReadSession, deployment: Deployment, query: Prepared, ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Return what was asked of customers, in their order; but for whom is there no more."""
    names = dict(await fetch_rows(session, _NAMES, named(ids))) if ids else {}
    values = await _values(session, deployment, query, ids)
    return [
        {"customer_id": each, "name": names[each], "values": values.get(each, {})}
        for each in ids
        if each in names
    ]


async def _values(
    session: ReadSession, deployment: Deployment, query: Prepared, ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    told = query.shown
    if not told:
        return {}
    found = await query_columns.of_customers(
        session, deployment, query.question, told, ids, holding=False
    )
    keys = [term.key for term in told]
    rows = zip(*(values_of(deployment, term, found) for term in told), strict=True)
    return {
        each: dict(zip(keys, row, strict=True))
        for each, row in zip(found.customer_ids, rows, strict=True)
    }


def values_of(deployment: Deployment, term: Term, found: Found) -> list[Any]:
    """Return values as answers tell them."""
    values = shown(term, found.values[term])
    unit = term.variable.unit
    if unit == "currency":
        amounts = (None if each is None else deployment.computed_money(each) for each in values)  # type: ignore[arg-type]
        return [each and {**each, "amount": format_amount(each["amount"])} for each in amounts]
    if unit in _WHOLE:
        return [int(e) if isinstance(e, float) and e.is_integer() else e for e in values]
    return values
