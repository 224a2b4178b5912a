"""What happened to customers besides purchases, as columns, up to an instant.

A code is the place of a customer in the list asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.days import AsOf
from app.lifecycle.dated import Floats, Ints
from app.lifecycle.kinds import Kinds, Scale, surveys
from app.postgres.db import ReadSession, fetch_rows
from app.scoring.histories.features import COMPLAINT, COMPLAINT_DAYS, CONTACT
from app.services.common import sql_numbers
from app.services.common.id_texts import NAMED, named

CUSTOMERS_AT_A_TIME = 5_000
CUSTOMERS = f" FROM unnest({NAMED}) WITH ORDINALITY c(customer_id, code)"
_STILL_OPEN = 2
_TODAY = sql_numbers.date_of("$3")
_ON_DAYS_OVER = (
    f"{CUSTOMERS} JOIN interaction_days d USING (customer_id) WHERE d.occurred_on < {_TODAY}"
    f" AND d.customer_id = ANY({NAMED})"
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
# A complaint is open until its outcome says that it was solved, and forgotten after some months.
_OPEN_COMPLAINTS = (
    f"SELECT DISTINCT c.code, 0, {_STILL_OPEN}, 1{CUSTOMERS} JOIN interactions i"  # noqa: S608  # names of columns
    " USING (customer_id) WHERE i.kind = 'complaint' AND i.outcome IS DISTINCT FROM 'solved'"
    f" AND i.occurred_at <= $2 AND i.occurred_on > {_TODAY} - {COMPLAINT_DAYS}"
    f" AND i.customer_id = ANY({NAMED})"
)
_OF_THE_DAY = (
    f" UNION ALL SELECT c.code, {sql_numbers.day('i.occurred_on')},"
    f" CAST(i.kind = 'complaint' AS int), 1{CUSTOMERS} JOIN interactions i USING (customer_id)"
    f" WHERE i.occurred_at <= $2 AND i.occurred_on >= {_TODAY} AND i.kind <> ALL($4::text[])"
    f" AND i.customer_id = ANY({NAMED})"
)
_ANSWERS = (
    f"SELECT c.code, {sql_numbers.day('i.occurred_on')} AS day, i.score,"
    " array_position($3::text[], i.kind) AS survey,"
    f" {sql_numbers.day('max(i.occurred_on) OVER (PARTITION BY c.code)')} AS last{CUSTOMERS}"
    " JOIN interactions i USING (customer_id)"
    " WHERE i.kind = ANY($3::text[]) AND i.score IS NOT NULL AND i.occurred_at <= $2"
    f" AND i.customer_id = ANY({NAMED})"
)
_SORTED = " ORDER BY 1, 2, 3, 4"  # in one order, so that sums of the same answers agree to the bit
_ALL_ANSWERS = f"SELECT code, day, score, survey FROM ({_ANSWERS}) a{_SORTED}"  # noqa: S608  # constants
_LAST_ANSWERS = f"SELECT code, day, score, survey FROM ({_ANSWERS}) a WHERE day = last{_SORTED}"  # noqa: S608  # constants


@dataclass(frozen=True, eq=False)
class InteractionLog:
    """Interactions, and answers to surveys on [0, 1] of the scale of each; NaN in other rows.

    `complaining` are the codes of those with an open complaint, each once or more, where these
    were asked for.
    """

    code: Ints
    day: Ints
    kind: Ints
    score: Floats
    complaining: Ints = field(default_factory=lambda: np.zeros(0, np.int64))


async def read_contacts(
    session: ReadSession,
    customer_ids: Sequence[str],
    as_of: AsOf,
    declared: Kinds,
    *,
    last_only: bool = False,
) -> InteractionLog:
    """Return the interactions of customers up to an instant that are contacts, and their answers.

    With `last_only` those that decide what is known at it, without those before, and who has an
    open complaint.
    """
    counted = (_LAST_CONTACTS if last_only else _ALL_CONTACTS) + _OF_THE_DAY
    if last_only:
        counted += f" UNION ALL {_OPEN_COMPLAINTS}"
    answered = _LAST_ANSWERS if last_only else _ALL_ANSWERS
    scales = surveys(declared)
    # A complaint is always one: it is counted by itself.
    none = [word for word, kind in declared.items() if not (kind.contact or word == "complaint")]
    blocks, open_ones = [np.zeros((0, 4))], [np.zeros(0)]
    for start in range(0, len(customer_ids), CUSTOMERS_AT_A_TIME):
        some = named(customer_ids[start : start + CUSTOMERS_AT_A_TIME])
        rows = coded(await fetch_rows(session, counted, some, as_of.at, as_of.day, none), start)
        still_open = rows[:, 2] == _STILL_OPEN
        open_ones.append(rows[still_open, 0])
        rows = rows[~still_open]
        happened = np.repeat(rows[:, :3], rows[:, 3].astype(np.int64), axis=0)
        answers = coded(await fetch_rows(session, answered, some, as_of.at, list(scales)), start)
        blocks.append(_kind_and_score(happened[:, :2], happened[:, 2], np.nan))
        score = _on_scales(answers, list(scales.values()))
        blocks.append(_kind_and_score(answers[:, :2], np.zeros(len(answers)), score[:, None]))
    code, day, kind, score = np.concatenate(blocks).T
    whole = code.astype(np.int64), day.astype(np.int64)
    return InteractionLog(
        *whole,
        np.where(kind > 0, COMPLAINT, CONTACT),
        np.ascontiguousarray(score),
        np.concatenate(open_ones).astype(np.int64),
    )


async def read_complaining(
    session: ReadSession, customer_ids: Sequence[str], as_of: AsOf
) -> InteractionLog:
    """Return of the interactions of customers who has an open complaint, and nothing else."""
    found = [np.zeros(0, np.int64)]
    for start in range(0, len(customer_ids), CUSTOMERS_AT_A_TIME):
        some = named(customer_ids[start : start + CUSTOMERS_AT_A_TIME])
        rows = await fetch_rows(session, _OPEN_COMPLAINTS, some, as_of.at, as_of.day)
        found.append(coded(rows, start, np.int64)[:, 0])
    none = np.zeros(0, np.int64)
    return InteractionLog(none, none, none, np.zeros(0), np.concatenate(found))


def _on_scales(answers: Floats, scales: Sequence[Scale]) -> Floats:
    """Return scores on [0, 1] of their scales, which count from 1."""
    found = np.empty(len(answers))
    for place, scale in enumerate(scales, start=1):
        own = answers[:, 3] == place
        found[own] = scale.share(answers[own, 2])
    return found


def _kind_and_score(when: Floats, complaint: Floats, score: Any) -> Floats:
    rows = np.empty((len(when), 4))
    rows[:, :2], rows[:, 2] = when, complaint
    rows[:, 3:] = score
    return rows


def coded(rows: Sequence[Any], start: int, dtype: Any = np.float64, width: int = 4) -> NDArray[Any]:
    """Return rows as a table; the codes of a block count from 1."""
    width = len(rows[0]) if rows else width
    table = np.array([tuple(row) for row in rows], dtype=dtype).reshape(len(rows), width)
    table[:, 0] += start - 1
    return table
