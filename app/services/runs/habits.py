"""How a customer buys: gaps, days of the week, baskets, channels and categories.

Of the last purchases, after refunds; those that were refunded in full are none.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise
from statistics import mean, median
from typing import Any, Final

from app.days import AsOf
from app.deployment import Deployment
from app.postgres.db import ReadSession, fetch_rows
from app.services.customer_base import net_purchases

MOST: Final = 1_000
"""Purchases that are looked at; of a customer with more, the last ones."""
_SHOWN = 10
_LAST = (
    "SELECT occurred_on, net, channel, items, exchange_rate"  # noqa: S608
    f" FROM ({net_purchases.snapshot('$2', '$1::text[]')}) t"
    f" ORDER BY occurred_at DESC, source DESC, transaction_id DESC LIMIT {MOST}"
)
_PURCHASES = (
    "SELECT occurred_on, net, channel, jsonb_array_length(items)"  # noqa: S608
    f" FROM ({_LAST}) p ORDER BY occurred_on"
)
_CATEGORIES = (
    "SELECT line ->> 'category', count(*), sum(quantity), sum(quantity * price)"  # noqa: S608
    f" FROM ({_LAST}) p CROSS JOIN LATERAL jsonb_array_elements(p.items) AS line"
    " CROSS JOIN LATERAL (SELECT CAST(line ->> 'quantity' AS numeric) AS quantity,"
    " CAST(line -> 'unit_price' ->> 'amount' AS numeric) * coalesce(p.exchange_rate, 1) AS price)"
    " AS of_line GROUP BY 1"
)


async def of_customer(
    session: ReadSession, deployment: Deployment, customer_id: str, as_of: AsOf
) -> dict[str, Any] | None:
    """Return the habits of a customer; None without a purchase."""
    rows = await fetch_rows(session, _PURCHASES, [customer_id], as_of.at)
    if not rows:
        return None
    lines = await fetch_rows(session, _CATEGORIES, [customer_id], as_of.at)
    days, values, channels, counts = zip(*(tuple(row) for row in rows), strict=True)
    known = [each for each in counts if each]
    return {
        "purchases": len(rows),
        "since": days[0],
        "gaps": _gaps(sorted(set(days))),
        "weekdays": _weekdays(sorted(set(days))),
        "basket": {
            "mean": deployment.computed_money(float(sum(values)) / len(values)),
            "median": deployment.computed_money(float(median(values))),
            "lines": mean(known) if known else None,
        },
        "channels": _channels(channels),
        **_categories(deployment, [tuple(row) for row in lines]),
    }


def _gaps(days: Sequence[date]) -> dict[str, Any] | None:
    gaps = [(later - earlier).days for earlier, later in pairwise(days)]
    if not gaps:
        return None
    return {
        "shortest": min(gaps), "median": float(median(gaps)), "longest": max(gaps),
        "last": gaps[-1],
    }  # fmt: skip


def _weekdays(days: Sequence[date]) -> list[dict[str, Any]]:
    seen = Counter(day.isoweekday() for day in days)
    return [
        {"weekday": each, "purchase_days": seen[each], "share": seen[each] / len(days)}
        for each in range(1, 8)
    ]


def _channels(channels: Sequence[str | None]) -> list[dict[str, Any]]:
    seen = Counter(channels).items()
    ranked = sorted(seen, key=lambda each: (-each[1], each[0] or ""))[:_SHOWN]
    return [
        {"channel": channel, "purchases": times, "share": times / len(channels)}
        for channel, times in ranked
    ]


def _categories(
    deployment: Deployment, lines: Sequence[tuple[str | None, int, Decimal, Decimal]]
) -> dict[str, Any]:
    """Return what was bought most, and the price of one: of each category and of all."""
    whole = sum((each[3] for each in lines), Decimal(0))
    quantity = sum((each[2] for each in lines), Decimal(0))
    ranked = sorted(lines, key=lambda each: (-each[3], each[0] or ""))[:_SHOWN]
    return {
        "categories": [
            {
                "category": category,
                "lines": times,
                "paid": deployment.computed_money(float(paid)),
                "share": float(paid / whole) if whole else 0.0,
                "unit_price": deployment.computed_money(float(paid / number)),
            }
            for category, times, number, paid in ranked
        ],
        "unit_price": deployment.computed_money(float(whole / quantity)) if quantity else None,
    }
