"""Pages of those for whom a rule holds, in one order wherever they come from.

Who is known by what is sorted by comes first, by that and by id; the others follow, by id.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import BigInteger, Double, Numeric, Text, column

from app.deployment import Deployment
from app.errors import FieldError, InvalidCursor
from app.lifecycle.dated import Column
from app.lifecycle.evidence import shown
from app.lifecycle.expressions import ALWAYS
from app.lifecycle.variables.definition import Term
from app.lifecycle.variables.registry import VARIABLES
from app.money import UNITS, to_amount
from app.postgres.db import ReadSession, fetch_rows
from app.services.common.paging import PageRequest, Sort, keys_before, next_part, read_bound
from app.services.runs import query_sql
from app.services.runs.query_rules import Question, Reader
from app.services.runs.query_tables import Kind, Value
from app.services.runs.query_values import is_stored

Row = tuple[Any, str]
"""What is sorted by, or None, and the id."""
_BY_ID = "customer_id"
_TYPES: Mapping[Kind, tuple[Any, str]] = {
    "whole": (BigInteger(), "int8"),
    "number": (Double(), "float8"),
    "money": (Numeric(asdecimal=True), "numeric"),
    "text": (Text(), "text"),
}


@dataclass(frozen=True, slots=True)
class Order:
    """By what a list is sorted; by the id alone without a term."""

    name: str
    descending: bool
    term: Term | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """How far a list has been read: behind some keys; `rest` if among those who are not known."""

    after: tuple[Any, ...] | None = None
    rest: bool = False


def order_of(read: Reader, sort: str) -> Order:
    """Return the order that is asked for, of what is stored as a number or a text."""
    name = sort.removeprefix("-")
    if name == _BY_ID:
        return Order(sort, sort != name)
    row = VARIABLES.get(name)
    term = read.term(name, "/sort")
    if term is None or row is None:
        return Order(sort, sort != name)
    if not is_stored(term) or row.type not in ("number", "text"):
        read.fault("/sort", "not_stored", f"{name} is stored nowhere as a number or a text")
    return Order(sort, sort != name, term)


def place_of(page: PageRequest, kind: Kind | None, bound_to: Mapping[str, object]) -> Place:
    """Return where a cursor leads to."""
    ids = column(_BY_ID, Text())
    rest = bool(read_bound(page, "=rest"))
    bound = {**bound_to, "=rest": True} if rest else bound_to
    by_id = rest or kind is None
    columns = (ids,) if by_id else (column("key", _TYPES[kind or "text"][0]), ids)
    keys = keys_before(page, Sort(columns), bound)
    return Place(None if keys is None else tuple(keys), rest)


def cut(
    page: PageRequest, rows: list[Row], order: Order, bound_to: Mapping[str, object]
) -> tuple[list[Row], str | None]:
    """Return a page of rows of which one is too many, if there are more, and the next cursor."""
    if len(rows) <= page.limit:
        return rows, None
    rows = rows[: page.limit]
    key, last = rows[-1]
    if order.term is None:
        return rows, next_part(page, [last], bound_to)
    if key is None:
        return rows, next_part(page, [last], {**bound_to, "=rest": True})
    return rows, next_part(page, [key, last], bound_to)


def in_order(rows: Iterable[Row], order: Order, place: Place, most: int) -> list[Row]:
    """Return the first rows behind a place."""
    rows = list(rows)
    known = [] if place.rest else [row for row in rows if row[0] is not None]
    if place.after is not None and not place.rest and order.term is not None:
        after = place.after
        known = [row for row in known if (row < after if order.descending else row > after)]
    known.sort(reverse=order.descending)
    others = [row for row in rows if row[0] is None]
    backwards = order.term is None and order.descending
    if place.after is not None and (place.rest or order.term is None):
        last = place.after[0]
        others = [row for row in others if (row[1] < last if backwards else row[1] > last)]
    others.sort(key=lambda row: row[1], reverse=backwards)
    return (known + others)[:most]


def rows_of(
    ids: Sequence[str], order: Order, kind: Kind | None, values: Column | None
) -> list[Row]:
    """Return evaluated customers as rows."""
    if order.term is None or values is None:
        return [(None, each) for each in ids]
    keys = shown(order.term, values)
    return [
        (None if key is None else _key(key, kind), each)
        for key, each in zip(keys, ids, strict=True)
    ]


def _key(value: Any, kind: Kind | None) -> Any:
    if kind == "money":
        return to_amount(int(np.rint(value * UNITS)))
    return int(value) if kind == "whole" else value


class Doubtful(Exception):
    """A page cannot be told without looking for those of whom another instant is stored."""


Told = dict[str, tuple[Any, ...]]
"""By customer the name, and what is stored of the terms that are told."""


async def stored(
    session: ReadSession,
    deployment: Deployment,
    question: Question,
    order: Order,
    place: Place,
    most: int,
    doubted: Sequence[str],
    *,
    shown: Sequence[Term] = (),
    told: Told | None = None,
    doubting: Question | None = None,
) -> list[Row]:
    """Return the first rows behind a place of whom what is stored tells, but for some.

    With `told` what is shown of them is read beside, and kept there. With `doubting` it is asked
    beside whether anybody is in doubt by that question, of which a page without rows says nothing.
    """
    read = partial(_read, session, deployment, question, order, doubted, shown, told)
    found: list[Row] = []
    if order.term is not None and not place.rest:
        found = await read(place, most, doubting)
        if order.term.variable.always_known:
            return found
        place, doubting = Place(rest=True), None
    if len(found) < most:
        found += await read(place, most - len(found), doubting)
    return found


async def _read(
    session: ReadSession,
    deployment: Deployment,
    question: Question,
    order: Order,
    doubted: Sequence[str],
    shown: Sequence[Term],
    told: Told | None,
    place: Place,
    most: int,
    doubting: Question | None,
) -> list[Row]:
    tables = question.tables(deployment)
    conditions = [] if question.when == ALWAYS else [query_sql.holds(question.when, tables)]
    if doubted:
        conditions.append(f"c.customer_id <> ALL({tables.bind(list(doubted), 'text[]')})")
    key, keys, types = "NULL", ["c.customer_id"], ["text"]
    backwards = order.descending
    if order.term is not None:
        value = query_sql.value(order.term, tables)
        by = sort_key(value)
        conditions.append(f"{by} IS {'NULL' if place.rest else 'NOT NULL'}")
        backwards = order.descending and not place.rest
        if not place.rest:
            key, keys, types = by, [by, *keys], [_TYPES[value.kind][1], *types]
    if place.after is not None:
        bound = [tables.bind(each, type_) for each, type_ in zip(place.after, types, strict=True)]
        sign = "<" if backwards else ">"
        conditions.append(f"({', '.join(keys)}) {sign} ({', '.join(bound)})")
    columns = ["c.customer_id", key]
    if told is not None:
        columns += ["c.name", *(_shown(query_sql.value(term, tables)) for term in shown)]
    doubt = None if doubting is None else doubting.any_doubt(tables)
    columns += [doubt] if doubt else []
    way = " DESC" if backwards else ""
    ordered = ", ".join(f"{each}{way}" for each in keys)
    more = f" ORDER BY {ordered} LIMIT {most}"
    rows = await fetch_rows(session, tables.select(columns, conditions, more), *tables.arguments)
    if doubt and (not rows or rows[0][-1]):
        raise Doubtful
    if told is not None:
        last = len(columns) - bool(doubt)
        told.update({row[0]: tuple(row)[2:last] for row in rows})
    return [(row[1], row[0]) for row in rows]


def _shown(value: Value) -> str:
    """Return what is read of a value; JSON as text, whatever the driver makes of it."""
    return f"({value.sql})::text" if value.kind == "json" else value.known


def sort_key(value: Value) -> str:
    """Return what rows are sorted by: texts by their code points, as is done here."""
    return f'{value.known} COLLATE "C"' if value.kind == "text" else value.known


def refused() -> InvalidCursor:
    detail = "take it from next_cursor unchanged"
    return InvalidCursor(errors=[FieldError("/cursor", "invalid_cursor", detail)])
