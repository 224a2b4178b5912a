"""Activations that break off: at any part, whatever is written then, and whatever comes next."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.errors import InternalError
from app.lifecycle.presets import PRESETS
from app.postgres.db import Database
from app.schemas.policies.policies import POLICY_EXAMPLE
from app.services.operations import operations
from app.services.policy_changes import previews, taking_effect
from app.worker import Worker
from tests.database import Clock, writing
from tests.services.policy_changes import test_policy_changes as changes

# Days ago on which somebody bought; who is in which stage differs between the two policies.
DAYS_AGO = {"a": [10], "b": [150], "c": [300, 290, 10], "d": [400, 150], "e": [900], "f": []}
PARTS = 7
"""Of an activation: the plan, two that count, one that waits for writers, three that record."""
HURRIED: dict[str, Any] = {
    **POLICY_EXAMPLE,
    "inactivity_limit": {"floor_days": 120, "gap_multiple": 3, "gap_margin_days": 365},
}
CALLED: dict[str, Any] = {
    **POLICY_EXAMPLE,
    "rules": [
        {
            "code": "called",
            "stage": "active",
            "when": {"variable": "interactions", "days": 2, "kind": "call", "op": ">=", "value": 1},
        },
        *POLICY_EXAMPLE["rules"],
    ],
}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "COMPARE_PART", 3)
    monkeypatch.setattr(taking_effect, "APPLY_PART", 2)


@pytest.fixture
def worker(own_database: Database, settings: Settings) -> Worker:
    return Worker(own_database, settings)


def ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


def purchase(customer_id: str, days: float) -> dict[str, Any]:
    return {"customer_id": customer_id, "transaction_id": f"{customer_id}{days}",
            "occurred_at": ago(days), "amount": {"amount": "9.00"}}  # fmt: skip


@pytest.fixture
async def client(own_client: httpx.AsyncClient, clock: Clock) -> httpx.AsyncClient:
    """A client of a service with customers, and with two policies more than the ready ones."""
    clock.now = datetime.now(UTC)
    for customer_id, days in DAYS_AGO.items():
        await own_client.put(f"/v1/customers/{customer_id}", json={})
        for each in days:
            answer = await own_client.post("/v1/transactions", json=purchase(customer_id, each))
            assert answer.status_code == 201, answer.text
    for document in (HURRIED, CALLED):
        answer = await own_client.post("/v1/policies", json=document)
        assert answer.status_code == 201, answer.text
    return own_client


HURRIED_VERSION, CALLED_VERSION = len(PRESETS) + 1, len(PRESETS) + 2


async def begin(client: httpx.AsyncClient, worker: Worker, version: int) -> str:
    """Ask for an activation, and return where to follow it."""
    seen = await changes.preview(client, worker, version)
    body = {"token": seen["token"], "max_drift": 6}
    accepted = await client.post(f"/v1/policies/{version}/activate", json=body)
    assert accepted.status_code == 202, accepted.text
    return accepted.headers["location"]


async def break_off(
    client: httpx.AsyncClient, worker: Worker, database: Database, version: int, after: int
) -> None:
    """Begin an activation that fails after so many parts are done, as a worker lets it fail."""
    location = await begin(client, worker, version)
    for _ in range(after):
        assert await worker.work_once()
    async with database.writes() as session, session.begin():
        operation_id = location.rsplit("/", 1)[1]
        await operations.fail(writing(session), operation_id, InternalError())
    assert not await worker.work_once()
    assert (await client.get(location)).json()["state"] == "failed"


async def repeat(client: httpx.AsyncClient, worker: Worker, version: int) -> dict[str, Any]:
    """Ask for the same once more, whatever the token."""
    path = f"/v1/policies/{version}/activate"
    return await changes.finished(client, worker, await client.post(path, json={"token": "lost"}))


async def write(client: httpx.AsyncClient, clock: Clock, name: str) -> None:
    """Write of customers whose ledger follows already, of others, and of a new one."""
    for customer_id in ("a", "d", "e", f"new-{name}"):
        clock.now = datetime.now(UTC)
        fact = purchase(customer_id, 140) | {"transaction_id": name}
        assert (await client.post("/v1/transactions", json=fact)).status_code == 201
        call = {"customer_id": customer_id, "interaction_id": name, "kind": "call",
                "occurred_at": ago(1)}  # fmt: skip
        assert (await client.post("/v1/interactions", json=call)).status_code == 201
    clock.now = datetime.now(UTC)
    await client.put(f"/v1/customers/only-{name}", json={})


async def differences(client: httpx.AsyncClient, worker: Worker) -> int:
    """Return how many values are kept that do not follow from the facts."""
    rebuilt = await changes.finished(client, worker, await client.post("/v1/rebuilds", json={}))
    assert rebuilt["state"] == "succeeded", rebuilt["error"]
    found: int = rebuilt["result"]["differences"]
    return found


async def check(
    client: httpx.AsyncClient, worker: Worker, clock: Clock, database: Database, version: int
) -> None:
    """All that is kept is what follows from the facts, under the version in force."""
    clock.now = datetime.now(UTC)
    assert await differences(client, worker) == 0
    page = (await client.get("/v1/customers")).json()
    assert page["stage_policy_version"] == version
    assert (await client.get("/v1/info")).json()["policy_version"] == version
    for customer in page["items"]:
        path = f"/v1/customers/{customer['customer_id']}/stage"
        stage = (await client.get(path)).json()
        assert stage["stage"] == stage["recorded_stage"] == customer["stage"]
        assert stage["policy_version"] == version
    await changes.replay(database)


@pytest.mark.parametrize("after", range(PARTS))
async def test_what_broke_off_is_gone_on_with_where_it_stopped(
    client: httpx.AsyncClient,
    worker: Worker,
    own_database: Database,
    clock: Clock,
    after: int,
) -> None:
    await break_off(client, worker, own_database, CALLED_VERSION, after)
    await write(client, clock, "between")
    in_force = (await client.get("/v1/info")).json()["policy_version"] == CALLED_VERSION
    assert in_force == (after >= 3)
    page = (await client.get("/v1/customers")).json()
    assert page["stage_policy_version"] == 1
    if in_force:
        done = await repeat(client, worker, CALLED_VERSION)
        # Of three ranges, and those who are new, what was done is not done again.
        assert done["progress"]["done"] == 2 + 4 - max(0, after - 4)
        assert done["result"]["policy_version"] == CALLED_VERSION
    else:
        await begin(client, worker, CALLED_VERSION)
        while await worker.work_once():
            pass
    await write(client, clock, "after")
    await check(client, worker, clock, own_database, CALLED_VERSION)
    path = f"/v1/policies/{CALLED_VERSION}/activate"
    again = await client.post(path, json={"token": "any"})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize("other", [1, HURRIED_VERSION])
@pytest.mark.parametrize("after", [3, 4, 5])
async def test_another_version_may_come_after_what_broke_off(
    client: httpx.AsyncClient,
    worker: Worker,
    own_database: Database,
    clock: Clock,
    after: int,
    other: int,
) -> None:
    """Be it the one from before: what follows the version that broke off is taken back."""
    await break_off(client, worker, own_database, CALLED_VERSION, after)
    await write(client, clock, "between")
    await begin(client, worker, other)
    while await worker.work_once():
        page = (await client.get("/v1/customers")).json()
        assert page["stage_policy_version"] in (1, other, CALLED_VERSION)
    await write(client, clock, "after")
    await check(client, worker, clock, own_database, other)


async def test_what_breaks_off_again_and_again_ends_all_the_same(
    client: httpx.AsyncClient, worker: Worker, own_database: Database, clock: Clock
) -> None:
    await break_off(client, worker, own_database, CALLED_VERSION, 4)
    for number in range(2):
        path = f"/v1/policies/{CALLED_VERSION}/activate"
        accepted = await client.post(path, json={"token": "lost"})
        repeated = await client.post(path, json={"token": "lost too"})
        assert repeated.json()["id"] == accepted.json()["id"]  # it runs
        for _ in range(3):  # the plan, who waits for writers, and one range more each time
            assert await worker.work_once()
        cancelled = await client.post(f"{accepted.headers['location']}/cancel")
        assert cancelled.json()["state"] == "cancelled"
        await write(client, clock, str(number))
    done = await repeat(client, worker, CALLED_VERSION)
    assert done["state"] == "succeeded", done["error"]
    await check(client, worker, clock, own_database, CALLED_VERSION)


DAYS_OFF = (0, 3, -3, 2)
"""By how many days the clocks of those who write are ahead."""


@pytest.mark.parametrize("version", [CALLED_VERSION, HURRIED_VERSION])
@pytest.mark.parametrize("first", range(len(DAYS_OFF)))
async def test_clocks_three_days_apart_change_nothing_of_what_comes_of_it(
    client: httpx.AsyncClient,
    worker: Worker,
    own_database: Database,
    clock: Clock,
    version: int,
    first: int,
) -> None:
    """Each tells of what has just happened, by its own clock, before an activation and after it."""

    async def tell(name: str, later: int = 0) -> None:
        clocks = (DAYS_OFF[first:] + DAYS_OFF[:first])[:: -1 if name == "after" else 1]
        for number, off in enumerate(clocks):
            clock.now = datetime.now(UTC) + timedelta(days=later or off)
            fact = {"customer_id": "abcdef"[number], "occurred_at": clock.now.isoformat()}
            call = {**fact, "interaction_id": f"{name}-{off}", "kind": "call"}
            assert (await client.post("/v1/interactions", json=call)).status_code == 201
            if number % 2:
                bought = {**fact, "transaction_id": f"{name}-{off}", "amount": {"amount": "1.00"}}
                assert (await client.post("/v1/transactions", json=bought)).status_code == 201
            clock.now += timedelta(minutes=1)
            another = {**call, "customer_id": f"{name}-{off}", "occurred_at": clock.now.isoformat()}
            assert (await client.post("/v1/interactions", json=another)).status_code == 201

    await tell("before")
    location = await begin(client, worker, version)
    while await worker.work_once():
        pass
    done = (await client.get(location)).json()
    assert done["state"] == "succeeded", done["error"]
    at = datetime.fromisoformat(done["result"]["activated_at"])
    assert abs(at - datetime.now(UTC)) < timedelta(minutes=1)
    await tell("after")
    assert await differences(client, worker) == 0
    await tell("later", later=5)
    assert await differences(client, worker) == 0
    await changes.replay(own_database)


async def test_who_is_new_begins_where_the_policy_in_force_says_by_any_clock(
    client: httpx.AsyncClient, worker: Worker, clock: Clock
) -> None:
    """Who is told of before an activation by a clock ahead of it, or after it by one behind."""
    version = list(PRESETS).index("four_phases") + 1  # everybody begins elsewhere
    for when in ("before", "after"):
        for off in DAYS_OFF:
            clock.now = datetime.now(UTC) + timedelta(days=off)
            assert (await client.put(f"/v1/customers/{when}{off}", json={})).status_code == 201
        if when == "before":
            clock.now = datetime.now(UTC)
            await begin(client, worker, version)
            while await worker.work_once():
                pass
    assert await differences(client, worker) == 0
    clock.now = datetime.now(UTC) + timedelta(days=4)
    for customer in (await client.get("/v1/customers")).json()["items"]:
        path = f"/v1/customers/{customer['customer_id']}/stage"
        assert (await client.get(path)).json()["stage"] == customer["stage"]
