"""Parts of operations: claiming them under a lease, and finishing them.

A part's effect, its `done` and the count of parts done commit in one transaction, so a part whose
worker died is done again from nothing, and whoever finishes the last one completes the operation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import func, select, text, update

from app.db import ReadSession, WriteSession
from app.errors import InternalError
from app.models import Operation, OperationPart
from app.services.operations import operations

LEASE = timedelta(seconds=30)
MAX_ATTEMPTS = 5


Asked = TypeVar("Asked", bound=BaseModel)


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

    def asked(self, shape: type[Asked]) -> Asked:
        """Return the request in the shape in which it was submitted."""
        return shape.model_validate(self.request)


async def plan(
    session: WriteSession,
    part: Part,
    parts: Sequence[tuple[str, Mapping[str, Any]]],
    context: Mapping[str, Any],
) -> None:
    """Let a part split what is left of its operation into further parts."""
    for task, alike in groupby(parts, key=itemgetter(0)):
        arguments = [argument for _, argument in alike]
        await operations.add_parts(session, part.operation_id, task, arguments)
    await session.execute(
        update(Operation)
        .where(Operation.operation_id == part.operation_id)
        .values(total=Operation.total + len(parts), context=dict(context))
    )


async def note(session: WriteSession, part: Part, outcome: Mapping[str, Any]) -> None:
    """Keep what a part found, for whoever completes the operation."""
    await session.execute(
        update(OperationPart)
        .where(OperationPart.part_id == part.part_id)
        .values(outcome=dict(outcome))
    )


async def noted(session: ReadSession, part: Part) -> list[dict[str, Any]]:
    """Return what the parts of the same operation found."""
    statement = select(OperationPart.outcome).where(
        OperationPart.operation_id == part.operation_id, OperationPart.outcome.is_not(None)
    )
    return list(await session.scalars(statement))


# The lease runs on the clock of the database: workers' own clocks may differ.
_CLAIM = text(
    "UPDATE operation_parts SET state = 'running', attempt = attempt + 1,"
    " lease_until = clock_timestamp() + :lease"
    " WHERE part_id = (SELECT part_id FROM operation_parts"
    "  WHERE attempt < :attempts"
    "  AND (CAST(:tasks AS text[]) IS NULL OR task = ANY(CAST(:tasks AS text[])))"
    "  AND (state = 'pending' OR (state = 'running' AND lease_until < clock_timestamp()))"
    "  ORDER BY part_id LIMIT 1 FOR UPDATE SKIP LOCKED)"
    " RETURNING part_id"
)


async def claim(session: WriteSession, tasks: Sequence[str] | None = None) -> Part | None:
    """Take the oldest part that nobody holds, of the tasks that this release knows."""
    asked = {"lease": LEASE, "attempts": MAX_ATTEMPTS, "tasks": tasks}
    part_id = await session.scalar(_CLAIM, asked)
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
    columns = {**row._mapping, "request": operations.request_of(row)}  # noqa: SLF001  # public
    return Part(**columns)


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
        await operations.fail(session, operation_id, InternalError(detail), now)


async def release(session: WriteSession, part: Part) -> None:
    """Give a part back for another try."""
    await session.execute(
        update(OperationPart)
        .where(OperationPart.part_id == part.part_id, OperationPart.attempt == part.attempt)
        .values(state="pending", lease_until=None)
    )


async def leave(session: WriteSession, part: Part) -> None:
    """Give a part back untried, for a worker that knows what it is about."""
    await session.execute(
        update(OperationPart)
        .where(OperationPart.part_id == part.part_id, OperationPart.attempt == part.attempt)
        .values(state="pending", lease_until=None, attempt=OperationPart.attempt - 1)
    )
