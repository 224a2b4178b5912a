"""The facts of customers as dated rows, from which any earlier day can be seen as it was.

Money is in the smallest unit, so that sums are exact; days are those of the deployment's zone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import text

from app.days import AsOf
from app.lifecycle.dated import Ints
from app.lifecycle.kinds import Kinds
from app.money import UNITS
from app.postgres.db import ReadSession, fetch_rows
from app.scoring.churn import observation
from app.scoring.histories.features import Facts
from app.services.common import sql_numbers
from app.services.common.id_texts import NAMED, named
from app.services.customer_base.interaction_log import (
    CUSTOMERS,
    CUSTOMERS_AT_A_TIME,
    InteractionLog,
    coded,
    read_contacts,
)

ALWAYS = 2**40
"""A day after all days."""
_WHOLE, _REDUCED, _REFUND = range(3)
_TRADES = (
    f"SELECT c.code, {sql_numbers.day('t.occurred_on')}, {sql_numbers.units('t.value')},"  # noqa: S608  # names of columns
    f" CASE WHEN t.kind = 'refund' THEN {_REFUND} WHEN EXISTS (SELECT FROM refund_allocations a"
    " WHERE a.customer_id = t.customer_id AND a.purchase_source = t.source"
    f" AND a.purchase_id = t.transaction_id AND a.effective_at <= $2) THEN {_REDUCED}"
    f" ELSE {_WHOLE} END{CUSTOMERS} JOIN transactions t USING (customer_id)"
    f" WHERE t.occurred_at <= $2 AND t.customer_id = ANY({NAMED})"
)
# For each day on which refunds took something back from a purchase: how many such days there were
# before, the day and value of the purchase, the day, the value left on it, whether that is the end.
_REDUCTIONS = (
    "SELECT code, row_number() OVER by_day - 1, day, units, since, units - sum(taken) OVER by_day,"  # noqa: S608  # names of columns
    f" coalesce(lead(since) OVER by_day, {ALWAYS}), CAST(sum(part) OVER by_day >= amount AS int)"
    f" FROM (SELECT c.code, t.source, t.transaction_id, {sql_numbers.day('t.occurred_on')} AS day,"
    f" {sql_numbers.units('t.value')} AS units, t.amount,"
    f" {sql_numbers.day('a.effective_on')} AS since, {sql_numbers.units('sum(a.value)')} AS taken,"
    f" sum(a.amount) AS part{CUSTOMERS} JOIN refund_allocations a USING (customer_id)"
    " JOIN transactions t ON t.customer_id = a.customer_id AND t.source = a.purchase_source"
    " AND t.transaction_id = a.purchase_id WHERE a.effective_at <= $2"
    f" AND a.customer_id = ANY({NAMED})"
    " GROUP BY c.code, t.customer_id, t.source, t.transaction_id, a.effective_on) AS reduced"
    " WINDOW by_day AS (PARTITION BY code, source, transaction_id ORDER BY since)"
)
_REFUNDS = (
    f"SELECT c.code, count(*){CUSTOMERS} JOIN transactions t USING (customer_id)"
    f" WHERE t.kind = 'refund' AND t.occurred_at <= $2 AND t.customer_id = ANY({NAMED})"
    " GROUP BY 1"
)


@dataclass(frozen=True, eq=False)
class TransactionLog:
    """Purchases and refunds; a code is the place of the customer in the list asked for.

    A purchase counts with `units` from the day `since` on and before `until`; always, from its
    own day on, where no refund takes anything back.
    """

    code: Ints
    day: Ints
    units: Ints
    refund_code: Ints
    refund_day: Ints
    since: Ints | None = None
    until: Ints | None = None


def as_facts(trades: TransactionLog, contacts: InteractionLog) -> Facts:
    """Return the log that churn risk is learnt from."""
    return Facts(
        customer=trades.code,
        day=trades.day,
        amount=trades.units,
        since=trades.since,
        until=trades.until,
        refund_customer=trades.refund_code,
        refund_day=trades.refund_day,
        contact_customer=contacts.code,
        contact_day=contacts.day,
        contact_kind=contacts.kind,
        contact_score=contacts.score,
    )


def in_currency(facts: Facts) -> Facts:
    """Return the log with money in whole units of the currency."""
    return replace(facts, amount=np.asarray(facts.amount) / UNITS)


async def read_trades(
    session: ReadSession, customer_ids: Sequence[str], as_of: AsOf
) -> TransactionLog:
    """Return all purchases and refunds of customers up to an instant, as they then stood."""
    blocks = [np.zeros((0, 4), dtype=np.int64)]
    for start in range(0, len(customer_ids), CUSTOMERS_AT_A_TIME):
        some = named(customer_ids[start : start + CUSTOMERS_AT_A_TIME])
        blocks.append(coded(await fetch_rows(session, _TRADES, some, as_of.at), start, np.int64))
    code, day, units, kind = np.concatenate(blocks).T
    whole, back = kind == _WHOLE, kind == _REFUND
    refunds = code[back], day[back]
    if not (kind == _REDUCED).any():
        return TransactionLog(code[whole], day[whole], units[whole], *refunds)
    plain = code[whole], day[whole], units[whole], day[whole], np.full(whole.sum(), ALWAYS)
    reduced = await _reduced(session, customer_ids, as_of)
    columns = (np.concatenate(pair) for pair in zip(plain, reduced, strict=True))
    code, day, units, since, until = columns
    return TransactionLog(code, day, units, *refunds, since, until)


async def _reduced(session: ReadSession, customer_ids: Sequence[str], as_of: AsOf) -> Ints:
    """Return code, day, units, since and until of purchases of which refunds took something back.

    A purchase has a row for each of the values that it had at the end of a day.
    """
    blocks = [np.zeros((0, 8), dtype=np.int64)]
    for start in range(0, len(customer_ids), CUSTOMERS_AT_A_TIME):
        some = named(customer_ids[start : start + CUSTOMERS_AT_A_TIME])
        rows = await fetch_rows(session, _REDUCTIONS, some, as_of.at)
        blocks.append(coded(rows, start, np.int64, width=8))
    code, place, day, units, since, left, until, refunded = np.concatenate(blocks).T
    before = (place == 0) & (since > day)
    after = refunded == 0
    return np.stack(
        [
            np.r_[code[before], code[after]],
            np.r_[day[before], day[after]],
            np.r_[units[before], left[after]],
            np.r_[day[before], since[after]],
            np.r_[since[before], until[after]],
        ]
    )


async def count_refunds(session: ReadSession, customer_ids: Sequence[str], as_of: AsOf) -> Ints:
    """Return how many refunds each of some customers has up to an instant."""
    found = np.zeros(len(customer_ids), dtype=np.int64)
    for start in range(0, len(customer_ids), CUSTOMERS_AT_A_TIME):
        some = named(customer_ids[start : start + CUSTOMERS_AT_A_TIME])
        rows = coded(await fetch_rows(session, _REFUNDS, some, as_of.at), start, np.int64)
        if len(rows):
            found[rows[:, 0]] = rows[:, 1]
    return found


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What churn risk is learnt from, of all customers or of a draw of them.

    `kinds` is what was declared of interactions, `first_day` that of the first purchase.
    """

    facts: Facts
    kinds: Kinds
    first_day: int | None
    customer_ids: Sequence[str]


async def read_past(
    session: ReadSession, customer_ids: Sequence[str], as_of: AsOf, declared: Kinds
) -> TrainingData:
    """Return the past of customers, in the order of their ids; of many, of a random draw."""
    ids = sorted(customer_ids)
    if len(ids) > observation.CUSTOMERS:
        drawn = np.random.default_rng(0).choice(len(ids), observation.CUSTOMERS, replace=False)
        ids = [ids[place] for place in np.sort(drawn)]
    trades = await read_trades(session, ids, as_of)
    contacts = await read_contacts(session, ids, as_of, declared)
    first = int(trades.day.min()) if len(trades.day) else None
    return TrainingData(as_facts(trades, contacts), declared, first, ids)


# What has arrived so far, whenever it happened: a model is as old as what it has not seen.
COUNT = text(
    "SELECT coalesce((SELECT sum(facts) FROM purchase_summaries), 0)"
    " + coalesce((SELECT sum(count) FROM interaction_days), 0)"
)


async def count(session: ReadSession) -> int:
    """Return how many facts there are."""
    return int(await session.scalar(COUNT) or 0)
