"""Parts of operations: claiming them under a lease, finishing them, putting them off.

A part's effect, its `done` and the count of parts done commit in one transaction, so a part whose
worker died is done again from nothing, and whoever finishes the last one completes the operation.

A part that comes to nothing is tried again after a pause that grows. What it is at fault for itself
is counted, and ends the operation after a few times; what the database is at fault for is not, and
ends it after half a day. See `docs/decisions/0043`.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import func, select, text, update

from app.errors import AppError, DatabaseUnavailable, InternalError
from app.models import Operation, OperationPart
from app.postgres.db import ReadSession, WriteSession
from app.postgres.sqlstates import hindrance
from app.services.operations import operations

LEASE = timedelta(seconds=30)
MAX_FAILURES = 5
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(seconds=30)
PATIENCE = timedelta(hours=12)
"""How long a part is tried again that does not come to an end for no fault of its own."""


Asked = TypeVar("Asked", bound=BaseModel)


class LeaseLost(RuntimeError):
    """Another worker has taken the part over; what this one did must not be committed."""


class PutOff(RuntimeError):
    """A part has to wait for something; `code` is the word for it in `operations.HINDRANCES`."""

    def __init__(self, code: str) -> None:
        super().__init__(operations.HINDRANCES[code])
        self.code = code


_GOES_ON: dict[str, None] = dict.fromkeys(("waiting_since", "waiting_until", "waiting_for"))


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


# A lease that ran out has ended a worker, it seems, unless the server itself has been away since.
_LAPSED = (
    "CAST(state = 'running' AND lease_until - CAST(:lease AS interval)"
    " > pg_postmaster_start_time() AS int)"
)
# Leases and pauses run on the clock of the database: workers' own clocks may differ.
_CLAIM = text(
    "UPDATE operation_parts SET state = 'running', attempt = attempt + 1,"  # noqa: S608  # ours
    f" failures = failures + {_LAPSED}, lease_until = clock_timestamp() + :lease"
    " WHERE part_id = (SELECT part_id FROM operation_parts"
    f"  WHERE failures + {_LAPSED} < :failures"
    "  AND (CAST(:tasks AS text[]) IS NULL OR task = ANY(CAST(:tasks AS text[])))"
    "  AND ((state = 'pending' AND coalesce(not_before <= clock_timestamp(), true))"
    "   OR (state = 'running' AND lease_until < clock_timestamp()))"
    "  ORDER BY part_id LIMIT 1 FOR UPDATE SKIP LOCKED)"
    " RETURNING part_id"
)


async def claim(session: WriteSession, tasks: Sequence[str] | None = None) -> Part | None:
    """Take the oldest part that nobody holds and is not put off, of tasks this release knows."""
    asked = {"lease": LEASE, "failures": MAX_FAILURES, "tasks": tasks}
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
        .values(state="done", lease_until=None, not_before=None, hindered_since=None)
        .returning(OperationPart.part_id)
    )
    if mine is None:
        raise LeaseLost(f"part {part.part_id} was taken over")
    last = await session.scalar(
        update(Operation)
        .where(Operation.operation_id == part.operation_id, Operation.state.in_(operations.OPEN))
        .values(done=Operation.done + 1, **_GOES_ON)
        .returning(Operation.done == Operation.total)
    )
    if last is None:
        raise LeaseLost(f"the operation of part {part.part_id} has ended")
    return bool(last)


async def refresh(session: ReadSession, part: Part) -> Part:
    """Return the part with what its operation has found meanwhile."""
    context = await session.scalar(
        select(Operation.context).where(Operation.operation_id == part.operation_id)
    )
    return replace(part, context=context or {})


async def fail_exhausted(session: WriteSession) -> None:
    """End operations with a part that again and again ended its worker."""
    exhausted = await session.execute(_EXHAUSTED, {"lease": LEASE, "failures": MAX_FAILURES})
    for (operation_id,) in exhausted.all():
        detail = f"A part was tried {MAX_FAILURES} times and never ended."
        await operations.fail(session, operation_id, InternalError(detail))


_EXHAUSTED = text(
    "SELECT DISTINCT operation_id FROM operation_parts WHERE state = 'running'"  # noqa: S608  # ours
    f" AND failures + {_LAPSED} >= :failures AND lease_until < clock_timestamp()"
)


async def give_up(session: WriteSession, part: Part, error: Exception) -> None:
    """Put a part off that came to nothing, or end its operation if another try is of no use."""
    code = error.code if isinstance(error, PutOff) else hindrance(error)
    if code is None and isinstance(error, AppError):
        await _end(session, part, error)
    else:
        await put_off(session, part, code)


async def put_off(session: WriteSession, part: Part, code: str | None = None) -> None:
    """Give a part back for another try after a pause: for a hindrance, or as its own failure."""
    row = (await session.execute(_PUT_OFF, _pause(part, hindered=code is not None))).one_or_none()
    if row is None:
        # Who was kept from giving it back has let the lease run out; that is no fault of the part.
        forgiven = {"part_id": part.part_id, "attempt": part.attempt + 1}
        await session.execute(_FORGIVE, forgiven)
    elif row.failures >= MAX_FAILURES:
        detail = f"A part was tried {MAX_FAILURES} times and failed each time."
        await operations.fail(session, part.operation_id, InternalError(detail))
    elif row.hindered_for > PATIENCE:
        hours = PATIENCE // timedelta(hours=1)
        detail = f"{operations.HINDRANCES[code or 'internal_error']}, for {hours} hours."
        await operations.fail(session, part.operation_id, DatabaseUnavailable(detail))
    else:
        said = {"code": code or "internal_error", "until": row.not_before}
        await session.execute(_SAY_SO, {**said, "operation_id": part.operation_id})


def _pause(part: Part, *, hindered: bool) -> dict[str, Any]:
    """Return what puts a part off: parts that failed at once are not to be tried again at once."""
    return {
        "part_id": part.part_id,
        "attempt": part.attempt,
        "hindered": hindered,
        "first": FIRST_PAUSE,
        "longest": LONGEST_PAUSE,
        "jitter": random.uniform(0.75, 1.25),  # noqa: S311  # no secret
    }


# The pause is as long as the trouble has lasted: it doubles from one try to the next.
_PUT_OFF = text(
    "UPDATE operation_parts SET state = 'pending', lease_until = NULL,"
    " failures = failures + CAST(NOT CAST(:hindered AS boolean) AS int),"
    " hindered_since = coalesce(hindered_since, clock_timestamp()),"
    " not_before = clock_timestamp() + CAST(:jitter AS double precision) * least(CAST(:longest AS"
    " interval), greatest(CAST(:first AS interval), clock_timestamp() - hindered_since))"
    " WHERE part_id = :part_id AND attempt = :attempt AND state = 'running'"
    " RETURNING failures, not_before, clock_timestamp() - hindered_since AS hindered_for"
)
_FORGIVE = text(
    "UPDATE operation_parts SET failures = failures - 1"
    " WHERE part_id = :part_id AND attempt = :attempt AND state = 'running' AND failures > 0"
)
_SAY_SO = text(
    "UPDATE operations SET waiting_since = coalesce(waiting_since, clock_timestamp()),"
    " waiting_until = :until, waiting_for = :code"
    " WHERE operation_id = :operation_id AND state IN ('pending', 'running')"
)


async def _end(session: WriteSession, part: Part, error: AppError) -> None:
    """Fail the operation of a part, unless somebody else has the part by now."""
    if await extend_lease(session, part):
        await operations.fail(session, part.operation_id, error)


async def leave(session: WriteSession, part: Part) -> None:
    """Give a part back untried, for a worker that knows what it is about."""
    await session.execute(
        update(OperationPart)
        .where(OperationPart.part_id == part.part_id, OperationPart.attempt == part.attempt)
        .values(state="pending", lease_until=None)
    )
