"""The purchases and refunds of customers, read as the fold takes them."""

from collections.abc import Mapping, Sequence

from app.days import from_micros
from app.db import ReadSession, fetch_rows
from app.lifecycle.purchases import FREE, Fact
from app.services.common import sql_numbers

# Numbers as the fold wants them, made by the server: making them here takes most of the time.
_FACTS = (
    "SELECT customer_id, source, transaction_id,"  # noqa: S608  # names of columns
    f" {sql_numbers.micros('occurred_at')}, {sql_numbers.day('occurred_on')},"
    f" {sql_numbers.units('value')}, kind = 'refund', refunds_source, refunds_transaction_id,"
    f" {sql_numbers.units('amount')}, currency"
    " FROM transactions WHERE customer_id = ANY($1::text[])"
)


# Whatever became of it: who set an override could know of no later refund.
_BOUGHT = (
    "SELECT t.customer_id,"  # noqa: S608  # names of columns
    f" {sql_numbers.micros('t.occurred_at')}, {sql_numbers.day('t.occurred_on')}"
    " FROM unnest($1::text[], $2::timestamptz[]) AS asked (customer_id, since)"
    " JOIN transactions t ON t.customer_id = asked.customer_id AND t.occurred_at > asked.since"
    " WHERE t.customer_id = ANY($1::text[]) AND t.kind = 'purchase'"
)


async def purchase_instants(
    session: ReadSession, since: Mapping[str, int]
) -> dict[str, dict[int, int]]:
    """Return the instants of the purchases of customers after an instant each, with their days."""
    found: dict[str, dict[int, int]] = {customer_id: {} for customer_id in since}
    after = [from_micros(at) for at in since.values()]
    for customer_id, at, day in await fetch_rows(session, _BOUGHT, list(since), after):
        found[customer_id][at] = day
    return found


async def of_customers(session: ReadSession, customer_ids: Sequence[str]) -> dict[str, list[Fact]]:
    """Return all facts of customers as the fold takes them."""
    facts: dict[str, list[Fact]] = {customer_id: [] for customer_id in customer_ids}
    rows = await fetch_rows(session, _FACTS, list(customer_ids))
    for customer_id, source, name, at, day, value, is_refund, names, named, *paid in rows:
        refunds = None if not is_refund else FREE if named is None else (names, named)
        facts[customer_id].append(Fact(at, day, value, (source, name), refunds, *paid))
    return facts
