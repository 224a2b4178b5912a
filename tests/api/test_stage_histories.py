"""One history, whichever way it is asked for: the stage, what decides it, and what is to come."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app.lifecycle.presets import PRESETS
from app.models import PolicyActivation
from app.postgres.db import WriteSession
from app.schemas.policies.policies import POLICY_EXAMPLE
from app.services.common import deployment_settings
from tests.api.test_overrides import ledger, override, purchase, replayed
from tests.database import NOW, Clock

VERSIONS = {preset: number for number, preset in enumerate(PRESETS, 1)}
CONTRACTUAL = VERSIONS["contractual"]


async def get(client: httpx.AsyncClient, what: str = "stage", **params: Any) -> dict[str, Any]:
    answer = await client.get(f"/v1/customers/c1/{what}", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return {**found, "computed_at": None}


async def interact(
    client: httpx.AsyncClient, name: str, at: datetime, kind: str, **more: Any
) -> None:
    body = {"customer_id": "c1", "interaction_id": name, "kind": kind, **more}
    body["occurred_at"] = at.isoformat()
    answer = await client.post("/v1/interactions", json=body)
    assert answer.status_code == 201, answer.text


async def add(client: httpx.AsyncClient, *rules: dict[str, Any]) -> int:
    """Add the example policy with other rules before its own, or instead of them."""
    codes = [rule["code"] for rule in rules]
    own = [rule for rule in POLICY_EXAMPLE["rules"] if rule["code"] not in codes]
    document = {**POLICY_EXAMPLE, "rules": [*rules, *own]}
    answer = await client.post("/v1/policies", json=document)
    assert answer.status_code == 201, answer.text
    version: int = answer.json()["version"]
    return version


async def activate(session: WriteSession, version: int, at: datetime) -> None:
    """Put a policy in force that takes nobody to another stage."""
    last = await session.scalar(select(func.max(PolicyActivation.activation_id)))
    session.add(PolicyActivation(activation_id=(last or 0) + 1, version=version, activated_at=at))
    await session.flush()
    await deployment_settings.put(session, deployment_settings.ACTIVE_POLICY, version)
    await deployment_settings.put(
        session, deployment_settings.POLICY_TIMELINE, deployment_settings.new_name()
    )


def compare(variable: str, op: str, value: Any) -> dict[str, Any]:
    return {"variable": variable, "op": op, "value": value}


def churned(when: dict[str, Any]) -> dict[str, Any]:
    return {"code": "silent_too_long", "stage": "churned", "when": when}


@pytest.mark.parametrize("first", ["a", "b"])
async def test_of_two_answers_at_one_instant_the_one_of_the_last_id_counts(
    client: httpx.AsyncClient, session: WriteSession, clock: Clock, first: str
) -> None:
    at = NOW - timedelta(hours=1)
    scores = {"a": 9, "b": 2} if first == "a" else {"b": 2, "a": 9}
    for name, score in scores.items():
        await interact(client, name, at, "survey", score=score)
    content = {
        "code": "content",
        "stage": "active",
        "when": compare("last_satisfaction", ">=", 0.5),
    }
    version = await add(client, content)
    before = await get(client, policy_version=version)
    assert (before["stage"], before["rule"]) == ("potential", "never_purchased")
    assert (await get(client, policy_version=version, as_of=NOW.isoformat()))["rule"] == (
        before["rule"]
    )
    await activate(session, version, NOW)
    clock.now += timedelta(seconds=1)
    await interact(client, "c", at, "call")
    found = await get(client)
    assert (found["stage"], found["recorded_stage"]) == ("potential", "potential")
    told = await get(client, "stage/explanation")
    assert [rule["code"] for rule in told["rules"] if rule["decides"]] == ["never_purchased"]


async def test_a_history_begins_with_the_first_fact_whatever_rules_look_at(
    client: httpx.AsyncClient, session: WriteSession, clock: Clock
) -> None:
    there, back = NOW - timedelta(days=5), NOW - timedelta(days=4)
    await activate(session, VERSIONS["four_phases"], there)
    await activate(session, 1, back)
    await interact(client, "call", NOW - timedelta(days=9), "call")
    rows = [(row["from_stage"], row["to_stage"], row["cause"]) for row in await ledger(client)]
    assert rows == [("potential", "acquisition", "policy"), ("acquisition", "potential", "policy")]
    before = await get(client, "stage-history", as_of=NOW.isoformat())
    assert [each["stage"] for each in before["periods"]] == [
        "potential", "acquisition", "potential"
    ]  # fmt: skip
    assert before["periods"][1]["from"] == rows_at(await ledger(client))[0]
    never = {"all": [compare("interactions", ">=", 1), compare("purchase_days", ">=", 99)]}
    await activate(session, await add(client, churned(never)), NOW + timedelta(seconds=1))
    clock.now += timedelta(seconds=2)
    assert await get(client, "stage-history", as_of=NOW.isoformat()) == before
    await interact(client, "again", NOW, "call")
    assert len(await ledger(client)) == 2
    await client.patch(
        "/v1/customers/c1", json={"first_contact_at": (NOW - timedelta(days=30)).isoformat()}
    )
    (first, *_) = (await get(client, "stage-history"))["periods"]
    assert datetime.fromisoformat(first["from"]) == NOW - timedelta(days=30)


def rows_at(rows: list[dict[str, Any]]) -> list[str]:
    return [row["effective_at"] for row in rows]


async def test_a_first_contact_from_before_a_change_of_policy_moves_with_it(
    client: httpx.AsyncClient, session: WriteSession
) -> None:
    await activate(session, VERSIONS["four_phases"], NOW - timedelta(days=5))
    await activate(session, 1, NOW - timedelta(days=4))
    await client.put("/v1/customers/c1", json={})
    assert await ledger(client) == []
    told = {"first_contact_at": (NOW - timedelta(days=9)).isoformat()}
    await client.patch("/v1/customers/c1", json=told)
    assert [row["to_stage"] for row in await ledger(client)] == ["acquisition", "potential"]
    await client.patch("/v1/customers/c1", json={"first_contact_at": None})
    assert await ledger(client) == []


async def test_before_anything_was_heard_of_a_customer_there_is_no_period(
    client: httpx.AsyncClient,
) -> None:
    await purchase(client, NOW - timedelta(days=10))
    early = await get(client, "stage-history", as_of=(NOW - timedelta(days=11)).isoformat())
    assert (early["periods"], early["lives"]) == ([], [])
    found = await get(client, "stage-history", as_of=(NOW - timedelta(days=9)).isoformat())
    assert [(each["stage"], each["days"]) for each in found["periods"]] == [("initial", 1.0)]


async def test_a_pin_that_a_policy_without_the_stage_has_ended_is_told_of_nowhere(
    client: httpx.AsyncClient, session: WriteSession, clock: Clock
) -> None:
    await purchase(client, NOW - timedelta(days=10))
    until = NOW + timedelta(days=300)
    assert (await override(client, "active", until=until.isoformat())).status_code == 201
    held = await get(client)
    assert (held["stage"], datetime.fromisoformat(held["override"]["until"])) == ("active", until)
    await activate(session, VERSIONS["four_stages"], NOW + timedelta(seconds=1))
    await activate(session, 1, NOW + timedelta(seconds=2))
    clock.now += timedelta(seconds=3)
    found = await get(client)
    assert (found["stage"], found["rule"]) == ("initial", "first_purchase")
    assert found["override"] is None
    assert (await get(client, "stage/explanation"))["override"] is None
    assert (await client.delete("/v1/customers/c1/stage/override")).status_code == 404


async def test_the_day_on_which_somebody_will_have_left_follows_from_the_rules(
    client: httpx.AsyncClient,
) -> None:
    bought = NOW - timedelta(days=200)
    await purchase(client, bought)
    both = {
        "all": [
            compare("days_since_last_purchase", ">", 100),
            compare("complaints_90_days", ">=", 1),
        ]
    }
    never = await add(client, churned(both))
    assert (await get(client, policy_version=never))["stage"] != "churned"
    assert (await get(client, policy_version=never))["churns_on"] is None
    late = await add(client, churned(compare("days_since_last_purchase", ">", 250)))
    assert (await get(client, policy_version=late))["churns_on"] == day(bought, 251)
    assert (await get(client, policy_version=CONTRACTUAL))["churns_on"] is None
    ends = (NOW + timedelta(days=9_000)).date()
    await client.patch("/v1/customers/c1", json={"contract_ends_on": ends.isoformat()})
    found = await get(client, policy_version=CONTRACTUAL)
    assert found["churns_on"] == (ends + timedelta(days=1)).isoformat()


async def test_a_pin_and_a_loose_decision_put_off_the_day_of_leaving(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    bought = NOW - timedelta(days=100)
    await purchase(client, bought)
    assert (await get(client))["churns_on"] == day(bought, 181)
    until = NOW + timedelta(days=1_000)
    await override(client, "initial", until=until.isoformat())
    assert (await get(client))["churns_on"] == until.date().isoformat()
    clock.now += timedelta(seconds=1)
    await override(client, "active")
    found = await get(client)
    assert (found["stage"], found["churns_on"]) == ("active", day(bought, 181))
    past = await get(client, as_of=(NOW - timedelta(days=1)).isoformat())
    assert (past["stage"], past["churns_on"]) == ("initial", day(bought, 181))
    clock.now += timedelta(seconds=1)
    await override(client, "churned")
    assert (await get(client))["churns_on"] is None


def day(start: datetime, days: int) -> str:
    return (start + timedelta(days=days)).date().isoformat()


async def test_win_backs_are_those_of_the_asked_policy_and_lives_are_of_purchases(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    for days in (900, 890, 400, 395):
        await purchase(client, NOW - timedelta(days=days))
    await interact(client, "i1", NOW - timedelta(days=50), "cancelled")
    await interact(client, "i2", NOW - timedelta(days=40), "contract_renewed")
    own = await get(client)
    assert (own["stage"], own["lives"], own["win_backs"]["count"]) == ("churned", 2, 1)
    assert (
        own["win_backs"]["last_at"] == (await get(client, "stage-history"))["win_backs"]["last_at"]
    )
    other = await get(client, policy_version=CONTRACTUAL)
    assert (other["lives"], other["win_backs"]["count"]) == (1, 1)
    assert datetime.fromisoformat(other["win_backs"]["last_at"]) == NOW - timedelta(days=40)
    yearly = await get(client, policy_version=VERSIONS["annual"])
    assert (yearly["lives"], yearly["win_backs"]) == (1, {"count": 0, "last_at": None})
    clock.now += timedelta(seconds=1)
    await override(client, "active")
    back = await get(client)
    assert (back["lives"], back["win_backs"]) == (2, {"count": 2, "last_at": back["since"]})
    assert await replayed(client) == "active"
