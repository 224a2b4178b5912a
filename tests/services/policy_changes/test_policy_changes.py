"""Previews and activations through the real worker."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.config import Settings
from app.deployment import Deployment
from app.models import Customer, PurchaseSummary, StageTransition
from app.postgres.db import Database, ReadSession
from app.schemas.policies.policies import POLICY_EXAMPLE
from app.schemas.problems import PreviewStaleProblem
from app.services.common import deployment_settings as stored
from app.services.common import signing
from app.services.policy_changes import previews, taking_effect
from app.worker import Worker
from tests import documented, histories
from tests.database import Clock
from tests.kept import as_item

CUSTOMERS = 30
Matrix = dict[tuple[str, str], int]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "COMPARE_PART", 11)
    monkeypatch.setattr(taking_effect, "APPLY_PART", 7)


@pytest.fixture
async def client(
    own_client: httpx.AsyncClient, clock: Clock, deployment: Deployment
) -> httpx.AsyncClient:
    """A client of a service that knows some customers; the clock is the real one."""
    clock.now = datetime.now(UTC)
    rng, zone = random.Random(5), deployment.calendar.zone
    items = []
    for number in range(CUSTOMERS):
        end = clock.now.astimezone(zone).date() - timedelta(days=rng.choice((1, 100, 200, 700)))
        own = histories.facts(rng, zone, end)
        items += [as_item(f"c{number:02}", fact) for fact in own]
    for start in range(0, len(items), 500):
        body = {"items": items[start : start + 500]}
        assert (await own_client.post("/v1/transactions/bulk", json=body)).status_code == 200
    await own_client.put("/v1/customers/prospect", json={"country": "DE"})
    clock.now = datetime.now(UTC)
    return own_client


@pytest.fixture
def worker(own_database: Database, settings: Settings) -> Worker:
    return Worker(own_database, settings)


async def finished(
    client: httpx.AsyncClient, worker: Worker, accepted: httpx.Response
) -> dict[str, Any]:
    assert accepted.status_code == 202, accepted.text
    while await worker.work_once():
        pass
    return documented.operation(await client.get(accepted.headers["location"]))


async def preview(client: httpx.AsyncClient, worker: Worker, version: int) -> dict[str, Any]:
    operation = await finished(client, worker, await client.post(f"/v1/policies/{version}/preview"))
    assert operation["state"] == "succeeded", operation["error"]
    found: dict[str, Any] = operation["result"]
    return found


async def activate(
    client: httpx.AsyncClient, worker: Worker, version: int, token: str, **more: Any
) -> dict[str, Any]:
    body = {"token": token, **more}
    accepted = await client.post(f"/v1/policies/{version}/activate", json=body)
    return await finished(client, worker, accepted)


def cells(matrix: list[dict[str, Any]]) -> Matrix:
    return {(cell["from"], cell["to"]): cell["customers"] for cell in matrix}


def transitions(matrix: list[dict[str, Any]]) -> Matrix:
    return {cell: n for cell, n in cells(matrix).items() if cell[0] != cell[1]}


async def recorded(database: Database, since: str) -> Matrix:
    """Return what the ledger says moved by a policy since an instant."""
    async with database.reads() as session:
        rows = await session.execute(
            select(StageTransition.from_stage, StageTransition.to_stage).where(
                StageTransition.cause == "policy",
                StageTransition.voided_at.is_(None),
                StageTransition.effective_at >= datetime.fromisoformat(since),
            )
        )
        return dict(Counter((before, after) for before, after in rows))


async def replay(database: Database) -> None:
    """Check that the rows of everybody lead to the recorded stage, one going on from another."""
    async with database.reads() as session:
        stages = dict((await session.execute(select(Customer.customer_id, Customer.stage))).all())
        rows = await session.execute(
            select(StageTransition)
            .where(StageTransition.voided_at.is_(None))
            .order_by(StageTransition.customer_id, StageTransition.effective_at)
        )
        ends: dict[str, str] = {}
        for row in rows.scalars():
            assert ends.get(row.customer_id, "potential") == row.from_stage
            ends[row.customer_id] = row.to_stage
        assert {each: ends.get(each, "potential") for each in stages} == stages


@pytest.mark.parametrize("version", [2, 3, 5, 6, 7])
async def test_what_the_preview_shows_is_what_the_ledger_then_says(
    client: httpx.AsyncClient,
    worker: Worker,
    own_database: Database,
    clock: Clock,
    version: int,
) -> None:
    seen = await preview(client, worker, version)
    assert sum(cells(seen["matrix"]).values()) == seen["customers"] == CUSTOMERS + 1
    assert seen["transitions"] == sum(transitions(seen["matrix"]).values()) > 0
    assert await recorded(own_database, "2000-01-01T00:00:00Z") == {}
    done = await activate(client, worker, version, seen["token"])
    assert done["state"] == "succeeded", done["error"]
    assert await recorded(own_database, done["result"]["activated_at"]) == transitions(
        seen["matrix"]
    )
    assert done["result"]["transitions"] == seen["transitions"]
    await replay(own_database)
    clock.now = datetime.now(UTC)
    page = (await client.get("/v1/customers")).json()
    assert page["stage_policy_version"] == version
    for customer in page["items"]:
        stage = (await client.get(f"/v1/customers/{customer['customer_id']}/stage")).json()
        assert (stage["stage"], stage["policy_version"]) == (customer["stage"], version)
    async with own_database.reads() as session:
        versions = await session.scalars(select(PurchaseSummary.policy_version).distinct())
        assert version in {1, *versions}


async def test_a_fact_in_between_makes_the_preview_stale(
    client: httpx.AsyncClient, worker: Worker, own_database: Database
) -> None:
    seen = await preview(client, worker, 3)
    fact = {
        "customer_id": "prospect",
        "transaction_id": "t1",
        "occurred_at": "2026-01-31T12:00:00Z",
        "amount": {"amount": "9.00"},
    }
    assert (await client.post("/v1/transactions", json=fact)).status_code == 201
    failed = await activate(client, worker, 3, seen["token"])
    assert (failed["state"], failed["error"]["code"]) == ("failed", "preview_stale")
    PreviewStaleProblem.model_validate(failed["error"])
    assert cells(failed["error"]["previewed"]) == cells(seen["matrix"])
    assert cells(failed["error"]["matrix"]) != cells(seen["matrix"])
    assert await recorded(own_database, "2000-01-01T00:00:00Z") == {}
    assert (await client.get("/v1/policies/3")).json()["active"] is False
    allowed = await activate(client, worker, 3, seen["token"], max_drift=1)
    assert allowed["state"] == "succeeded"


async def test_facts_before_and_after_an_activation_follow_the_policy_of_their_time(
    client: httpx.AsyncClient, worker: Worker, own_database: Database, clock: Clock
) -> None:
    seen = await preview(client, worker, 3)
    done = await activate(client, worker, 3, seen["token"])
    at = datetime.fromisoformat(done["result"]["activated_at"])
    clock.now = datetime.now(UTC)
    for name, when in {"old": at - timedelta(days=400), "new": clock.now}.items():
        fact = {"customer_id": "late", "transaction_id": name, "amount": {"amount": "9.00"},
                "occurred_at": when.isoformat()}  # fmt: skip
        assert (await client.post("/v1/transactions", json=fact)).status_code == 201
    rows = (await client.get("/v1/customers/late/transitions")).json()["items"][::-1]
    assert [(row["from_stage"], row["to_stage"], row["policy_version"]) for row in rows] == [
        ("potential", "initial", 1),
        ("initial", "churned", 1),
        ("churned", "departure", 3),
        ("departure", "development", 3),
    ]
    early = {"as_of": (at - timedelta(seconds=1)).isoformat()}
    before = (await client.get("/v1/customers/late/stage", params=early)).json()
    assert (before["stage"], before["policy_version"]) == ("churned", 1)
    await replay_of(own_database, "late", "development")


async def replay_of(database: Database, customer_id: str, stage: str) -> None:
    async with database.reads() as session:
        found = await session.scalar(
            select(Customer.stage).where(Customer.customer_id == customer_id)
        )
        assert found == stage


async def test_a_new_customer_begins_where_the_policy_in_force_begins(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    seen = await preview(client, worker, 3)
    await activate(client, worker, 3, seen["token"])
    made = await client.put("/v1/customers/fresh", json={})
    assert made.json()["stage"] == "acquisition"


async def test_a_profile_moves_a_customer_where_rules_look_at_it(
    client: httpx.AsyncClient, worker: Worker, clock: Clock
) -> None:
    document = {**POLICY_EXAMPLE, "rules": [*POLICY_EXAMPLE["rules"]]}
    document["rules"][0] = {
        "code": "local",
        "stage": "potential",
        "when": {"variable": "country", "op": "==", "value": "DE"},
    }
    version = (await client.post("/v1/policies", json=document)).json()["version"]
    seen = await preview(client, worker, version)
    assert (await activate(client, worker, version, seen["token"]))["state"] == "succeeded"
    clock.now = datetime.now(UTC)
    before = (await client.get("/v1/customers/prospect/stage")).json()
    assert (before["stage"], before["recorded_stage"]) == ("potential", "potential")
    moved = await client.patch("/v1/customers/prospect", json={"country": "FR"})
    assert moved.json()["stage"] == "active"
    assert (await client.get("/v1/customers/prospect/stage")).json()["stage"] == "active"


async def test_a_cancellation_ends_a_contract(
    client: httpx.AsyncClient, worker: Worker, clock: Clock
) -> None:
    seen = await preview(client, worker, 7)
    await activate(client, worker, 7, seen["token"])
    clock.now = datetime.now(UTC)
    on = (clock.now + timedelta(days=30)).date().isoformat()
    await client.patch("/v1/customers/prospect", json={"contract_ends_on": on})
    assert (await client.get("/v1/customers/prospect/stage")).json()["stage"] == "potential"
    clock.now += timedelta(seconds=5)
    event = {
        "customer_id": "prospect",
        "interaction_id": "i1",
        "occurred_at": clock.now.isoformat(),
        "kind": "cancelled",
    }
    assert (await client.post("/v1/interactions", json=event)).status_code == 201
    found = (await client.get("/v1/customers/prospect/stage")).json()
    assert (found["stage"], found["recorded_stage"]) == ("churned", "churned")
    past = (clock.now - timedelta(days=2)).date().isoformat()
    await client.patch("/v1/customers/prospect", json={"contract_ends_on": past})
    told = (await client.get("/v1/customers/prospect/stage/explanation")).json()
    assert [rule["code"] for rule in told["rules"] if rule["decides"]] == ["contract_ended"]


async def test_a_token_of_another_day_or_policy_is_refused(
    client: httpx.AsyncClient, worker: Worker, own_database: Database
) -> None:
    seen = await preview(client, worker, 3)
    other = await client.post("/v1/policies/2/activate", json={"token": seen["token"]})
    assert (other.status_code, other.json()["errors"][0]["pointer"]) == (422, "/token")
    async with own_database.reads() as session:
        secret = bytes.fromhex(await stored.get(ReadSession(session), stored.CURSOR_SECRET))
    content = signing.read(seen["token"], secret)
    assert content is not None
    content["expires_at"] = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    body = {"token": signing.sign(content, secret)}
    old = await client.post("/v1/policies/3/activate", json=body)
    assert (old.status_code, old.json()["code"]) == (412, "preview_expired")


async def test_who_moves_by_a_model_moves_by_the_model_that_the_policy_names(
    client: httpx.AsyncClient, worker: Worker, own_database: Database, clock: Clock
) -> None:
    fitted = await finished(client, worker, await client.post("/v1/models", json={}))
    model_id = fitted["result"]["model_id"]
    document = {**POLICY_EXAMPLE, "model_id": model_id, "rules": [*POLICY_EXAMPLE["rules"]]}
    document["rules"][1] = {
        "code": "likely_gone",
        "stage": "churned",
        "when": {
            "any": [
                {"variable": "churn_probability", "op": ">", "value": 0.8},
                {"variable": "r", "op": "<=", "value": 2},
            ]
        },
    }
    made = await client.post("/v1/policies", json=document)
    assert made.status_code == 201, made.text
    version = made.json()["version"]
    seen = await preview(client, worker, version)
    assert {after for _, after in cells(seen["matrix"])} >= {"churned", "active"}
    done = await activate(client, worker, version, seen["token"])
    assert done["state"] == "succeeded", done["error"]
    assert await recorded(own_database, done["result"]["activated_at"]) == transitions(
        seen["matrix"]
    )
    await replay(own_database)
    clock.now = datetime.now(UTC)
    for number in range(CUSTOMERS):
        stage = (await client.get(f"/v1/customers/c{number:02}/stage")).json()
        assert stage["stage"] == stage["recorded_stage"]
