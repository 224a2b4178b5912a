"""What is removed because nobody can ask for it any more, and what is not."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text

from app.models import IdempotencyKey, Operation, OperationPart, Run, StageTransition
from app.postgres.db import Database, WriteSession
from app.services.operations import housekeeping
from tests.database import NOW, writing
from tests.kept import kept_scores, store_run

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def operation(name: str, *, state: str, created_at: datetime = NOW, kind: str = "k") -> Operation:
    return Operation(
        operation_id=name, kind=kind, state=state, request={}, context={}, done=0, total=1,
        created_at=created_at,
    )  # fmt: skip


def part(name: str) -> OperationPart:
    return OperationPart(operation_id=name, task="t", arguments={}, state="pending", attempt=0)


async def add_run(
    session: WriteSession, *, published: bool, replaced_at: datetime | None, state: str, scores: int
) -> int:
    """Write a run with scores, and the operation that made it."""
    number = await session.scalar(select(func.count()).select_from(Run)) or 0
    name = f"op_{number}"
    session.add(operation(name, state=state, kind=f"kind {number}"))
    return await store_run(
        session, scored=[f"c{n}" for n in range(scores)], operation_id=name,
        published_at=NOW if published else None, replaced_at=replaced_at,
    )  # fmt: skip


async def kept(session: WriteSession) -> dict[int, int]:
    """Return the runs there are, each with the number of its scores; there is no other table."""
    runs = list(await session.scalars(select(Run.run_id)))
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'runs'"
    assert set(await session.scalars(text(tables))) == {f"scores_{run_id}" for run_id in runs}
    return {run_id: len(await kept_scores(session, run_id)) for run_id in runs}


async def test_answers_for_repeated_requests_are_kept_two_days(session: WriteSession) -> None:
    for name, age in (("old", 49 * HOUR), ("fresh", 47 * HOUR)):
        session.add(
            IdempotencyKey(key_id="k", idempotency_key=name, fingerprint=b"f", created_at=NOW - age)
        )
    await session.flush()
    await housekeeping.sweep(session, NOW)
    assert list(await session.scalars(select(IdempotencyKey.idempotency_key))) == ["fresh"]


async def test_scores_go_a_day_after_their_run_was_replaced_save_those_of_the_newest_eight(
    session: WriteSession,
) -> None:
    done: dict[str, Any] = {"published": True, "state": "succeeded", "scores": 2}
    long_ago, lately = NOW - 24 * HOUR - timedelta(seconds=1), NOW - 24 * HOUR
    old = await add_run(session, replaced_at=long_ago, **done | {"scores": 7})
    fresh = await add_run(session, replaced_at=lately, **done)
    unpublished = {"published": False, "replaced_at": None, "scores": 2}
    failed = await add_run(session, state="failed", **unpublished)
    running = await add_run(session, state="running", **unpublished)
    newest = [
        await add_run(session, replaced_at=None if number == 7 else long_ago, **done)
        for number in range(8)
    ]
    assert (await kept(session)).keys() == {old, fresh, failed, running, *newest}
    assert not await housekeeping.sweep(session, NOW)
    assert await kept(session) == dict.fromkeys([fresh, running, *newest], 2)


async def test_operations_that_ended_go_after_a_month_with_their_parts(
    session: WriteSession,
) -> None:
    late = NOW - 30 * DAY
    session.add_all(
        [
            operation("gone", state="succeeded", created_at=late - HOUR),
            operation("gone too", state="failed", created_at=late - HOUR),
            operation("open", state="running", created_at=late - HOUR),
            operation("waiting", state="pending", created_at=late - HOUR, kind="other"),
            operation("young", state="succeeded", created_at=late),
        ]
    )
    session.add_all([part(name) for name in ("gone", "gone", "open", "young")])
    await session.flush()
    assert not await housekeeping.sweep(session, NOW)
    left = await session.scalars(select(Operation.operation_id).order_by(Operation.operation_id))
    assert list(left) == ["open", "waiting", "young"]
    parts = await session.scalars(select(OperationPart.operation_id).order_by("operation_id"))
    assert list(parts) == ["open", "young"]


def transition(number: int, recorded: datetime, voided: datetime | None) -> StageTransition:
    return StageTransition(
        customer_id=f"c{number}", from_stage="a", to_stage="b", effective_at=NOW,
        recorded_at=recorded, voided_at=voided, cause="fact", rule="r", policy_version=1,
        evidence={}, derivation_version=1,
    )  # fmt: skip


async def test_transitions_that_one_load_voided_go_at_once_others_when_it_is_said(
    session: WriteSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "CHUNK", 2)
    old = NOW - 300 * DAY
    session.add_all(
        [
            *(transition(n, old, old + HOUR - timedelta(seconds=1)) for n in (0, 1, 2)),
            transition(3, old, old + HOUR),
            transition(4, old, NOW - 9 * DAY),
            transition(5, old, None),
            transition(6, NOW, None),
        ]
    )
    await session.flush()

    async def left() -> list[str]:
        ids = await session.scalars(
            select(StageTransition.customer_id).order_by(StageTransition.customer_id)
        )
        return list(ids)

    assert await housekeeping.sweep(session, NOW)
    assert len(await left()) == 5  # a chunk at a time
    assert not await housekeeping.sweep(session, NOW)
    assert await left() == ["c3", "c4", "c5", "c6"]
    await housekeeping.sweep(session, NOW, voided_kept=10 * DAY)
    assert await left() == ["c4", "c5", "c6"]
    await housekeeping.sweep(session, NOW, voided_kept=8 * DAY)
    assert await left() == ["c5", "c6"]


async def test_one_worker_sweeps_at_a_time(own_database: Database) -> None:
    async with own_database.writes() as one, one.begin():
        await add_run(writing(one), published=False, replaced_at=None, state="failed", scores=1)
    async with own_database.writes() as first, first.begin():
        await housekeeping.sweep(writing(first), NOW)
        assert await kept(writing(first)) == {}
        async with own_database.writes() as second, second.begin():
            assert not await housekeeping.sweep(writing(second), NOW + 365 * DAY)
            assert len(list(await second.scalars(select(Run.run_id)))) == 1
    async with own_database.writes() as third, third.begin():
        assert await kept(writing(third)) == {}
