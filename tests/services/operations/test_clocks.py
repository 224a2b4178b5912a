"""Processes whose clocks are three days ahead or behind: what is due or over, the database says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text

from app.config import Settings
from app.errors import NotFound
from app.models import IdempotencyKey, Operation, StageTransition
from app.postgres.db import Database, ReadSession, database_time
from app.services.access import keys
from app.services.models import model_store
from app.services.operations import operations
from app.services.policy_changes.previews import PREVIEW
from app.services.scores import lists
from app.worker import Worker
from tests.database import Clock, writing
from tests.kept import store_run

PURCHASE = {
    "customer_id": "c1",
    "transaction_id": "t1",
    "occurred_at": "2026-01-31T12:00:00Z",
    "amount": {"amount": "12.50"},
}


@pytest.fixture(params=[-3, 3], ids=["behind", "ahead"])
def skewed(clock: Clock, request: pytest.FixtureRequest) -> Clock:
    """The clock of the API, and of the worker."""
    clock.now = datetime.now(UTC) + timedelta(days=request.param)
    return clock


@pytest.fixture
def worker(own_database: Database, settings: Settings, skewed: Clock) -> Worker:
    every = settings.model_copy(
        update={"scoring_every": timedelta(hours=24), "voided_kept": timedelta(days=1)}
    )
    return Worker(own_database, every, clock=lambda: skewed.now)


async def keep_house(worker: Worker) -> None:
    while await worker._housekeep():
        pass


async def run(database: Database, statement: str) -> None:
    async with database.writes() as session, session.begin():
        await session.execute(text(statement))


async def number_of(database: Database, table: Any) -> int:
    async with database.reads() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def test_answers_for_repeated_requests_are_kept_two_days(
    own_client: httpx.AsyncClient, own_database: Database, worker: Worker
) -> None:
    async def post() -> httpx.Response:
        headers = {"Idempotency-Key": "k1"}
        return await own_client.post("/v1/transactions", json=PURCHASE, headers=headers)

    assert (await post()).status_code == 201
    await run(own_database, "UPDATE idempotency_keys SET created_at = created_at - interval '47 h'")
    await keep_house(worker)
    assert (await post()).headers["idempotent-replayed"] == "true"
    await run(own_database, "UPDATE idempotency_keys SET created_at = created_at - interval '2 h'")
    await keep_house(worker)
    assert await number_of(own_database, IdempotencyKey) == 0
    assert (await post()).json()["status"] == "duplicate"


async def test_operations_and_voided_transitions_go_when_their_time_is_over(
    own_database: Database, worker: Worker
) -> None:
    async with own_database.writes() as session, session.begin():
        now = await database_time(writing(session))
        for name, days in (("fresh", 29), ("old", 31)):
            at = now - timedelta(days=days)
            session.add(
                Operation(
                    operation_id=name, kind=name, state="succeeded", request={}, context={},
                    done=1, total=1, created_at=at - timedelta(days=90), finished_at=at,
                )
            )  # fmt: skip
        for hours in (23, 25):
            at = now - timedelta(hours=hours)
            session.add(
                StageTransition(
                    customer_id=f"c{hours}", from_stage="a", to_stage="b", effective_at=at,
                    recorded_at=at - timedelta(days=9), voided_at=at, cause="fact", rule="r",
                    policy_version=1, evidence={}, derivation_version=1,
                )
            )  # fmt: skip
    await keep_house(worker)
    async with own_database.reads() as session:
        kept = list(await session.scalars(select(Operation.operation_id)))
        transitions = list(await session.scalars(select(StageTransition.customer_id)))
    assert (kept, transitions) == (["fresh"], ["c23"])


async def test_a_run_is_readable_for_a_day_after_it_was_replaced(
    own_database: Database, worker: Worker
) -> None:
    async with own_database.writes() as session, session.begin():
        now = await database_time(writing(session))
        runs = [
            await store_run(
                writing(session), scored=["c1"], operation_id=f"op_{number}",
                published_at=now - timedelta(days=2),
                replaced_at=now - timedelta(hours=25 if number == 0 else 23),
            )
            for number in range(10)
        ]  # fmt: skip
    for _ in range(2):
        async with own_database.reads() as session:
            with pytest.raises(NotFound):
                await lists._require(ReadSession(session), runs[0], "query:run_id")
            await lists._require(ReadSession(session), runs[1], "query:run_id")
        await keep_house(worker)
    async with own_database.reads() as session:
        kept = list(await session.scalars(text("SELECT run_id FROM runs ORDER BY run_id")))
    assert kept == runs[1:]


async def test_a_key_ends_when_it_was_said(
    own_client: httpx.AsyncClient, own_database: Database, skewed: Clock
) -> None:
    statuses = []
    for hours in (-1, 1):
        async with own_database.writes() as session, session.begin():
            now = await database_time(writing(session))
            expires_at = now + timedelta(hours=hours)
            key = await keys.create(
                writing(session), "short", ["admin"], now=now, expires_at=expires_at
            )
        for _ in range(2):
            own_client.headers["Authorization"] = f"Bearer {key}"
            statuses.append((await own_client.get("/v1/info")).status_code)
    assert statuses == [401, 401, 200, 200]


async def test_one_run_is_started_for_a_slot_whoever_looks(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings, worker: Worker
) -> None:
    assert (await own_client.post("/v1/transactions", json=PURCHASE)).status_code == 201
    others = [
        Worker(own_database, settings, clock=lambda days=days: datetime.now(UTC) + days)
        for days in (timedelta(days=-2), timedelta(), timedelta(days=2))
    ]
    for each in (worker, *others, worker, *others):
        await keep_house(each)
    assert await number_of(own_database, Operation) == 0


async def test_a_preview_is_good_for_a_day(
    own_client: httpx.AsyncClient, own_database: Database, settings: Settings, skewed: Clock
) -> None:
    worker = Worker(own_database, settings)
    preview = (await own_client.post("/v1/policies/2/preview")).json()
    assert preview["kind"] == PREVIEW
    while await worker.work_once():
        pass
    preview = (await own_client.get(f"/v1/operations/{preview['id']}")).json()
    body = {"token": preview["result"]["token"]}
    assert (await own_client.post("/v1/policies/2/activate", json=body)).status_code == 202


async def test_a_worker_tells_the_time_by_the_database(
    own_database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a part that names no instant, and of when an operation ended."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + timedelta(days=3)

    monkeypatch.setattr("app.worker.datetime", Ahead)
    async with own_database.writes() as session, session.begin():
        asked = model_store.ModelRequest()
        began = await database_time(writing(session))
        row = await operations.submit(writing(session), model_store.FIT, asked, now=began)
    worker = Worker(own_database, settings)
    while await worker.work_once():
        pass
    async with own_database.reads() as session:
        done = await operations.get(session, row.operation_id)  # type: ignore[arg-type]
        as_of = await session.scalar(text("SELECT as_of FROM models"))
    assert began <= done.finished_at <= began + timedelta(hours=1)
    assert done.state == "succeeded"
    assert began <= as_of <= done.finished_at
