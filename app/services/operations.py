"""Operations: submitting them, claiming their parts under a lease, and finishing them.

A part's effect, its `done` and the count of parts done commit in one transaction, so a part whose
worker died is done again from nothing, and whoever finishes the last one completes the operation.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.db import AnyRow, ReadSession, WriteSession
from app.errors import AppError, InternalError, NotFound, OperationRunning
from app.models import Operation, OperationPart
from app.services.paging import PageRequest, Sort, fetch_shown

LEASE = timedelta(seconds=30)
MAX_ATTEMPTS = 5
OPEN = ("pending", "running")
_BY_AGE = Sort((Operation.created_at, Operation.operation_id), descending=True)


class LeaseLost(RuntimeError):
    """Another worker has taken the part over; what this one did must not be committed."""


@dataclass(frozen=True, slots=True)
class Part:
    """A claimed part, and what its operation was asked and has found so far."""

    part_id: int
    attempt: int
    task: str
    arguments: dict[str, Any]
    operation_id: str
    kind: str
    request: dict[str, Any]
    context: dict[str, Any]


async def submit(
    session: WriteSession,
    kind: str,
    request: Mapping[str, Any],
    *,
    now: datetime,
    requested_by: str | None = None,
    slot: str | None = None,
) -> AnyRow:
    """Start an operation, or return the open one if it was asked the same; refuse another."""
    for _ in range(3):
        operation_id = f"op_{secrets.token_hex(8)}"
        created = await session.scalar(
            upsert(Operation)
            .values(
                operation_id=operation_id,
                kind=kind,
                state="pending",
                request=dict(request),
                context={},
                slot=slot,
                requested_by=requested_by,
                done=0,
                total=1,
                created_at=now,
            )
            .on_conflict_do_nothing()
            .returning(Operation.operation_id)
        )
        if created is not None:
            await add_parts(session, operation_id, kind, [{}])
            return await get(session, operation_id)
        running = await _open(session, kind)
        if running is not None:
            if running.request == dict(request):
                return running
            raise OperationRunning(
                f"Operation {running.operation_id} of the same kind was asked something else"
                " and has not ended yet.",
                operation_id=running.operation_id,
            )
    raise OperationRunning("The operation of this kind keeps changing; try again.")


async def _open(session: ReadSession, kind: str) -> AnyRow | None:
    statement = select(*Operation.__table__.columns).where(
        Operation.kind == kind, Operation.state.in_(OPEN)
    )
    return (await session.execute(statement)).one_or_none()


async def add_parts(
    session: WriteSession, operation_id: str, task: str, arguments: Sequence[Mapping[str, Any]]
) -> None:
    """Add parts; the caller counts them in the operation's total, save for the first."""
    if arguments:
        rows = [
            {
                "operation_id": operation_id,
                "task": task,
                "arguments": dict(each),
                "state": "pending",
                "attempt": 0,
            }
            for each in arguments
        ]
        await session.execute(insert(OperationPart), rows)


async def plan(
    session: WriteSession,
    part: Part,
    parts: Sequence[tuple[str, Mapping[str, Any]]],
    context: Mapping[str, Any],
) -> None:
    """Let a part split what is left of its operation into further parts."""
    for task, arguments in parts:
        await add_parts(session, part.operation_id, task, [arguments])
    await session.execute(
        update(Operation)
        .where(Operation.operation_id == part.operation_id)
        .values(total=Operation.total + len(parts), context=dict(context))
    )


async def get(session: ReadSession, operation_id: str) -> AnyRow:
    """Return one operation."""
    statement = select(*Operation.__table__.columns).where(Operation.operation_id == operation_id)
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise NotFound(f"There is no operation {operation_id!r}.")
    return row


async def describe(session: ReadSession, operation_id: str) -> dict[str, Any]:
    """Return one operation as the API shows it."""
    return shown(await get(session, operation_id))


async def search(
    session: ReadSession, page: PageRequest, *, state: str | None, kind: str | None
) -> dict[str, Any]:
    """Return a page of operations, newest first."""
    statement = select(*Operation.__table__.columns, *_BY_AGE.columns)
    if state is not None:
        statement = statement.where(Operation.state == state)
    if kind is not None:
        statement = statement.where(Operation.kind == kind)
    bound_to = {"list": "operations", "state": state, "kind": kind}
    return await fetch_shown(session, statement, page, _BY_AGE, bound_to, shown)


def shown(row: AnyRow) -> dict[str, Any]:
    """Return an operation as the API shows it."""
    names = ("kind", "state", "result", "error", "created_at", "started_at", "finished_at")
    return {
        "id": row.operation_id,
        "progress": {"done": row.done, "total": row.total},
        **{name: getattr(row, name) for name in names},
    }


# The lease runs on the clock of the database: workers' own clocks may differ.
_CLAIM = text(
    "UPDATE operation_parts SET state = 'running', attempt = attempt + 1,"
    " lease_until = clock_timestamp() + :lease"
    " WHERE part_id = (SELECT part_id FROM operation_parts"
    "  WHERE attempt < :attempts"
    "  AND (state = 'pending' OR (state = 'running' AND lease_until < clock_timestamp()))"
    "  ORDER BY part_id LIMIT 1 FOR UPDATE SKIP LOCKED)"
    " RETURNING part_id"
)


async def claim(session: WriteSession) -> Part | None:
    """Take the oldest part that nobody holds."""
    part_id = await session.scalar(_CLAIM, {"lease": LEASE, "attempts": MAX_ATTEMPTS})
    if part_id is None:
        return None
    row = (
        await session.execute(
            select(
                OperationPart.part_id,
                OperationPart.attempt,
                OperationPart.task,
                OperationPart.arguments,
                Operation.operation_id,
                Operation.kind,
                Operation.request,
                Operation.context,
            )
            .join(Operation, Operation.operation_id == OperationPart.operation_id)
            .where(OperationPart.part_id == part_id)
        )
    ).one()
    await session.execute(
        update(Operation)
        .where(Operation.operation_id == row.operation_id, Operation.state == "pending")
        .values(state="running", started_at=func.clock_timestamp())
    )
    return Part(*row)


async def extend_lease(session: WriteSession, part: Part) -> bool:
    """Say that the part is still worked on; False if it has been taken over."""
    kept = await session.scalar(
        text(
            "UPDATE operation_parts SET lease_until = clock_timestamp() + :lease"
            " WHERE part_id = :part_id AND attempt = :attempt AND state = 'running'"
            " RETURNING true"
        ),
        {"lease": LEASE, "part_id": part.part_id, "attempt": part.attempt},
    )
    return bool(kept)


async def finish(session: WriteSession, part: Part) -> bool:
    """Mark a part done in the transaction of its effect; True for the last of its operation."""
    mine = await session.scalar(
        update(OperationPart)
        .where(
            OperationPart.part_id == part.part_id,
            OperationPart.attempt == part.attempt,
            OperationPart.state == "running",
        )
        .values(state="done", lease_until=None)
        .returning(OperationPart.part_id)
    )
    if mine is None:
        raise LeaseLost(f"part {part.part_id} was taken over")
    last = await session.scalar(
        update(Operation)
        .where(Operation.operation_id == part.operation_id)
        .values(done=Operation.done + 1)
        .returning(Operation.done == Operation.total)
    )
    return bool(last)


async def refresh(session: ReadSession, part: Part) -> Part:
    """Return the part with what its operation has found meanwhile."""
    context = await session.scalar(
        select(Operation.context).where(Operation.operation_id == part.operation_id)
    )
    return replace(part, context=context or {})


async def fail_exhausted(session: WriteSession, now: datetime) -> None:
    """End operations with a part that again and again ended its worker."""
    exhausted = await session.execute(
        select(OperationPart.operation_id)
        .where(
            OperationPart.state == "running",
            OperationPart.attempt >= MAX_ATTEMPTS,
            OperationPart.lease_until < func.clock_timestamp(),
        )
        .distinct()
    )
    for (operation_id,) in exhausted.all():
        detail = f"A part was tried {MAX_ATTEMPTS} times and never ended."
        await fail(session, operation_id, InternalError(detail), now)


async def succeed(
    session: WriteSession, operation_id: str, result: Mapping[str, Any], now: datetime
) -> None:
    """End an operation with its result."""
    await _end(session, operation_id, now, state="succeeded", result=dict(result))


async def fail(session: WriteSession, operation_id: str, error: AppError, now: datetime) -> None:
    """End an operation that cannot succeed; its other parts are dropped."""
    await session.execute(delete(OperationPart).where(OperationPart.operation_id == operation_id))
    problem = error.problem(instance=f"/v1/operations/{operation_id}", request_id=operation_id)
    await _end(session, operation_id, now, state="failed", error=problem)


async def _end(session: WriteSession, operation_id: str, now: datetime, **values: Any) -> None:
    await session.execute(
        update(Operation)
        .where(Operation.operation_id == operation_id, Operation.state.in_(OPEN))
        .values(finished_at=now, **values)
    )


async def release(session: WriteSession, part: Part) -> None:
    """Give a part back for another try."""
    await session.execute(
        update(OperationPart)
        .where(OperationPart.part_id == part.part_id, OperationPart.attempt == part.attempt)
        .values(state="pending", lease_until=None)
    )
