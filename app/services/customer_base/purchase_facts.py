"""The purchases and refunds of customers, read as the fold takes them."""

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np

from app.days import from_micros
from app.lifecycle.column_fold import PurchaseColumns
from app.lifecycle.dated import Bools
from app.lifecycle.purchases import FREE, Fact
from app.postgres.binary_copy.layout import FIXED
from app.postgres.db import ReadSession, fetch_rows
from app.services.common import sql_numbers

# Numbers as the fold wants them, made by the server: making them here takes most of the time.
_FACTS = (
    "SELECT customer_id, source, transaction_id,"  # noqa: S608  # names of columns
    f" {sql_numbers.micros('occurred_at')}, {sql_numbers.day('occurred_on')},"
    f" {sql_numbers.units('value')}, kind = 'refund', refunds_source, refunds_transaction_id,"
    f" {sql_numbers.units('amount')}, currency"
    " FROM transactions WHERE customer_id = ANY($1::text[])"
)
# One value a customer, of stretches of one width: a row for each fact costs more than its numbers.
_PACKED = (
    "SELECT customer_id, string_agg(timestamptz_send(occurred_at) || date_send(occurred_on)"  # noqa: S608
    f" || int8send({sql_numbers.units('value')}) || boolsend(kind = 'refund'), ''::bytea)"
    " FROM transactions WHERE customer_id = ANY($1::text[]) GROUP BY customer_id"
)
_FACT = np.dtype([("at", ">i8"), ("day", ">i4"), ("value", ">i8"), ("refund", "?")])

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


_AT_A_TIME = 2_000


async def of_customers(session: ReadSession, customer_ids: Sequence[str]) -> dict[str, list[Fact]]:
    """Return all facts of customers as the fold takes them."""
    facts: dict[str, list[Fact]] = {customer_id: [] for customer_id in customer_ids}
    rows = await fetch_rows(session, _FACTS, list(customer_ids))
    for start in range(0, len(rows), _AT_A_TIME):
        for row in rows[start : start + _AT_A_TIME]:
            customer_id, source, name, at, day, value, is_refund, names, named, *paid = row
            refunds = None if not is_refund else FREE if named is None else (names, named)
            facts[customer_id].append(Fact(at, day, value, (source, name), refunds, *paid))
        await asyncio.sleep(0)  # Others may go on: a long history has a hundred thousand facts.
    return facts


async def columns(
    session: ReadSession, customer_ids: Sequence[str]
) -> tuple[PurchaseColumns, Bools]:
    """Return all facts of customers as columns, and which of them are refunds.

    Owners are the places of customers.
    """
    number = {customer_id: place for place, customer_id in enumerate(customer_ids)}
    rows = await fetch_rows(session, _PACKED, list(customer_ids))
    facts = np.frombuffer(b"".join([packed for _, packed in rows]), _FACT)
    owner = np.repeat(
        np.array([number[customer_id] for customer_id, _ in rows], dtype=np.int64),
        np.array([len(packed) // _FACT.itemsize for _, packed in rows], dtype=np.int64),
    )
    found = PurchaseColumns(
        owner,
        facts["at"].astype(np.int64) + FIXED["timestamptz"].epoch,
        facts["day"].astype(np.int64) + FIXED["date"].epoch,
        facts["value"].astype(np.int64),
    )
    return found, facts["refund"]
