"""What rules look at, read for many customers: at one instant, or through all their history."""

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from app.days import AsOf, from_micros, to_day
from app.db import ReadSession, fetch_rows
from app.deployment import Deployment
from app.lifecycle.expressions import Column
from app.lifecycle.facts import NO_PURCHASES, RECENT, Point
from app.lifecycle.money import NOTHING, Worth
from app.lifecycle.policy import Policy, SilenceLimit, sources
from app.lifecycle.records import Columns, Computed, Interactions, Money, Records
from app.lifecycle.variables import CATALOGUE, Term
from app.services import model_variables
from app.services.populations import Population

_TEXTS = tuple(
    each.name for each in CATALOGUE.values() if each.source == "profile" and each.type == "text"
)
_PROFILES = (
    f"SELECT {', '.join(_TEXTS)}, CAST(attributes AS text) AS attributes, contract_ends_on,"  # noqa: S608  # names of columns
    " least(created_at, first_contact_at) AS begun_at, customer_id FROM customers"
    " WHERE customer_id = ANY($1::text[])"
)
_EVENTS = (
    "SELECT customer_id, kind, CAST(extract(epoch FROM occurred_at) * 1000000 AS int8),"
    " occurred_on - DATE '1970-01-01', 1, score FROM interactions"
    " WHERE customer_id = ANY($1::text[]) AND ($2::text[] IS NULL OR kind = ANY($2))"
    " AND occurred_at <= $3"
)
# Days that are over have been counted; of the last one only what came before the instant counts.
_COUNTED = (
    "SELECT customer_id, kind, NULL::int8, occurred_on - DATE '1970-01-01', count, NULL::float8"  # noqa: S608  # no value of a caller
    " FROM interaction_days"
    " WHERE customer_id = ANY($1::text[]) AND ($2::text[] IS NULL OR kind = ANY($2))"
    " AND occurred_on < DATE '1970-01-01' + $4::int AND occurred_on > DATE '1970-01-01' + $5::int"
    f" UNION ALL {_EVENTS} AND occurred_on >= DATE '1970-01-01' + $4::int"
)
# A survey's answer counts nothing here: it has been counted above.
_ANSWERS = (
    "SELECT DISTINCT ON (customer_id) customer_id, kind,"
    " CAST(extract(epoch FROM occurred_at) * 1000000 AS int8),"
    " occurred_on - DATE '1970-01-01', 0, score FROM interactions"
    " WHERE customer_id = ANY($1::text[]) AND kind = 'survey' AND score IS NOT NULL"
    " AND occurred_at <= $2 ORDER BY customer_id, occurred_at DESC"
)
_NEVER = -700_000
"""A day before all days."""


class Event(NamedTuple):
    """An interaction, or several of a kind of one day; `at` is then None."""

    customer_id: str
    kind: str
    at: int | None
    day: int
    times: int
    score: float | None


async def at_instant(
    session: ReadSession,
    here: Deployment,
    policy: Policy,
    people: Population,
    as_of: AsOf,
    terms: tuple[Term, ...] | None = None,
) -> Records:
    """Return one record a customer, enough for the rules of a policy or for given terms."""
    asked = policy.terms if terms is None else terms
    needed = sources(asked)
    n = len(people)
    events: list[Event] = []
    profiles: dict[str, Column] = {}
    if "interactions" in needed:
        events = await _counted(session, asked, people.customer_ids, as_of)
    if "profile" in needed:
        found = await read_profiles(session, people.customer_ids)
        profiles = _profile_columns([found[each] for each in people.customer_ids])
    return Records(
        silence=policy.silence,
        owner=np.arange(n),
        at=np.full(n, as_of.micros),
        day=np.full(n, as_of.day),
        columns=people.columns,
        money=_money([Worth.of(0, each) for each in people.summaries])
        if needed & {"money", "model"}
        else None,
        interactions=_interactions(here, events, people.customer_ids)
        if "interactions" in needed
        else None,
        profiles=profiles,
        computed=await _computed(session, policy, asked),
    )


async def _counted(
    session: ReadSession, terms: Iterable[Term], customer_ids: Sequence[str], as_of: AsOf
) -> list[Event]:
    looked_at = [term for term in terms if term.variable.source == "interactions"]
    ids, kinds = list(customer_ids), kinds_of(looked_at)
    rows = []
    if any(term.name != "last_satisfaction" for term in looked_at):
        windows = [term.window[1] for term in looked_at if term.name != "last_satisfaction"]
        known = [days for days in windows if days is not None]
        since = as_of.day - max(known) if len(known) == len(windows) else _NEVER
        rows += await fetch_rows(session, _COUNTED, ids, kinds, as_of.at, as_of.day, since)
    if any(term.name == "last_satisfaction" for term in looked_at):
        rows += await fetch_rows(session, _ANSWERS, ids, as_of.at)
    return [Event(*row) for row in rows]


def kinds_of(terms: Iterable[Term]) -> list[str] | None:
    """Return the kinds of interactions that terms look at; None for all of them."""
    found: set[str] = set()
    for term in terms:
        if term.variable.source == "interactions":
            if term.kinds is None:
                return None
            found |= term.kinds
    return sorted(found)


async def read_profiles(session: ReadSession, customer_ids: Sequence[str]) -> dict[str, Any]:
    """Return what is known of customers, and from when on they are."""
    rows = await fetch_rows(session, _PROFILES, list(customer_ids))
    return {row["customer_id"]: row for row in rows}


def _profile_columns(rows: Sequence[Any]) -> dict[str, Column]:
    found: dict[str, Column] = {}
    for name in (*_TEXTS, "attributes"):
        found[name] = np.empty(len(rows), dtype=object)
        found[name][:] = [row[name] for row in rows]
    found["attributes"][:] = [json.loads(each) for each in found["attributes"]]
    ends = [row["contract_ends_on"] for row in rows]
    found["contract_ends_on"] = np.array([np.nan if on is None else to_day(on) for on in ends])
    return found


def _interactions(
    here: Deployment, events: Sequence[Event], customer_ids: Sequence[str]
) -> Interactions:
    number = {each: place for place, each in enumerate(customer_ids)}
    owner = np.array([number[event.customer_id] for event in events], dtype=np.int64)
    day = np.array([event.day for event in events], dtype=np.int64)
    # What was counted by day may stand anywhere in it: nothing is asked of the days before.
    starts = here.calendar.starts(day)
    known = [event.at for event in events]
    at = np.array([start if a is None else a for a, start in zip(known, starts, strict=True)],
                  dtype=np.int64)  # fmt: skip
    order = np.lexsort((at, owner))
    kind = np.empty(len(events), dtype=object)
    kind[:] = [event.kind for event in events]
    count = np.array([event.times for event in events], dtype=np.int64)
    score = np.array([np.nan if event.score is None else event.score for event in events])
    return Interactions(
        owner[order], at[order], day[order], kind[order], count[order], score[order]
    )


def _money(worth: Sequence[Worth]) -> Money:
    def recent(rows: list[tuple[int, ...]]) -> Any:
        padded = [(*row, *([0] * (RECENT - len(row)))) for row in rows]
        return np.array(padded, dtype=np.int64).reshape(len(rows), RECENT).T

    return Money(
        np.array([each.revenue for each in worth], dtype=np.int64),
        np.array([each.purchase_value for each in worth], dtype=np.int64),
        np.array([each.first_day_value for each in worth], dtype=np.int64),
        np.array([each.paid_days for each in worth], dtype=np.int64),
        recent([each.gaps for each in worth]),
        recent([each.values for each in worth]),
    )


async def _computed(session: ReadSession, policy: Policy, terms: Iterable[Term]) -> Computed | None:
    """Return how the variables of the policy's own model are computed, if any is asked for."""
    if not any(term.variable.source == "model" for term in terms) or policy.model_id is None:
        return None
    return await model_variables.of(session, policy.model_id)


@dataclass(frozen=True, slots=True)
class Followed:
    """A customer whose stage is followed: what purchases amount to, and since when there is one.

    Without `begun_at` the first point is where the ledger stands.
    """

    customer_id: str
    points: Sequence[Point]
    worth: Sequence[Worth]
    begun_at: int | None


async def through_time(
    session: ReadSession,
    here: Deployment,
    policies: Sequence[Policy],
    followed: Mapping[SilenceLimit, Sequence[Followed]],
    until: AsOf,
) -> list[Records]:
    """Return for each policy a record for each instant at which its rules may look anew."""
    terms = tuple(dict.fromkeys(term for policy in policies for term in policy.terms))
    needed = sources(terms)
    ids = [each.customer_id for each in next(iter(followed.values()))]
    events: list[Event] = []
    profiles: dict[str, Column] = {}
    if "interactions" in needed:
        rows = await fetch_rows(session, _EVENTS, ids, kinds_of(terms), until.at)
        events = [Event(*row) for row in rows]
    if "profile" in needed:
        found = await read_profiles(session, ids)
        profiles = _profile_columns([found[each] for each in ids])
    happened: dict[str, list[Event]] = {}
    for event in events:
        happened.setdefault(event.customer_id, []).append(event)
    interactions = _interactions(here, events, ids) if "interactions" in needed else None
    made = {}
    for limit, customers in followed.items():
        records = _history(here, limit, customers, happened, worth="money" in needed)
        made[limit] = replace(records, interactions=interactions, profiles=profiles)
    return [
        replace(made[policy.silence], computed=await _computed(session, policy, policy.terms))
        for policy in policies
    ]


def _history(
    here: Deployment,
    limit: SilenceLimit,
    customers: Sequence[Followed],
    happened: Mapping[str, Sequence[Event]],
    *,
    worth: bool,
) -> Records:
    """Return a record for each instant of a customer at which something is new."""
    owner: list[int] = []
    points: list[Point] = []
    sums: list[Worth] = []
    for number, each in enumerate(customers):
        events = happened.get(each.customer_id, ())
        own = list(each.points)
        if each.begun_at is not None or each.worth or events:
            own = _merged(here, each, events)
        owner += [number] * len(own)
        points += own
        if worth:
            sums += _in_force([point.at for point in own], each.worth)
    return Records(
        silence=limit,
        owner=np.array(owner, dtype=np.int64),
        at=np.array([point.at for point in points], dtype=np.int64),
        day=np.array([point.day for point in points], dtype=np.int64),
        columns=Columns.of([point.state for point in points]),
        money=_money(sums) if worth else None,
    )


def _merged(here: Deployment, each: Followed, events: Sequence[Event]) -> list[Point]:
    """Return the states of a customer at all instants at which anything is new."""
    new = {point.at for point in each.points} | {worth.at for worth in each.worth}
    new |= {event.at for event in events if event.at is not None}
    if each.begun_at is not None:
        new.add(min([each.begun_at, *new]))
    states = [NO_PURCHASES, *(point.state for point in each.points)]
    starts = [point.at for point in each.points]
    days = {point.at: point.day for point in each.points}
    days |= {event.at: event.day for event in events if event.at is not None}
    merged = []
    for at in sorted(new):
        day = days[at] if at in days else here.calendar.day_of(from_micros(at))
        merged.append(Point(at, day, states[bisect_right(starts, at)]))
    return merged


def _in_force(instants: Sequence[int], worth: Sequence[Worth]) -> list[Worth]:
    starts = [each.at for each in worth]
    steps = [NOTHING, *worth]
    return [steps[bisect_right(starts, at)] for at in instants]
