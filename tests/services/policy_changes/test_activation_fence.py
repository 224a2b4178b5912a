"""Whoever puts a policy in force waits for those who write by the one before; nobody else waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.config import Settings
from app.deployment import Deployment
from app.postgres.db import Database, WriteSession
from app.services.customers import customers
from app.services.policy_changes import activations, taking_effect
from app.worker import Worker
from tests.database import Clock, writing
from tests.kept import ingest
from tests.services.policy_changes import test_policy_changes as changes

NEW_POLICY = 3
PURCHASE = {
    "transaction_id": "t1",
    "amount": {"amount": "9.00"},
    "occurred_at": "2026-05-01T12:00:00Z",
}
VISIT = {"interaction_id": "i1", "kind": "visit", "occurred_at": "2026-05-01T12:00:00Z"}

WRITERS: dict[str, tuple[str, str, Any]] = {
    "purchase": ("POST", "/v1/transactions", {"customer_id": "new", **PURCHASE}),
    "purchases": (
        "POST", "/v1/transactions/bulk", {"items": [{"customer_id": "new", **PURCHASE}]},
    ),
    "visit": ("POST", "/v1/interactions", {"customer_id": "new", **VISIT}),
    "new profile": ("PUT", "/v1/customers/new", {"country": "DE"}),
    "new profiles": ("POST", "/v1/customers/bulk", {"items": [{"customer_id": "new"}]}),
    "profile": ("PUT", "/v1/customers/known", {"country": "DE"}),
    "patch of a profile": ("PATCH", "/v1/customers/known", {"country": "DE"}),
}  # fmt: skip
ORDER = activations.ActivationOrder(version=NEW_POLICY, preview="op_1", max_drift=0, by="tests")


@pytest.fixture
async def client(own_client: httpx.AsyncClient, clock: Clock) -> httpx.AsyncClient:
    clock.now = datetime.now(UTC)
    await own_client.put("/v1/customers/known", json={})
    return own_client


@pytest.fixture
def worker(own_database: Database, settings: Settings) -> Worker:
    return Worker(own_database, settings)


@asynccontextmanager
async def begun(database: Database) -> AsyncIterator[WriteSession]:
    async with database.writes() as session, session.begin():
        yield writing(session)


async def work_off(worker: Worker) -> None:
    while await worker.work_once():
        pass


async def ask(client: httpx.AsyncClient, worker: Worker) -> str:
    """Ask for an activation; return where to follow it."""
    seen = await changes.preview(client, worker, NEW_POLICY)
    body = {"token": seen["token"], "max_drift": 9}
    asked = await client.post(f"/v1/policies/{NEW_POLICY}/activate", json=body)
    assert asked.status_code == 202, asked.text
    return asked.headers["location"]


async def in_force(client: httpx.AsyncClient) -> None:
    """Return once the new policy is in force."""
    async with asyncio.timeout(10):
        while (await client.get("/v1/info")).json()["policy_version"] != NEW_POLICY:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def check(client: httpx.AsyncClient, worker: Worker, clock: Clock, name: str) -> None:
    """A customer is where the new policy has everybody, and all follows from the facts."""
    clock.now = datetime.now(UTC)
    stage = (await client.get(f"/v1/customers/{name}/stage")).json()
    assert stage["policy_version"] == NEW_POLICY
    assert stage["stage"] == stage["recorded_stage"]
    rebuilt = await changes.finished(client, worker, await client.post("/v1/rebuilds", json={}))
    assert rebuilt["result"]["differences"] == 0, rebuilt


@pytest.mark.parametrize("writer", WRITERS)
async def test_nobody_waits_for_an_activation(
    client: httpx.AsyncClient, own_database: Database, writer: str
) -> None:
    method, path, body = WRITERS[writer]
    async with begun(own_database) as session:
        await activations._put_in_force(session, ORDER, datetime.now(UTC))
        answer = await asyncio.wait_for(client.request(method, path, json=body), 4)
        assert answer.is_success


@pytest.mark.parametrize("writer", WRITERS)
async def test_who_writes_while_the_policy_changes_ends_where_the_facts_lead(
    client: httpx.AsyncClient,
    own_database: Database,
    worker: Worker,
    clock: Clock,
    writer: str,
) -> None:
    """A writer has taken its customer by the old policy, and goes on when the new one holds."""
    method, path, body = WRITERS[writer]
    name = "known" if "known" in path else "new"
    location = await ask(client, worker)
    async with begun(own_database) as first:
        await customers.lock_or_create(first, [name], clock.now)
        writing_ = asyncio.create_task(client.request(method, path, json=body))
        await waits(own_database)
        activating = asyncio.create_task(work_off(worker))
        await in_force(client)
        # Others do not wait: they write by the new policy.
        other = await client.post("/v1/transactions", json={"customer_id": "other", **PURCHASE})
        assert other.status_code == 201
        assert not activating.done()
    assert (await writing_).is_success
    await activating
    assert (await client.get(location)).json()["state"] == "succeeded"
    await check(client, worker, clock, name)
    await check(client, worker, clock, "other")


async def waits(database: Database) -> None:
    """Return once somebody waits for a lock."""
    someone = text("SELECT pid FROM pg_locks WHERE NOT granted")
    async with asyncio.timeout(4), database.reads() as session:
        while not (await session.execute(someone)).all():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_who_is_made_as_the_policy_changes_begins_where_the_new_one_begins(
    client: httpx.AsyncClient, own_database: Database
) -> None:
    """Another one was about to make the same customer, so that it took until after the change."""
    async with own_database.writes() as other:
        await other.begin()
        await customers.lock_or_create(writing(other), ["new"], datetime.now(UTC))
        making = asyncio.create_task(client.put("/v1/customers/new", json={}))
        await waits(own_database)
        async with begun(own_database) as session:
            await activations._put_in_force(session, ORDER, datetime.now(UTC))
        await other.rollback()
    assert (await making).json()["stage"] == "acquisition"


async def test_an_activation_waits_for_a_writer_and_then_moves_whom_it_wrote(
    client: httpx.AsyncClient,
    own_database: Database,
    worker: Worker,
    clock: Clock,
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(taking_effect, "AWAITED_SECONDS", 0.0)
    location = await ask(client, worker)
    async with begun(own_database) as session:
        items = [{"customer_id": "new", **PURCHASE}]
        await ingest(session, deployment, items, clock.now)
        await work_off(worker)
        waiting = (await client.get(location)).json()
        assert (waiting["state"], waiting["waiting"]["code"]) == ("running", "writers")
    async with begun(own_database) as session:
        await session.execute(text("UPDATE operation_parts SET not_before = NULL"))
    await work_off(worker)
    assert (await client.get(location)).json()["state"] == "succeeded"
    await check(client, worker, clock, "new")
