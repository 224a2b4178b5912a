"""What rules look at besides purchases, read for many customers: interactions."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from app.days import AsOf
from app.db import ReadSession, fetch_rows
from app.deployment import Deployment
from app.lifecycle.dated import NEVER, Interactions, objects
from app.lifecycle.variables.definition import Term
from app.services.common import sql_numbers

# Any fact tells that there is somebody, whether or not the rules of some policy look at it.
_EARLIEST = (
    "least(created_at, first_contact_at,"
    " (SELECT min(occurred_at) FROM transactions t WHERE t.customer_id = c.customer_id),"
    " (SELECT min(occurred_at) FROM interactions i WHERE i.customer_id = c.customer_id),"
    " (SELECT min(occurred_at) FROM churn_records r WHERE r.customer_id = c.customer_id))"
)
_BEGUN = (
    f"SELECT customer_id, {sql_numbers.micros(_EARLIEST)}"  # noqa: S608  # no value of a caller
    " FROM customers c WHERE customer_id = ANY($1::text[])"
)
_AT, _ON = sql_numbers.micros("occurred_at"), sql_numbers.day("occurred_on")
_LAST_DAY, _FIRST_DAY = sql_numbers.date_of("$4"), sql_numbers.date_of("$5")
_OF_KINDS = "customer_id = ANY($1::text[]) AND ($2::text[] IS NULL OR kind = ANY($2))"
_HAPPENED = (
    f"SELECT customer_id, kind, {_AT}, {_ON}, 1, {{score}} FROM interactions"  # noqa: S608  # no value of a caller
    f" WHERE {_OF_KINDS} AND occurred_at <= $3"
)
# What happened at one instant has one order, whichever arrived first.
_EVENTS = _HAPPENED.format(score="score") + " ORDER BY occurred_at, source, interaction_id"
# Days that are over have been counted; of the last one only what came before the instant counts.
_COUNTED = (
    f"SELECT customer_id, kind, NULL::int8, {_ON}, count, NULL::float8"  # noqa: S608  # no value of a caller
    f" FROM interaction_days WHERE {_OF_KINDS}"
    f" AND occurred_on < {_LAST_DAY} AND occurred_on >= {_FIRST_DAY}"
    f" UNION ALL {_HAPPENED.format(score='NULL::float8')} AND occurred_on >= {_LAST_DAY}"
)
# A survey's answer counts nothing here: it has been counted above.
_ANSWERS = (
    f"SELECT customer_id, kind, {_AT}, {_ON}, 0, score FROM ("  # noqa: S608  # no value of a caller
    "SELECT DISTINCT ON (customer_id, kind) * FROM interactions"
    " WHERE customer_id = ANY($1::text[]) AND kind = ANY($3::text[]) AND score IS NOT NULL"
    " AND occurred_at <= $2"
    " ORDER BY customer_id, kind, occurred_at DESC, source DESC, interaction_id DESC"
    ") last ORDER BY occurred_at, source, interaction_id"
)
# What was posted before its time takes nobody to another stage until a run looks.
_WAITED = (
    "SELECT DISTINCT customer_id FROM interactions WHERE customer_id = ANY($1::text[])"
    " AND occurred_at > $2 AND occurred_at <= $3 AND received_at < occurred_at"
)


class Event(NamedTuple):
    """An interaction, or several of a kind of one day; `at` is then None."""

    customer_id: str
    kind: str
    at: int | None
    day: int
    times: int
    score: float | None


def looks_back_to(terms: Iterable[Term], first_day: int) -> int:
    """Return the first day whose facts count for the values of terms on `first_day`."""
    windows = [term.days for term in terms if term.needs & {"interactions", "transactions"}]
    known = [days for days in windows if days is not None]
    return first_day - max(known, default=1) + 1 if len(known) == len(windows) else NEVER


async def counted(
    session: ReadSession,
    terms: Iterable[Term],
    customer_ids: Sequence[str],
    as_of: AsOf,
    since: int,
) -> list[Event]:
    """Return what interactions from a day up to an instant amount to by day, and the last answers.

    The days are those that `looks_back_to` says.
    """
    ids, rows = list(customer_ids), []
    by_need = {
        need: [term for term in terms if need in term.needs] for need in ("interactions", "answers")
    }
    if by_need["interactions"]:
        kinds = kinds_of(by_need["interactions"])
        rows += await fetch_rows(session, _COUNTED, ids, kinds, as_of.at, as_of.day, since)
    if by_need["answers"]:
        rows += await fetch_rows(session, _ANSWERS, ids, as_of.at, kinds_of(by_need["answers"]))
    return [Event(*row) for row in rows]


async def events(
    session: ReadSession, terms: Iterable[Term], customer_ids: Sequence[str], until: AsOf
) -> list[Event]:
    """Return each interaction up to an instant that terms look at, in order of time."""
    rows = await fetch_rows(session, _EVENTS, list(customer_ids), kinds_of(terms), until.at)
    return [Event(*row) for row in rows]


def kinds_of(terms: Iterable[Term]) -> list[str] | None:
    """Return the kinds of interactions that terms look at; None for all of them."""
    found: set[str] = set()
    for term in terms:
        if term.needs & {"interactions", "answers"}:
            if term.kinds is None:
                return None
            found |= term.kinds
    return sorted(found)


async def waited(
    session: ReadSession, customer_ids: Sequence[str], since: datetime, until: datetime
) -> set[str]:
    """Return those of whom an interaction began to count later than it came, since an instant."""
    rows = await fetch_rows(session, _WAITED, list(customer_ids), since, until)
    return {row[0] for row in rows}


async def first_seen(session: ReadSession, customer_ids: Sequence[str]) -> dict[str, int]:
    """Return when customers were first heard of: where their histories begin."""
    rows = await fetch_rows(session, _BEGUN, list(customer_ids))
    return {row[0]: row[1] for row in rows}


def interaction_columns(
    deployment: Deployment, events: Sequence[Event], customer_ids: Sequence[str], from_day: int
) -> Interactions:
    """Return interactions as columns, in order of customer and time."""
    number = {customer_id: place for place, customer_id in enumerate(customer_ids)}
    owner = np.array([number[event.customer_id] for event in events], dtype=np.int64)
    day = np.array([event.day for event in events], dtype=np.int64)
    # What was counted by day may stand anywhere in it: nothing is asked of the days before.
    starts = deployment.calendar.starts(day)
    known = [event.at for event in events]
    at = np.array([start if a is None else a for a, start in zip(known, starts, strict=True)],
                  dtype=np.int64)  # fmt: skip
    order = np.lexsort((at, owner))
    kind = objects([event.kind for event in events])
    count = np.array([event.times for event in events], dtype=np.int64)
    score = np.array([np.nan if event.score is None else event.score for event in events])
    return Interactions(
        owner[order], at[order], day[order], kind[order], count[order], score[order], from_day
    )
