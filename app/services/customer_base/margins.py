"""What is left of the margins of purchases, by customer: refunds take their share back.

Of a purchase that carries a margin, as much of it is left as of its value. Purchases worth nothing
have no rate, and do not count. No rate of a purchase counts as more than all of its value, gained
or lost: one of a cent on which five were lost would else decide over everybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import text

from app.days import AsOf
from app.lifecycle.dated import Floats, Ints
from app.postgres import binary_copy
from app.postgres.binary_copy import Block, Field
from app.postgres.db import ReadSession, fetch_rows
from app.services.common.id_texts import NAMED, named
from app.services.customer_base import net_purchases

# In exact numbers, so that no order of rows changes a bit. In the currency of the deployment:
# `margin / amount` is a share, whatever the currency of the purchase.
_COUNTED = "least(greatest(margin, -amount), amount)"
_COLUMNS = (
    "count(*) AS purchases, CAST(sum(net) AS float8) AS revenue,"
    f" CAST(sum({_COUNTED} * net / amount) AS float8) AS margin,"
    f" CAST(sum(({_COUNTED} / amount) * {_COUNTED} * net / amount) AS float8) AS squares"
)
_FIELDS = (
    Field("purchases", "int8"),
    *(Field(name, "float8") for name in ("revenue", "margin", "squares")),
    Field("customer_id", "text"),
)
_WITH_MARGIN = "WHERE margin IS NOT NULL AND amount > 0 AND net > 0"
_OF_CUSTOMERS = (
    f"SELECT customer_id, {_COLUMNS}"  # noqa: S608  # names of columns
    f" FROM ({net_purchases.snapshot('$2', NAMED)}) AS standing {_WITH_MARGIN} GROUP BY 1"
)
_OF_ALL = (
    f"SELECT customer_id, {_COLUMNS}"  # noqa: S608  # names of columns
    f" FROM ({net_purchases.snapshot('$1')}) AS standing {_WITH_MARGIN} GROUP BY 1"
)
_ANY = text(
    "SELECT EXISTS (SELECT FROM transactions WHERE kind = 'purchase' AND margin IS NOT NULL"
    " AND amount > 0 AND occurred_at <= :as_of)"
)


@dataclass(frozen=True, eq=False)
class MarginSums:
    """Of some customers, their purchases that carry a margin; 0 without any. Shape (n,) each."""

    purchases: Ints
    revenue: Floats
    margin: Floats
    squares: Floats
    """The sum of `margin^2 / revenue` of the purchases."""

    def take(self, rows: Ints) -> "MarginSums":
        return MarginSums(*(column[rows] for column in vars(self).values()))


async def of_customers(
    session: ReadSession, customer_ids: Sequence[str], as_of: AsOf
) -> MarginSums:
    """Return what is left of the margins of customers, from the facts up to an instant."""
    rows = await fetch_rows(session, _OF_CUSTOMERS, named(customer_ids), as_of.at)
    return _aligned(customer_ids, rows)


async def of_everybody(
    session: ReadSession, customer_ids: Sequence[str], as_of: AsOf
) -> MarginSums:
    """Return the same, read for all at once as columns."""
    n = len(customer_ids)
    sums = MarginSums(np.zeros(n, np.int64), np.zeros(n), np.zeros(n), np.zeros(n))
    row_of = {each: row for row, each in enumerate(customer_ids)}

    async def keep(block: Block) -> None:
        rows = np.array([row_of.get(each, -1) for each in block.texts["customer_id"]])
        asked = rows >= 0
        for name, column in vars(sums).items():
            column[rows[asked]] = block.arrays[name][asked]

    await binary_copy.read(session, _OF_ALL, [as_of.at], _FIELDS, keep)
    return sums


def _aligned(customer_ids: Sequence[str], rows: Sequence[Sequence[object]]) -> MarginSums:
    found = {row[0]: row[1:] for row in rows}
    none = (0, 0.0, 0.0, 0.0)
    table = np.array([found.get(each, none) for each in customer_ids], dtype=np.float64)
    purchases, revenue, margin, squares = table.reshape(len(customer_ids), 4).T
    return MarginSums(purchases.astype(np.int64), revenue, margin, squares)


async def any_by(session: ReadSession, as_of: AsOf) -> bool:
    """Say whether any purchase up to an instant carries a margin."""
    return bool(await session.scalar(_ANY, {"as_of": as_of.at}))
