"""Removing files that were imported, and in the end what is known of them, a little at a time."""

from datetime import datetime, timedelta

from sqlalchemy import Select, delete, exists, func, or_, select, tuple_

from app.models import Import, ImportPiece, ImportRejection, Operation
from app.postgres.db import WriteSession
from app.services.operations.operations import OPEN

BROKEN_OFF = timedelta(days=1)
"""How long after its beginning a file that never arrived whole is given up."""
_PIECES = 50


async def drop(
    session: WriteSession,
    now: datetime,
    ended: Select[str],
    *,
    kept: timedelta | None,
    most: int,
) -> bool:
    """Remove what nobody reads any more; True if there may be more.

    Files go a while after their import, if they are not kept for ever; refused rows and totals go
    with operations.
    """
    more = await _drop_pieces(session, now, kept) if kept is not None else False
    gone = or_(
        Import.import_id.in_(ended),
        Import.received_at.is_(None) & (Import.created_at < now - BROKEN_OFF),
    )
    gone &= ~exists().where(ImportPiece.import_id == Import.import_id)
    old = select(Import.import_id).where(gone)
    key = ImportRejection.import_id, ImportRejection.line
    chunk = select(*key).where(ImportRejection.import_id.in_(old)).limit(most)
    dropped = await session.execute(delete(ImportRejection).where(tuple_(*key).in_(chunk)))
    if dropped.rowcount == most:  # type: ignore[attr-defined]  # a DELETE has it
        return True
    await session.execute(delete(Import).where(gone))
    return more


async def _drop_pieces(session: WriteSession, now: datetime, kept: timedelta) -> bool:
    done = select(Operation.operation_id).where(
        func.coalesce(Operation.finished_at, Operation.created_at) < now - kept,
        Operation.state.not_in(OPEN),
        Operation.kind == "import",
    )
    broken_off = select(Import.import_id).where(
        Import.received_at.is_(None), Import.created_at < now - BROKEN_OFF
    )
    key = ImportPiece.import_id, ImportPiece.starts_at
    gone = ImportPiece.import_id.in_(done) | ImportPiece.import_id.in_(broken_off)
    chunk = select(*key).where(gone).limit(_PIECES)
    dropped = await session.execute(delete(ImportPiece).where(tuple_(*key).in_(chunk)))
    return bool(dropped.rowcount == _PIECES)  # type: ignore[attr-defined]  # a DELETE has it
