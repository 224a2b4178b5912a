"""How many interactions of each kind customers had on each day: as kept, and as counted anew."""

from collections.abc import Sequence

from sqlalchemy import text

from app.postgres.db import ReadSession, WriteSession, fetch_rows

Counts = dict[str, int]
"""By kind and day, such as `call 2026-01-31`."""

_OF = "WHERE customer_id = ANY($1::text[])"
_STORED = f"SELECT customer_id, kind, occurred_on, count FROM interaction_days {_OF}"  # noqa: S608
_COUNTED = (
    "SELECT customer_id, kind, occurred_on, count(*) FROM interactions"  # noqa: S608  # no values
    f" {_OF} GROUP BY 1, 2, 3"
)


async def stored(session: ReadSession, customer_ids: Sequence[str]) -> dict[str, Counts]:
    """Return the counts that are kept of customers."""
    return await _read(session, _STORED, customer_ids)


async def count(session: ReadSession, customer_ids: Sequence[str]) -> dict[str, Counts]:
    """Count the interactions of customers."""
    return await _read(session, _COUNTED, customer_ids)


async def _read(session: ReadSession, query: str, customer_ids: Sequence[str]) -> dict[str, Counts]:
    found: dict[str, Counts] = {customer_id: {} for customer_id in customer_ids}
    for customer_id, kind, day, number in await fetch_rows(session, query, list(customer_ids)):
        found[customer_id][f"{kind} {day.isoformat()}"] = number
    return found


_DROP = text("DELETE FROM interaction_days WHERE customer_id = ANY(CAST(:customer_ids AS text[]))")
_KEEP = text(
    "INSERT INTO interaction_days (customer_id, kind, occurred_on, count)"
    " SELECT customer_id, kind, occurred_on, count(*) FROM interactions"
    " WHERE customer_id = ANY(CAST(:customer_ids AS text[])) GROUP BY 1, 2, 3"
)


async def keep(session: WriteSession, customer_ids: Sequence[str]) -> None:
    """Count anew the interactions of customers that the session has taken."""
    asked = {"customer_ids": list(customer_ids)}
    await session.execute(_DROP, asked)
    await session.execute(_KEEP, asked)
