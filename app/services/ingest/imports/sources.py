"""Systems that facts come from: what is said of them, and what their files came to."""

from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from app.errors import NotFound, printable
from app.models import Source
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.schemas.ingest.sources import USUAL_RANK, SourceIn
from app.services.common.paging import PageRequest, Sort, fetch

_BY_ID = Sort((Source.source,))
_COLUMNS = list(Source.__table__.columns)
# Imports are few: rows of thirty days.
_IMPORTS = text(
    "SELECT DISTINCT ON (i.source) i.source, i.import_id AS id, i.created_at,"
    " coalesce(o.state, 'uploading') AS state,"
    " CAST(i.tally ->> 'rows' AS bigint) AS rows,"
    " CAST(i.tally ->> 'rejected_rows' AS bigint) AS rejected_rows,"
    " CAST(i.tally ->> 'last_at' AS timestamptz) AS last_fact_at,"
    " count(*) OVER (PARTITION BY i.source) AS imports,"
    " sum(CAST(i.tally ->> 'rejected_rows' AS bigint)) OVER (PARTITION BY i.source) AS all_rejected"
    " FROM imports i LEFT JOIN operations o ON o.operation_id = i.import_id"
    " WHERE i.source = ANY(CAST(:sources AS text[])) AND i.request ->> 'dry_run' = 'false'"
    " ORDER BY i.source, i.created_at DESC, i.import_id DESC"
)
_LAST = ("id", "state", "created_at", "rows", "rejected_rows", "last_fact_at")


async def note(session: WriteSession, source: str, now: datetime) -> None:
    """Make a source known of which a file came, if it is not."""
    values = {"source": source, "trust_rank": USUAL_RANK, "created_at": now, "updated_at": now}
    await session.execute(insert(Source).values(values).on_conflict_do_nothing())


async def put(
    session: WriteSession, source: str, said: SourceIn, *, now: datetime
) -> dict[str, Any]:
    """Describe a source."""
    values = {**said.model_dump(), "updated_at": now}
    statement = insert(Source).values(source=source, created_at=now, **values)
    written = statement.on_conflict_do_update(index_elements=[Source.source], set_=values)
    row = (await session.execute(written.returning(*_COLUMNS))).one()
    return (await _told(session, [row], now))[0]


async def describe(session: ReadSession, source: str, now: datetime) -> dict[str, Any]:
    """Return a source."""
    statement = select(*_COLUMNS).where(Source.source == source)
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise NotFound(f"There is no source {printable(source)!r}.")
    return (await _told(session, [row], now))[0]


async def search(session: ReadSession, page: PageRequest, now: datetime) -> dict[str, Any]:
    """Return a page of sources, by id."""
    statement = select(*_COLUMNS, *_BY_ID.columns)
    rows, cursor = await fetch(session, statement, page, _BY_ID, {"list": "sources"})
    return {"items": await _told(session, list(rows), now), "next_cursor": cursor}


async def _told(session: ReadSession, rows: list[AnyRow], now: datetime) -> list[dict[str, Any]]:
    """Return sources as the API shows them, with what their files came to."""
    found = await session.execute(_IMPORTS, {"sources": [row.source for row in rows]})
    last = {row.source: row for row in found}
    return [_shown(row, last.get(row.source), now) for row in rows]


def _shown(row: AnyRow, last: AnyRow | None, now: datetime) -> dict[str, Any]:
    at = None if last is None else last.last_fact_at
    return {
        **{column.key: getattr(row, column.key) for column in _COLUMNS},
        "imports": 0 if last is None else last.imports,
        "rejected_rows": 0 if last is None else last.all_rejected,
        "last_import": None if last is None else {name: getattr(last, name) for name in _LAST},
        "lag_days": None if at is None else round((now - at).total_seconds() / 86_400, 2),
    }
