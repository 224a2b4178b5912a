"""Removing what nobody can ask for any more, a little at a time."""

import logging
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, TextClause, delete, func, select, text, tuple_
from sqlalchemy.exc import DBAPIError

from app.models import (
    IdempotencyKey,
    Operation,
    OperationPart,
    RebuildDifference,
    Run,
    StageTransition,
)
from app.models.scoring import KEPT_RUNS, RUN_GRACE, scores_name
from app.postgres.db import WriteSession
from app.postgres.sqlstates import is_refused
from app.services.common import deployment_settings
from app.services.operations.operations import OPEN

KEY_LIFE = timedelta(hours=48)
OPERATION_LIFE = timedelta(days=30)
CHUNK = 10_000

logger = logging.getLogger("clm.housekeeping")


async def sweep(
    session: WriteSession,
    now: datetime,
    *,
    voided_kept: timedelta | None = None,
    audit_kept: timedelta | None = None,
) -> bool:
    """Remove one chunk of each kind; True if there may be more. One worker does it at a time.

    `now` is what the clock of the database says: one that is ahead would remove what is still asked
    for. Voided transitions and the audit are kept for ever, unless it is said for how long.
    """
    if not await deployment_settings.try_hold(session, deployment_settings.HOUSEKEEPING):
        return False
    await session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now - KEY_LIFE))
    ended = select(Operation.operation_id).where(
        func.coalesce(Operation.finished_at, Operation.created_at) < now - OPERATION_LIFE,
        Operation.state.not_in(OPEN),
    )
    more = await _drop_differences(session, ended)
    if not more:
        await session.execute(delete(OperationPart).where(OperationPart.operation_id.in_(ended)))
        await session.execute(delete(Operation).where(Operation.operation_id.in_(ended)))
    more = await _prune_transitions(session, now, voided_kept) or more
    if audit_kept is not None:
        more = await _prune_audit(session, audit_kept) or more
    await _drop_runs(session, now)
    await deployment_settings.put(session, deployment_settings.LAST_HOUSEKEEPING, now.isoformat())
    return more


async def _drop_differences(session: WriteSession, ended: Select[str]) -> bool:
    """Remove what rebuilds that ended long ago have listed; True if there may be more."""
    key = (
        RebuildDifference.customer_id,
        RebuildDifference.operation_id,
        RebuildDifference.field,
    )
    chunk = select(*key).where(RebuildDifference.operation_id.in_(ended)).limit(CHUNK)
    gone = await session.execute(delete(RebuildDifference).where(tuple_(*key).in_(chunk)))
    return bool(gone.rowcount == CHUNK)  # type: ignore[attr-defined]  # a DELETE has it


# The application deletes none itself: a function of the owner deletes those that are voided.
_PRUNE = text(
    "SELECT prune_transitions(CAST(:customer_ids AS text[]), CAST(:transition_ids AS bigint[]))"
)
# In words of the index: what stood for less than `SUPERSEDED_WITHIN`.
_SUPERSEDED = text("voided_at - recorded_at < '01:00:00'::interval")


async def _prune_transitions(
    session: WriteSession, now: datetime, voided_kept: timedelta | None
) -> bool:
    """Remove transitions that one load of facts recorded and voided, and those voided long ago."""
    found = await _prune(session, _SUPERSEDED)
    if voided_kept is not None:
        found += await _prune(session, StageTransition.voided_at < now - voided_kept)
    return found >= CHUNK


async def _prune(session: WriteSession, gone: ColumnElement[bool] | TextClause) -> int:
    key = StageTransition.customer_id, StageTransition.transition_id
    rows = (await session.execute(select(*key).where(gone).limit(CHUNK))).all()
    if rows:
        asked = {
            "customer_ids": sorted({row.customer_id for row in rows}),
            "transition_ids": [row.transition_id for row in rows],
        }
        await session.execute(_PRUNE, asked)
    return len(rows)


_LAST_OLD_ENTRY = text(
    "SELECT transaction_number, entry_id FROM (SELECT transaction_number, entry_id, recorded_at"
    " FROM audit_entries ORDER BY transaction_number, entry_id LIMIT :chunk) AS oldest"
    " WHERE recorded_at < now() - CAST(:kept AS interval)"
    " ORDER BY transaction_number DESC, entry_id DESC LIMIT 1"
)
_PRUNE_AUDIT = text("SELECT prune_audit(:number, :entry_id, :kept)")


async def _prune_audit(session: WriteSession, kept: timedelta) -> bool:
    """Remove the oldest entries of the audit: the first in the order of its key."""
    asked = {"chunk": CHUNK, "kept": kept}
    last = (await session.execute(_LAST_OLD_ENTRY, asked)).one_or_none()
    if last is None:
        return False
    named = {"number": last.transaction_number, "entry_id": last.entry_id, "kept": kept}
    return bool(await session.scalar(_PRUNE_AUDIT, named) == CHUNK)


async def _drop_runs(session: WriteSession, now: datetime) -> None:
    """Drop runs beyond the newest eight, and those that never were published.

    One that somebody still reads is left for the next time: to wait for it would have everybody
    wait who comes to read it meanwhile.
    """
    kept = (
        select(Run.run_id)
        .where(Run.published_at.is_not(None))
        .order_by(Run.run_id.desc())
        .limit(KEPT_RUNS)
    )
    open_runs = select(Operation.operation_id).where(Operation.state.in_(OPEN))
    found = await session.scalars(
        select(Run.run_id)
        .where(
            Run.run_id.not_in(kept),
            Run.operation_id.not_in(open_runs),
            Run.published_at.is_(None) | (Run.replaced_at < now - RUN_GRACE),
        )
        .order_by(Run.run_id)
    )
    for run_id in found.all():
        try:
            async with session.begin_nested():
                await _drop_run(session, run_id)
        except DBAPIError as error:
            if not is_refused(error):
                raise
            logger.warning("run not dropped yet", extra={"run_id": run_id})


async def _drop_run(session: WriteSession, run_id: int) -> None:
    table = scores_name(run_id)
    if await session.scalar(text("SELECT to_regclass(:table)"), {"table": table}) is not None:
        await session.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE NOWAIT"))
        await session.execute(text(f"DROP TABLE {table}"))
    await session.execute(delete(Run).where(Run.run_id == run_id))
