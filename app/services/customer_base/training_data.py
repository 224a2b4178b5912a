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
from app.lifecycle.kinds import Kinds, Scale, surveys
from app.money import UNITS
from app.scoring.churn import landmark
from app.scoring.histories.features import COMPLAINT, COMPLAINT_DAYS, CONTACT, Facts
from app.services.common import sql_numbers

CUSTOMERS_AT_A_TIME = 5_000
ALWAYS = 2**40
"""A day after all days."""
_CUSTOMERS = " FROM unnest($1::text[]) WITH ORDINALITY c(customer_id, code)"
_WHOLE, _REDUCED, _REFUND = range(3)
_TRADES = (
    f"SELECT c.code, {sql_numbers.day('t.occurred_on')}, {sql_numbers.units('t.value')},"  # noqa: S608  # names of columns
    f" CASE WHEN t.kind = 'refund' THEN {_REFUND} WHEN EXISTS (SELECT FROM refund_allocations a"
    " WHERE a.customer_id = t.customer_id AND a.purchase_source = t.source"
    f" AND a.purchase_id = t.transaction_id AND a.effective_at <= $2) THEN {_REDUCED}"
    f" ELSE {_WHOLE} END{_CUSTOMERS} JOIN transactions t USING (customer_id)"
    " WHERE t.occurred_at <= $2 AND t.customer_id = ANY($1::text[])"
)
# For each day on which refunds took something back from a purchase: how many such days there were
# before, the day and value of the purchase, the day, the value left on it, whether that is the end.
_REDUCTIONS = (
    "SELECT code, row_number() OVER by_day - 1, day, units, since, units - sum(taken) OVER by_day,"  # noqa: S608  # names of columns
    f" coalesce(lead(since) OVER by_day, {ALWAYS}), CAST(sum(part) OVER by_day >= amount AS int)"
    f" FROM (SELECT c.code, t.source, t.transaction_id, {sql_numbers.day('t.occurred_on')} AS day,"
    f" {sql_numbers.units('t.value')} AS units, t.amount,"
    f" {sql_numbers.day('a.effective_on')} AS since, {sql_numbers.units('sum(a.value)')} AS taken,"
    f" sum(a.amount) AS part{_CUSTOMERS} JOIN refund_allocations a USING (customer_id)"
    " JOIN transactions t ON t.customer_id = a.customer_id AND t.source = a.purchase_source"
    " AND t.transaction_id = a.purchase_id WHERE a.effective_at <= $2"
    " AND a.customer_id = ANY($1::text[])"
    " GROUP BY c.code, t.customer_id, t.source, t.transaction_id, a.effective_on) AS reduced"
    " WINDOW by_day AS (PARTITION BY code, source, transaction_id ORDER BY since)"
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
    " AND d.kind <> ALL($4::text[])"
)
# No more than what the columns of today are made of.
_LAST_CONTACTS = (
    f"SELECT c.code, {sql_numbers.day('max(d.occurred_on)')}, 0, 1{_ON_DAYS_OVER}"
    " AND d.kind <> ALL($4::text[]) GROUP BY 1"
    f" UNION ALL SELECT c.code, {sql_numbers.day('d.occurred_on')}, 1, d.count{_ON_DAYS_OVER}"
    f" AND d.kind = 'complaint' AND d.occurred_on > {_TODAY} - {COMPLAINT_DAYS}"
)
_OF_THE_DAY = (
    f" UNION ALL SELECT c.code, {sql_numbers.day('i.occurred_on')},"
    f" CAST(i.kind = 'complaint' AS int), 1{_CUSTOMERS} JOIN interactions i USING (customer_id)"
    f" WHERE i.occurred_at <= $2 AND i.occurred_on >= {_TODAY} AND i.kind <> ALL($4::text[])"
)
_ANSWERS = (
    f"SELECT c.code, {sql_numbers.day('i.occurred_on')} AS day, i.score,"
    " array_position($3::text[], i.kind) AS survey,"
    f" {sql_numbers.day('max(i.occurred_on) OVER (PARTITION BY c.code)')} AS last{_CUSTOMERS}"
    " JOIN interactions i USING (customer_id)"
    " WHERE i.kind = ANY($3::text[]) AND i.score IS NOT NULL AND i.occurred_at <= $2"
)
_SORTED = " ORDER BY 1, 2, 3, 4"  # in one order, so that sums of the same answers agree to the bit
_ALL_ANSWERS = f"SELECT code, day, score, survey FROM ({_ANSWERS}) a{_SORTED}"  # noqa: S608  # constants
_LAST_ANSWERS = f"SELECT code, day, score, survey FROM ({_ANSWERS}) a WHERE day = last{_SORTED}"  # noqa: S608  # constants


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


@dataclass(frozen=True, eq=False)
class InteractionLog:
    """Interactions, and answers to surveys on [0, 1] of the scale of each; NaN in other rows."""

    code: Ints
    day: Ints
    kind: Ints
    score: Floats


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
        some = list(customer_ids[start : start + CUSTOMERS_AT_A_TIME])
        blocks.append(_coded(await fetch_rows(session, _TRADES, some, as_of.at), start, np.int64))
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
        some = list(customer_ids[start : start + CUSTOMERS_AT_A_TIME])
        rows = await fetch_rows(session, _REDUCTIONS, some, as_of.at)
        blocks.append(_coded(rows, start, np.int64, width=8))
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
        some = list(customer_ids[start : start + CUSTOMERS_AT_A_TIME])
        rows = _coded(await fetch_rows(session, _REFUNDS, some, as_of.at), start, np.int64)
        if len(rows):
            found[rows[:, 0]] = rows[:, 1]
    return found


async def read_contacts(
    session: ReadSession,
    customer_ids: Sequence[str],
    as_of: AsOf,
    declared: Kinds,
    *,
    last_only: bool = False,
) -> InteractionLog:
    """Return the interactions of customers up to an instant that are contacts, and their answers.

    With `last_only` those that decide what is known at it, without those before.
    """
    counted = (_LAST_CONTACTS if last_only else _ALL_CONTACTS) + _OF_THE_DAY
    answered = _LAST_ANSWERS if last_only else _ALL_ANSWERS
    scales = surveys(declared)
    # A complaint is always one: it is counted by itself.
    none = [word for word, kind in declared.items() if not (kind.contact or word == "complaint")]
    blocks = [np.zeros((0, 4))]
    for start in range(0, len(customer_ids), CUSTOMERS_AT_A_TIME):
        some = list(customer_ids[start : start + CUSTOMERS_AT_A_TIME])
        rows = _coded(await fetch_rows(session, counted, some, as_of.at, as_of.day, none), start)
        happened = np.repeat(rows[:, :3], rows[:, 3].astype(np.int64), axis=0)
        answers = _coded(await fetch_rows(session, answered, some, as_of.at, list(scales)), start)
        blocks.append(_kind_and_score(happened[:, :2], happened[:, 2], np.nan))
        score = _on_scales(answers, list(scales.values()))
        blocks.append(_kind_and_score(answers[:, :2], np.zeros(len(answers)), score[:, None]))
    code, day, kind, score = np.concatenate(blocks).T
    whole = code.astype(np.int64), day.astype(np.int64)
    return InteractionLog(
        *whole, np.where(kind > 0, COMPLAINT, CONTACT), np.ascontiguousarray(score)
    )


def _on_scales(answers: Floats, scales: Sequence[Scale]) -> Floats:
    """Return scores on [0, 1] of their scales, which count from 1."""
    found = np.empty(len(answers))
    for place, scale in enumerate(scales, start=1):
        own = answers[:, 3] == place
        found[own] = scale.share(answers[own, 2])
    return found


def _coded(
    rows: Sequence[Any], start: int, dtype: Any = np.float64, width: int = 4
) -> NDArray[Any]:
    """Return rows as a table; the codes of a block count from 1."""
    width = len(rows[0]) if rows else width
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
    if len(ids) > landmark.CUSTOMERS:
        drawn = np.random.default_rng(0).choice(len(ids), landmark.CUSTOMERS, replace=False)
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
