"""Decisions by hand in all that answers a stage: cards, lookups, runs, lists and reports."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.deployment import Deployment
from app.postgres.db import Database
from app.services.common import deployment_settings as stored_settings
from app.worker import Worker
from tests.database import Clock
from tests.kept import kept_scores, store_model
from tests.services.runs import test_runs as made
from tests.twin import Fact

DAYS_AGO = {
    # Active by rules, and silent for long.
    "left": [150, 140, 130],
    "loose": [150, 140, 130],
    "untouched": [150, 140, 130],
    "returned": [150, 140, 130],
    # Gone by rules since two days.
    "between": [203, 193, 183],
    # Gone by rules.
    "held": [400, 390],
    "ended": [400, 390],
    "prospect": [],
}
STAND = {
    **dict.fromkeys(("left", "loose", "between", "ended", "prospect"), "churned"),
    **dict.fromkeys(("untouched", "returned", "held"), "active"),
}
TO_CALL = {"untouched", "between", "held", "ended"}


@pytest.fixture
def worker(own_database: Database, settings: Settings) -> Worker:
    return Worker(own_database, settings)


@pytest.fixture
async def set_at(
    own_database: Database, own_client: httpx.AsyncClient, deployment: Deployment, clock: Clock
) -> datetime:
    """Customers on whom decisions by hand stand, have ended, or were overtaken by a purchase."""
    now = datetime.now(UTC)
    people = {
        each: [
            Fact(("default", f"p{days}"), now - timedelta(days=days), Decimal(20)) for days in own
        ]
        for each, own in DAYS_AGO.items()
    }
    clock.now = at = now - timedelta(days=10)
    async with made.write(own_database) as session:
        await store_model(session, "model_of_decisions")
        await stored_settings.put(session, stored_settings.RECORDED_UNTIL, at.isoformat())
    await made.post(own_database, deployment, people, at)
    await own_client.put("/v1/customers/prospect", json={})
    far, near, later = (now + timedelta(days=days) for days in (200, -5, -3))
    for each, to, pin in (
        ("left", "churned", far), ("loose", "churned", None), ("returned", "churned", None),
        ("held", "active", far), ("ended", "active", near), ("between", "churned", later),
        ("prospect", "churned", far),
    ):  # fmt: skip
        body = {"stage": to, "reason": "competitor", "until": pin and pin.isoformat()}
        answer = await own_client.post(f"/v1/customers/{each}/stage/override", json=body)
        assert answer.status_code == 201, answer.text
    clock.now = now
    back = [Fact(("default", "back"), now - timedelta(days=1), Decimal(20))]
    await made.post(own_database, deployment, {"returned": back}, now)
    return at


async def cards(client: httpx.AsyncClient, **more: str) -> dict[str, dict[str, Any]]:
    """Return the live cards, which a lookup must answer alike."""
    asked = {"customer_ids": list(DAYS_AGO), **more}
    items = (await client.post("/v1/scores/lookup", json=asked)).json()["items"]
    for item in items:
        path = f"/v1/customers/{item['customer_id']}"
        card = (await client.get(f"{path}/scores", params=more)).json()
        place = (await client.get(f"{path}/stage", params=more)).json()
        for name in ("stage", "next_actions", "value_to_save", "rhythm", "call_reasons"):
            assert item[name] == card[name]
            assert name not in place or place[name] == card[name]
    return {item["customer_id"]: item for item in items}


async def assert_past_answers_know_no_later_decision(
    client: httpx.AsyncClient, set_at: datetime
) -> dict[str, str]:
    """Return where everybody stood before anybody decided."""
    before = await cards(client, as_of=(set_at - timedelta(hours=1)).isoformat())
    stages = {each: card["stage"] for each, card in before.items()}
    assert stages == {
        **dict.fromkeys(DAYS_AGO, "active"),
        **dict.fromkeys(("held", "ended"), "churned"),
        "prospect": "potential",
    }
    pinned = await cards(client, as_of=(set_at + timedelta(days=2)).isoformat())
    assert (pinned["ended"]["stage"], pinned["returned"]["stage"]) == ("active", "churned")
    return stages


async def assert_lists_are(client: httpx.AsyncClient, found: dict[str, dict[str, Any]]) -> None:
    """Check that the lists and reports of the run say what the live cards say."""
    items = (await client.get("/v1/scores")).json()["items"]
    assert {item["customer_id"]: item["stage"] for item in items} == STAND
    for item in items:
        card = found[item["customer_id"]]
        for name in ("call_reasons", "value_to_save"):
            assert item[name] == card[name]
        assert (item["rhythm"] or {}).get("status") == (card["rhythm"] or {}).get("status")
    risks = (await client.get("/v1/churn-risks")).json()["items"]
    assert {item["customer_id"] for item in risks} == TO_CALL
    living = {each for each, stage in STAND.items() if stage != "churned"}
    for item in risks:
        assert item["next_actions"] == found[item["customer_id"]]["next_actions"]
    report = (await client.get("/v1/reports/stages")).json()["stages"]
    counts = {each["stage"]: each["customers"] for each in report if each["customers"]}
    assert counts == {"churned": len(STAND) - len(living), "active": len(living)}
    for stage, count in counts.items():
        kept = await client.get("/v1/customers", params={"stage": stage})
        assert len(kept.json()["items"]) == count


async def test_everything_answers_the_stage_that_stands(
    own_database: Database,
    own_client: httpx.AsyncClient,
    deployment: Deployment,
    worker: Worker,
    clock: Clock,
    set_at: datetime,
) -> None:
    found = await cards(own_client)
    assert {each: card["stage"] for each, card in found.items()} == STAND
    assert {each for each, card in found.items() if card["call_reasons"]} == TO_CALL
    # Whom somebody said to have left is not called; whom the rules say so may be.
    assert found["left"]["rhythm"] == found["untouched"]["rhythm"]
    assert found["left"]["call_reasons"] == [] != found["untouched"]["call_reasons"]
    assert found["between"]["stage"] == "churned"
    worth = {each: card["value_to_save"]["amount"] for each, card in found.items()}
    assert Decimal(worth["held"]) > 0
    # The numbers of the model look at no stage.
    for name in ("r", "f", "m", "clv", "value_to_save", "churn_risk"):
        assert found["left"][name] == found["untouched"][name]
    assert found["left"]["next_actions"] == found["ended"]["next_actions"]
    before = await assert_past_answers_know_no_later_decision(own_client, set_at)
    await made.run(own_database, deployment, worker)
    clock.now = datetime.now(UTC)
    await assert_lists_are(own_client, found)
    transitions = (await own_client.get("/v1/customers/between/transitions")).json()["items"]
    assert [(transition["to_stage"], transition["reason"]) for transition in transitions[:2]] == [
        ("churned", None), ("active", "override_ended"),
    ]  # fmt: skip
    then = (set_at - timedelta(hours=1)).isoformat()
    run_id = await made.run(own_database, deployment, worker, as_of=then)
    async with made.read(own_database) as session:
        rows = await kept_scores(session, run_id)
        assert {each: row.stage for each, row in rows.items()} == before
