"""Keyset pages: a cursor holds the sort keys of the last item, signed and bound to its filters."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import tuple_

from app.db import AnyRow, AnySelect, ReadSession
from app.errors import FieldError, InvalidCursor, ValidationFailed

_VERSION = 1
_DIGEST = 16


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


def choose_sort(page: PageRequest, allowed: Mapping[str, Sort], default: str) -> tuple[str, Sort]:
    """Return the sort that was asked for, or the default; refuse one that is not offered."""
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
    binding = _binding(bound_to)
    if page.cursor is not None:
        after = _decode(page.cursor, page.secret, binding, sort)
        keys = tuple_(*sort.columns)
        # A tuple of literals would lose the column types; bind them through the columns' own.
        values = tuple_(*after, types=[column.type for column in sort.columns])
        statement = statement.where(keys < values if sort.descending else keys > values)
    order = [column.desc() if sort.descending else column.asc() for column in sort.columns]
    rows = (await session.execute(statement.order_by(*order).limit(page.limit + 1))).all()
    if len(rows) <= page.limit:
        return rows, None
    rows = rows[: page.limit]
    last = rows[-1][-len(sort.columns) :]
    return rows, _encode(list(last), page.secret, binding)


async def fetch_shown(
    session: ReadSession,
    statement: AnySelect,
    page: PageRequest,
    sort: Sort,
    bound_to: Mapping[str, object],
    shown: Callable[[AnyRow], Mapping[str, Any]],
) -> dict[str, Any]:
    """Return a page as the API shows it."""
    rows, cursor = await fetch(session, statement, page, sort, bound_to)
    return {"items": [shown(row) for row in rows], "next_cursor": cursor}


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
    content = {"v": _VERSION, "k": keys, "b": binding}
    # ASCII escapes would make the cursor of two long Chinese ids longer than a cursor may be.
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=_plain)
    payload = text.encode()
    return _armoured(hmac.digest(secret, payload, "sha256")[:_DIGEST] + payload)


def _armoured(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _open(cursor: str, secret: bytes) -> dict[str, Any]:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        raise _refused() from None
    signature, payload = raw[:_DIGEST], raw[_DIGEST:]
    genuine = hmac.compare_digest(signature, hmac.digest(secret, payload, "sha256")[:_DIGEST])
    if not genuine or _armoured(raw) != cursor:  # base64 has many spellings of the same bytes
        raise _refused()
    content: dict[str, Any] = json.loads(payload)
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
    return Decimal(value) if kind is Decimal else value


def _refused() -> InvalidCursor:
    return InvalidCursor(
        errors=[FieldError("query:cursor", "invalid_cursor", "take it from next_cursor unchanged")]
    )
