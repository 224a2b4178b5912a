"""What rules see of profiles, read for many customers: at one instant, or through time.

The columns of `customers` hold at the present, and nothing else is read of who was written once.
"""

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import Date

from app.days import AsOf, to_day
from app.lifecycle import profiles
from app.lifecycle.dated import Column, Ints, objects
from app.lifecycle.profiles import ATTRIBUTES, BEGINNING, Cells, Said
from app.lifecycle.records import Profiles
from app.lifecycle.variables.definition import Term
from app.models import Customer
from app.postgres.db import ReadSession, fetch_rows
from app.services.common import sql_numbers
from app.services.common.id_texts import NAMED, named
from app.services.customers import countries, profile_changes
from app.services.customers.customers import PROFILE_FIELDS

_DATES = frozenset(
    name for name, column in Customer.__table__.c.items() if isinstance(column.type, Date)
)
_SINCE = sql_numbers.micros("profile_holds_from")


@dataclass(frozen=True, slots=True)
class ProfileTimelines:
    """Profiles through time, and the instants of owners at which a cell changes its value."""

    profiles: Profiles | None = None
    turns: Sequence[tuple[int, int, str]] = ()

    def turns_of(self, cells: Container[str]) -> tuple[Ints, Ints]:
        """Return owners and instants of the changes of some cells."""
        own = [turn[:2] for turn in self.turns if turn[2] in cells]
        owner, at = np.array(own, dtype=np.int64).reshape(-1, 2).T
        return owner, at


@dataclass(frozen=True, slots=True)
class _Stored:
    """The profile of `customers`, and since when it holds; None: from the beginning."""

    values: Mapping[str, Any]
    since: int | None

    def at(self, cells: Cells) -> Mapping[str, Any]:
        """Return the profile that cells make; what has no history stays."""
        fields = [name for name in self.values if name in PROFILE_FIELDS]
        made = profiles.profile_of(cells, fields)
        return {name: made.get(name, value) for name, value in self.values.items()}


async def at_instant(
    session: ReadSession, terms: Iterable[Term], customer_ids: Sequence[str], as_of: AsOf
) -> tuple[Profiles | None, Ints | None]:
    """Return the profiles of customers at an instant, and since when each holds for certain."""
    names = _names(terms)
    if not names:
        return None, None
    stored = await _read(session, names, customer_ids)
    earlier = [
        customer_id
        for customer_id, one in stored.items()
        if one.since is not None and one.since > as_of.micros
    ]
    said = await profile_changes.stored(session, earlier) if earlier else {}
    values, since = [], []
    for customer_id in customer_ids:
        one = stored[customer_id]
        own = said.get(customer_id)
        values.append(one.values if own is None else one.at(profiles.cells_at(own, as_of.micros)))
        since.append(one.since if own is None else _since(own, as_of.micros))
    columns = _columns(names, values)
    starts = np.array([BEGINNING if at is None else at for at in since], dtype=np.int64)
    return Profiles.constant(columns, len(customer_ids)), starts


def _since(said: Iterable[Said], at: int) -> int:
    """Return the last instant up to another at which anything of a profile became true."""
    every = (each.at for own in profiles.statements(said).values() for each in own)
    return max((each for each in every if each <= at), default=BEGINNING)


async def through_time(
    session: ReadSession, terms: Iterable[Term], customer_ids: Sequence[str], since: Sequence[int]
) -> ProfileTimelines:
    """Return the profiles of customers from an instant each on, and when they changed.

    What has held since before that is all there is to be known of it.
    """
    asked = list(terms)
    names, cells = _names(asked), frozenset(cell for term in asked for cell in term.cells)
    if not names:
        return ProfileTimelines()
    stored = await _read(session, names, customer_ids)
    changed = [
        customer_id
        for customer_id, start in zip(customer_ids, since, strict=True)
        if (since_at := stored[customer_id].since) is not None and since_at > start
    ]
    said = await profile_changes.stored(session, changed) if changed else {}
    owner: list[int] = []
    at: list[int] = []
    values: list[Mapping[str, Any]] = []
    turns: list[tuple[int, int, str]] = []
    for number, customer_id in enumerate(customer_ids):
        one, own = stored[customer_id], said.get(customer_id)
        periods = [(BEGINNING, one.values)]
        if own is not None:
            changes, held = _followed(own, cells)
            turns += [(number, *change) for change in changes]
            periods = [(start, one.at(each)) for start, each in held]
        owner += [number] * len(periods)
        at += [start for start, _ in periods]
        values += [each for _, each in periods]
    owners, starts = np.array(owner, dtype=np.int64), np.array(at, dtype=np.int64)
    return ProfileTimelines(Profiles(owners, starts, _columns(names, values)), turns)


def _followed(
    said: Iterable[Said], cells: frozenset[str]
) -> tuple[list[tuple[int, str]], list[tuple[int, Cells]]]:
    """Return when cells change, and what holds from the beginning and from each change on."""
    changes = sorted(
        ((at, cell, value) for cell, own in profiles.statements(said).items() if cell in cells
         for at, value in profiles.turns(own)),
        key=lambda change: change[:2],
    )  # fmt: skip
    held: Cells = {}
    found: dict[int, Cells] = {BEGINNING: {}}
    for at, cell, value in changes:
        held = {**held, cell: value}
        found[at] = {name: each for name, each in held.items() if each is not None}
    return [(at, cell) for at, cell, _ in changes], list(found.items())


async def _read(
    session: ReadSession, names: Sequence[str], customer_ids: Sequence[str]
) -> dict[str, _Stored]:
    shown = ", ".join(
        f"CAST({name} AS text) AS {name}" if name == ATTRIBUTES else name for name in names
    )
    query = f"SELECT customer_id, {_SINCE} AS since, {shown} FROM customers"  # noqa: S608  # names of columns
    rows = await fetch_rows(
        session, f"{query} WHERE customer_id = ANY({NAMED})", named(customer_ids)
    )
    return {
        row["customer_id"]: _Stored({name: _plain(name, row[name]) for name in names}, row["since"])
        for row in rows
    }


def _names(terms: Iterable[Term]) -> list[str]:
    return sorted({name for term in terms for name in term.variable.columns})


def _plain(name: str, value: Any) -> Any:
    return json.loads(value) if name == ATTRIBUTES else value


def _columns(names: Sequence[str], values: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    return {name: _column(name, [each[name] for each in values]) for name in names}


def _column(name: str, values: Sequence[Any]) -> Column:
    if name in _DATES:
        return np.array([_day(value) for value in values], dtype=np.float64)
    if name == "country":  # what is none is a text, and rules know of none
        return objects([None if value is None else countries.code_of(value) for value in values])
    return objects(values)


def _day(value: date | str | None) -> float:
    if value is None:
        return np.nan
    return to_day(date.fromisoformat(value) if isinstance(value, str) else value)
