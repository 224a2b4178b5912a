"""Whoever writes by the policy in force holds off an activation, and an activation the writers."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.config import Settings
from app.db import Database
from app.deployment import Deployment
from app.services.policy_changes import activations
from app.worker import Worker
from tests.database import Clock, writing
from tests.kept import ingest

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


@pytest.fixture
async def client(own_client: httpx.AsyncClient, clock: Clock) -> httpx.AsyncClient:
    clock.now = datetime.now(UTC)
    await own_client.put("/v1/customers/known", json={})
    return own_client


async def blocked(database: Database, waiting: asyncio.Task[Any]) -> None:
    """Return once somebody waits for a lock of the deployment; it must not end before."""
    someone = text("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    async with asyncio.timeout(4), database.reads() as session:
        while not (await session.execute(someone)).all():
            assert not waiting.done(), "it did not wait"
            await asyncio.sleep(0.01)


ORDER = activations.ActivationOrder(version=NEW_POLICY, preview="op_1", max_drift=0, by="tests")


@pytest.mark.parametrize("writer", WRITERS)
async def test_a_writer_waits_for_an_activation_and_then_writes_by_its_policy(
    client: httpx.AsyncClient, own_database: Database, writer: str
) -> None:
    method, path, body = WRITERS[writer]
    async with own_database.writes() as session, session.begin():
        await activations._put_in_force(writing(session), ORDER, datetime.now(UTC))
        waiting = asyncio.create_task(client.request(method, path, json=body))
        await blocked(own_database, waiting)
    assert (await waiting).is_success
    # Whom the activation knew are moved by its parts; others nobody looks at again.
    if "known" not in path:
        customer = (await client.get("/v1/customers/new")).json()
        assert customer["stage"] in await stages_of(client, NEW_POLICY)


async def stages_of(client: httpx.AsyncClient, version: int) -> set[str]:
    document = (await client.get(f"/v1/policies/{version}")).json()["document"]
    return {stage["code"] for stage in document["stages"]}


async def test_an_activation_waits_for_a_writer_and_then_moves_whom_it_wrote(
    client: httpx.AsyncClient,
    own_database: Database,
    clock: Clock,
    deployment: Deployment,
    settings: Settings,
) -> None:
    worker = Worker(own_database, settings)

    async def work_off() -> None:
        while await worker.work_once():
            pass

    asked = await client.post(f"/v1/policies/{NEW_POLICY}/preview")
    await work_off()
    token = (await client.get(asked.headers["location"])).json()["result"]["token"]
    async with own_database.writes() as session, session.begin():
        items = [{"customer_id": "new", **PURCHASE}]
        await ingest(writing(session), deployment, items, clock.now)
        body = {"token": token}
        asked = await client.post(f"/v1/policies/{NEW_POLICY}/activate", json=body)
        activating = asyncio.create_task(work_off())
        await blocked(own_database, activating)
    await activating
    assert (await client.get(asked.headers["location"])).json()["state"] == "succeeded"
    clock.now = datetime.now(UTC)
    stage = (await client.get("/v1/customers/new/stage")).json()
    assert stage["policy_version"] == NEW_POLICY
    assert stage["stage"] == stage["recorded_stage"]
