"""Renamed stages: no transitions, and a ledger that reads on; overrides carried over or lost."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app.config import Settings
from app.lifecycle.presets import PRESETS
from app.models import Customer, StageTransition
from app.postgres.db import Database
from app.services.operations import housekeeping
from app.services.policy_changes import previews, taking_effect
from app.worker import Worker
from tests.database import Clock, writing
from tests.services.policy_changes import test_policy_changes as changes
from tests.simulation.policies import described

DAYS_AGO = {"first": [10], "often": [40, 30, 20], "left": [500], "nobody": []}
STAGES = {"first": "initial", "often": "active", "left": "churned", "nobody": "potential"}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "COMPARE_PART", 3)
    monkeypatch.setattr(taking_effect, "APPLY_PART", 3)


@pytest.fixture
async def client(own_client: httpx.AsyncClient, clock: Clock) -> httpx.AsyncClient:
    clock.now = datetime.now(UTC)
    for each, days in DAYS_AGO.items():
        await own_client.put(f"/v1/customers/{each}", json={})
        for ago in days:
            await buy(own_client, each, clock.now - timedelta(days=ago))
    clock.now = datetime.now(UTC)
    return own_client


@pytest.fixture
def worker(own_database: Database, settings: Settings) -> Worker:
    return Worker(own_database, settings)


async def buy(client: httpx.AsyncClient, customer: str, at: datetime) -> None:
    body = {"customer_id": customer, "transaction_id": f"t{at.timestamp()}",
            "occurred_at": at.isoformat(), "amount": {"amount": "9.00"}}  # fmt: skip
    answer = await client.post("/v1/transactions", json=body)
    assert answer.status_code == 201, answer.text


def renamed(preset: str = "five_stages", **maps: str) -> dict[str, Any]:
    """Return a ready policy with stages called otherwise, as the API takes it."""
    document = described(deepcopy(PRESETS[preset]))
    for stage in document["stages"]:
        stage["code"] = maps.get(stage["code"], stage["code"])
    for rule in document["rules"]:
        rule["stage"] = maps.get(rule["stage"], rule["stage"])
    del document["transitions"]
    return {**document, "maps": maps}


async def add(client: httpx.AsyncClient, document: dict[str, Any]) -> int:
    answer = await client.post("/v1/policies", json=document)
    assert answer.status_code == 201, answer.text
    assert answer.json()["document"]["maps"] == document["maps"]
    version: int = answer.json()["version"]
    return version


async def recorded(database: Database) -> dict[str, tuple[str, datetime | None]]:
    async with database.reads() as session:
        rows = await session.execute(
            select(Customer.customer_id, Customer.stage, Customer.stage_since)
        )
        return {row[0]: (row[1], row[2]) for row in rows}


async def ledger(database: Database) -> list[tuple[Any, ...]]:
    async with database.reads() as session:
        row = StageTransition
        rows = await session.execute(
            select(row.customer_id, row.from_stage, row.to_stage, row.effective_at, row.cause)
            .where(row.voided_at.is_(None))
            .order_by(row.customer_id, row.effective_at)
        )
        return [tuple(each) for each in rows]


async def put_in_force(
    client: httpx.AsyncClient, worker: Worker, clock: Clock, version: int
) -> tuple[dict[str, Any], datetime]:
    """Preview and activate a version; return what the preview said, and since when it holds."""
    clock.now = datetime.now(UTC)
    seen = await changes.preview(client, worker, version)
    done = await changes.activate(client, worker, version, seen["token"])
    assert done["state"] == "succeeded", done["error"]
    assert done["result"]["transitions"] == seen["transitions"]
    clock.now = datetime.now(UTC)
    return seen, datetime.fromisoformat(done["result"]["activated_at"])


async def get(client: httpx.AsyncClient, path: str, **params: str) -> dict[str, Any]:
    answer = await client.get(f"/v1/customers/{path}", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_renamed_stage_is_no_transition_and_everything_reads_on(
    client: httpx.AsyncClient, worker: Worker, own_database: Database, clock: Clock
) -> None:
    before, rows = await recorded(own_database), await ledger(own_database)
    assert {each: stage for each, (stage, _) in before.items()} == STAGES
    first = {"initial": "newcomer", "churned": "gone", "potential": "prospect"}
    seen, at = await put_in_force(client, worker, clock, await add(client, renamed(**first)))
    assert (seen["transitions"], seen["renamed"], seen["lost_overrides"]["customers"]) == (0, 3, 0)
    assert {(cell["from"], cell["to"]): cell["renamed"] for cell in seen["matrix"]} == {
        ("initial", "newcomer"): True, ("churned", "gone"): True,
        ("potential", "prospect"): True, ("active", "active"): False,
    }  # fmt: skip
    assert await ledger(own_database) == rows
    now = {each: (first.get(stage, stage), since) for each, (stage, since) in before.items()}
    assert await recorded(own_database) == now
    # A second one: what was called otherwise once is called otherwise again.
    second = {"newcomer": "fresh", "active": "regular"}
    both = renamed(**{**first, "initial": "fresh", "active": "regular"}) | {"maps": second}
    seen, later = await put_in_force(client, worker, clock, await add(client, both))
    assert (seen["transitions"], seen["renamed"]) == (0, 2)
    assert await ledger(own_database) == rows
    names = {"newcomer": "fresh", "active": "regular"}
    now = {each: (names.get(stage, stage), since) for each, (stage, since) in now.items()}
    assert await recorded(own_database) == now

    found = await get(client, "first/stage")
    assert (found["stage"], found["recorded_stage"]) == ("fresh", "fresh")
    assert datetime.fromisoformat(found["since"]) == before["first"][1]
    for instant, stage in (
        (at - timedelta(microseconds=1), "initial"), (at, "newcomer"),
        (later - timedelta(microseconds=1), "newcomer"), (later, "fresh"),
    ):  # fmt: skip
        past = await get(client, "first/stage", as_of=instant.isoformat())
        assert (past["stage"], past["since"]) == (stage, found["since"])
        # What was known then knew of no later name.
        known = await get(client, "first", recorded_at=instant.isoformat())
        assert (known["stage"], known["stage_since"]) == (stage, found["since"])
    periods = (await get(client, "first/stage-history"))["periods"]
    last = periods[-1]
    assert (last["stage"], last["from"], last["until"]) == ("fresh", found["since"], None)
    assert [(each["from_stage"], each["to_stage"]) for each in last["renames"]] == [
        ("initial", "newcomer"), ("newcomer", "fresh"),
    ]  # fmt: skip
    assert [datetime.fromisoformat(each["at"]) for each in last["renames"]] == [at, later]

    # A fact from before, found after: each transition in the words of its time.
    await buy(client, "nobody", at - timedelta(days=300))
    rows = [row for row in await ledger(own_database) if row[0] == "nobody"]
    assert [row[1:3] for row in rows] == [("potential", "initial"), ("initial", "churned")]
    assert (await get(client, "nobody"))["stage"] == "gone"
    # Who comes back has been won back, across renames.
    await buy(client, "left", clock.now)
    won = await get(client, "left/stage")
    assert (won["stage"], won["win_backs"]["count"]) == ("regular", 1)
    row = [row for row in await ledger(own_database) if row[0] == "left"][-1]
    assert row[1:3] == ("gone", "regular")


async def test_overrides_are_carried_over_or_listed_as_lost(
    client: httpx.AsyncClient, worker: Worker, clock: Clock
) -> None:
    until = (clock.now + timedelta(days=90)).isoformat()
    for each, to in (("first", "churned"), ("left", "active"), ("often", "loyal")):
        body = {"stage": to, "reason": "competitor", "until": until if to != "churned" else None}
        answer = await client.post(f"/v1/customers/{each}/stage/override", json=body)
        assert answer.status_code == 201, answer.text
    seen = await changes.preview(client, worker, 3)
    assert seen["lost_overrides"] == {
        "customers": 2,
        "items": [{"customer_id": "left", "stage": "active"},
                  {"customer_id": "often", "stage": "loyal"}],
    }  # fmt: skip
    assert {cell["from"]: cell["to"] for cell in seen["matrix"]}["churned"] == "departure"
    document = renamed(active="regular") | {"maps": {"active": "regular"}}
    seen, _ = await put_in_force(client, worker, clock, await add(client, document))
    assert seen["lost_overrides"]["customers"] == 0
    stages = {each: await get(client, f"{each}/stage") for each in DAYS_AGO}
    assert {each: found["stage"] for each, found in stages.items()} == {
        "first": "churned", "left": "regular", "often": "loyal", "nobody": "potential",
    }  # fmt: skip
    assert stages["left"]["override"]["stage"] == "regular"
    await put_in_force(client, worker, clock, 3)
    stages = {each: await get(client, f"{each}/stage") for each in DAYS_AGO}
    assert stages["first"]["stage"] == stages["first"]["override"]["stage"] == "departure"
    assert stages["left"]["override"] is stages["often"]["override"] is None


@pytest.mark.parametrize(
    ("maps", "pointer", "code"),
    [
        ({"unheard_of": "active"}, "/maps/unheard_of", "unknown_stage"),
        ({"retention": "nowhere"}, "/maps/retention", "unknown_stage"),
        ({"loyal": "active"}, "/maps/loyal", "stage_kept"),
        ({"retention": "Not a code"}, "/maps/retention", "string_pattern_mismatch"),
    ],
)
async def test_maps_that_lead_nowhere_are_refused(
    client: httpx.AsyncClient, maps: dict[str, str], pointer: str, code: str
) -> None:
    document = described(deepcopy(PRESETS["five_stages"])) | {"maps": maps}
    answer = await client.post("/v1/policies", json=document)
    assert answer.status_code == 422
    assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == [
        (pointer, code)
    ]


async def test_what_a_load_of_old_facts_after_activations_voids_is_swept_away(
    client: httpx.AsyncClient, worker: Worker, own_database: Database, clock: Clock
) -> None:
    for version in (2, 3, 1, 4):
        await put_in_force(client, worker, clock, version)
    for ago in (60, 55, 50, 45, 41):
        clock.now += timedelta(seconds=5)
        await buy(client, "often", clock.now - timedelta(days=ago))
    voided = select(func.count()).where(StageTransition.voided_at.is_not(None))
    async with own_database.writes() as session, session.begin():
        assert await session.scalar(voided) > 10
        await housekeeping.sweep(writing(session), clock.now)
        assert await session.scalar(voided) == 0
        last = await session.scalar(
            select(StageTransition.evidence)
            .where(StageTransition.customer_id == "often", StageTransition.voided_at.is_(None))
            .order_by(StageTransition.effective_at.desc())
            .limit(1)
        )
    assert last is not None
    assert last["life_purchase_days"] == 8
