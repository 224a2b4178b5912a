"""The facts of customers as dated rows, from which any earlier day can be seen as it was.

Money is in the smallest unit, so that sums are exact; days are those of the deployment's zone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text

from app.days import AsOf
from app.db import ReadSession, fetch_rows
from app.lifecycle.dated import Floats, Ints
from app.lifecycle.spells import ALWAYS, spells
from app.money import UNITS
from app.scoring.churn import landmark
from app.scoring.histories.features import COMPLAINT, COMPLAINT_DAYS, CONTACT, Facts
from app.services.common import sql_numbers
from app.services.customer_base import purchase_facts

CUSTOMERS_AT_A_TIME = 5_000
_NETTED_AT_A_TIME = 500
_CUSTOMERS = " FROM unnest($1::text[]) WITH ORDINALITY c(customer_id, code)"
_PURCHASE, _FREE, _NAMED = range(3)
_TRADES = (
    f"SELECT c.code, {sql_numbers.day('t.occurred_on')}, {sql_numbers.units('t.value')},"
    f" CASE WHEN t.kind = 'purchase' THEN {_PURCHASE}"
    f" WHEN t.refunds_transaction_id IS NULL THEN {_FREE} ELSE {_NAMED} END"
    f"{_CUSTOMERS} JOIN transactions t USING (customer_id) WHERE t.occurred_at <= $2"
)
_REFUNDS = (
    f"SELECT c.code, count(*){_CUSTOMERS} JOIN transactions t USING (customer_id)"
    " WHERE t.kind = 'refund' AND t.occurred_at <= $2 GROUP BY 1"
)
_TODAY = sql_numbers.date_of("$3")
_ON_DAYS_OVER = (
    f"{_CUSTOMERS} JOIN interaction_days d USING (customer_id) WHERE d.occurred_on < {_TODAY}"
)
# A row for each day on which there was anything, or any complaint.
_ALL_CONTACTS = (
    f"SELECT c.code, {sql_numbers.day('d.occurred_on')}, CAST(d.kind = 'complaint' AS int),"
    f" CASE d.kind WHEN 'complaint' THEN d.count ELSE 1 END{_ON_DAYS_OVER}"
)
# No more than what the columns of today are made of.
_LAST_CONTACTS = (
    f"SELECT c.code, {sql_numbers.day('max(d.occurred_on)')}, 0, 1{_ON_DAYS_OVER} GROUP BY 1"
    f" UNION ALL SELECT c.code, {sql_numbers.day('d.occurred_on')}, 1, d.count{_ON_DAYS_OVER}"
    f" AND d.kind = 'complaint' AND d.occurred_on > {_TODAY} - {COMPLAINT_DAYS}"
)
_OF_THE_DAY = (
    f" UNION ALL SELECT c.code, {sql_numbers.day('i.occurred_on')},"
    f" CAST(i.kind = 'complaint' AS int), 1{_CUSTOMERS} JOIN interactions i USING (customer_id)"
    f" WHERE i.occurred_at <= $2 AND i.occurred_on >= {_TODAY}"
)
_ANSWERS = (
    f"SELECT c.code, {sql_numbers.day('i.occurred_on')} AS day, i.score,"
    f" {sql_numbers.day('max(i.occurred_on) OVER (PARTITION BY c.code)')} AS last{_CUSTOMERS}"
    " JOIN interactions i USING (customer_id)"
    " WHERE i.kind = 'survey' AND i.score IS NOT NULL AND i.occurred_at <= $2"
)
_SORTED = " ORDER BY 1, 2, 3"  # in one order, so that sums of the same answers agree to the bit
_ALL_ANSWERS = f"SELECT code, day, score FROM ({_ANSWERS}) a{_SORTED}"  # noqa: S608  # constants
_LAST_ANSWERS = f"SELECT code, day, score FROM ({_ANSWERS}) a WHERE day = last{_SORTED}"  # noqa: S608  # constants


@dataclass(frozen=True, eq=False)
class TransactionLog:
    """Purchases and refunds; a code is the place of the customer in the list asked for.

    A purchase counts with `units` from the day `since` on and before `until`; always, from its
    own day on, where no refund names a purchase.
    """

    code: Ints
    day: Ints
    units: Ints
    refund_code: Ints
    refund_day: Ints
    since: Ints | None = None
    until: Ints | None = None


@dataclass(frozen=True, eq=False)
class InteractionLog:
    """Interactions, and answers to surveys on the survey's own scale, NaN in other rows."""

    code: Ints
    day: Ints
    kind: Ints
    score: Floats

    def scaled(self, scale: float) -> Floats:
        """Return the answers in [0, 1]; none exceeds the best."""
        return np.minimum(self.score / scale, 1.0)


def as_facts(trades: TransactionLog, contacts: InteractionLog, scale: float) -> Facts:
    """Return the log that churn risk is learnt from; `scale` is the best answer to a survey."""
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
        contact_score=contacts.scaled(scale),
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
        some = list(customer_ids[start : start + CUSTOMERS_AT_A_TIME])
        blocks.append(_coded(await fetch_rows(session, _TRADES, some, as_of.at), start, np.int64))
    code, day, units, kind = np.concatenate(blocks).T
    bought, back = kind == _PURCHASE, kind != _PURCHASE
    refunds = code[back], day[back]
    named = np.unique(code[kind == _NAMED])
    if not len(named):
        return TransactionLog(code[bought], day[bought], units[bought], *refunds)
    bought &= ~np.isin(code, named)
    plain = code[bought], day[bought], units[bought], day[bought], np.full(bought.sum(), ALWAYS)
    netted = await _netted(session, customer_ids, named, as_of)
    columns = (np.concatenate(pair) for pair in zip(plain, netted, strict=True))
    code, day, units, since, until = columns
    return TransactionLog(code, day, units, *refunds, since, until)


async def _netted(
    session: ReadSession, customer_ids: Sequence[str], codes: Ints, as_of: AsOf
) -> Ints:
    """Return code, day, units, since and until of the purchases of customers with named refunds."""
    found = [np.zeros((0, 5), dtype=np.int64)]
    for some in np.split(codes, range(_NETTED_AT_A_TIME, len(codes), _NETTED_AT_A_TIME)):
        own = {customer_ids[code]: code for code in some.tolist()}
        facts = await purchase_facts.of_customers(session, list(own))
        rows = [
            (own[customer_id], *spell)
            for customer_id, told in facts.items()
            for spell in spells(told, until=as_of.micros)
        ]
        found.append(np.array(rows, dtype=np.int64).reshape(len(rows), 5))
    return np.concatenate(found).T


async def count_refunds(session: ReadSession, customer_ids: Sequence[str], as_of: AsOf) -> Ints:
    """Return how many refunds each of some customers has up to an instant."""
    found = np.zeros(len(customer_ids), dtype=np.int64)
    for start in range(0, len(customer_ids), CUSTOMERS_AT_A_TIME):
        some = list(customer_ids[start : start + CUSTOMERS_AT_A_TIME])
        rows = _coded(await fetch_rows(session, _REFUNDS, some, as_of.at), start, np.int64)
        if len(rows):
            found[rows[:, 0]] = rows[:, 1]
    return found


async def read_contacts(
    session: ReadSession, customer_ids: Sequence[str], as_of: AsOf, *, last_only: bool = False
) -> InteractionLog:
    """Return the interactions of customers up to an instant.

    With `last_only` those that decide what is known at it, without those before.
    """
    counted = (_LAST_CONTACTS if last_only else _ALL_CONTACTS) + _OF_THE_DAY
    answered = _LAST_ANSWERS if last_only else _ALL_ANSWERS
    blocks = [np.zeros((0, 4))]
    for start in range(0, len(customer_ids), CUSTOMERS_AT_A_TIME):
        some = list(customer_ids[start : start + CUSTOMERS_AT_A_TIME])
        rows = _coded(await fetch_rows(session, counted, some, as_of.at, as_of.day), start)
        happened = np.repeat(rows[:, :3], rows[:, 3].astype(np.int64), axis=0)
        answers = _coded(await fetch_rows(session, answered, some, as_of.at), start)
        blocks.append(_kind_and_score(happened[:, :2], happened[:, 2], np.nan))
        blocks.append(_kind_and_score(answers[:, :2], np.zeros(len(answers)), answers[:, 2:3]))
    code, day, kind, score = np.concatenate(blocks).T
    whole = code.astype(np.int64), day.astype(np.int64)
    return InteractionLog(
        *whole, np.where(kind > 0, COMPLAINT, CONTACT), np.ascontiguousarray(score)
    )


def _coded(rows: Sequence[Any], start: int, dtype: Any = np.float64) -> NDArray[Any]:
    """Return rows as a table; the codes of a block count from 1."""
    width = len(rows[0]) if rows else 4
    table = np.array([tuple(row) for row in rows], dtype=dtype).reshape(len(rows), width)
    table[:, 0] += start - 1
    return table


def _kind_and_score(when: Floats, complaint: Floats, score: Any) -> Floats:
    rows = np.empty((len(when), 4))
    rows[:, :2], rows[:, 2] = when, complaint
    rows[:, 3:] = score
    return rows


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What churn risk is learnt from, of all customers or of a draw of them.

    `scale` is the best answer to a survey, `first_day` that of the first purchase.
    """

    facts: Facts
    scale: float
    first_day: int | None


async def read_past(
    session: ReadSession,
    customer_ids: Sequence[str],
    as_of: AsOf,
    *,
    scale: float | None = None,
) -> TrainingData:
    """Return the past of customers, in the order of their ids; of many, of a random draw.

    Without a scale of the answers to surveys, the best one makes it.
    """
    ids = sorted(customer_ids)
    if len(ids) > landmark.CUSTOMERS:
        drawn = np.random.default_rng(0).choice(len(ids), landmark.CUSTOMERS, replace=False)
        ids = [ids[place] for place in np.sort(drawn)]
    trades = await read_trades(session, ids, as_of)
    contacts = await read_contacts(session, ids, as_of)
    best = float(np.nanmax(contacts.score, initial=0.0)) if len(contacts.score) else 0.0
    scale = scale or best or 1.0
    first = int(trades.day.min()) if len(trades.day) else None
    return TrainingData(as_facts(trades, contacts, scale), scale, first)


# What has arrived so far, whenever it happened: a model is as old as what it has not seen.
COUNT = text(
    "SELECT coalesce((SELECT sum(facts) FROM purchase_summaries), 0)"
    " + coalesce((SELECT sum(count) FROM interaction_days), 0)"
)


async def count(session: ReadSession) -> int:
    """Return how many facts there are."""
    return int(await session.scalar(COUNT) or 0)
