"""What rules look at besides purchases, read for many customers: interactions."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple, TypeVar

import numpy as np

from app.days import AsOf, from_day, from_micros
from app.deployment import Deployment
from app.lifecycle.dated import NEVER, Interactions, Ints, objects
from app.lifecycle.variables import registry
from app.lifecycle.variables.definition import Term
from app.postgres.db import ReadSession, fetch_rows
from app.services.common import sql_numbers
from app.services.common.id_texts import NAMED, named

DayOrDays = TypeVar("DayOrDays", int, Ints)

# Any fact tells that there is somebody, whether or not the rules of some policy look at it; so does
# a stage that another system had set.
_EARLIEST = (
    "least(created_at, first_contact_at,"
    " (SELECT min(occurred_at) FROM transactions t WHERE t.customer_id = c.customer_id),"
    " (SELECT min(occurred_at) FROM interactions i WHERE i.customer_id = c.customer_id),"
    " (SELECT min(occurred_at) FROM churn_records r WHERE r.customer_id = c.customer_id),"
    " (SELECT min(set_at) FROM stage_overrides o WHERE o.customer_id = c.customer_id))"
)
_BEGUN = (
    f"SELECT customer_id, {sql_numbers.micros(_EARLIEST)}"  # noqa: S608  # no value of a caller
    f" FROM customers c WHERE customer_id = ANY({NAMED})"
)
FIRST_SEEN_OF_ALL = (
    "SELECT c.customer_id, least(c.created_at, c.first_contact_at, t.at, i.at, r.at) AS begun"  # noqa: S608  # names of ours
    " FROM customers c"
    + "".join(
        f" LEFT JOIN (SELECT customer_id, min(occurred_at) AS at FROM {table} GROUP BY 1) AS {name}"  # noqa: S608
        f" ON {name}.customer_id = c.customer_id"
        for table, name in (("transactions", "t"), ("interactions", "i"), ("churn_records", "r"))
    )
)
"""A query of when each customer was first heard of: the same of everybody, by whole tables."""


def heard_of_by(at: str) -> str:
    """Return whether customer `c` was heard of by an instant: facts are looked for where needed."""
    told = " OR ".join(f"c.{column} <= {at}" for column in ("created_at", "first_contact_at"))
    facts = " OR ".join(
        f"EXISTS (SELECT FROM {table} f WHERE f.customer_id = c.customer_id"
        f" AND f.occurred_at <= {at})"
        for table in ("transactions", "interactions", "churn_records")
    )
    return f"coalesce({told} OR {facts}, false)"


_AT, _ON = sql_numbers.micros("occurred_at"), sql_numbers.day("occurred_on")
_LAST_DAY, _FIRST_DAY = sql_numbers.date_of("$4"), sql_numbers.date_of("$5")
_OF_KINDS = f"customer_id = ANY({NAMED}) AND ($2::text[] IS NULL OR kind = ANY($2))"
_HAPPENED = (
    f"SELECT customer_id, kind, {_AT}, {_ON}, 1, {{score}} FROM interactions"  # noqa: S608  # no value of a caller
    f" WHERE {_OF_KINDS} AND occurred_at <= $3"
)
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
    f" WHERE customer_id = ANY({NAMED}) AND kind = ANY($3::text[]) AND score IS NOT NULL"
    " AND occurred_at <= $2"
    " ORDER BY customer_id, kind, occurred_at DESC, source DESC, interaction_id DESC"
    ") last ORDER BY occurred_at, source, interaction_id"
)
# Of each customer from an instant and its day on, by two days; what happened at one instant has one
# order, whichever arrived first.
_ASKED = (
    "unnest($1::text[], $2::timestamptz[], $3::date[], $4::date[])"
    " AS asked (customer_id, since, since_on, first_on)"
)


def _of_each(columns: str, rows: str) -> str:
    """Return how to read rows of each customer, by the index: see docs/decisions/0026."""
    return (
        f"SELECT {columns} FROM {_ASKED} CROSS JOIN LATERAL"  # noqa: S608  # no value of a caller
        f" ({rows} OFFSET 0) AS found"
    )


_ONE_BY_ONE = _of_each(
    f"found.customer_id, {_AT} AS at, {_ON} AS day, kind, 1 AS count, score, source,"
    " interaction_id",
    "SELECT * FROM interactions i WHERE i.customer_id = asked.customer_id"
    " AND i.occurred_at >= asked.since AND i.occurred_at <= $5"
    " AND ($6::text[] IS NULL OR i.kind = ANY($6))",
)
_BY_DAY = _of_each(
    f"found.customer_id, NULL::int8, {_ON}, kind, count, NULL::float8, NULL, NULL",
    "SELECT * FROM interaction_days d WHERE d.customer_id = asked.customer_id"
    " AND d.occurred_on >= asked.first_on AND d.occurred_on < asked.since_on"
    " AND ($7::text[] IS NULL OR d.kind = ANY($7))",
)
_IN_ALL = _of_each(
    "found.customer_id, NULL::int8, day, kind, count, NULL::float8, NULL, NULL",
    f"SELECT d.customer_id, kind, max({_ON}) AS day, CAST(sum(count) AS int4) AS count"  # noqa: S608  # no value of a caller
    " FROM interaction_days d WHERE d.customer_id = asked.customer_id"
    " AND d.occurred_on < CASE WHEN $7::text[] IS NULL OR d.kind = ANY($7) THEN asked.first_on"
    " ELSE asked.since_on END AND ($8::text[] IS NULL OR d.kind = ANY($8))"
    " GROUP BY d.customer_id, kind",
)
_LAST_ANSWERS = _of_each(
    f"found.customer_id, {_AT}, {_ON}, kind, 0, score, source, interaction_id",
    "SELECT DISTINCT ON (i.kind) i.* FROM interactions i WHERE i.customer_id = asked.customer_id"
    " AND i.occurred_at < asked.since AND i.kind = ANY($9::text[]) AND i.score IS NOT NULL"
    " ORDER BY i.kind, i.occurred_at DESC, i.source DESC, i.interaction_id DESC",
)
_ORDER = "ORDER BY at, source, interaction_id"
_THROUGH_TIME = (
    "SELECT customer_id, "  # noqa: S608  # no value of a caller
    + ", ".join(f"array_agg({name} {_ORDER})" for name in ("at", "day", "kind", "count", "score"))
    + f" FROM ({_ONE_BY_ONE} UNION ALL {_BY_DAY} UNION ALL {_IN_ALL} UNION ALL {_LAST_ANSWERS})"
    " AS seen GROUP BY customer_id"
)
# What was posted before its time takes nobody to another stage until a run looks.
_WAITED = (
    f"SELECT DISTINCT customer_id FROM interactions WHERE customer_id = ANY({NAMED})"  # noqa: S608  # no value of a caller
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


def looks_back_to(terms: Iterable[Term], first_day: DayOrDays) -> DayOrDays:
    """Return the first day whose facts count for the values of terms on `first_day`."""
    windows = [term.days for term in terms if term.needs & {"interactions", "transactions"}]
    known = [days for days in windows if days is not None]
    if len(known) < len(windows):
        return first_day * 0 + NEVER
    return first_day - max(known, default=1) + 1


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
    if not customer_ids:
        return []
    ids, rows = named(customer_ids), []
    by_need = {
        need: [term for term in terms if need in term.needs] for need in ("interactions", "answers")
    }
    if by_need["interactions"]:
        kinds = kinds_of(by_need["interactions"])
        rows += await fetch_rows(session, _COUNTED, ids, kinds, as_of.at, as_of.day, since)
    if by_need["answers"]:
        rows += await fetch_rows(session, _ANSWERS, ids, as_of.at, kinds_of(by_need["answers"]))
    return [Event(*row) for row in rows]


async def through_time(
    session: ReadSession,
    deployment: Deployment,
    terms: Iterable[Term],
    customer_ids: Sequence[str],
    since: Ints,
    until: AsOf,
) -> Interactions | None:
    """Return the interactions that terms look at from a day of each customer on up to an instant.

    Each is told by itself; of the days before, only what windows of that day on can still see is:
    how many there were on each day, in all before that, and the last answers.
    """
    looked_at = [term for term in terms if term.needs & {"interactions", "answers"}]
    if not looked_at:
        return None
    counted = [term for term in looked_at if "interactions" in term.needs]
    windows = [term for term in counted if term.days is not None]
    ids, first = list(customer_ids), looks_back_to(windows, since) if windows else since
    rows = await fetch_rows(
        session,
        _THROUGH_TIME,
        ids,
        [from_micros(at) for at in deployment.calendar.starts(since).tolist()],
        [from_day(day) for day in since.tolist()],
        [from_day(day) for day in first.tolist()],
        until.at,
        kinds_of(looked_at),
        kinds_of(windows),
        kinds_of([term for term in counted if term.days is None]),
        kinds_of([term for term in looked_at if "answers" in term.needs]),
    )
    return _grouped(deployment, rows, ids, first)


def _grouped(
    deployment: Deployment, rows: Sequence[Any], customer_ids: Sequence[str], first: Ints
) -> Interactions:
    """Return what was read of each customer as columns."""
    number = {customer_id: place for place, customer_id in enumerate(customer_ids)}
    many = np.array([len(row[1]) for row in rows], dtype=np.int64)
    owner = np.repeat(np.array([number[row[0]] for row in rows], dtype=np.int64), many)
    at, day, kind, count, score = (
        list(chain.from_iterable(row[place] for row in rows)) for place in range(1, 6)
    )
    days = np.array(day, dtype=np.int64)
    # What was counted by day may stand anywhere in it: nothing is asked of the days before.
    known = np.array([each is not None for each in at], dtype=np.bool_)
    instants = np.array([each or 0 for each in at], dtype=np.int64)
    instants = np.where(known, instants, deployment.calendar.starts(days))
    order = np.lexsort((instants, owner))
    return Interactions(
        owner[order],
        instants[order],
        days[order],
        objects(kind)[order],
        np.array(count, dtype=np.int64)[order],
        np.array(score, dtype=np.float64)[order],
        first,
        whole=True,
    )


def kinds_of(terms: Iterable[Term]) -> list[str] | None:
    """Return the kinds of interactions that terms look at; None for all of them."""
    found = registry.kinds_of(terms)
    return None if found is None else sorted(found)


async def waited(
    session: ReadSession, customer_ids: Sequence[str], since: datetime, until: datetime
) -> set[str]:
    """Return those of whom an interaction began to count later than it came, since an instant."""
    rows = await fetch_rows(session, _WAITED, named(customer_ids), since, until)
    return {row[0] for row in rows}


async def first_seen(session: ReadSession, customer_ids: Sequence[str]) -> dict[str, int]:
    """Return when customers were first heard of: where their histories begin."""
    rows = await fetch_rows(session, _BEGUN, named(customer_ids))
    return {row[0]: row[1] for row in rows}


def interaction_columns(
    deployment: Deployment, events: Sequence[Event], customer_ids: Sequence[str], from_day: int
) -> Interactions:
    """Return interactions as columns, in order of customer and time."""
    asked = customer_ids if events else ()
    number = {customer_id: place for place, customer_id in enumerate(asked)}
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
