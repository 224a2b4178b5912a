"""Removing what nobody can ask for any more, a little at a time."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select, text

from app.db import WriteSession
from app.models import IdempotencyKey, Operation, OperationPart, RebuildDifference, Run, Score
from app.services.operations.operations import OPEN

KEPT_RUNS = 8
RUN_GRACE = timedelta(hours=24)
KEY_LIFE = timedelta(hours=48)
OPERATION_LIFE = timedelta(days=30)
CHUNK = 10_000
_LOCK = 4_252_018


async def sweep(session: WriteSession, now: datetime) -> bool:
    """Remove one chunk of each kind; True if there may be more. One worker does it at a time."""
    if not await session.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}):
        return False
    await session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now - KEY_LIFE))
    ended = select(Operation.operation_id).where(
        Operation.created_at < now - OPERATION_LIFE, Operation.state.not_in(OPEN)
    )
    for table in (OperationPart, RebuildDifference):
        await session.execute(delete(table).where(table.operation_id.in_(ended)))
    await session.execute(delete(Operation).where(Operation.operation_id.in_(ended)))
    return await _drop_scores(session, now)


async def _drop_scores(session: WriteSession, now: datetime) -> bool:
    """Remove scores of runs beyond the newest eight, and of runs that never were published."""
    kept = (
        select(Run.run_id)
        .where(Run.published_at.is_not(None))
        .order_by(Run.run_id.desc())
        .limit(KEPT_RUNS)
    )
    open_runs = select(Operation.operation_id).where(Operation.state.in_(OPEN))
    run_id = await session.scalar(
        select(Run.run_id)
        .where(
            Run.run_id.not_in(kept),
            Run.operation_id.not_in(open_runs),
            Run.published_at.is_(None) | (Run.replaced_at < now - RUN_GRACE),
        )
        .order_by(Run.run_id)
        .limit(1)
    )
    if run_id is None:
        return False
    chunk = select(Score.customer_id).where(Score.run_id == run_id).limit(CHUNK)
    gone = await session.execute(
        delete(Score).where(Score.run_id == run_id, Score.customer_id.in_(chunk))
    )
    if gone.rowcount < CHUNK:  # type: ignore[attr-defined]  # a DELETE has it
        await session.execute(delete(Run).where(Run.run_id == run_id))
    return True
