"""Where facts and their revisions are kept, and which of several versions counts."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from operator import attrgetter
from typing import Any, Generic, TypeVar

from sqlalchemy import TextClause, text

from app.db import WriteSession, copy_rows
from app.services.ingest.fact_intake import IncomingFact, Name, to_json

Fact = TypeVar("Fact", bound=IncomingFact)
_IDENTITY = ("customer_id", "source", "fact_id", "revision", "fingerprint")


@dataclass(frozen=True)
class Store(Generic[Fact]):
    """The tables of one kind of facts, `<noun>s` and `<noun>_revisions`, and how rows get there."""

    noun: str
    columns: tuple[str, ...]
    values: Callable[[Fact], tuple[Any, ...]]
    content: Callable[[Fact], dict[str, Any]]
    versions: TextClause
    revisions: TextClause
    keep_replaced: TextClause
    delete: TextClause
    mark_voided: TextClause

    @property
    def id_column(self) -> str:
        return f"{self.noun}_id"

    @property
    def identity(self) -> tuple[str, ...]:
        return tuple(self.id_column if name == "fact_id" else name for name in _IDENTITY)

    @classmethod
    def of(
        cls,
        noun: str,
        fact: type[Fact],
        free_json: tuple[str, ...] = (),
        kind: str = "kind",
    ) -> "Store[Fact]":
        """Return the store of facts whose fields `free_json` are written as JSON.

        `kind` is the column of their kind.
        """
        plain = [each.name for each in fields(fact) if each.name not in ("index", *free_json)]
        columns = {name: name for name in (*plain, *free_json)}
        columns |= {"fact_id": f"{noun}_id", "kind": kind}
        inside = {column: name for name, column in columns.items()
                  if name not in (*_IDENTITY, "received_at")}  # fmt: skip
        get_plain = attrgetter(*plain)

        def with_json(each: Fact) -> tuple[Any, ...]:
            free = [getattr(each, name) for name in free_json]
            written = (None if value is None else json.dumps(value) for value in free)
            return (*get_plain(each), *written)

        def content(each: Fact) -> dict[str, Any]:
            return {column: getattr(each, name) for column, name in inside.items()}

        values = with_json if free_json else get_plain
        return cls(noun, tuple(columns.values()), values, content, *_statements(noun, kind))


def _statements(
    noun: str, kind: str
) -> tuple[TextClause, TextClause, TextClause, TextClause, TextClause]:
    """Return how to read versions and revisions, to keep a revision, to delete it and to void it.

    The versions are those in force and those voided; an index has the few of the latter.
    """
    named = f"customer_id, source, {noun}_id"
    arrays = ", ".join(f"CAST(:{name} AS text[])" for name in _ARRAYS)
    asked = f"unnest({arrays}) AS asked ({named})"
    joined = f" t JOIN {asked} USING ({named})"
    found = ", ".join(f"t.{name}" for name in (*named.split(", "), "revision", "fingerprint"))
    outside = f"'customer_id', 'source', '{noun}_id', 'revision', 'fingerprint', 'received_at'"
    return (
        text(
            f"SELECT {found}, false FROM {noun}s{joined}"  # noqa: S608  # nouns are ours
            f" UNION ALL SELECT {found}, true FROM {noun}_revisions{joined}"
            " WHERE t.voided_at IS NOT NULL"
        ),
        text(f"SELECT {found} FROM {noun}_revisions{joined}"),  # noqa: S608
        text(
            f"INSERT INTO {noun}_revisions ({named}, revision, fingerprint, content, received_at)"  # noqa: S608
            f" SELECT {found}, to_jsonb(t) - ARRAY[{outside}], t.received_at FROM {noun}s{joined}"
        ),
        text(
            f"DELETE FROM {noun}s t USING {asked} WHERE t.customer_id = asked.customer_id"  # noqa: S608
            f" AND t.source = asked.source AND t.{noun}_id = asked.{noun}_id"
            f" RETURNING t.customer_id, t.{kind}, t.occurred_on"
        ),
        text(
            f"UPDATE {noun}_revisions SET voided_at = :now, voided_by = :actor,"  # noqa: S608
            " void_reason = :reason WHERE customer_id = :customer_id AND source = :source"
            f" AND {noun}_id = :fact_id AND revision = :revision"
        ),
    )


_ARRAYS = ("customer_ids", "sources", "fact_ids")


def _arrays(names: Iterable[Name]) -> dict[str, list[str]]:
    return dict(zip(_ARRAYS, map(list, zip(*names, strict=True)), strict=True))


@dataclass(slots=True)
class Written(Generic[Fact]):
    """What a write did: a status or a conflict for each item, and what is in force now.

    `removed` has customer, kind and day of each fact that a stored one replaced; `superseded`
    the revision in force for each item that came with a lower one, `voided` the one that was
    voided for each item that is not higher.
    """

    statuses: dict[int, str] = field(default_factory=dict)
    superseded: dict[int, int] = field(default_factory=dict)
    voided: dict[int, int] = field(default_factory=dict)
    conflicts: list[int] = field(default_factory=list)
    stored: list[Fact] = field(default_factory=list)
    removed: list[tuple[str, str, date]] = field(default_factory=list)
    created: set[str] = field(default_factory=set)
    """The customers who were made for this write."""


@dataclass(slots=True)
class _Version(Generic[Fact]):
    """The revision of one identity that is in force or was voided, and what is known of all."""

    revision: int
    known: dict[int, bytes]
    on_file: bool
    current: Fact | None = None
    voided: bool = False


async def write(
    session: WriteSession,
    store: Store[Fact],
    incoming: Sequence[Fact],
    created: Mapping[str, bool],
    now: datetime,
) -> Written[Fact]:
    """Store a batch of customers that the session has taken, as if item by item."""
    versions = await _on_file(session, store, incoming, created)
    written, superseded = _resolve_revisions(incoming, versions)
    winners = [(version.current, version.on_file) for version in versions.values()]
    first = [each for each, on_file in winners if each is not None and not on_file]
    replacing = [each for each, on_file in winners if each is not None and on_file]
    written.stored = first + replacing
    written.created = {customer_id for customer_id, is_new in created.items() if is_new}
    if replacing:
        written.removed = await replace(session, store, [fact.name for fact in replacing])
    rows = [store.values(fact) for fact in written.stored]
    await copy_rows(session, f"{store.noun}s", store.columns, rows)
    await _keep(session, store, superseded, now)
    return written


async def replace(
    session: WriteSession, store: Store[Fact], names: Sequence[Name]
) -> list[tuple[str, str, date]]:
    """Take facts out of force, and keep them as revisions; return customer, kind and day."""
    arrays = _arrays(names)
    await session.execute(store.keep_replaced, arrays)
    removed = await session.execute(store.delete, arrays)
    return [(row[0], row[1], row[2]) for row in removed]


async def mark_voided(
    session: WriteSession,
    store: Store[Fact],
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
    store: Store[Fact],
    incoming: Sequence[Fact],
    created: Mapping[str, bool],
) -> dict[Name, _Version[Fact]]:
    """Read what is stored under the identities; a customer just made has nothing."""
    names = {fact.name for fact in incoming if not created[fact.customer_id]}
    if not names:
        return {}
    rows = await session.execute(store.versions, _arrays(names))
    versions: dict[Name, _Version[Fact]] = {}
    for customer_id, source, fact_id, revision, mark, voided in rows:
        version = versions.get((customer_id, source, fact_id))
        if version is None or version.revision < revision:
            versions[customer_id, source, fact_id] = _Version(
                revision, {revision: mark}, on_file=not voided, voided=voided
            )
    late = {
        fact.name
        for fact in incoming
        if fact.name in versions and fact.revision < versions[fact.name].revision
    }
    if late:
        for *name, revision, mark in await session.execute(store.revisions, _arrays(late)):
            versions[name[0], name[1], name[2]].known[revision] = mark
    return versions


def _resolve_revisions(
    incoming: Sequence[Fact], versions: dict[Name, _Version[Fact]]
) -> tuple[Written[Fact], list[Fact]]:
    """Bring the versions up to date item by item; return also what never came into force."""
    written, superseded = Written[Fact](), []
    for fact in incoming:
        version = versions.get(fact.name)
        if version is None:
            known = {fact.revision: fact.fingerprint}
            versions[fact.name] = _Version(fact.revision, known, on_file=False, current=fact)
            written.statuses[fact.index] = "created"
            continue
        if version.known.get(fact.revision, fact.fingerprint) != fact.fingerprint:
            written.conflicts.append(fact.index)
            continue
        is_new = fact.revision not in version.known
        version.known[fact.revision] = fact.fingerprint
        written.statuses[fact.index] = "duplicate"
        if fact.revision > version.revision:
            written.statuses[fact.index] = "updated"
            if version.current is not None:
                superseded.append(version.current)
            version.revision, version.current, version.voided = fact.revision, fact, False
            continue
        if version.voided:
            written.voided[fact.index] = version.revision
        elif fact.revision < version.revision:
            written.superseded[fact.index] = version.revision
        if is_new:
            superseded.append(fact)
    return written, superseded


async def _keep(
    session: WriteSession, store: Store[Fact], superseded: Sequence[Fact], now: datetime
) -> None:
    """Keep revisions that never came into force, because a higher one was there first."""
    rows = [
        (*fact.name, fact.revision, fact.fingerprint, to_json(store.content(fact)), now)
        for fact in superseded
    ]
    columns = (*store.identity, "content", "received_at")
    await copy_rows(session, f"{store.noun}_revisions", columns, rows)
