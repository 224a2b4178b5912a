"""Voiding facts: recorded with a reason, and undone by a higher revision alone.

A voiding names a revision, and takes that and all lower ones out of force. So the end is the same
in any order: a fact counts if its highest revision is higher than the highest voided one.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from app.deployment import Deployment
from app.errors import AlreadyVoided, NotFound
from app.postgres.db import AnyRow, WriteSession
from app.schemas.common.types import format_instant
from app.schemas.common.warnings import Warnings
from app.services.customers import customers
from app.services.ingest import fact_store, facts
from app.services.ingest.fact_intake import Intake, Name
from app.services.ingest.fact_store import Written
from app.services.ingest.facts import Family, Item


@dataclass(frozen=True, slots=True)
class Voiding:
    """Which fact is to be voided, by whom and why; the revision in force, if none is named."""

    name: Name
    revision: int | None
    reason: str
    actor: str


async def void(
    session: WriteSession,
    deployment: Deployment,
    family: Family[Item],
    asked: Voiding,
    *,
    now: datetime,
) -> dict[str, Any]:
    """Take a fact out of force, with all that follows; return it, and what is to be told of it."""
    _require(family, asked, await _revisions(session, family, asked.name))
    await customers.lock_or_create(session, [asked.name[0]], now)
    found = await _revisions(session, family, asked.name)
    revision = _to_void(family, asked, found)
    intake = Intake(deployment, now, Warnings())
    highest = found[0]
    written = Written(family.to_columns(intake, (), (), ()))
    if revision == highest.revision:
        written.removed = await fact_store.replace(session, family.store, [asked.name])
        written.voided_now = [asked.name]
    else:
        detail = f"Revision {highest.revision} is in force, and stays."
        intake.warnings.add(0, "superseded", detail, "query:revision")
    await fact_store.mark_voided(
        session,
        family.store,
        asked.name,
        revision,
        reason=asked.reason,
        actor=asked.actor,
        now=now,
    )
    if written.removed:
        await family.settle(session, intake, written)
    shown = await facts.shown(session, deployment, family, asked.name)
    return {family.store.noun: shown, "warnings": intake.warnings.of(0)}


def _to_void(family: Family[Item], asked: Voiding, found: list[AnyRow]) -> int:
    """Return the revision to void; raise if there is none, or if it is voided already."""
    _require(family, asked, found)
    voided = next((row for row in found if row.voided_at is not None), None)
    revision: int = found[0].revision if asked.revision is None else asked.revision
    if voided is not None and revision <= voided.revision:
        raise AlreadyVoided(
            f"Revision {voided.revision} of this {family.store.noun} was voided at "
            f"{format_instant(voided.voided_at)} by {voided.voided_by}: {voided.void_reason}. A "
            "higher revision brings it back."
        )
    return revision


def _require(family: Family[Item], asked: Voiding, found: list[AnyRow]) -> None:
    noun, (customer_id, source, fact_id) = family.store.noun, asked.name
    if not found:
        raise NotFound(
            f"There is no {noun} {fact_id!r} of the source {source!r} and the customer "
            f"{customer_id!r}."
        )
    if asked.revision is not None and all(row.revision != asked.revision for row in found):
        raise NotFound(f"There is no revision {asked.revision} of this {noun}.")


async def _revisions(session: WriteSession, family: Family[Item], name: Name) -> list[AnyRow]:
    """Return all revisions of a fact, the highest first, with their voidings."""
    noun = family.store.noun
    same = f"customer_id = :customer_id AND source = :source AND {noun}_id = :fact_id"
    statement = text(
        "SELECT revision, voided_at, voided_by, void_reason"  # noqa: S608  # nouns are ours
        f" FROM {noun}_revisions WHERE {same}"
        " UNION ALL SELECT revision, CAST(NULL AS timestamptz), NULL, NULL"
        f" FROM {noun}s WHERE {same} ORDER BY 1 DESC"
    )
    values = dict(zip(("customer_id", "source", "fact_id"), name, strict=True))
    return list(await session.execute(statement, values))
