"""Parts and their leases: what a worker may still do that has lost its part to another."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from app.config import Settings
from app.deployment import Deployment
from app.models import OperationPart, Run
from app.models.scoring import SCORE_INDEXES
from app.postgres.db import Database, WriteSession
from app.schemas.models.models import RunRequest
from app.services.common import deployment_settings as stored
from app.services.common.stored_documents import NewerVersion, opened, stamped
from app.services.operations import operations, parts
from app.services.operations.parts import LeaseLost, Part
from app.services.rebuilds.rebuilds import RebuildOrder
from app.services.runs import runs
from app.worker import Worker
from app.worker_tasks import TASKS
from tests.database import writing
from tests.kept import ingest, kept_scores

PURCHASE = {
    "customer_id": "c1",
    "transaction_id": "t1",
    "amount": {"amount": "9.00"},
    "occurred_at": "2026-05-01T12:00:00Z",
}


INDEXES = text("SELECT count(*) FROM pg_indexes WHERE schemaname = 'runs'")


@pytest.fixture
def worker(own_database: Database, settings: Settings) -> Worker:
    return Worker(own_database, settings)


@asynccontextmanager
async def write(database: Database) -> AsyncIterator[WriteSession]:
    async with database.writes() as session, session.begin():
        yield writing(session)


async def claim(database: Database) -> Part:
    async with write(database) as session:
        part = await parts.claim(session)
    assert part is not None
    return part


async def expire(database: Database, part: Part) -> None:
    """Let the lease of a part run out."""
    past = "UPDATE operation_parts SET lease_until = clock_timestamp() - interval '1 ms'"
    async with write(database) as session:
        await session.execute(text(f"{past} WHERE part_id = :id"), {"id": part.part_id})


async def seen(database: Database, operation_id: str) -> dict[str, Any]:
    """Return what everybody can see of a run: its progress, its scores, whether it is published."""
    async with write(database) as session:
        found = await operations.get(session, operation_id)
        open_parts = select(OperationPart.attempt).where(OperationPart.state == "running")
        return {
            "state": found.state,
            "left": found.total - found.done,
            "scores": len(await kept_scores(session, await session.scalar(select(Run.run_id)))),
            "indexes": await session.scalar(INDEXES),
            "published": (await stored.pointers(session)).run_id is not None,
            "attempts": list(await session.scalars(open_parts)),
        }


@pytest.fixture(params=["score", "index"])
async def last(
    own_database: Database, deployment: Deployment, worker: Worker, request: pytest.FixtureRequest
) -> Part:
    """The last part of a wave of a scoring run, claimed by a worker."""
    now = datetime.now(UTC)
    async with write(own_database) as session:
        await ingest(session, deployment, [PURCHASE], now)
        await runs.submit(session, deployment, RunRequest(), now=now, by="tests")
    before = ("plan",) if request.param == "score" else ("plan", "score", *SCORE_INDEXES[1:])
    for _ in before:
        assert await worker.work_once()
    part = await claim(own_database)
    assert part.task == request.param
    return part


async def test_a_worker_that_lost_its_part_has_no_effect_and_the_other_publishes_once(
    own_database: Database, worker: Worker, last: Part
) -> None:
    await expire(own_database, last)
    other = await claim(own_database)
    assert (other.part_id, other.attempt) == (last.part_id, last.attempt + 1)
    before = await seen(own_database, last.operation_id)
    scored = last.task == "index"
    assert before == {
        "state": "running", "left": 1, "scores": int(scored), "indexes": 3 * scored,
        "published": False, "attempts": [2],
    }  # fmt: skip
    with pytest.raises(LeaseLost):
        await worker._do(last)
    assert await seen(own_database, last.operation_id) == before
    await worker._do(other)
    assert await seen(own_database, last.operation_id) == {
        "state": "succeeded" if scored else "running", "left": 0 if scored else 4, "scores": 1,
        "indexes": 4 * scored, "published": scored, "attempts": [],
    }  # fmt: skip
    async with own_database.writes() as session, session.begin():
        with pytest.raises(LeaseLost):
            await parts.finish(writing(session), other)


async def test_a_worker_that_lost_its_part_neither_keeps_nor_frees_it(
    own_database: Database, last: Part
) -> None:
    await expire(own_database, last)
    other = await claim(own_database)
    async with write(own_database) as session:
        assert not await parts.extend_lease(session, last)
        await parts.put_off(session, last, "disk_full")
        assert await parts.claim(session) is None
        assert await parts.extend_lease(session, other)
        await parts.put_off(session, other, "disk_full")
        await session.execute(text("UPDATE operation_parts SET not_before = NULL"))
        again = await parts.claim(session)
    assert again is not None
    assert (again.part_id, again.attempt) == (last.part_id, 3)


async def test_a_lease_that_is_kept_cannot_be_taken(own_database: Database, last: Part) -> None:
    await expire(own_database, last)
    async with write(own_database) as session:
        assert await parts.extend_lease(session, last)
        assert await parts.claim(session) is None


async def test_a_part_that_again_and_again_ends_its_worker_ends_its_operation(
    own_database: Database, last: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Kept after the server began, which has just been: else that would be to blame.
    monkeypatch.setattr(parts, "LEASE", timedelta(seconds=1))
    for _ in range(last.attempt, parts.MAX_FAILURES):
        await expire(own_database, last)
        last = await claim(own_database)
    async with write(own_database) as session:
        await parts.fail_exhausted(session)
    assert (await seen(own_database, last.operation_id))["state"] == "running"
    await expire(own_database, last)
    async with write(own_database) as session:
        assert await parts.claim(session) is None
        await parts.fail_exhausted(session)
        failed = await operations.describe(session, last.operation_id)
    assert (failed["state"], failed["error"]["status"]) == ("failed", 500)
    assert "tried 5 times" in failed["error"]["detail"]


async def test_what_only_a_newer_release_knows_is_left_to_its_workers(
    own_database: Database, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a task unknown here, nor a document of another shape, fails its operation."""

    async def open_newer(*_: object) -> None:
        opened(stamped({}, version=2), "the model")

    monkeypatch.setitem(TASKS, "opens a document", open_newer)
    for task in ("opens a document", "asked in another shape", "unknown"):
        async with write(own_database) as session:
            order = RebuildOrder(customers=None, repair=False)
            row = await operations.submit(session, task, order, now=datetime.now(UTC))
            if task == "asked in another shape":
                newer = "UPDATE operations SET request = request || '{\"schema_version\": 2}'"
                await session.execute(text(newer))
                await session.execute(text("UPDATE operation_parts SET task = 'score'"))
        if task == "unknown":
            assert not await worker.work_once()
        else:
            for _ in range(parts.MAX_FAILURES + 1):
                with pytest.raises(NewerVersion):
                    await worker.work_once()
        async with write(own_database) as session:
            columns = OperationPart.state, OperationPart.failures
            assert (await session.execute(select(*columns))).all() == [("pending", 0)]
            assert (await operations.get(session, row.operation_id)).state in operations.OPEN
            await session.execute(text("TRUNCATE operations, operation_parts"))
