"""Refunds that name their purchases, set off without the other facts of their customers.

Such a refund takes from one purchase alone, and nobody else takes from that but a refund that names
none. Those are set off in the order of their instants against what is left then: a fact changes
nothing of the ones before it. So where no refund without a name comes at or after the earliest new
fact, the purchases that new facts are or name, with all refunds that name them, decide what is new.
"""

from collections.abc import Mapping, Sequence

from app.days import from_micros
from app.db import WriteSession, fetch_rows
from app.lifecycle.purchases import FREE, Fact, Key, SetOff, set_off
from app.services.common import sql_numbers
from app.services.customer_base import refund_allocations


async def save(session: WriteSession, new: Mapping[str, Sequence[Fact]]) -> dict[str, set[int]]:
    """Set off what new facts of customers, just written, change; return the days of purchases.

    Who is not in the answer has refunds that this does not decide; of them nothing was written.
    """
    decided = {each: facts for each, facts in new.items() if all(map(_is_named, facts))}
    for customer_id in await _without_names(session, decided):
        del decided[customer_id]
    found = {
        customer_id: facts
        for customer_id, facts in (await _touched(session, decided)).items()
        if all(fact.refunds != FREE for fact in facts)
    }
    await _keep(session, found)
    return {
        customer_id: {fact.day for fact in facts if fact.refunds is None}
        for customer_id, facts in found.items()
    }


def _is_named(fact: Fact) -> bool:
    """Whether all refunds that a fact has to do with are on file as what they take or leave.

    A refund of nothing that waits for a purchase of nothing is not.
    """
    return fact.refunds != FREE if fact.refunds else fact.amount > 0


async def _touched(
    session: WriteSession, new: Mapping[str, Sequence[Fact]]
) -> dict[str, set[Fact]]:
    """Return the purchases that new facts are or name, and the refunds of these."""
    found = {
        customer_id: {fact for fact in facts if fact.refunds} for customer_id, facts in new.items()
    }
    asked = [
        (customer_id, *(fact.refunds or fact.key))
        for customer_id, facts in new.items()
        for fact in facts
    ]
    if asked:
        columns = map(list, zip(*asked, strict=True))
        for row in await fetch_rows(session, _TOUCHED, list(new), *columns):
            customer_id, source, name, is_refund, named_source, named, currency, *numbers = row
            at, day, value, amount = numbers
            refunds = None if not is_refund else FREE if named is None else (named_source, named)
            fact = Fact(at, day, value, (source, name), refunds, amount, currency)
            found[customer_id].add(fact)
    return found


async def _keep(session: WriteSession, found: Mapping[str, set[Fact]]) -> None:
    refunds: dict[str, list[Key]] = {}
    netted: dict[str, SetOff] = {}
    for customer_id, facts in found.items():
        keys = [fact.key for fact in facts if fact.refunds is not None]
        if keys:
            refunds[customer_id], netted[customer_id] = keys, set_off(facts)
    await refund_allocations.save_some(session, refunds, netted)


async def _without_names(session: WriteSession, new: Mapping[str, Sequence[Fact]]) -> set[str]:
    """Return the customers with refunds that name no purchase, at the earliest fact or later."""
    since = [from_micros(min(fact.at for fact in facts)) for facts in new.values()]
    rows = await fetch_rows(session, _FREE, list(new), since) if new else ()
    return {row[0] for row in rows}


# Bound inside, so that the index of instants is read from there on, whatever the planner believes.
_FREE = (
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
# By whole keys: with the customers beside them, a planner without statistics reads all facts.
_TOUCHED = (
    "WITH asked AS (SELECT DISTINCT * FROM unnest($2::text[], $3::text[], $4::text[])"  # noqa: S608  # no value of a caller
    " AS each (customer_id, source, transaction_id)), rest AS MATERIALIZED ("
    "SELECT u.customer_id, u.source, u.transaction_id, t.refunds_source, t.refunds_transaction_id"
    " FROM unallocated_refunds u JOIN transactions t USING (customer_id, source, transaction_id)"
    " WHERE u.customer_id = ANY($1::text[])), refund AS ("
    "SELECT a.customer_id, a.refund_source AS source, a.refund_id AS transaction_id FROM asked"
    " JOIN refund_allocations a ON a.customer_id = asked.customer_id"
    " AND a.purchase_source = asked.source AND a.purchase_id = asked.transaction_id UNION"
    " SELECT rest.customer_id, rest.source, rest.transaction_id FROM rest JOIN asked"
    " ON asked.customer_id = rest.customer_id AND asked.source = rest.refunds_source"
    " AND asked.transaction_id = rest.refunds_transaction_id"
    f") SELECT {_COLUMNS} FROM asked JOIN transactions t"
    " USING (customer_id, source, transaction_id) WHERE t.kind = 'purchase' UNION ALL"
    f" SELECT {_COLUMNS} FROM refund JOIN transactions t"
    " USING (customer_id, source, transaction_id)"
)
