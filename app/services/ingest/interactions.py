"""Interactions in, with the daily counts that rules read, in the same database transaction."""

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from typing import Any

from sqlalchemy import text

from app.days import from_day, to_day, to_micros
from app.deployment import Deployment
from app.lifecycle.kinds import Kind
from app.lifecycle.presets.kinds import SNOOZED
from app.models import Interaction
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.schemas.common.shapes import Rejected
from app.schemas.ingest import kinds
from app.schemas.ingest.interactions import InteractionIn
from app.services.common import interaction_kinds
from app.services.common.interaction_kinds import Declared
from app.services.common.paging import PageRequest
from app.services.ingest import fact_intake, facts, voided_facts, voids
from app.services.ingest.fact_intake import Content, IncomingFacts, Intake, Refused
from app.services.ingest.fact_store import Store, Written
from app.services.ingest.facts import Family, Ingested
from app.services.ingest.voids import Voiding
from app.services.stages import derivation
from app.services.stages.resuming import Change

Revision = tuple[str, str, str, int]
"""Customer, source, id and number of a revision."""


def _accept(
    declared: Declared,
    known: AbstractSet[Revision],
    index: int,
    item: InteractionIn,
    intake: Intake,
) -> datetime:
    """Return when it happened; raise Refused where it does not fit."""
    kind = _kind(item)
    if kind != item.kind:
        intake.warnings.add(index, "kind_normalised", f"Kept as `{kind}`.", "/kind")
    _check_kind(declared, known, index, kind, item, intake)
    at = fact_intake.instant(item, intake)
    fact_intake.look_ahead(index, at, intake)
    return at


def _kind(item: InteractionIn) -> str:
    return kinds.canonical(item.kind) or item.kind


def _to_columns(
    intake: Intake,
    indexes: Sequence[int],
    items: Sequence[InteractionIn],
    times: Sequence[datetime],
) -> IncomingFacts:
    """Return accepted items as they will be stored."""
    content: Content = {
        "channel": [item.channel for item in items],
        "campaign": [item.campaign for item in items],
        # One zero, not two.
        "score": [None if item.score is None else item.score + 0.0 for item in items],
        "text": [item.text for item in items],
        "attributes": [item.attributes or None for item in items],
        "outcome": [item.outcome for item in items],
    }
    return fact_intake.to_columns(
        intake,
        indexes,
        items,
        times,
        [_kind(item) for item in items],
        [item.interaction_id for item in items],
        content,
        optional="outcome",
    )


def _check_kind(
    declared: Declared,
    known: AbstractSet[Revision],
    index: int,
    word: str,
    item: InteractionIn,
    intake: Intake,
) -> None:
    """Hold an item to what is declared of its kind: what does not fit is told, or refused.

    What is known as it is was taken by another scale: to send it again changes nothing.
    """
    kind = declared.kinds.get(word)
    if kind is None:
        near = interaction_kinds.nearest(word, declared.words)
        meant = f" Is {near} meant?" if near else ""
        detail = f"{word} is no kind of GET /v1/interaction-kinds.{meant}"
        intake.warnings.add(index, "undeclared_kind", detail, "/kind")
        return
    if word == SNOOZED and not _is_day((item.attributes or {}).get("until")):
        detail = "Say until when in attributes, such as until: 2026-01-31."
        intake.warnings.add(index, "snoozed_without_day", detail, "/attributes/until")
    if item.outcome is not None and item.outcome not in declared.outcomes[word]:
        listed = ", ".join(sorted(declared.outcomes[word])) or "none"
        detail = f"{item.outcome} is no outcome of the kind {word}; it has {listed}."
        intake.warnings.add(index, "unknown_outcome", detail, "/outcome")
    if item.score is None:
        return
    if kind.scale is None:
        detail = f"The kind {word} has no scale."
        intake.warnings.add(index, "score_without_scale", detail, "/score")
    elif _is_off(kind, item.score) and _revision_of(item) not in known:
        ends = f"{kind.scale.minimum:g} to {kind.scale.maximum:g}"
        raise Refused("/score", "out_of_scale", f"the kind {word} has a scale of {ends}")


def _is_day(given: Any) -> bool:
    try:
        return bool(date.fromisoformat(given).isoformat() == given)
    except (TypeError, ValueError):
        return False


async def _settle(session: WriteSession, intake: Intake, written: Written) -> None:
    """Make daily counts, stage and ledger of every touched customer exact."""
    stored = written.stored
    changes = Counter(zip(stored.customer_ids, stored.kinds, stored.day.tolist(), strict=True))
    changes.subtract((customer_id, kind, to_day(on)) for customer_id, kind, on in written.removed)
    await _count(session, {key: change for key, change in sorted(changes.items()) if change})
    seen = list(zip(stored.customer_ids, stored.kinds, stored.at.tolist(), strict=True))
    start_of = intake.deployment.calendar.start_of
    seen += [(each, kind, to_micros(start_of(to_day(day)))) for each, kind, day in written.removed]
    first: dict[str, dict[str, int]] = {}
    for customer_id, kind, at in sorted(seen):
        first.setdefault(customer_id, {}).setdefault(kind, at)
    if first:
        news = {each: Change(min(kinds.values()), kinds) for each, kinds in first.items()}
        await derivation.revise(session, intake.deployment, news, intake.now)


_DAYS = (
    "unnest(CAST(:customer_ids AS text[]), CAST(:kinds AS text[]), CAST(:days AS date[]),"
    " CAST(:changes AS integer[])) AS changed (customer_id, kind, occurred_on, count)"
)
_ADD = text(
    "INSERT INTO interaction_days AS kept (customer_id, kind, occurred_on, count)"  # noqa: S608
    f" SELECT customer_id, kind, occurred_on, count FROM {_DAYS}"
    " ON CONFLICT (customer_id, kind, occurred_on)"
    " DO UPDATE SET count = kept.count + excluded.count"
)
_DROP = text(
    f"DELETE FROM interaction_days kept USING {_DAYS}"  # noqa: S608
    " WHERE kept.customer_id = changed.customer_id AND kept.kind = changed.kind"
    " AND kept.occurred_on = changed.occurred_on AND kept.count = 0"
)


async def _count(session: WriteSession, changes: dict[tuple[str, str, int], int]) -> None:
    """Add to the daily counts; nobody else does, since the customers are taken."""
    if not changes:
        return
    customer_ids, kinds, days = map(list, zip(*changes, strict=True))
    arrays = {"customer_ids": customer_ids, "kinds": kinds, "days": list(map(from_day, days))}
    values = {**arrays, "changes": list(changes.values())}
    await session.execute(_ADD, values)
    if min(changes.values()) < 0:
        await session.execute(_DROP, values)


def to_response(_: Deployment, row: AnyRow | Interaction) -> dict[str, Any]:
    """Return an interaction as the API shows it."""
    columns = {column.key: getattr(row, column.key) for column in FAMILY.columns}
    voided = voided_facts.to_response(row)
    return {**columns, "attributes": row.attributes or {}, "voided": voided}


FAMILY: Family[InteractionIn] = Family(
    Store.of("interaction"),
    Interaction.metadata.tables["interactions"],
    partial(_accept, Declared({}, {}), frozenset()),
    _to_columns,
    _settle,
    to_response,
)


def _is_off(kind: Kind | None, score: float | None) -> bool:
    """Say whether a score lies outside the scale of its kind."""
    if kind is None or kind.scale is None or score is None:
        return False
    return not kind.scale.minimum <= score <= kind.scale.maximum


def _revision_of(item: InteractionIn) -> Revision:
    return item.customer_id, item.source, item.interaction_id, item.revision


_KNOWN = text(
    " UNION ALL ".join(
        f"SELECT customer_id, source, interaction_id, revision FROM {table}"  # noqa: S608  # ours
        " WHERE customer_id = ANY(CAST(:customer_ids AS text[]))"
        " AND interaction_id = ANY(CAST(:ids AS text[]))"
        for table in ("interactions", "interaction_revisions")
    )
)


async def _family(
    session: ReadSession, items: Sequence[InteractionIn | Rejected]
) -> Family[InteractionIn]:
    """Return how interactions are taken in by what is now declared of their kinds."""
    declared = await interaction_kinds.declared(session)
    off = [
        item
        for item in items
        if isinstance(item, InteractionIn) and _is_off(declared.kinds.get(_kind(item)), item.score)
    ]
    known: AbstractSet[Revision] = frozenset()
    if off:
        asked = {
            "customer_ids": [item.customer_id for item in off],
            "ids": [item.interaction_id for item in off],
        }
        known = {(*row,) for row in await session.execute(_KNOWN, asked)}
    return replace(FAMILY, accept=partial(_accept, declared, known))


async def ingest(
    session: WriteSession,
    deployment: Deployment,
    items: Sequence[InteractionIn | Rejected],
    *,
    atomic: bool,
    now: datetime,
    time_zone: str | None = None,
) -> Ingested:
    """Write a batch; counts, stage and ledger of every touched customer are exact after it."""
    family = await _family(session, items)
    return await facts.ingest(
        session, deployment, family, items, atomic=atomic, now=now, time_zone=time_zone
    )


async def create(
    session: WriteSession, deployment: Deployment, item: InteractionIn, *, now: datetime
) -> dict[str, Any]:
    """Write one interaction; return what became of it, and what is in force now."""
    family = await _family(session, [item])
    return await facts.create(session, deployment, family, item, now=now)


async def void(
    session: WriteSession, deployment: Deployment, asked: Voiding, *, now: datetime
) -> dict[str, Any]:
    """Take an interaction out of force; return it, and what is to be told of it."""
    return await voids.void(session, deployment, FAMILY, asked, now=now)


async def of_customer(
    session: ReadSession,
    deployment: Deployment,
    customer_id: str,
    page: PageRequest,
    *,
    include_voided: bool,
    kind: str | None,
) -> dict[str, Any]:
    """Return a page of a customer's interactions."""
    return await facts.of_customer(
        session, deployment, FAMILY, customer_id, page, include_voided=include_voided, kind=kind
    )
