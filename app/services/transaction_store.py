"""Where transactions and their revisions are kept, and which of several versions counts."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from app.days import from_day
from app.db import WriteSession
from app.deployment import MONEY_UNIT, Deployment
from app.schemas.transactions import TransactionIn
from app.schemas.types import format_amount, format_instant

FUTURE_LIMIT = timedelta(hours=24)
_LARGEST = Decimal(10) ** 14

Name = tuple[str, str, str]


class Refused(Exception):
    """An item that does not fit this deployment, with the pointer to the fault."""

    def __init__(self, pointer: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer, self.code, self.detail = pointer, code, detail


@dataclass(frozen=True, slots=True)
class Incoming:
    """A transaction as it will be stored, and its place in the request."""

    index: int
    customer_id: str
    source: str
    transaction_id: str
    revision: int
    fingerprint: bytes
    kind: str
    occurred_at: datetime
    occurred_on: date
    amount: Decimal
    currency: str
    exchange_rate: Decimal | None
    value: Decimal
    refunds_source: str | None
    refunds_transaction_id: str | None
    margin: Decimal | None
    channel: str | None
    items: list[dict[str, Any]] | None
    received_at: datetime

    @property
    def name(self) -> Name:
        return self.customer_id, self.source, self.transaction_id


_STORED = tuple(name for name in Incoming.__slots__ if name != "index")
_CONTENT = _STORED[_STORED.index("fingerprint") + 1 : _STORED.index("received_at")]


def normalise(index: int, item: TransactionIn, here: Deployment, now: datetime) -> Incoming:
    """Return an item as it will be stored; raise Refused where it does not fit."""
    if item.occurred_at > now + FUTURE_LIMIT:
        raise Refused("/occurred_at", "future", "must not lie more than 24 hours ahead")
    currency = item.currency or here.currency
    refunds = item.refunds
    lines = [line.model_dump(exclude_unset=True, mode="json") for line in item.items or ()]
    content: dict[str, Any] = {
        "kind": item.kind,
        "occurred_at": item.occurred_at,
        "amount": item.amount,
        "currency": currency,
        "exchange_rate": item.exchange_rate,
        "refunds_source": (refunds.source or item.source) if refunds else None,
        "refunds_transaction_id": refunds.transaction_id if refunds else None,
        "margin": item.margin,
        "channel": item.channel,
        "items": None if item.items is None else lines,
    }
    return Incoming(
        index=index,
        customer_id=item.customer_id,
        source=item.source,
        transaction_id=item.transaction_id,
        revision=item.revision,
        fingerprint=_fingerprint(content),
        occurred_on=from_day(here.calendar.day_of(item.occurred_at)),
        value=_value(item, currency, here),
        received_at=now,
        **content,
    )


def _value(item: TransactionIn, currency: str, here: Deployment) -> Decimal:
    """Return the amount in the deployment's currency: sums never mix currencies."""
    if currency == here.currency:
        if item.exchange_rate is not None and item.exchange_rate != 1:
            detail = f"must be absent or 1 for an amount in {here.currency}"
            raise Refused("/exchange_rate", "exchange_rate", detail)
        return item.amount
    if item.exchange_rate is None:
        detail = f"an amount in {currency} needs its rate to {here.currency}"
        raise Refused("/exchange_rate", "missing", detail)
    value: Decimal = item.amount * item.exchange_rate
    if value >= _LARGEST - MONEY_UNIT:
        raise Refused("/amount", "too_large", f"is too large in {here.currency}")
    return value.quantize(MONEY_UNIT)


def _fingerprint(content: Mapping[str, Any]) -> bytes:
    """Hash the normalised content, so that 12.5 and 12.50, or two spellings of a time, agree."""
    return hashlib.blake2b(_to_json(content).encode(), digest_size=16).digest()


def _to_json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, default=_plain, sort_keys=True, separators=(",", ":"))


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return (
            format_amount(value) if value == value.quantize(MONEY_UNIT) else str(value.normalize())
        )
    return format_instant(value) if isinstance(value, datetime) else str(value)


@dataclass(slots=True)
class Written:
    """What a write did: a status or a conflict for each item, and what is in force now."""

    statuses: dict[int, str] = field(default_factory=dict)
    conflicts: list[int] = field(default_factory=list)
    stored: list[Incoming] = field(default_factory=list)
    replaced_of: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Version:
    """The revision in force of one identity, and the fingerprints of all revisions known."""

    revision: int
    known: dict[int, bytes]
    on_file: bool
    winner: Incoming | None = None


async def write(
    session: WriteSession,
    incoming: Sequence[Incoming],
    created: Mapping[str, bool],
    now: datetime,
) -> Written:
    """Store a batch of customers that the session has taken, as if item by item."""
    versions = await _on_file(session, incoming, created)
    written, passed = Written(), []
    for each in incoming:
        version = versions.get(each.name)
        if version is None:
            versions[each.name] = _Version(
                each.revision, {each.revision: each.fingerprint}, on_file=False, winner=each
            )
            written.statuses[each.index] = "created"
            continue
        if version.known.get(each.revision, each.fingerprint) != each.fingerprint:
            written.conflicts.append(each.index)
            continue
        is_new = each.revision not in version.known
        version.known[each.revision] = each.fingerprint
        written.statuses[each.index] = "duplicate"
        if each.revision > version.revision:
            written.statuses[each.index] = "updated"
            if version.winner is not None:
                passed.append(version.winner)
            version.revision, version.winner = each.revision, each
        elif is_new:
            passed.append(each)
    winners = [version for version in versions.values() if version.winner is not None]
    replacing = [version.winner for version in winners if version.on_file and version.winner]
    written.stored = [version.winner for version in winners if version.winner]
    written.replaced_of = {each.customer_id for each in replacing}
    await _replace(session, replacing)
    await _copy(
        session,
        "transactions",
        _STORED,
        (_row(v.winner) for v in winners if not v.on_file and v.winner),
    )
    await _keep(session, passed, now)
    return written


async def _on_file(
    session: WriteSession, incoming: Sequence[Incoming], created: Mapping[str, bool]
) -> dict[Name, _Version]:
    """Read what is stored under the identities; a customer just made has nothing."""
    names = {each.name for each in incoming if not created[each.customer_id]}
    if not names:
        return {}
    rows = await session.execute(_VERSIONS, _arrays(names))
    versions = {
        (customer_id, source, transaction_id): _Version(revision, {revision: mark}, on_file=True)
        for customer_id, source, transaction_id, revision, mark in rows
    }
    late = {
        each.name
        for each in incoming
        if each.name in versions and each.revision < versions[each.name].revision
    }
    if late:
        for *name, revision, mark in await session.execute(_REVISIONS, _arrays(late)):
            versions[name[0], name[1], name[2]].known[revision] = mark
    return versions


_ASKED = (
    " t JOIN unnest(CAST(:customer_ids AS text[]), CAST(:sources AS text[]),"
    " CAST(:transaction_ids AS text[])) AS asked (customer_id, source, transaction_id)"
    " USING (customer_id, source, transaction_id)"
)
_FOUND = "SELECT t.customer_id, t.source, t.transaction_id, t.revision, t.fingerprint FROM "
_VERSIONS = text(f"{_FOUND} transactions{_ASKED}")
_REVISIONS = text(f"{_FOUND} transaction_revisions{_ASKED}")


def _arrays(names: Iterable[Name]) -> dict[str, list[str]]:
    customer_ids, sources, transaction_ids = zip(*names, strict=True)
    return {
        "customer_ids": list(customer_ids),
        "sources": list(sources),
        "transaction_ids": list(transaction_ids),
    }


def _row(each: Incoming | None) -> tuple[object, ...]:
    row = [getattr(each, name) for name in _STORED]
    lines = row[_ITEMS]
    row[_ITEMS] = None if lines is None else json.dumps(lines)
    return tuple(row)


_ITEMS = _STORED.index("items")


async def _replace(session: WriteSession, winners: Sequence[Incoming | None]) -> None:
    """Put higher revisions in force, and keep those they replace."""
    replacing = [each for each in winners if each is not None]
    if not replacing:
        return
    arrays = _arrays(each.name for each in replacing)
    await session.execute(_KEEP_REPLACED, arrays)
    await session.execute(_DELETE, arrays)
    await _copy(session, "transactions", _STORED, (_row(each) for each in replacing))


_KEEP_REPLACED = text(
    "INSERT INTO transaction_revisions (customer_id, source, transaction_id, revision,"  # noqa: S608
    " fingerprint, content, received_at)"
    " SELECT t.customer_id, t.source, t.transaction_id, t.revision, t.fingerprint,"
    " to_jsonb(t) - ARRAY['customer_id', 'source', 'transaction_id', 'revision', 'fingerprint',"
    " 'received_at'], t.received_at"
    " FROM transactions" + _ASKED
)
_DELETE = text(
    "DELETE FROM transactions t USING unnest(CAST(:customer_ids AS text[]),"
    " CAST(:sources AS text[]), CAST(:transaction_ids AS text[]))"
    " AS asked (customer_id, source, transaction_id)"
    " WHERE t.customer_id = asked.customer_id AND t.source = asked.source"
    " AND t.transaction_id = asked.transaction_id"
)


async def _keep(session: WriteSession, passed: Sequence[Incoming], now: datetime) -> None:
    """Keep revisions that never came into force, because a higher one was there first."""
    rows = []
    for each in passed:
        content = _to_json({name: getattr(each, name) for name in _CONTENT})
        rows.append((*each.name, each.revision, each.fingerprint, content, now))
    columns = (
        "customer_id",
        "source",
        "transaction_id",
        "revision",
        "fingerprint",
        "content",
        "received_at",
    )
    await _copy(session, "transaction_revisions", columns, rows)


async def _copy(
    session: WriteSession, table: str, columns: Sequence[str], rows: Iterable[tuple[object, ...]]
) -> None:
    """Append rows by binary COPY, inside the session's transaction.

    A statement has run before (the customers were taken), so the transaction is open; on a fresh
    session the driver's own connection would write outside of it.
    """
    records = list(rows)
    if records:
        connection = await (await session.connection()).get_raw_connection()
        driver = connection.driver_connection
        assert driver is not None
        await driver.copy_records_to_table(table, records=records, columns=list(columns))
