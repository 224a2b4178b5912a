"""Where facts and their revisions are kept, and which of several versions counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
from sqlalchemy import TextClause, text

from app.days import from_day, from_micros
from app.money import to_amount
from app.postgres import binary_copy
from app.postgres.binary_copy import Column
from app.postgres.db import WriteSession, copy_rows, fetch_rows
from app.services.ingest import fact_columns
from app.services.ingest.fact_intake import IncomingFacts, Name, to_json
from app.services.ingest.named_facts import ByName, each_named

_IDENTITY = ("customer_id", "source", "fact_id", "revision", "fingerprint")


@dataclass(frozen=True)
class Store:
    """The tables of one kind of facts, `<noun>s` and `<noun>_revisions`, and how rows get there."""

    noun: str
    kind: str
    versions: ByName
    revisions: ByName
    retain: str
    mark_voided: TextClause

    @property
    def id_column(self) -> str:
        return f"{self.noun}_id"

    @property
    def identity(self) -> tuple[str, ...]:
        return tuple(self.id_column if name == "fact_id" else name for name in _IDENTITY)

    @classmethod
    def of(cls, noun: str, kind: str = "kind") -> "Store":
        """Return the store of facts with the column `kind` of their kind."""
        retain = f"SELECT * FROM retain_{noun}s($1::text[], $2::text[], $3::text[])"  # noqa: S608
        return cls(noun, kind, *_by_name(noun), retain, _mark_voided(noun))

    def columns(self, facts: IncomingFacts) -> dict[str, Column]:
        """Return facts as the table has them."""
        texts = {
            "customer_id": facts.customer_ids,
            "source": facts.sources,
            self.id_column: facts.fact_ids,
            self.kind: facts.kinds,
        }
        return fact_columns.of(texts, facts)

    def content(self, facts: IncomingFacts, row: int) -> dict[str, Any]:
        """Return what a fact says, as it is kept of a revision that is not in force."""
        said = {
            name: to_amount(int(column[row])) if isinstance(column, np.ndarray) else column[row]
            for name, column in facts.content.items()
        }
        at, on = from_micros(facts.at[row]), from_day(facts.day[row])
        return {"occurred_at": at, "occurred_on": on, self.kind: facts.kinds[row], **said}


def _by_name(noun: str) -> tuple[ByName, ByName]:
    """Return how to read versions and revisions.

    The versions are those in force and those voided; an index has the few of the latter.
    """
    same = (
        "t.customer_id = asked.customer_id AND t.source = asked.source"
        f" AND t.{noun}_id = asked.fact_id"
    )
    names = "customer_id", "source", f"{noun}_id", "revision", "fingerprint"
    found = ", ".join(f"t.{name}" for name in names)
    facts, revisions = each_named(f"{noun}s", same), each_named(f"{noun}_revisions", same)
    return (
        ByName(
            lambda of: (
                f"SELECT {found}, false {facts(of)}"  # nouns are ours
                f" UNION ALL SELECT {found}, true {revisions(of + ' AND t.voided_at IS NOT NULL')}"
            )
        ),
        ByName(lambda of: f"SELECT {found} {revisions(of)}"),
    )


def _mark_voided(noun: str) -> TextClause:
    return text(
        f"UPDATE {noun}_revisions SET voided_at = :now, voided_by = :actor,"  # noqa: S608
        " void_reason = :reason WHERE customer_id = :customer_id AND source = :source"
        f" AND {noun}_id = :fact_id AND revision = :revision"
    )


@dataclass(slots=True)
class Written:
    """What a write did: a status or a conflict for each item, and what is in force now.

    `removed` has customer, kind and day of each fact that a stored one replaced; `superseded`
    the revision in force for each item that came with a lower one, `voided` the one that was
    voided for each item that is not higher.
    """

    stored: IncomingFacts
    statuses: dict[int, str] = field(default_factory=dict)
    superseded: dict[int, int] = field(default_factory=dict)
    voided: dict[int, int] = field(default_factory=dict)
    conflicts: list[int] = field(default_factory=list)
    removed: list[tuple[str, str, date]] = field(default_factory=list)
    created: set[str] = field(default_factory=set)
    """The customers who were made for this write."""
    voided_now: list[Name] = field(default_factory=list)
    """The facts in force that were voided, of which nothing took the place."""


@dataclass(slots=True)
class _Version:
    """The revision of one identity that is in force or was voided, and what is known of all.

    `current` is the row of the batch that has it.
    """

    revision: int
    known: dict[int, bytes]
    on_file: bool
    current: int | None = None
    voided: bool = False


async def write(
    session: WriteSession,
    store: Store,
    incoming: IncomingFacts,
    created: Mapping[str, bool],
    now: datetime,
) -> Written:
    """Store a batch of customers that the session has taken, as if item by item."""
    versions = await _on_file(session, store, incoming, created)
    made = {customer_id for customer_id, is_new in created.items() if is_new}
    written = Written(incoming, created=made)
    if not versions and len(set(incoming.names)) == len(incoming):
        written.statuses = dict.fromkeys(incoming.indexes, "created")
    else:
        await _write_versions(session, store, incoming, versions, written, now)
    if len(written.stored):
        await binary_copy.write(session, f"{store.noun}s", store.columns(written.stored))
    return written


async def _write_versions(
    session: WriteSession,
    store: Store,
    incoming: IncomingFacts,
    versions: dict[Name, _Version],
    written: Written,
    now: datetime,
) -> None:
    """Find which version of each fact counts, make room for it, and keep those that do not."""
    superseded = _resolve_revisions(incoming, versions, written)
    winners = [(version.current, version.on_file) for version in versions.values()]
    first = [row for row, on_file in winners if row is not None and not on_file]
    replacing = [row for row, on_file in winners if row is not None and on_file]
    written.stored = incoming.take([*first, *replacing])
    if replacing:
        names = [incoming.names[row] for row in replacing]
        written.removed = await replace(session, store, names)
    await _keep(session, store, incoming, superseded, now)


async def replace(
    session: WriteSession, store: Store, names: Sequence[Name]
) -> list[tuple[str, str, date]]:
    """Take facts out of force, and keep them as revisions; return customer, kind and day.

    The application deletes none: a function of the owner does both at once.
    """
    arrays = [list(column) for column in zip(*names, strict=True)]
    removed = await fetch_rows(session, store.retain, *arrays)
    return [(row[0], row[1], row[2]) for row in removed]


async def mark_voided(
    session: WriteSession,
    store: Store,
    name: Name,
    revision: int,
    *,
    reason: str,
    actor: str,
    now: datetime,
) -> None:
    """Record that a revision, which is not in force, was voided."""
    values = dict(zip(("customer_id", "source", "fact_id"), name, strict=True))
    about = {"revision": revision, "reason": reason, "actor": actor, "now": now}
    await session.execute(store.mark_voided, values | about)


async def _on_file(
    session: WriteSession,
    store: Store,
    incoming: IncomingFacts,
    created: Mapping[str, bool],
) -> dict[Name, _Version]:
    """Read what is stored under the identities; a customer just made has nothing."""
    names = {name for name in incoming.names if not created[name[0]]}
    if not names:
        return {}
    rows = await store.versions.fetch(session, names)
    versions: dict[Name, _Version] = {}
    for customer_id, source, fact_id, revision, mark, voided in rows:
        version = versions.get((customer_id, source, fact_id))
        if version is None or version.revision < revision:
            versions[customer_id, source, fact_id] = _Version(
                revision, {revision: mark}, on_file=not voided, voided=voided
            )
    late = {
        name
        for name, revision in zip(incoming.names, incoming.revisions, strict=True)
        if name in versions and revision < versions[name].revision
    }
    if late:
        for *name, revision, mark in await store.revisions.fetch(session, late):
            versions[name[0], name[1], name[2]].known[revision] = mark
    return versions


def _resolve_revisions(
    incoming: IncomingFacts, versions: dict[Name, _Version], written: Written
) -> list[int]:
    """Bring the versions up to date item by item; return the rows that never came into force."""
    superseded = []
    marks = zip(incoming.indexes, incoming.revisions, incoming.fingerprints, strict=True)
    for row, (index, revision, mark) in enumerate(marks):
        name = incoming.names[row]
        version = versions.get(name)
        if version is None:
            versions[name] = _Version(revision, {revision: mark}, on_file=False, current=row)
            written.statuses[index] = "created"
            continue
        if version.known.get(revision, mark) != mark:
            written.conflicts.append(index)
            continue
        is_new = revision not in version.known
        version.known[revision] = mark
        written.statuses[index] = "duplicate"
        if revision > version.revision:
            written.statuses[index] = "updated"
            if version.current is not None:
                superseded.append(version.current)
            version.revision, version.current, version.voided = revision, row, False
            continue
        if version.voided:
            written.voided[index] = version.revision
        elif revision < version.revision:
            written.superseded[index] = version.revision
        if is_new:
            superseded.append(row)
    return superseded


async def _keep(
    session: WriteSession,
    store: Store,
    incoming: IncomingFacts,
    superseded: Sequence[int],
    now: datetime,
) -> None:
    """Keep revisions that never came into force, because a higher one was there first."""
    rows = [
        (
            *incoming.names[row],
            incoming.revisions[row],
            incoming.fingerprints[row],
            to_json(store.content(incoming, row)),
            now,
        )
        for row in superseded
    ]
    columns = (*store.identity, "content", "received_at")
    await copy_rows(session, f"{store.noun}_revisions", columns, rows)
