"""Keyset pages: a cursor holds the sort keys of the last item, signed and bound to its filters."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import tuple_

from app.errors import FieldError, InvalidCursor, ValidationFailed
from app.postgres.db import AnyRow, AnySelect, ReadSession
from app.services.common import signing

_VERSION = 1


@dataclass(frozen=True, slots=True)
class PageRequest:
    """How much of a list is asked for, from where on; `secret` signs the cursors."""

    limit: int
    cursor: str | None
    sort: str | None
    secret: bytes


@dataclass(frozen=True, slots=True)
class Sort:
    """Columns whose values order a list without ties, and the direction."""

    columns: Sequence[Any]
    descending: bool = False


Way = TypeVar("Way")


def choose_sort(page: PageRequest, allowed: Mapping[str, Sort], default: str) -> tuple[str, Sort]:
    """Return the sort that was asked for, or the default; refuse one that is not offered."""
    return choose(page, allowed, default)


def choose(page: PageRequest, allowed: Mapping[str, Way], default: str) -> tuple[str, Way]:
    """Return what a list has under the name of the sort that was asked for."""
    name = page.sort or default
    if name not in allowed:
        raise ValidationFailed(
            "This list is not sorted that way.",
            errors=[FieldError("query:sort", "enum", f"must be one of {', '.join(allowed)}")],
        )
    return name, allowed[name]


async def fetch(
    session: ReadSession,
    statement: AnySelect,
    page: PageRequest,
    sort: Sort,
    bound_to: Mapping[str, object],
) -> tuple[Sequence[AnyRow], str | None]:
    """Return a page of rows, whose last columns must be those of `sort`, and the next cursor."""
    after = keys_before(page, sort, bound_to)
    rows = (await session.execute(cut(statement, page, sort, after))).all()
    if len(rows) <= page.limit:
        return rows, None
    rows = rows[: page.limit]
    last = rows[-1][-len(sort.columns) :]
    return rows, _encode(list(last), page.secret, _binding(bound_to))


def keys_before(page: PageRequest, sort: Sort, bound_to: Mapping[str, object]) -> list[Any] | None:
    """Return the sort keys of the last item of the page before, None for the first page."""
    if page.cursor is None:
        return None
    return _decode(page.cursor, page.secret, _binding(bound_to), sort)


def cut(
    statement: AnySelect, page: PageRequest, sort: Sort, after: Sequence[Any] | None
) -> AnySelect:
    """Return the statement, in order, from the end of the page before to one row too many."""
    if after is not None:
        keys = tuple_(*sort.columns)
        # A tuple of literals would lose the column types; bind them through the columns' own.
        values = tuple_(*after, types=[column.type for column in sort.columns])
        statement = statement.where(keys < values if sort.descending else keys > values)
    order = [column.desc() if sort.descending else column.asc() for column in sort.columns]
    return statement.order_by(*order).limit(page.limit + 1)


async def fetch_responses(
    session: ReadSession,
    statement: AnySelect,
    page: PageRequest,
    sort: Sort,
    bound_to: Mapping[str, object],
    to_response: Callable[[AnyRow], Mapping[str, Any]],
) -> dict[str, Any]:
    """Return a page as the API shows it."""
    rows, cursor = await fetch(session, statement, page, sort, bound_to)
    return {"items": [to_response(row) for row in rows], "next_cursor": cursor}


def next_part(page: PageRequest, keys: Sequence[Any], bound_to: Mapping[str, object]) -> str:
    """Return the cursor behind given keys: where a list goes on in another order."""
    return _encode(list(keys), page.secret, _binding(bound_to))


def read_bound(page: PageRequest, name: str) -> Any:
    """Return a value that `bound_to` carried under a name beginning with `=`, or None.

    The value is trusted only because `fetch` refuses a cursor bound to anything else.
    """
    if page.cursor is None:
        return None
    return _open(page.cursor, page.secret)["b"].get(name)


def _binding(bound_to: Mapping[str, object]) -> dict[str, Any]:
    shown = {key: value for key, value in bound_to.items() if key.startswith("=")}
    text = json.dumps(dict(bound_to), sort_keys=True, default=str)
    return {**shown, "hash": hashlib.sha256(text.encode()).hexdigest()[:16]}


def _encode(keys: list[Any], secret: bytes, binding: dict[str, Any]) -> str:
    return signing.sign({"v": _VERSION, "k": keys, "b": binding}, secret, default=_plain)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _open(cursor: str, secret: bytes) -> dict[str, Any]:
    content = signing.read(cursor, secret)
    if content is None or "v" not in content:
        raise _refused()
    return content


def _decode(cursor: str, secret: bytes, binding: dict[str, Any], sort: Sort) -> list[Any]:
    content = _open(cursor, secret)
    if content["v"] != _VERSION or content["b"] != binding:
        raise _refused()
    types = [column.type.python_type for column in sort.columns]
    return [_typed(value, kind) for value, kind in zip(content["k"], types, strict=True)]


def _typed(value: Any, kind: type) -> Any:
    if kind is datetime:
        return datetime.fromisoformat(value)
    if kind is date:
        return date.fromisoformat(value)
    return Decimal(value) if kind is Decimal else value


def _refused() -> InvalidCursor:
    return InvalidCursor(
        errors=[FieldError("query:cursor", "invalid_cursor", "take it from next_cursor unchanged")]
    )
