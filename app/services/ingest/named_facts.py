"""Statements on facts by their identities: what is read is what is named, however much is stored.

Of one customer, who is bound as such, so that a sharded database asks one server. Several are not
told apart beside the join: by `customer_id = ANY(…)` the planner reads all facts of theirs instead
of those named (docs/decisions/0026).
"""

from collections.abc import Callable, Collection
from typing import Any

from app.postgres.db import ReadSession, fetch_rows
from app.services.common.id_texts import listed, named
from app.services.ingest.fact_intake import Name

ASKED = f"unnest({listed(1)}, {listed(2)}, {listed(3)}) AS asked (customer_id, source, fact_id)"
"""The identities that a statement is about."""


def each_named(table: str, same: str) -> Callable[[str], str]:
    """Return how to read the rows `t` of a table that are the `same` as each of `asked`.

    A subquery with OFFSET is asked once for each, by the index. The planner may rather read the
    whole table than join a thousand names, even where what it knows of its size is old.
    """
    return lambda also: (
        f"FROM {ASKED} CROSS JOIN LATERAL"  # noqa: S608  # tables are ours
        f" (SELECT * FROM {table} t WHERE {same}{also} OFFSET 0) t"
    )


class ByName:
    """A statement on the facts `t` whose customer, source and id are those of `asked`.

    `sql` is given what to add to the conditions of the join.
    """

    def __init__(self, sql: Callable[[str], str]) -> None:
        self.of_several = sql("")
        self.of_one = sql(" AND t.customer_id = $4")

    async def fetch(self, session: ReadSession, names: Collection[Name]) -> list[Any]:
        """Return the rows about some facts."""
        columns = tuple(zip(*names, strict=True))
        customers, told = set(columns[0]), map(named, columns)
        if len(customers) == 1:
            return await fetch_rows(session, self.of_one, *told, *customers)
        return await fetch_rows(session, self.of_several, *told)
