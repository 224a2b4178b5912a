"""Reading the audit in an order in which nothing is passed over, and ending what is old."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Text, cast, func, select, text

from app.errors import FieldError, InvalidCursor
from app.models import AuditEntry
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.services.common import paging
from app.services.common.paging import PageRequest, Sort

_KEYS = (AuditEntry.transaction_number, AuditEntry.entry_id)
NEWEST, OLDEST = "-recorded_at", "recorded_at"
SORTS = {NEWEST: Sort(_KEYS, descending=True), OLDEST: Sort(_KEYS)}
_SHOWN = (
    AuditEntry.entry_id,
    AuditEntry.recorded_at,
    AuditEntry.actor,
    AuditEntry.actor_name,
    AuditEntry.operation,
    AuditEntry.request_id,
    AuditEntry.status,
    AuditEntry.customer_ids,
    AuditEntry.customers,
    AuditEntry.ids,
    AuditEntry.fields,
)
_SNAPSHOT = func.pg_current_snapshot()
# Of transactions that have begun below it, all have ended: nothing can come in between any more.
_HORIZON = cast(cast(func.pg_snapshot_xmin(_SNAPSHOT), Text), BigInteger)
_NEXT = cast(cast(func.pg_snapshot_xmax(_SNAPSHOT), Text), BigInteger)


async def search(
    session: ReadSession,
    page: PageRequest,
    *,
    actor: str | None,
    operation: str | None,
    customer_id: str | None,
    since: datetime | None,
    until: datetime | None,
) -> dict[str, Any]:
    """Return a page of entries; oldest first, each page but an empty one has a next."""
    name, sort = paging.choose_sort(page, SORTS, NEWEST)
    bound_to = {"list": "audit", "sort": name, "actor": actor, "operation": operation,
                "customer_id": customer_id, "since": since, "until": until}  # fmt: skip
    await _check_cursor(session, page, sort, bound_to)
    conditions = [AuditEntry.transaction_number < _HORIZON]
    if actor is not None:
        conditions.append(AuditEntry.actor == actor)
    if operation is not None:
        conditions.append(AuditEntry.operation == operation)
    if customer_id is not None:
        conditions.append(AuditEntry.customer_ids.contains([customer_id]))
    if since is not None:
        conditions.append(AuditEntry.recorded_at >= since)
    if until is not None:
        conditions.append(AuditEntry.recorded_at <= until)
    statement = select(*_SHOWN, *sort.columns).where(*conditions)
    rows, cursor = await paging.fetch(session, statement, page, sort, bound_to)
    if cursor is None and rows and name == OLDEST:
        keys = rows[-1][-len(sort.columns) :]
        cursor = paging.next_part(page, list(keys), bound_to)
    return {"items": [to_response(row) for row in rows], "next_cursor": cursor}


async def _check_cursor(
    session: ReadSession, page: PageRequest, sort: Sort, bound_to: dict[str, Any]
) -> None:
    """Refuse a cursor of before a restore: there transactions were numbered otherwise."""
    after = paging.keys_before(page, sort, bound_to)
    if after is not None and after[0] >= (await session.scalar(select(_NEXT)) or 0):
        fault = FieldError(
            "query:cursor", "invalid_cursor", "the database was restored: begin anew"
        )
        raise InvalidCursor(errors=[fault])


def to_response(row: AnyRow) -> dict[str, Any]:
    """Return an entry as the API shows it."""
    return {column.key: getattr(row, column.key) for column in _SHOWN}


_RENUMBER = text(
    "UPDATE audit_entries SET transaction_number = 0 WHERE transaction_number >="
    " pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
)


async def renumber(session: WriteSession) -> None:
    """Put entries restored from another server before all that this one will number.

    Their own order stays, by `entry_id`.
    """
    await session.execute(_RENUMBER)
