"""Where transactions and their revisions are kept, and which of several versions counts."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text

from app.db import WriteSession, copy_rows
from app.services.transaction_intake import Incoming, Name, to_json

STORED = tuple(name for name in Incoming.__slots__ if name != "index")
CONTENT = STORED[STORED.index("fingerprint") + 1 : STORED.index("received_at")]


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
    winners = [(version.winner, version.on_file) for version in versions.values()]
    first = [each for each, on_file in winners if each is not None and not on_file]
    replacing = [each for each, on_file in winners if each is not None and on_file]
    written.stored = first + replacing
    written.replaced_of = {each.customer_id for each in replacing}
    await _replace(session, replacing)
    await copy_rows(session, "transactions", STORED, [_row(each) for each in first])
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


def _row(each: Incoming) -> tuple[object, ...]:
    row = [getattr(each, name) for name in STORED]
    lines = row[_ITEMS]
    row[_ITEMS] = None if lines is None else json.dumps(lines)
    return tuple(row)


_ITEMS = STORED.index("items")


async def _replace(session: WriteSession, replacing: Sequence[Incoming]) -> None:
    """Put higher revisions in force, and keep those they replace."""
    if not replacing:
        return
    arrays = _arrays(each.name for each in replacing)
    await session.execute(_KEEP_REPLACED, arrays)
    await session.execute(_DELETE, arrays)
    await copy_rows(session, "transactions", STORED, [_row(each) for each in replacing])


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
        content = to_json({name: getattr(each, name) for name in CONTENT})
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
    await copy_rows(session, "transaction_revisions", columns, rows)
