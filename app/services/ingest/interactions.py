"""Interactions in, with the daily counts that rules read, in the same database transaction."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import text

from app.db import AnyRow, ReadSession, WriteSession
from app.deployment import Deployment
from app.models import Interaction
from app.schemas.common.shapes import Rejected
from app.schemas.ingest import kinds
from app.schemas.ingest.interactions import InteractionIn
from app.services.common.paging import PageRequest
from app.services.ingest import fact_intake, facts, voided_facts, voids
from app.services.ingest.fact_intake import IncomingFact, Intake
from app.services.ingest.fact_store import Store, Written
from app.services.ingest.facts import Family, Ingested
from app.services.ingest.voids import Voiding
from app.services.stages import derivation


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingInteraction(IncomingFact):
    """An interaction as it will be stored."""

    channel: str | None
    campaign: str | None
    score: float | None
    text: str | None
    attributes: dict[str, Any] | None


def _normalise(index: int, item: InteractionIn, intake: Intake) -> IncomingInteraction:
    """Return an item as it will be stored; raise Refused where it does not fit."""
    kind = kinds.canonical(item.kind) or item.kind
    if kind != item.kind:
        intake.warnings.add(index, "kind_normalised", f"Kept as `{kind}`.", "/kind")
    content: dict[str, Any] = {
        "kind": kind,
        "occurred_at": fact_intake.instant(item, intake),
        "channel": item.channel,
        "campaign": item.campaign,
        "score": None if item.score is None else item.score + 0.0,  # one zero, not two
        "text": item.text,
        "attributes": item.attributes or None,
    }
    return IncomingInteraction(
        **fact_intake.common(index, item, content, intake),
        fact_id=item.interaction_id,
        **content,
    )


async def _settle(
    session: WriteSession, intake: Intake, written: Written[IncomingInteraction]
) -> None:
    """Make daily counts, stage and ledger of every touched customer exact."""
    changes = Counter((fact.customer_id, fact.kind, fact.occurred_on) for fact in written.stored)
    changes.subtract(written.removed)
    await _count(session, {key: change for key, change in sorted(changes.items()) if change})
    since: dict[str, date] = {}
    for customer_id, day in sorted((each, day) for each, _, day in changes):
        since.setdefault(customer_id, day)
    if since:
        await derivation.revise(session, intake.deployment, since, intake.now)


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


async def _count(session: WriteSession, changes: dict[tuple[str, str, date], int]) -> None:
    """Add to the daily counts; nobody else does, since the customers are taken."""
    if not changes:
        return
    customer_ids, kinds, days = map(list, zip(*changes, strict=True))
    arrays = {"customer_ids": customer_ids, "kinds": kinds, "days": days}
    values = {**arrays, "changes": list(changes.values())}
    await session.execute(_ADD, values)
    if min(changes.values()) < 0:
        await session.execute(_DROP, values)


def to_response(_: Deployment, row: AnyRow | Interaction) -> dict[str, Any]:
    """Return an interaction as the API shows it."""
    columns = {column.key: getattr(row, column.key) for column in FAMILY.columns}
    voided = voided_facts.to_response(row)
    return {**columns, "attributes": row.attributes or {}, "voided": voided}


FAMILY: Family[InteractionIn, IncomingInteraction] = Family(
    Store.of("interaction", IncomingInteraction, free_json=("attributes",)),
    Interaction.metadata.tables["interactions"],
    _normalise,
    _settle,
    to_response,
)


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
    return await facts.ingest(
        session, deployment, FAMILY, items, atomic=atomic, now=now, time_zone=time_zone
    )


async def create(
    session: WriteSession, deployment: Deployment, item: InteractionIn, *, now: datetime
) -> dict[str, Any]:
    """Write one interaction; return what became of it, and what is in force now."""
    return await facts.create(session, deployment, FAMILY, item, now=now)


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
