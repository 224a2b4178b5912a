"""What is declared of kinds of interactions: kept in memory until the settings name another."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from functools import cached_property, lru_cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.errors import NotFound
from app.lifecycle import kinds
from app.lifecycle.kinds import Kinds
from app.models import InteractionKind
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.schemas.interaction_kinds import KindIn
from app.services.common import deployment_settings, etags
from app.services.common.paging import PageRequest, Sort, fetch_responses

_COLUMNS = list(InteractionKind.__table__.columns)
_BY_WORD = Sort((InteractionKind.kind,))
_CONTENT = ("name", "phase", "contact", "scale", "outcomes")


@dataclass(frozen=True)
class Declared:
    """All kinds that are declared, as rules look at them, and the outcomes of each."""

    kinds: Kinds
    outcomes: Mapping[str, frozenset[str]]

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(self.kinds)


_kept: dict[str, Declared] = {}
_KEPT = 64


async def declared(session: ReadSession, name: str | None = None) -> Declared:
    """Return what is declared; one statement, unless it has changed, and none if it is named."""
    name = name or await deployment_settings.get(session, deployment_settings.INTERACTION_KINDS)
    if name not in _kept:
        rows = (await session.execute(select(*_COLUMNS))).mappings().all()
        found = Declared(
            kinds.read({row["kind"]: dict(row) for row in rows}),
            {row["kind"]: frozenset(row["outcomes"]) for row in rows},
        )
        if len(_kept) >= _KEPT:
            _kept.pop(next(iter(_kept)))
        _kept[name] = found
    return _kept[name]


@lru_cache(maxsize=1_000)
def nearest(word: str, known: frozenset[str]) -> str | None:
    """Return what a word may have been meant to be."""
    near = get_close_matches(word, sorted(known), 1)
    return near[0] if near else None


async def put(
    session: WriteSession, kind: str, asked: KindIn, *, if_match: str | None, now: datetime
) -> tuple[AnyRow, bool]:
    """Declare a kind to be exactly this; return it, and whether it is new."""
    before = await _find(session, kind, lock=True)
    etags.check(if_match, None if before is None else before.version, f"the kind {kind!r}")
    content = asked.model_dump()
    if before is None or any(getattr(before, name) != content[name] for name in _CONTENT):
        statement = insert(InteractionKind).values(kind=kind, **content, version=1, updated_at=now)
        changed = {name: statement.excluded[name] for name in (*_CONTENT, "updated_at")}
        await session.execute(
            statement.on_conflict_do_update(
                index_elements=[InteractionKind.kind],
                set_={**changed, "version": InteractionKind.version + 1},
            )
        )
        name = deployment_settings.new_name()
        await deployment_settings.put(session, deployment_settings.INTERACTION_KINDS, name)
    return await get(session, kind), before is None


async def _find(session: ReadSession, kind: str, *, lock: bool = False) -> AnyRow | None:
    statement = select(*_COLUMNS).where(InteractionKind.kind == kind)
    return (await session.execute(statement.with_for_update() if lock else statement)).one_or_none()


async def get(session: ReadSession, kind: str) -> AnyRow:
    """Return a declared kind."""
    row = await _find(session, kind)
    if row is None:
        near = nearest(kind, (await declared(session)).words)
        raise NotFound(f"No kind {kind!r} is declared." + (f" Is {near!r} meant?" if near else ""))
    return row


async def search(session: ReadSession, page: PageRequest) -> dict[str, Any]:
    """Return a page of kinds, by their words."""
    statement = select(*_COLUMNS, *_BY_WORD.columns)
    return await fetch_responses(
        session, statement, page, _BY_WORD, {"list": "interaction_kinds"}, to_response
    )


def to_response(row: AnyRow) -> dict[str, Any]:
    """Return a kind as the API shows it."""
    return {name: getattr(row, name) for name in ("kind", *_CONTENT, "updated_at")}
