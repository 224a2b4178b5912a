"""Refunds of a file that names no customer: whose they are, the purchase that they take back says.

A purchase is looked for among those of everybody, as a refund's system knows no customer; it is one
statement a chunk, and an index for it would be paid for by every other write.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from app.mappings.rows import Problem
from app.postgres.db import AnyRow, ReadSession

_FIND = text(
    "SELECT source, transaction_id, min(customer_id) AS customer_id,"
    " count(*) AS number, min(currency) AS currency, min(exchange_rate) AS exchange_rate"
    " FROM transactions WHERE source = ANY(CAST(:sources AS text[]))"
    " AND transaction_id = ANY(CAST(:ids AS text[])) AND kind = 'purchase'"
    " GROUP BY source, transaction_id"
)
_UNKNOWN = "the purchase that it takes back is not stored: import that first"
_AMBIGUOUS = "several customers have a purchase of that id"


def is_needed(item: dict[str, Any]) -> bool:
    """Say whether the purchase that a refund names has to tell whose it is."""
    return "customer_id" not in item and isinstance(item.get("refunds"), dict)


async def complete(session: ReadSession, items: Sequence[dict[str, Any]]) -> dict[int, Problem]:
    """Put customers into those refunds that have none; return which cannot be, and why."""
    wanted = {place: _named(item) for place, item in enumerate(items) if is_needed(item)}
    if not wanted:
        return {}
    asked = {
        "sources": sorted({source for source, _ in wanted.values()}),
        "ids": sorted({transaction_id for _, transaction_id in wanted.values()}),
    }
    rows = await session.execute(_FIND, asked)
    found = {(row.source, row.transaction_id): row for row in rows}
    faults: dict[int, Problem] = {}
    for place, name in wanted.items():
        row = found.get(name)
        if row is None:
            faults[place] = Problem(None, "unknown_purchase", _UNKNOWN)
        elif row.number > 1:
            faults[place] = Problem(None, "ambiguous_purchase", _AMBIGUOUS)
        else:
            _take_over(items[place], row)
    return faults


def _named(item: dict[str, Any]) -> tuple[str, str]:
    named = item["refunds"]
    return named.get("source") or item["source"], named["transaction_id"]


def _take_over(item: dict[str, Any], purchase: AnyRow) -> None:
    item["customer_id"] = purchase.customer_id
    currency = item["amount"].get("currency")
    if "exchange_rate" not in item and currency == purchase.currency:
        rate = purchase.exchange_rate
        item |= {} if rate is None else {"exchange_rate": f"{rate.normalize():f}"}
