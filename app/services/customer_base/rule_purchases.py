"""The purchases that rules look at by window, category, product or channel, read for many."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from fractions import Fraction

import numpy as np

from app.days import AsOf, from_day
from app.deployment import Deployment
from app.lifecycle.dated import NEVER, Amounts, Ints
from app.lifecycle.purchase_steps import purchases_of
from app.lifecycle.records import PurchaseFilter, Purchases
from app.lifecycle.variables.definition import Term
from app.lifecycle.variables.transactions import filter_of
from app.money import UNITS
from app.postgres.db import ReadSession, fetch_rows
from app.services.common import sql_numbers
from app.services.common.id_texts import NAMED, named
from app.services.customer_base import net_purchases, purchase_facts, rule_facts

# A transaction fits by its channel, and by a line of it; its lines share in what it is worth.
_FITTING = (
    " CROSS JOIN unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY"
    " AS f (category, product, channel, number)"
    " CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE fits) AS lines,"
    " coalesce(sum(price) FILTER (WHERE fits), 0) AS part, coalesce(sum(price), 0) AS whole"
    " FROM (SELECT CAST(line ->> 'quantity' AS numeric)"
    " * CAST(line -> 'unit_price' ->> 'amount' AS numeric) AS price,"
    " (f.category IS NULL OR line ->> 'category' = f.category)"
    " AND (f.product IS NULL OR line ->> 'product_id' = f.product) AS fits"
    " FROM jsonb_array_elements(t.items) AS line"
    " WHERE f.category IS NOT NULL OR f.product IS NOT NULL) AS judged) AS l"
    " WHERE (f.channel IS NULL OR t.channel = f.channel)"
    " AND (l.lines > 0 OR f.category IS NULL AND f.product IS NULL)"
)
_SHARES = (
    "SELECT t.customer_id, f.number, t.source, t.transaction_id,"  # noqa: S608  # no value of a caller
    " CASE WHEN l.lines = 0 THEN 1 ELSE l.part END, CASE WHEN l.lines = 0 THEN 1 ELSE l.whole END"
    f" FROM transactions t{_FITTING} AND t.kind = 'purchase' AND t.customer_id = ANY($1::text[])"
    " AND t.occurred_at <= $5"
)
_UNITS = (
    f"CASE WHEN l.lines = 0 THEN t.net * {UNITS}"
    f" ELSE coalesce(div(t.net * {UNITS} * l.part, nullif(l.whole, 0)), 0) END"
)
_BY_DAY = (
    f"SELECT t.customer_id, f.number, {sql_numbers.day('t.occurred_on')},"  # noqa: S608  # no value of a caller
    f" CAST(sum({_UNITS}) AS int8)"
    f" FROM ({net_purchases.snapshot('$5', NAMED)}) t{_FITTING}"
    f" AND t.occurred_on >= {sql_numbers.date_of('$6')} GROUP BY 1, 2, 3"
)
_ONE_BY_ONE = (
    f"SELECT t.customer_id, f.number, {sql_numbers.micros('t.occurred_at')},"  # noqa: S608  # no value of a caller
    f" {sql_numbers.day('t.occurred_on')}, CAST({_UNITS} AS int8)"
    f" FROM ({net_purchases.snapshot('$5', '$1::text[]')}) t"
    " JOIN unnest($1::text[], $6::date[]) AS asked (customer_id, first_on)"
    f" ON asked.customer_id = t.customer_id AND t.occurred_on >= asked.first_on{_FITTING}"
)

_ALL = PurchaseFilter()
_NOBODY = (np.zeros(0, np.int64), purchases_of([]).days)


def _filters(terms: Iterable[Term]) -> list[PurchaseFilter]:
    """Return which purchases terms look at, each filter once."""
    return list(dict.fromkeys(filter_of(term) for term in terms if "transactions" in term.needs))


def _arrays(asked: Sequence[PurchaseFilter]) -> list[list[str | None]]:
    return [list(column) for column in zip(*asked, strict=True)]


async def at_instant(
    session: ReadSession,
    deployment: Deployment,
    terms: Iterable[Term],
    customer_ids: Sequence[str],
    as_of: AsOf,
    since: int,
) -> dict[PurchaseFilter, Purchases]:
    """Return what terms look at of days from `since` on, as it stood at an instant."""
    asked = _filters(terms)
    if not asked:
        return {}
    number = {customer_id: place for place, customer_id in enumerate(customer_ids)}
    rows = await fetch_rows(session, _BY_DAY, named(customer_ids), *_arrays(asked), as_of.at, since)
    days: list[list[tuple[int, int, int]]] = [[] for _ in asked]
    value: list[list[tuple[int, int, int]]] = [[] for _ in asked]
    for customer_id, place, day, units in rows:
        value[place - 1].append((number[customer_id], day, units))
        days[place - 1].append((number[customer_id], day, 1))
    return {
        each: Purchases(
            _by_day(deployment, days[place], since), _by_day(deployment, value[place], since)
        )
        for place, each in enumerate(asked)
    }


def _by_day(deployment: Deployment, rows: Sequence[tuple[int, int, int]], since: int) -> Amounts:
    owner, day, amount = np.array(rows, dtype=np.int64).reshape(len(rows), 3).T
    order = np.lexsort((day, owner))
    owner, day, amount = owner[order], day[order], amount[order]
    return Amounts(owner, deployment.calendar.starts(day), day, amount, from_day=since)


async def through_time(
    session: ReadSession,
    terms: Iterable[Term],
    customer_ids: Sequence[str],
    since: Ints,
    until: AsOf,
    known: Mapping[int, Purchases],
) -> dict[PurchaseFilter, Purchases]:
    """Return what terms look at of purchases from a day of each customer on up to an instant.

    Where that is `NEVER`, with every change that a refund makes; where not, no refund is later, and
    of the days before only those count that windows can still see. Of some, by number, all
    purchases are `known`: they are asked for their channels and lines alone.
    """
    looking = [term for term in terms if "transactions" in term.needs]
    asked = _filters(looking)
    if not asked:
        return {}
    first = rule_facts.looks_back_to(looking, since)
    by_line = [each for each in asked if each != _ALL]
    found: dict[PurchaseFilter, list[tuple[Ints, Purchases]]] = {each: [] for each in asked}
    if _ALL in found:
        found[_ALL] = [(np.array([number]), own) for number, own in known.items()]
    is_known = np.isin(np.arange(len(since)), list(known))
    for filters, own in ((asked, ~is_known), (by_line, is_known)):
        for owners in (
            np.flatnonzero(own & (since == NEVER)),
            np.flatnonzero(own & (since != NEVER)),
        ):
            ids = [customer_ids[owner] for owner in owners.tolist()]
            if not filters or not ids:
                continue
            if since[owners[0]] == NEVER:
                read = await _all(session, filters, ids, until)
            else:
                read = await _seen(session, filters, ids, first[owners], until)
            for each, purchases in zip(filters, read, strict=True):
                found[each].append((owners, purchases))
    return {
        each: Purchases(
            Amounts.join([_NOBODY, *((owners, one.days) for owners, one in parts)], first),
            Amounts.join([_NOBODY, *((owners, one.value) for owners, one in parts)], first),
        )
        for each, parts in found.items()
    }


async def _all(
    session: ReadSession, asked: Sequence[PurchaseFilter], ids: Sequence[str], until: AsOf
) -> list[Purchases]:
    """Return by filter all that purchases of customers ever counted for."""
    facts = {
        customer_id: [fact for fact in own if fact.at <= until.micros]
        for customer_id, own in (await purchase_facts.of_customers(session, ids)).items()
    }
    shares: list[dict[str, dict[Hashable, Fraction]]] = [
        {customer_id: {} for customer_id in ids} for _ in asked
    ]
    rows = await fetch_rows(session, _SHARES, ids, *_arrays(asked), until.at)
    for customer_id, place, source, transaction_id, part, whole in rows:
        share = Fraction(part) / Fraction(whole) if whole else Fraction(0)
        shares[place - 1][customer_id][source, transaction_id] = share
    return [purchases_of([(facts[one], own[one]) for one in ids]) for own in shares]


async def _seen(
    session: ReadSession,
    asked: Sequence[PurchaseFilter],
    ids: Sequence[str],
    first: Ints,
    until: AsOf,
) -> list[Purchases]:
    """Return by filter what purchases from a day of each customer on count for by now."""
    days = [from_day(day) for day in first.tolist()]
    rows = await fetch_rows(session, _ONE_BY_ONE, ids, *_arrays(asked), until.at, days)
    number = {customer_id: place for place, customer_id in enumerate(ids)}
    table = np.array(
        [(number[row[0]], *row[1:]) for row in rows], dtype=np.int64
    ).reshape(-1, 5)  # fmt: skip
    return [
        _counting(table[table[:, 1] == place][:, [0, 2, 3, 4]])
        for place in range(1, len(asked) + 1)
    ]


def _counting(table: Ints) -> Purchases:
    """Return purchases as columns, given (owner, at, day, units)."""
    owner, at, day, units = table[np.lexsort((table[:, 1], table[:, 0]))].T
    first = np.flatnonzero(
        np.r_[True, (owner[1:] != owner[:-1]) | (day[1:] != day[:-1])][: len(owner)]
    )
    ones = np.ones(len(first), dtype=np.int64)
    return Purchases(Amounts(owner[first], at[first], day[first], ones),
                     Amounts(owner, at, day, units))  # fmt: skip
