"""Operations: submitting long work, following it, and ending it. `parts` has how it is done."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.errors import AppError, Conflict, NotFound, OperationRunning
from app.models import Operation, OperationPart
from app.postgres.db import AnyRow, ReadSession, WriteSession
from app.services.common.paging import PageRequest, Sort, fetch_responses
from app.services.common.stored_documents import opened, stamped

OPEN = ("pending", "running")
_BY_AGE = Sort((Operation.created_at, Operation.operation_id), descending=True)


async def submit(
    session: WriteSession,
    kind: str,
    request: BaseModel,
    *,
    now: datetime,
    requested_by: str | None = None,
    slot: str | None = None,
    operation_id: str | None = None,
) -> AnyRow:
    """Start an operation, or return the open one if it was asked the same; refuse another.

    Of a kind of which several may be open there is none to return: its id is given.
    """
    document = stamped(request.model_dump(mode="json"))
    for _ in range(3):
        operation_id = operation_id or new_id()
        created = await session.scalar(
            upsert(Operation)
            .values(
                operation_id=operation_id,
                kind=kind,
                state="pending",
                request=document,
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
        running = await find_open(session, kind)
        if running is not None:
            if running.request == document:
                return running
            raise OperationRunning(
                f"Operation {running.operation_id} of the same kind was asked something else"
                " and has not ended yet.",
                operation_id=running.operation_id,
            )
    raise OperationRunning("The operation of this kind keeps changing; try again.")


def new_id() -> str:
    """Return an id that no operation has."""
    return f"op_{secrets.token_hex(8)}"


async def find_open(session: ReadSession, kind: str) -> AnyRow | None:
    """Return the operation of a kind that has not ended, if there is one."""
    statement = select(*Operation.__table__.columns).where(
        Operation.kind == kind, Operation.state.in_(OPEN)
    )
    return (await session.execute(statement)).one_or_none()


async def find_all_open(session: ReadSession, kind: str) -> Sequence[AnyRow]:
    """Return those of a kind that have not ended, the oldest first."""
    statement = (
        select(*Operation.__table__.columns)
        .where(Operation.kind == kind, Operation.state.in_(OPEN))
        .order_by(Operation.created_at, Operation.operation_id)
    )
    return (await session.execute(statement)).all()


async def add_parts(
    session: WriteSession, operation_id: str, task: str, arguments: Sequence[Mapping[str, Any]]
) -> None:
    """Add parts; the caller counts them in the operation's total, save for the first."""
    if arguments:
        rows = [
            {
                "operation_id": operation_id,
                "task": task,
                "arguments": dict(argument),
                "state": "pending",
                "attempt": 0,
            }
            for argument in arguments
        ]
        await session.execute(insert(OperationPart), rows)


async def get(session: ReadSession, operation_id: str) -> AnyRow:
    """Return one operation."""
    statement = select(*Operation.__table__.columns).where(Operation.operation_id == operation_id)
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise NotFound(f"There is no operation {operation_id!r}.")
    return row


async def describe(session: ReadSession, operation_id: str) -> dict[str, Any]:
    """Return one operation as the API shows it."""
    return to_response(await get(session, operation_id))


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
    return await fetch_responses(session, statement, page, _BY_AGE, bound_to, to_response)


def to_response(row: AnyRow) -> dict[str, Any]:
    """Return an operation as the API shows it."""
    names = ("kind", "state", "error", "created_at", "started_at", "finished_at")
    return {
        "id": row.operation_id,
        "progress": {"done": row.done, "total": row.total},
        "waiting": _waiting(row),
        **{name: getattr(row, name) for name in names},
        "result": None if row.result is None else result_of(row),
    }


HINDRANCES = {
    "database_unavailable": "The database, or a node of it, could not be reached or did not answer",
    "disk_full": "The disk of the database is full",
    "internal_error": "A part of it has failed",
    "lock_timeout": "A part of it waited too long for what somebody else has locked",
    "read_only": "The database accepts no writes",
    "serialization_failure": "Somebody else changed the same data at the same time",
    "statement_timeout": "A statement of a part of it took too long",
    "writers": "Writes that began before what it goes by was changed have not ended",
}
"""What may put off a part of long work, in words."""


def _waiting(row: AnyRow) -> dict[str, Any] | None:
    """Return why an operation does not come further, if it does not."""
    if row.waiting_since is None or row.state not in OPEN:
        return None
    return {
        "code": row.waiting_for,
        "detail": f"{HINDRANCES[row.waiting_for]}; it is tried again.",
        "since": row.waiting_since,
        "until": row.waiting_until,
    }


def request_of(row: AnyRow) -> dict[str, Any]:
    """Return what an operation was asked."""
    return opened(row.request, f"the request of a {row.kind}")


def result_of(row: AnyRow) -> dict[str, Any]:
    """Return what came of an operation that succeeded."""
    return opened(row.result, f"the result of a {row.kind}")


async def succeed(session: WriteSession, operation_id: str, result: Mapping[str, Any]) -> None:
    """End an operation with its result."""
    await _end(session, operation_id, state="succeeded", result=stamped(result))


async def fail(session: WriteSession, operation_id: str, error: AppError) -> None:
    """End an operation that cannot succeed."""
    problem = error.problem(instance=f"/v1/operations/{operation_id}", request_id=operation_id)
    await _stop(session, operation_id, state="failed", error=problem)


async def cancel(session: WriteSession, operation_id: str) -> dict[str, Any]:
    """End an operation because somebody asks for it; what is done of it stays done."""
    await get(session, operation_id)
    if not await _stop(session, operation_id, state="cancelled"):
        raise Conflict(f"Operation {operation_id!r} has ended.")
    return await describe(session, operation_id)


async def _stop(session: WriteSession, operation_id: str, **values: Any) -> bool:
    """End an operation without a result; of its parts, those that are done are kept.

    Who works on one finds it gone, and commits nothing. A part that was about to be finished may
    have planned others just before the end: they are looked for once more after it.
    """
    await _drop_parts(session, operation_id)
    ended = await _end(session, operation_id, **values)
    await _drop_parts(session, operation_id)
    return ended


async def _drop_parts(session: WriteSession, operation_id: str) -> None:
    left = OperationPart.operation_id == operation_id, OperationPart.state != "done"
    await session.execute(delete(OperationPart).where(*left))


async def _end(session: WriteSession, operation_id: str, **values: Any) -> bool:
    ended = await session.scalar(
        update(Operation)
        .where(Operation.operation_id == operation_id, Operation.state.in_(OPEN))
        .values(finished_at=func.clock_timestamp(), **values)
        .returning(Operation.operation_id)
    )
    return ended is not None
