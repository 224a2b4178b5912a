"""Imports as they are listed and shown."""

from typing import Any

from sqlalchemy import func, select

from app.deployment import Deployment
from app.errors import NotFound
from app.models import Import, Operation
from app.postgres.db import AnyRow, ReadSession
from app.services.common.paging import PageRequest, Sort, fetch_responses
from app.services.common.stored_documents import opened
from app.services.ingest.imports import tallies
from app.services.ingest.imports.orders import HEADER

_BY_AGE = Sort((Import.created_at, Import.import_id), descending=True)
_COLUMNS = (*Import.__table__.columns, func.coalesce(Operation.state, "uploading").label("state"))
_JOINED = Import.__table__.outerjoin(
    Operation.__table__, Operation.operation_id == Import.import_id
)


async def search(
    session: ReadSession, deployment: Deployment, page: PageRequest, *, source: str | None
) -> dict[str, Any]:
    """Return a page of imports, newest first."""
    statement = select(*_COLUMNS, *_BY_AGE.columns).select_from(_JOINED)
    if source is not None:
        statement = statement.where(Import.source == source)
    bound_to = {"list": "imports", "source": source}
    return await fetch_responses(
        session, statement, page, _BY_AGE, bound_to, lambda row: _shown(deployment, row)
    )


async def get(session: ReadSession, import_id: str) -> AnyRow:
    """Return one import."""
    statement = select(*_COLUMNS).select_from(_JOINED).where(Import.import_id == import_id)
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise NotFound(f"There is no import {import_id!r}.")
    return row


async def describe(session: ReadSession, deployment: Deployment, import_id: str) -> dict[str, Any]:
    """Return one import with how it is read."""
    row = await get(session, import_id)
    return {
        **_shown(deployment, row),
        "layout": row.layout and {k: v for k, v in row.layout.items() if k != HEADER},
        "document": row.mapping,
        "first_facts": row.tally["first_facts"],
        "received_at": row.received_at,
    }


def _shown(deployment: Deployment, row: AnyRow) -> dict[str, Any]:
    asked = opened(row.request, "the request of an import")
    return {
        "id": row.import_id,
        "bytes": row.size,
        "bytes_read": min(row.position, row.size),
        "totals": tallies.result_of(row.tally, deployment.calendar.zone),
        **{name: asked[name] for name in ("dry_run", "preset", "mapping", "version")},
        **{
            name: getattr(row, name)
            for name in ("state", "file_name", "source", "created_by", "created_at")
        },
    }
