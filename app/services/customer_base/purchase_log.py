"""Every purchase as it stood at an instant, as a plain log: what a hold-out is judged on."""

import numpy as np
from sqlalchemy import text

from app.days import AsOf
from app.db import ReadSession
from app.lifecycle.dated import Floats, Ints
from app.services.common import sql_numbers
from app.services.customer_base import net_purchases

Log = tuple[Ints, Ints, Floats]
"""Customer, day and net amount of every purchase that was not refunded in full."""

_BLOCK = 50_000
_PURCHASES = text(
    f"SELECT dense_rank() OVER (ORDER BY customer_id), {sql_numbers.day('occurred_on')},"  # noqa: S608  # names of columns
    f" CAST(net AS float8) FROM ({net_purchases.snapshot(':as_of')}) AS standing"
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
