"""Overrides, and what the ledger makes of them."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from app.lifecycle.presets import CHURN_REASONS, PRESETS
from tests.database import NOW, Clock

STAGES = [stage["code"] for stage in PRESETS["five_stages"]["stages"]]
MOVES = PRESETS["five_stages"]["transitions"]
# Days ago on which to purchase so that the rules put a customer in a stage.
DAYS_AGO = {
    "potential": [],
    "initial": [10],
    "active": [20, 10],
    "loyal": [200, 150, 100, 50, 10],
    "churned": [400],
}
PAIRS = [
    pytest.param(before, after, id=f"{before}-{after}") for before in STAGES for after in STAGES
]


def reason(stage: str) -> str:
    return "competitor" if stage == "churned" else "a talk on the phone"


async def purchase(
    client: httpx.AsyncClient, at: datetime, *, refund: str | None = None, customer: str = "c1"
) -> str:
    name = f"{'r' if refund else 't'}-{at.timestamp():.0f}"
    body: dict[str, Any] = {
        "customer_id": customer,
        "transaction_id": name,
        "occurred_at": at.isoformat(),
        "amount": {"amount": "10.00"},
    }
    if refund:
        body |= {"kind": "refund", "refunds": {"transaction_id": refund}}
    answer = await client.post("/v1/transactions", json=body)
    assert answer.status_code == 201
    return name


async def customer_in(client: httpx.AsyncClient, stage: str) -> None:
    await client.put("/v1/customers/c1", json={})
    for days in DAYS_AGO[stage]:
        await purchase(client, NOW - timedelta(days=days))
    assert (await stage_of(client))["stage"] == stage


async def stage_of(client: httpx.AsyncClient, **params: str) -> dict[str, Any]:
    answer = await client.get("/v1/customers/c1/stage", params=params)
    found: dict[str, Any] = answer.json()
    return found


async def override(client: httpx.AsyncClient, to: str, **more: Any) -> httpx.Response:
    headers = more.pop("headers", {})
    body = {"stage": to, "reason": reason(to), **more}
    return await client.post("/v1/customers/c1/stage/override", json=body, headers=headers)


async def ledger(client: httpx.AsyncClient, customer: str = "c1") -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/customers/{customer}/transitions", params={"limit": 500})
    found: list[dict[str, Any]] = answer.json()["items"][::-1]
    return found


async def replayed(client: httpx.AsyncClient, customer: str = "c1") -> str:
    """Return the stage that the rows not voided lead to, each going on from the one before."""
    stage = "potential"
    for row in await ledger(client, customer):
        assert row["from_stage"] == stage
        stage = row["to_stage"]
    return stage


@pytest.mark.parametrize(("before", "after"), PAIRS)
async def test_a_move_by_hand_is_made_or_refused_as_the_policy_says(
    client: httpx.AsyncClient, before: str, after: str
) -> None:
    await customer_in(client, before)
    rows = len(await ledger(client))
    answer = await override(client, after)
    if after in MOVES[before]:
        assert (answer.status_code, answer.json()["stage"]) == (201, after)
        last = (await ledger(client))[-1]
        assert (last["cause"], last["rule"], last["reason"]) == (
            "manual",
            "override",
            reason(after),
        )
        assert last["evidence"]["purchase_days"] == len(DAYS_AGO[before])
    elif before == after == "churned":  # there is a reason to be told, and nothing to change
        assert (answer.status_code, answer.json()["override"]) == (201, None)
        assert {row["cause"] for row in (await ledger(client))[rows:]} <= {"inactivity"}
    else:
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (409, "invalid_transition")
        assert (problem["current_stage"], problem["allowed"]) == (before, MOVES[before])
        assert problem["refused_by"]["rule"] == f"transitions/{before}"
        # Looking brings the ledger up to now; nothing else has moved.
        assert {row["cause"] for row in (await ledger(client))[rows:]} <= {"inactivity"}
    assert (await stage_of(client))["recorded_stage"] == await replayed(client)


async def test_a_move_by_hand_stands_until_the_next_purchase(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    await customer_in(client, "active")
    await override(client, "churned")
    clock.now += timedelta(days=3)
    assert (await stage_of(client))["stage"] == "churned"
    await purchase(client, clock.now)
    found = await stage_of(client)
    assert (found["stage"], found["recorded_stage"]) == ("active", "active")
    assert found["win_backs"] == {"count": 1, "last_at": found["since"]}
    assert await replayed(client) == "active"


@pytest.mark.parametrize("late", ["in order", "the first one late", "refunded since"])
async def test_a_purchase_ends_it_on_a_day_that_had_one_already(
    client: httpx.AsyncClient, clock: Clock, late: str
) -> None:
    now = NOW.replace(hour=12)
    clock.now, morning, then = now, now - timedelta(hours=4), now + timedelta(hours=2)
    await client.put("/v1/customers/c1", json={})
    await purchase(client, now - timedelta(days=9))
    if late != "the first one late":
        await purchase(client, morning)
    await override(client, "churned")
    clock.now = then + timedelta(minutes=1)
    bought = await purchase(client, then)
    if late == "the first one late":
        await purchase(client, morning)
    if late == "refunded since":
        clock.now += timedelta(minutes=1)
        await purchase(client, clock.now, refund=bought)
    found = await stage_of(client)
    assert (found["stage"], found["recorded_stage"], found["override"]) == (
        "active",
        "active",
        None,
    )
    assert datetime.fromisoformat(found["since"]) == then
    last = (await ledger(client))[-1]
    assert (last["from_stage"], last["cause"], last["rule"]) == (
        "churned", "fact", "repeat_purchase",
    )  # fmt: skip
    before = await stage_of(client, as_of=(then - timedelta(microseconds=1)).isoformat())
    assert (before["stage"], before["override"]["stage"]) == ("churned", "churned")
    card = (await client.get("/v1/customers/c1/scores")).json()
    assert card["stage"] == "active"


async def test_a_pinned_stage_is_overruled_by_nothing_until_the_pin_ends(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    await customer_in(client, "active")
    until = NOW + timedelta(days=30)
    pinned = await override(client, "loyal", until=until.isoformat())
    assert datetime.fromisoformat(pinned.json()["override"]["until"]) == until
    clock.now += timedelta(days=10)
    await purchase(client, clock.now)
    assert (await stage_of(client))["stage"] == "loyal"
    # A late fact changes what was before the decision, and not what stands.
    await purchase(client, NOW - timedelta(days=60))
    assert (await stage_of(client))["stage"] == "loyal"
    assert await replayed(client) == "loyal"
    told = (await client.get("/v1/customers/c1/stage/explanation")).json()
    assert (told["stage"], told["override"]["stage"]) == ("loyal", "loyal")
    assert not any(rule["decides"] for rule in told["rules"])
    clock.now = until
    ended = await stage_of(client)
    assert (ended["stage"], ended["override"]) == ("active", None)
    await purchase(client, clock.now)
    assert await replayed(client) == "active"
    assert [row["reason"] for row in await ledger(client) if row["cause"] == "manual"] == [
        "a talk on the phone",
        "override_ended",
    ]


async def test_a_pin_can_be_taken_back(client: httpx.AsyncClient, clock: Clock) -> None:
    await customer_in(client, "active")
    held = await override(client, "active", until=(NOW + timedelta(days=900)).isoformat())
    assert (held.status_code, held.json()["stage"]) == (201, "active")
    clock.now += timedelta(days=800)
    assert (await stage_of(client))["stage"] == "active"
    freed = await client.delete("/v1/customers/c1/stage/override")
    assert (freed.status_code, freed.json()["stage"]) == (200, "churned")
    assert (await client.delete("/v1/customers/c1/stage/override")).status_code == 404
    assert await replayed(client) == "churned"
    last = (await ledger(client))[-1]
    assert (last["cause"], last["rule"], last["reason"]) == (
        "manual",
        "silent_too_long",
        "override_removed",
    )
    assert last["actor"] == held.json()["override"]["actor"]


async def test_each_decision_makes_a_new_version_and_is_told_while_it_stands(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    await customer_in(client, "active")
    rows = await ledger(client)
    seen = (await client.get("/v1/customers/c1/stage")).headers["etag"]
    until = (NOW + timedelta(days=30)).isoformat()
    pinned = await override(client, "active", until=until, headers={"If-Match": seen})
    stale = await override(client, "active", until=until, headers={"If-Match": seen})
    assert (pinned.status_code, stale.status_code) == (201, 412)
    clock.now += timedelta(seconds=1)
    later = await override(client, "active", until=until, headers={"If-Match": "*"})
    told = (await client.get("/v1/customers/c1/stage/explanation")).json()["override"]
    assert told == later.json()["override"] == (await stage_of(client))["override"]
    assert (told["stage"], told["reason"]) == ("active", reason("active"))
    assert datetime.fromisoformat(told["until"]) == NOW + timedelta(days=30)
    path = "/v1/customers/c1/stage/override"
    refused = await client.delete(path, headers={"If-Match": pinned.headers["etag"]})
    freed = await client.delete(path, headers={"If-Match": later.headers["etag"]})
    assert (refused.status_code, freed.status_code) == (412, 200)
    assert freed.json()["override"] is None
    assert len({seen, *(each.headers["etag"] for each in (pinned, later, freed))}) == 4
    # Nobody has moved.
    assert await ledger(client) == rows


async def test_a_full_refund_leads_back_to_the_prospects(client: httpx.AsyncClient) -> None:
    name = await purchase(client, NOW - timedelta(days=5))
    await purchase(client, NOW - timedelta(days=1), refund=name)
    rows = [(row["from_stage"], row["to_stage"], row["cause"]) for row in await ledger(client)]
    assert rows == [("potential", "initial", "fact"), ("initial", "potential", "fact")]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"stage": "moon", "reason": "x"}, "/stage"),
        ({"stage": "churned", "reason": "bored"}, "/reason"),
        ({"stage": "initial"}, "/reason"),
        ({"stage": "initial", "reason": "x", "until": "2020-01-01T00:00:00Z"}, "/until"),
        ({"stage": "initial", "reason": "x", "until": "2100-01-01T00:00:00Z"}, "/until"),
        ({"stage": "initial", "reason": "x", "force": True}, "/force"),
    ],
)
async def test_a_faulty_move_is_refused_where_it_is_wrong(
    client: httpx.AsyncClient, body: dict[str, Any], pointer: str
) -> None:
    await customer_in(client, "potential")
    answer = await client.post("/v1/customers/c1/stage/override", json=body)
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    assert await ledger(client) == []


async def test_nobody_unknown_is_moved(client: httpx.AsyncClient) -> None:
    assert (await override(client, "churned")).status_code == 404
    assert (await client.delete("/v1/customers/c1/stage/override")).status_code == 404
    assert (await client.get("/v1/customers/c1")).status_code == 404


async def test_moves_are_sought_by_a_cause_that_there_is(client: httpx.AsyncClient) -> None:
    await customer_in(client, "initial")
    found = await client.get("/v1/transitions", params={"cause": "fact"})
    assert [row["to_stage"] for row in found.json()["items"]] == ["initial"]
    refused = await client.get("/v1/transitions", params={"cause": "silnce"})
    assert refused.status_code == 422
    assert [each["pointer"] for each in refused.json()["errors"]] == ["query:cause"]


async def test_the_reasons_for_leaving_are_listed(client: httpx.AsyncClient) -> None:
    items = (await client.get("/v1/churn-reasons")).json()["items"]
    assert items == [dict(each) for each in CHURN_REASONS]
    assert {"internal", "external"} <= {each["branch"] for each in items}


async def test_of_writers_at_once_who_saw_the_same_stage_one_wins(
    own_client: httpx.AsyncClient,
) -> None:
    await customer_in(own_client, "active")
    seen = (await own_client.get("/v1/customers/c1/stage")).headers["etag"]
    answers = await asyncio.gather(
        *(override(own_client, to, headers={"If-Match": seen}) for to in ("loyal", "churned") * 10)
    )
    assert sorted(each.status_code for each in answers) == [201] + [412] * 19
    assert await replayed(own_client) == (await stage_of(own_client))["recorded_stage"]
    now = await own_client.get("/v1/customers/c1/stage")
    pin = {"until": (NOW + timedelta(days=30)).isoformat()}
    headers = {"If-Match": now.headers["etag"]}
    answers = await asyncio.gather(
        *(override(own_client, now.json()["stage"], headers=headers, **pin) for _ in range(20))
    )
    assert sorted(each.status_code for each in answers) == [201] + [412] * 19


async def test_twenty_writers_leave_a_legal_history(own_client: httpx.AsyncClient) -> None:
    await customer_in(own_client, "active")
    late = [purchase(own_client, NOW - timedelta(days=30 + n)) for n in range(5)]
    transitions = [override(own_client, to) for to in ("loyal", "churned", "active", "initial") * 4]
    answers = await asyncio.gather(*transitions[:10], *late, *transitions[10:])
    statuses = {each.status_code for each in answers if isinstance(each, httpx.Response)}
    assert statuses == {201, 409}
    rows = await ledger(own_client)
    assert await replayed(own_client) == (await stage_of(own_client))["recorded_stage"]
    by_hand = [row for row in rows if row["cause"] == "manual"]
    assert all(row["to_stage"] in MOVES[row["from_stage"]] for row in by_hand)
    at = [datetime.fromisoformat(row["effective_at"]) for row in rows]
    assert at == sorted(set(at))
