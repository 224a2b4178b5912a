"""Versions of the policy that nothing follows: they can be deleted, and there are not too many."""

import asyncio
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy import text

from app.config import Settings
from app.lifecycle.presets import PRESETS
from app.postgres.db import Database
from app.schemas.policies.policies import POLICY_EXAMPLE
from app.services.policy_changes import versions
from app.worker import Worker
from tests.database import Clock, writing
from tests.services.policy_changes import test_policy_changes as changes


@pytest.fixture
async def client(own_client: httpx.AsyncClient, clock: Clock) -> httpx.AsyncClient:
    clock.now = datetime.now(UTC)
    return own_client


async def make(client: httpx.AsyncClient) -> int:
    made = await client.post("/v1/policies", json=POLICY_EXAMPLE)
    assert made.status_code == 201, made.text
    return int(made.json()["version"])


async def refused(client: httpx.AsyncClient, version: int) -> str:
    answer = await client.delete(f"/v1/policies/{version}")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    return str(answer.json()["detail"])


async def test_one_that_was_never_in_force_goes_and_its_number_is_not_given_again(
    client: httpx.AsyncClient,
) -> None:
    first, second = await make(client), await make(client)
    for version in (second, first):
        gone = await client.delete(f"/v1/policies/{version}")
        assert (gone.status_code, gone.content) == (204, b"")
        assert (await client.get(f"/v1/policies/{version}")).status_code == 404
        assert (await client.delete(f"/v1/policies/{version}")).status_code == 404
    assert await make(client) == second + 1


async def test_one_that_anything_follows_or_may_follow_stays(
    client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    worker = Worker(own_database, settings)
    version = await make(client)
    assert "ready to use" in await refused(client, 1)
    assert "ready to use" in await refused(client, len(PRESETS))
    await client.post(f"/v1/policies/{version}/preview")
    assert "names policy" in await refused(client, version)
    seen = await changes.preview(client, worker, version)
    assert "names policy" in await refused(client, version)
    done = await changes.activate(client, worker, version, seen["token"])
    assert done["state"] == "succeeded"
    assert "in force" in await refused(client, version)
    back = await changes.preview(client, worker, 1)
    assert (await changes.activate(client, worker, 1, back["token"]))["state"] == "succeeded"
    assert "in force" in await refused(client, version)


async def test_a_day_after_its_preview_it_may_go(
    client: httpx.AsyncClient, own_database: Database, settings: Settings
) -> None:
    version = await make(client)
    await changes.preview(client, Worker(own_database, settings), version)
    async with own_database.writes() as session, session.begin():
        ended = "UPDATE operations SET finished_at = finished_at - interval '1 day'"
        await session.execute(text(ended))
    assert (await client.delete(f"/v1/policies/{version}")).status_code == 204


async def test_who_previews_one_that_is_being_deleted_is_told_that_it_is_gone(
    client: httpx.AsyncClient, own_database: Database
) -> None:
    version = await make(client)
    async with own_database.writes() as session, session.begin():
        await versions.delete(writing(session), version)
        previewing = asyncio.create_task(client.post(f"/v1/policies/{version}/preview"))
        await asyncio.sleep(0.2)
        assert not previewing.done()
    assert (await previewing).status_code == 404


async def test_there_are_not_too_many(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "MAX_POLICIES", len(PRESETS) + 2)
    made = await asyncio.gather(*(client.post("/v1/policies", json=POLICY_EXAMPLE)
                                  for _ in range(5)))  # fmt: skip
    assert sorted(answer.status_code for answer in made) == [201, 201, 409, 409, 409]
    stored = [answer.json()["version"] for answer in made if answer.status_code == 201]
    assert sorted(stored) == [len(PRESETS) + 1, len(PRESETS) + 2]
    assert (await client.delete(f"/v1/policies/{stored[0]}")).status_code == 204
    assert await make(client) == len(PRESETS) + 3
