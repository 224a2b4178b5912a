"""What refunds take back, as rows: kept with each write, so that SQL need not set anything off."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from app.days import from_day, from_micros
from app.lifecycle.purchases import Allocation, Key, SetOff, Unallocated
from app.models import RefundAllocation, UnallocatedRefund
from app.models.base import Base
from app.money import to_amount
from app.postgres.db import ReadSession, WriteSession, copy_rows, fetch_rows
from app.schemas.common.types import format_amount, format_instant

Row = tuple[object, ...]
Documents = dict[str, dict[str, Any]]
"""By table, and by the key of a row as JSON, the rest of the row."""


class _Kept(NamedTuple):
    """A table of which a customer's rows are all that follows from the facts.

    Rows go by whole keys: with ANY beside these, all rows of the customers are read for each.
    """

    table: str
    names: list[str]
    key: list[str]

    @classmethod
    def of(cls, model: type[Base]) -> "_Kept":
        table = model.metadata.tables[model.__tablename__]
        names = [column.key for column in table.columns]
        return cls(table.name, names, [column.key for column in table.primary_key])

    @property
    def all_of(self) -> str:
        return (
            f"SELECT {', '.join(self.names)} FROM {self.table}"  # noqa: S608  # names of ours
            " WHERE customer_id = ANY($1::text[])"
        )

    def without(self, length: int) -> str:
        """Return how to delete rows by so many columns of the key."""
        key = self.key[:length]
        arrays = ", ".join(f"${place}::text[]" for place in range(1, length + 1))
        same = " AND ".join(f"k.{name} = gone.{name}" for name in key)
        return (
            f"DELETE FROM {self.table} k USING unnest({arrays}) AS gone ({', '.join(key)})"  # noqa: S608
            f" WHERE {same}"
        )


_ALLOCATIONS = _Kept.of(RefundAllocation)
_UNALLOCATED = _Kept.of(UnallocatedRefund)


async def save(session: WriteSession, found: Mapping[str, SetOff]) -> None:
    """Make the rows of customers that the session has taken say what was set off."""
    if not found:
        return
    allocated, unallocated = rows_of(found)
    await _replace(session, _ALLOCATIONS, list(found), allocated)
    await _replace(session, _UNALLOCATED, list(found), unallocated)


async def save_some(
    session: WriteSession, refunds: Mapping[str, Sequence[Key]], found: Mapping[str, SetOff]
) -> None:
    """Make the rows of some refunds of customers say what was set off, and leave the others."""
    names = [(customer_id, *key) for customer_id, keys in refunds.items() for key in keys]
    if names:
        columns = [list(column) for column in zip(*names, strict=True)]
        for statement in _WITHOUT_SOME:
            await fetch_rows(session, statement, *columns)
        rows = rows_of(found)
        for kept, own in zip((_ALLOCATIONS, _UNALLOCATED), rows, strict=True):
            await copy_rows(session, kept.table, kept.names, own)


_WITHOUT_SOME = [kept.without(3) for kept in (_ALLOCATIONS, _UNALLOCATED)]
_WITHOUT = {kept.table: kept.without(len(kept.key)) for kept in (_ALLOCATIONS, _UNALLOCATED)}


async def awaited(session: ReadSession, customer_ids: Sequence[str]) -> set[tuple[str, str, str]]:
    """Return customer, source and id of the purchases that refunds on file wait for."""
    rows = await fetch_rows(session, _AWAITED, list(customer_ids))
    return {tuple(row) for row in rows}


_AWAITED = (
    "SELECT t.customer_id, t.refunds_source, t.refunds_transaction_id"
    " FROM unallocated_refunds u JOIN transactions t ON t.customer_id = u.customer_id"
    " AND t.source = u.source AND t.transaction_id = u.transaction_id"
    " WHERE u.waits AND u.customer_id = ANY($1::text[]) AND t.customer_id = ANY($1::text[])"
)


async def stored(session: ReadSession, customer_ids: Sequence[str]) -> dict[str, Documents]:
    """Return what is kept of customers, as `documents` has it."""
    kept = [
        [tuple(row) for row in await fetch_rows(session, each.all_of, list(customer_ids))]
        for each in (_ALLOCATIONS, _UNALLOCATED)
    ]
    return _documents(customer_ids, *kept)


def documents(found: Mapping[str, SetOff]) -> dict[str, Documents]:
    """Return what was set off, as JSON."""
    return _documents(list(found), *rows_of(found))


def _documents(
    customer_ids: Sequence[str], allocated: Iterable[Row], unallocated: Iterable[Row]
) -> dict[str, Documents]:
    told: dict[str, Documents] = {
        customer_id: {_ALLOCATIONS.table: {}, _UNALLOCATED.table: {}}
        for customer_id in customer_ids
    }
    for kept, rows in ((_ALLOCATIONS, allocated), (_UNALLOCATED, unallocated)):
        width = len(kept.key)
        for row in rows:
            content = dict(zip(kept.names[width:], map(_plain, row[width:]), strict=True))
            told[str(row[0])][kept.table][json.dumps(row[1:width])] = content
    return told


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, Decimal):
        return format_amount(value)
    return value.isoformat() if isinstance(value, date) else value


def rows_of(found: Mapping[str, SetOff]) -> tuple[list[Row], list[Row]]:
    """Return the rows of both tables, as they are stored."""
    return (
        [_allocation(each, one) for each, netted in found.items() for one in netted.allocations],
        [_unallocated(each, one) for each, netted in found.items() for one in netted.unallocated],
    )


def _allocation(customer_id: str, made: Allocation) -> Row:
    since = from_micros(made.at), from_day(made.day)
    money = to_amount(made.amount), to_amount(made.value)
    return (customer_id, *made.refund, *made.purchase, *since, *money)


def _unallocated(customer_id: str, rest: Unallocated) -> Row:
    money = to_amount(rest.amount), to_amount(rest.value)
    return (customer_id, *rest.refund, from_micros(rest.at), *money, rest.waits)


async def _replace(
    session: WriteSession, kept: _Kept, customer_ids: Sequence[str], wanted: Iterable[Row]
) -> None:
    """Write what differs: a customer with a long history has one new refund at a time."""
    rows = await fetch_rows(session, kept.all_of, list(customer_ids))
    width = len(kept.key)
    stored = {tuple(row)[:width]: tuple(row) for row in rows}
    missing = []
    for row in wanted:
        if stored.get(row[:width]) == row:
            del stored[row[:width]]
        else:
            missing.append(row)
    if stored:
        keys = [list(column) for column in zip(*stored, strict=True)]
        await fetch_rows(session, _WITHOUT[kept.table], *keys)
    await copy_rows(session, kept.table, kept.names, missing)
