"""Statements that read refunds, what they may take from, and what was taken, of some customers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.lifecycle.purchases import FREE, Fact, Key
from app.services.common import sql_numbers

READ = 64
"""So many candidates are read for each refund without a name, of one instant maybe not all."""
SORT = "SELECT set_config('enable_sort', $1, true)"


def columns(keys: Mapping[str, Iterable[Key]]) -> list[list[str]]:
    """Return customers, sources and ids of facts as columns."""
    rows = [(customer_id, *key) for customer_id, own in keys.items() for key in own]
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], []]


def told(rows: Iterable[Sequence[Any]]) -> Iterable[tuple[str, Fact]]:
    """Return the facts that these statements read, each with its customer."""
    for customer_id, source, name, is_refund, named_source, named, currency, *numbers in rows:
        at, day, value, amount = numbers
        refunds = None if not is_refund else FREE if named is None else (named_source, named)
        yield customer_id, Fact(at, day, value, (source, name), refunds, amount, currency)


# Bound inside, so that the index of instants is read from there on, whatever the planner believes.
FREE_SINCE = (
    "SELECT s.customer_id FROM purchase_summaries s WHERE s.customer_id = ANY($1::text[]) AND ("
    "SELECT count(*) FROM transactions t WHERE t.customer_id = s.customer_id"
    " AND t.occurred_at >= ($2::timestamptz[])[array_position($1::text[], s.customer_id)]"
    " AND t.kind = 'refund' AND t.refunds_transaction_id IS NULL) > 0"
)
_COLUMNS = (
    "t.customer_id, t.source, t.transaction_id, t.kind = 'refund', t.refunds_source,"
    f" t.refunds_transaction_id, t.currency, {sql_numbers.micros('t.occurred_at')},"
    f" {sql_numbers.day('t.occurred_on')}, {sql_numbers.units('t.value')},"
    f" {sql_numbers.units('t.amount')}"
)
_KEY = "(customer_id, source, transaction_id)"
# By whole keys: with the customers beside them, a planner without statistics reads all facts.
REFUNDS = (
    "WITH asked AS (SELECT DISTINCT * FROM"  # noqa: S608  # no value of a caller
    f" unnest($2::text[], $3::text[], $4::text[]) AS k {_KEY}),"
    " rest AS MATERIALIZED ("
    "SELECT u.customer_id, u.source, u.transaction_id, t.refunds_source, t.refunds_transaction_id"
    " FROM unallocated_refunds u JOIN transactions t USING (customer_id, source, transaction_id)"
    " WHERE u.customer_id = ANY($1::text[])), refund AS ("
    "SELECT * FROM asked UNION "
    "SELECT a.customer_id, a.refund_source, a.refund_id FROM asked"
    " JOIN refund_allocations a ON a.customer_id = asked.customer_id"
    " AND a.purchase_source = asked.source AND a.purchase_id = asked.transaction_id"
    " AND EXISTS (SELECT FROM transactions t WHERE t.customer_id = a.customer_id"
    " AND t.source = a.refund_source AND t.transaction_id = a.refund_id"
    " AND t.refunds_transaction_id IS NOT NULL) UNION"
    " SELECT rest.customer_id, rest.source, rest.transaction_id FROM rest JOIN asked"
    " ON asked.customer_id = rest.customer_id AND asked.source = rest.refunds_source"
    " AND asked.transaction_id = rest.refunds_transaction_id UNION"
    " SELECT t.customer_id, t.source, t.transaction_id"
    " FROM unnest($5::text[], $6::timestamptz[]) AS l (customer_id, since) JOIN transactions t"
    " ON t.customer_id = l.customer_id AND t.occurred_at >= l.since WHERE t.kind = 'refund'"
    f") SELECT {_COLUMNS} FROM refund JOIN transactions t"
    " USING (customer_id, source, transaction_id) WHERE t.kind = 'refund'"
)
PURCHASES = (
    f"WITH redone AS (SELECT * FROM unnest($4::text[], $5::text[], $6::text[]) AS k {_KEY}),"  # noqa: S608  # no value of a caller
    f" purchase AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS k {_KEY} UNION"
    " SELECT a.customer_id, a.purchase_source, a.purchase_id FROM redone"
    " JOIN refund_allocations a ON a.customer_id = redone.customer_id"
    " AND a.refund_source = redone.source AND a.refund_id = redone.transaction_id"
    " WHERE a.customer_id = ANY($4::text[])"
    f") SELECT {_COLUMNS} FROM purchase JOIN transactions t"
    " USING (customer_id, source, transaction_id) WHERE t.kind = 'purchase'"
)
REFUNDED = (
    f"SELECT {_COLUMNS} FROM (SELECT DISTINCT a.customer_id, a.purchase_source, a.purchase_id"  # noqa: S608  # no value of a caller
    " FROM refund_allocations a WHERE a.customer_id = ANY($1::text[])) AS p CROSS JOIN LATERAL"
    " (SELECT * FROM transactions t WHERE t.customer_id = p.customer_id"
    " AND t.source = p.purchase_source AND t.transaction_id = p.purchase_id LIMIT 1) t"
    " WHERE t.kind = 'purchase'"
)
_BEFORE = (
    "SELECT * FROM transactions t WHERE t.customer_id = f.customer_id AND t.kind = 'purchase'"
    " AND t.occurred_at <= f.at"
)
_LATEST_FIRST = f"ORDER BY t.occurred_at DESC LIMIT {READ}"
# What is left of each is told from what was taken: asked here, a planner without statistics walks
# through all that was taken for each of them.
CANDIDATES = (
    "WITH free AS (SELECT * FROM"  # noqa: S608  # no value of a caller
    " unnest($1::int[], $2::text[], $3::timestamptz[], $4::text[],"
    " $5::numeric[]) AS f (number, customer_id, at, currency, amount)"
    " WHERE f.customer_id = ANY($2::text[]))"
    f" SELECT f.number, false, {_COLUMNS} FROM free f"
    f" CROSS JOIN LATERAL ({_BEFORE} {_LATEST_FIRST}) t UNION ALL"
    f" SELECT f.number, true, {_COLUMNS} FROM free f CROSS JOIN LATERAL ({_BEFORE}"
    f" AND t.currency = f.currency AND t.amount = f.amount {_LATEST_FIRST}) t"
)
TAKEN = (
    "SELECT a.customer_id, a.refund_source, a.refund_id, a.purchase_source, a.purchase_id,"  # noqa: S608  # no value of a caller
    f" {sql_numbers.micros('t.occurred_at')}, {sql_numbers.day('t.occurred_on')},"
    f" {sql_numbers.units('a.amount')}"
    f" FROM unnest($1::text[], $2::text[], $3::text[]) AS k {_KEY}"
    " JOIN refund_allocations a ON a.customer_id = k.customer_id"
    " AND a.purchase_source = k.source AND a.purchase_id = k.transaction_id"
    " JOIN transactions t ON t.customer_id = a.customer_id AND t.source = a.refund_source"
    " AND t.transaction_id = a.refund_id AND t.kind = 'refund'"
    " WHERE a.customer_id = ANY($1::text[])"
)
