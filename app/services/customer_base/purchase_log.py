"""Every purchase as it stood at an instant, as a plain log: what a hold-out is judged on."""

import numpy as np
from sqlalchemy import text

from app.days import AsOf
from app.db import ReadSession
from app.lifecycle.records import Floats, Ints
from app.services.common import sql_numbers

Log = tuple[Ints, Ints, Floats]
"""Customer, day and net amount of every purchase that was not refunded in full."""

_BLOCK = 50_000
# What named refunds leave of each purchase: `app.lifecycle.purchases.set_off` for everybody.
_PURCHASES = text(
    f"SELECT dense_rank() OVER (ORDER BY p.customer_id), {sql_numbers.day('p.occurred_on')},"  # noqa: S608  # names of columns
    " CAST(p.value - coalesce(r.refunded, 0) AS float8)"
    " FROM transactions p LEFT JOIN ("
    "  SELECT customer_id, refunds_source, refunds_transaction_id, sum(value) AS refunded"
    "  FROM transactions WHERE refunds_transaction_id IS NOT NULL AND occurred_at <= :as_of"
    "  GROUP BY 1, 2, 3) r ON r.customer_id = p.customer_id AND r.refunds_source = p.source"
    " AND r.refunds_transaction_id = p.transaction_id"
    " WHERE p.kind = 'purchase' AND p.occurred_at <= :as_of"
    " AND (r.refunded IS NULL OR r.refunded < p.value)"
)


async def read(session: ReadSession, as_of: AsOf) -> Log:
    """Return customer, day and net amount of all purchases not refunded in full."""
    rows = await session.stream(_PURCHASES, {"as_of": as_of.at})
    blocks = [
        np.array([tuple(row) for row in block], dtype=np.float64)
        async for block in rows.partitions(_BLOCK)
    ]
    customer, day, amount = np.concatenate([np.zeros((0, 3)), *blocks]).T
    return customer.astype(np.int64), day.astype(np.int64), np.ascontiguousarray(amount)
