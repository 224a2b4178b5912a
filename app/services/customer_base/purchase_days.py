"""The purchase days of customers with long histories: kept with each write, read in place of facts.

Rows are of use where they hold all purchases up to `facts_until` of the summary; their number says
so. Who has fewer than `LONG_HISTORY` facts has none.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import text

from app.days import Calendar, from_day, from_micros, to_micros
from app.lifecycle.purchase_days import PurchaseDays, Turn
from app.lifecycle.purchases import Fact
from app.money import to_amount, to_units
from app.postgres.db import ReadSession, WriteSession, fetch_rows
from app.services.common import sql_numbers

LONG_HISTORY = 1_000
"""From how many facts on days are kept: fewer are folded as soon as their days are read."""


_CLOCKS = timedelta(hours=2)


def is_long(facts: int) -> bool:
    """Whether so many facts are a long history."""
    return facts >= LONG_HISTORY


@dataclass(frozen=True, slots=True)
class Kept:
    """The days that are kept of a customer, how many purchases they hold, and what they do not.

    That is when the last fact was, and what refunds take back from no purchase.
    """

    days: PurchaseDays
    purchases: int
    facts_until: int
    refund_excess: int


async def read(
    session: ReadSession, calendar: Calendar, customer_ids: Sequence[str]
) -> dict[str, Kept]:
    """Return the days that are kept of customers."""
    found = {}
    interrupted = []
    for row in await fetch_rows(session, _KEPT, list(customer_ids)):
        customer_id, day, begins, turned, purchases, value, paid, first, last, until, excess = row
        if turned:
            interrupted.append(customer_id)
        order = np.argsort(np.array(day or (), dtype=np.int64))
        days = PurchaseDays(
            np.array(day or (), dtype=np.int64)[order],
            np.array(begins or (), dtype=np.int64)[order],
            {},
            to_units(value),
            paid,
            0 if first is None else to_units(first),
            tuple(map(to_units, last)),
        )
        found[customer_id] = Kept(days, purchases, until, to_units(excess))
    if interrupted:
        turns: dict[str, dict[int, list[Turn]]] = {each: {} for each in interrupted}
        for customer_id, number, instants in await fetch_rows(session, _TURNED, interrupted):
            turns[customer_id][number] = [(to_micros(at), calendar.day_of(at)) for at in instants]
        for customer_id, own in turns.items():
            one = found[customer_id]
            found[customer_id] = replace(one, days=one.days._replace(turns=own))
    return found


_OWN = "o.customer_id = d.customer_id AND o.customer_id = ANY($1::text[])"
_VALUE = f"SELECT o.value FROM purchase_days o WHERE {_OWN} AND cardinality(o.turns) % 2 = 1"  # noqa: S608  # no values
_KEPT = (
    "SELECT d.customer_id,"  # noqa: S608  # names of columns
    f" array_agg({sql_numbers.day('d.purchased_on')}) FILTER (WHERE cardinality(d.turns) = 1),"
    f" array_agg({sql_numbers.micros('d.turns[1]')}) FILTER (WHERE cardinality(d.turns) = 1),"
    " count(*) FILTER (WHERE cardinality(d.turns) <> 1),"
    " sum(d.purchases), sum(d.value), count(*) FILTER (WHERE d.value > 0),"
    f" ({_VALUE} ORDER BY o.purchased_on LIMIT 1),"
    f" ARRAY({_VALUE} ORDER BY o.purchased_on DESC LIMIT 3),"
    f" (SELECT {sql_numbers.micros('max(o.occurred_at)')} FROM transactions o WHERE {_OWN}),"
    f" (SELECT coalesce(sum(o.value), 0) FROM unallocated_refunds o WHERE {_OWN})"
    " FROM purchase_days d WHERE d.customer_id = ANY($1::text[]) GROUP BY 1"
)
_TURNED = (
    f"SELECT customer_id, {sql_numbers.day('purchased_on')}, turns FROM purchase_days"  # noqa: S608
    " WHERE customer_id = ANY($1::text[]) AND cardinality(turns) <> 1"
)


async def add(session: WriteSession, bought: Mapping[str, Sequence[Fact]]) -> None:
    """Add purchases behind all facts, which no refund names, to the days of customers."""
    days: dict[tuple[str, int], list[Fact]] = {}
    for customer_id, facts in bought.items():
        for fact in facts:
            days.setdefault((customer_id, fact.day), []).append(fact)
    if days:
        in_order = sorted(days.items())
        await session.execute(
            _ADD,
            {
                "customer_ids": [customer_id for (customer_id, _), _ in in_order],
                "days": [from_day(day) for (_, day), _ in in_order],
                "purchases": [len(facts) for _, facts in in_order],
                "values": [to_amount(sum(each.value for each in facts)) for _, facts in in_order],
                "begins": [from_micros(min(each.at for each in facts)) for _, facts in in_order],
            },
        )


_ADD = text(
    "INSERT INTO purchase_days AS d (customer_id, purchased_on, purchases, value, turns)"
    " SELECT customer_id, day, purchases, value, ARRAY[begins]"
    " FROM unnest(CAST(:customer_ids AS text[]), CAST(:days AS date[]),"
    " CAST(:purchases AS int[]), CAST(:values AS numeric[]), CAST(:begins AS timestamptz[]))"
    " AS bought (customer_id, day, purchases, value, begins)"
    " ON CONFLICT (customer_id, purchased_on) DO UPDATE SET"
    " purchases = d.purchases + excluded.purchases, value = d.value + excluded.value,"
    " turns = d.turns || CASE WHEN cardinality(d.turns) % 2 = 0 THEN excluded.turns"
    " ELSE '{}' END"
)


def _of_facts(asked: str, also: str = "") -> str:
    """Return the query of days, from the purchases and what refunds take back from them.

    `asked` has customers, each `until` an instant; `also` tells which of the purchases `t`.
    """
    whose = "customer_id = ANY(CAST(:customer_ids AS text[]))"
    return (
        "WITH net AS ("  # noqa: S608  # no value of a caller
        " SELECT t.customer_id, t.occurred_on, t.occurred_at, t.value - coalesce(sum(a.value), 0)"
        " AS net, CASE WHEN sum(a.amount) >= t.amount THEN max(a.effective_at) END AS refunded_at"
        f" FROM ({asked}) asked JOIN transactions t ON t.customer_id = asked.customer_id"
        f" AND t.occurred_at <= asked.until{also} LEFT JOIN refund_allocations a"
        f" ON a.customer_id = t.customer_id AND a.{whose} AND a.purchase_source = t.source"
        " AND a.purchase_id = t.transaction_id AND a.effective_at <= asked.until"
        f" WHERE t.{whose} AND t.kind = 'purchase'"
        " GROUP BY t.customer_id, t.source, t.transaction_id"
        "), steps AS ("
        " SELECT customer_id, occurred_on, at, sum(step) AS step FROM"
        " (SELECT customer_id, occurred_on, occurred_at AS at, 1 AS step FROM net UNION ALL"
        " SELECT customer_id, occurred_on, refunded_at, -1 FROM net WHERE refunded_at IS NOT NULL)"
        " AS one GROUP BY 1, 2, 3"
        "), standing AS ("
        " SELECT *, sum(step) OVER (PARTITION BY customer_id, occurred_on ORDER BY at) AS after"
        " FROM steps"
        "), turned AS ("
        " SELECT customer_id, occurred_on, array_agg(at ORDER BY at) AS turns FROM standing"
        " WHERE (after > 0) <> (after - step > 0) GROUP BY 1, 2"
        "), days AS ("
        " SELECT customer_id, occurred_on, CAST(count(*) AS int) AS purchases,"
        " CAST(coalesce(sum(net) FILTER (WHERE refunded_at IS NULL), 0) AS numeric(30, 4)) AS value"
        " FROM net GROUP BY 1, 2"
        ") SELECT customer_id, occurred_on AS purchased_on, purchases, value,"
        " coalesce(turns, '{}') AS turns"
        " FROM days LEFT JOIN turned USING (customer_id, occurred_on)"
    )


_INSERT = "INSERT INTO purchase_days (customer_id, purchased_on, purchases, value, turns) "
_WHOLE = _of_facts(
    "SELECT * FROM unnest(CAST(:customer_ids AS text[]), CAST(:until AS timestamptz[]))"
    " AS each (customer_id, until)"
)
_MAKE = text(_INSERT + _WHOLE)
_DROP = text("DELETE FROM purchase_days WHERE customer_id = ANY(CAST(:customer_ids AS text[]))")
_ASKED_DAYS = (
    "unnest(CAST(:owners AS text[]), CAST(:days AS date[]), CAST(:starts AS timestamptz[]),"
    " CAST(:ends AS timestamptz[]))"
)
_DROP_DAYS = text(
    f"DELETE FROM purchase_days d USING {_ASKED_DAYS} AS asked (customer_id, day, start, ends)"  # noqa: S608
    " WHERE d.customer_id = asked.customer_id AND d.purchased_on = asked.day"
    " AND d.customer_id = ANY(CAST(:customer_ids AS text[]))"
)
# The index has instants. Clocks that are put back make a day end a little after the next one began;
# where it is more, purchases are missing, so that the days are of no use.
_MAKE_DAYS = text(
    _INSERT
    + _of_facts(
        f"SELECT asked.*, CAST(:until AS timestamptz) AS until FROM {_ASKED_DAYS}"  # noqa: S608
        " AS asked (customer_id, day, start, ends)",
        " AND t.occurred_on = asked.day AND t.occurred_at >= asked.start"
        " AND t.occurred_at < asked.ends",
    )
)


async def make(session: WriteSession, until: Mapping[str, int]) -> None:
    """Make the days of customers anew, from all facts up to an instant each."""
    if until:
        asked = _asked(until)
        await session.execute(_DROP, {"customer_ids": asked["customer_ids"]})
        await session.execute(_MAKE, asked)


def _asked(until: Mapping[str, int]) -> dict[str, list[Any]]:
    return {"customer_ids": list(until), "until": [from_micros(at) for at in until.values()]}


async def drop(session: WriteSession, customer_ids: Collection[str]) -> None:
    """Keep no days of customers any more."""
    if customer_ids:
        await session.execute(_DROP, {"customer_ids": sorted(customer_ids)})


async def make_some(
    session: WriteSession,
    calendar: Calendar,
    days: Mapping[str, Collection[int]],
    until: datetime,
) -> None:
    """Make some days of customers anew, from the facts of these days up to an instant."""
    asked = [
        (customer_id, day) for customer_id in sorted(days) for day in sorted(days[customer_id])
    ]
    values = {
        "customer_ids": list(days),
        "owners": [customer_id for customer_id, _ in asked],
        "days": [from_day(day) for _, day in asked],
        "starts": [calendar.start_of(day) - _CLOCKS for _, day in asked],
        "ends": [calendar.start_of(day + 1) + _CLOCKS for _, day in asked],
    }
    if asked:
        await session.execute(_DROP_DAYS, values)
        await session.execute(_MAKE_DAYS, values | {"until": until})


def _digest(days: str) -> str:
    return (
        "SELECT customer_id, encode(sha256(convert_to(string_agg(concat_ws(' ', purchased_on,"  # noqa: S608
        f" purchases, value, turns), ';' ORDER BY purchased_on), 'UTF8')), 'hex') FROM ({days}) d"
        " WHERE customer_id = ANY(CAST(:customer_ids AS text[])) GROUP BY 1"
    )


_STORED = text(_digest("SELECT * FROM purchase_days"))
_DERIVED = text(_digest(_WHOLE))


async def stored(session: ReadSession, customer_ids: Collection[str]) -> dict[str, str]:
    """Return a digest of the days of each customer of whom some are kept."""
    asked = {"customer_ids": list(customer_ids)}
    return {row[0]: row[1] for row in await session.execute(_STORED, asked)}


async def derived(session: ReadSession, until: Mapping[str, int]) -> dict[str, str]:
    """Return the same of what follows from the facts of customers, up to an instant each."""
    rows = await session.execute(_DERIVED, _asked(until)) if until else ()
    return {row[0]: row[1] for row in rows}
