"""Every purchase as it stood at an instant, as a plain log: what a hold-out is judged on.

Ten million of them come as columns, which grow where they are: no object is made of a purchase.
"""

import numpy as np

from app.days import AsOf
from app.lifecycle.dated import Column, Floats
from app.postgres import binary_copy
from app.postgres.binary_copy import Block, Field
from app.postgres.db import ReadSession
from app.scoring.numerics.growing import Columns
from app.services.common import sql_numbers
from app.services.customer_base import net_purchases

Log = tuple[Column, Column, Floats]
"""Customer, day and net amount of every purchase that was not refunded in full."""

_FIELDS = (Field("customer", "int4"), Field("day", "int4"), Field("amount", "float8"))
_PURCHASES = (
    "SELECT dense_rank() OVER (ORDER BY customer_id) AS customer,"  # noqa: S608  # names of columns
    f" {sql_numbers.day('occurred_on')} AS day, net AS amount"
    f" FROM ({net_purchases.snapshot('$1')}) AS standing"
)


async def read(session: ReadSession, as_of: AsOf) -> Log:
    """Return customer, day and net amount of all purchases not refunded in full."""
    found = Columns({"customer": np.zeros(0, np.int32), "day": np.zeros(0, np.int32),
                     "amount": np.zeros(0)})  # fmt: skip

    async def keep(block: Block) -> None:
        found.add(block.arrays)

    await binary_copy.read(session, _PURCHASES, [as_of.at], _FIELDS, keep)
    return found.arrays["customer"], found.arrays["day"], found.arrays["amount"]
