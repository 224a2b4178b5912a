"""Churn records over HTTP: why customers left, told before, while and after they did."""

import random
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.lifecycle.presets import CHURN_REASONS
from app.models import ChurnRecordRevision
from app.postgres.db import Database
from app.schemas.ingest.churn_records import EXAMPLE
from tests.database import NOW, Clock

PATH = "/v1/customers/c1/churn-records"
LOST = NOW - timedelta(days=400)
"""When somebody last bought who has left by silence."""


def record(number: int = 1, **changes: object) -> dict[str, Any]:
    at = (NOW - timedelta(days=9)).isoformat()
    return {"churn_record_id": f"r{number}", "occurred_at": at, "reason": "price", **changes}


async def post(client: httpx.AsyncClient, number: int = 1, **changes: object) -> httpx.Response:
    return await client.post(PATH, json=record(number, **changes))


async def buy(client: httpx.AsyncClient, at: datetime, customer: str = "c1") -> None:
    fact = {"customer_id": customer, "transaction_id": f"t{at.timestamp():.0f}",
            "occurred_at": at.isoformat(), "amount": {"amount": "5"}}  # fmt: skip
    assert (await client.post("/v1/transactions", json=fact)).status_code == 201


async def why(client: httpx.AsyncClient, at: datetime = NOW) -> str | None:
    """Return the record that applies, as everything says that shows it."""
    params = {"as_of": at.isoformat()}
    paths = ("stage", "stage/explanation", "scores")
    shown = [(await client.get(f"/v1/customers/c1/{path}", params=params)).json() for path in paths]
    looked = await client.post("/v1/scores/lookup", json={"customer_ids": ["c1"], **params})
    shown.append(looked.json()["items"][0])
    found = [each["churn_record"] and each["churn_record"]["churn_record_id"] for each in shown]
    assert len(set(found)) == 1, found
    if found[0] is not None:
        assert shown[0]["churn_record"] == shown[-1]["churn_record"]
        assert {each["stage"] for each in shown} == {"churned"}
    one: str | None = found[0]
    return one


async def listed(client: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    answer = await client.get(PATH, params=params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_who_left_by_silence_is_given_a_reason(client: httpx.AsyncClient) -> None:
    await buy(client, LOST)
    assert await why(client) is None
    answer = await client.post(PATH, json=EXAMPLE)
    assert (answer.status_code, answer.json()["warnings"]) == (201, [])
    body = answer.json()
    shown = {**EXAMPLE, "customer_id": "c1", "revision": 1, "received_at": "2026-06-01T12:00:00Z",
             "voided": None}  # fmt: skip
    assert (body["status"], body["customer_created"], body["churn_record"]) == (
        "created", False, shown,
    )  # fmt: skip
    assert await listed(client) == [shown]
    stage = (await client.get("/v1/customers/c1/stage")).json()
    assert (stage["stage"], stage["churn_record"]) == ("churned", shown)
    timeline = (await client.get("/v1/customers/c1/timeline?type=churn_record")).json()["items"]
    assert timeline == [
        {"type": "churn_record", "at": EXAMPLE["occurred_at"], "churn_record": shown}
    ]
    transitions = (await client.get("/v1/customers/c1/transitions")).json()["items"]
    assert [each["cause"] for each in transitions] == ["inactivity", "fact"]


async def test_no_stage_refuses_it_and_who_has_not_left_is_warned_of(
    client: httpx.AsyncClient,
) -> None:
    for number, bought in enumerate(([], [10], [20, 10], [200, 150, 100, 50, 10])):
        for days in bought:
            await buy(client, NOW - timedelta(days=days), f"p{number}")
        answer = await client.post(f"/v1/customers/p{number}/churn-records", json=record())
        assert answer.status_code == 201
        assert answer.json()["customer_created"] == (not bought)
        assert [each["code"] for each in answer.json()["warnings"]] == ["not_churned"]


async def test_a_reason_is_one_of_the_taxonomy(client: httpx.AsyncClient) -> None:
    codes = [each["code"] for each in CHURN_REASONS]
    refused = await post(client, reason="boredom")
    (fault,) = refused.json()["errors"]
    assert (refused.status_code, fault["pointer"], fault["code"]) == (
        422, "/reason", "unknown_reason",
    )  # fmt: skip
    assert all(code in fault["detail"] for code in codes)
    assert (await client.get("/v1/customers/c1")).status_code == 404
    for number, code in enumerate(codes):
        assert (await post(client, number, reason=code)).status_code == 201
    assert {each["reason"] for each in await listed(client)} == set(codes)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"occurred_at": "2026-06-02T12:00:01Z"}, "/occurred_at"),
        ({"reason": "No"}, "/reason"),
        ({"competitor": ""}, "/competitor"),
        ({"note": "x" * 4_001}, "/note"),
        ({"churn_record_id": "a\u0000"}, "/churn_record_id"),
        ({"revision": 0}, "/revision"),
        ({"customer_id": "c1"}, "/customer_id"),
    ],
    ids=lambda value: ascii(value)[:40],
)
async def test_bad_input_points_to_its_field(
    client: httpx.AsyncClient, changes: dict[str, object], pointer: str
) -> None:
    answer = await post(client, **changes)
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (await client.get("/v1/customers/c1")).status_code == 404


async def test_its_identity_and_its_revisions_are_those_of_any_fact(
    client: httpx.AsyncClient, database: Database
) -> None:
    async def told(**changes: object) -> tuple[int, str]:
        answer = await post(client, **changes)
        return answer.status_code, answer.json().get("status")

    assert await told() == (201, "created")
    assert await told(competitor=None) == (200, "duplicate")
    assert await told(reason="service", revision=3) == (200, "updated")
    assert await told(note="late", revision=2) == (200, "duplicate")
    assert await told(source="crm") == (201, "created")
    for revision in (1, 2, 3):
        assert (await post(client, reason="budget", revision=revision)).status_code == 409
    assert [(e["source"], e["revision"], e["reason"]) for e in await listed(client)] == [
        ("default", 3, "service"), ("crm", 1, "price"),
    ]  # fmt: skip
    async with database.reads() as session:
        kept = await session.scalars(
            select(ChurnRecordRevision).order_by(ChurnRecordRevision.revision)
        )
        contents = [(row.revision, row.content) for row in kept]
    assert [(number, content["reason"]) for number, content in contents] == [
        (1, "price"), (2, "price"),
    ]  # fmt: skip
    assert contents[0][1].keys() == contents[1][1].keys()


@pytest.mark.parametrize("seed", [0, 3])
async def test_the_last_record_since_the_last_win_back_applies(
    client: httpx.AsyncClient, seed: int
) -> None:
    """Left by silence, won back, left again; records come in any order."""
    back = NOW - timedelta(days=500)
    days = {"early": 1_000, "said": 801, "first": 700, "second": 600, "after": 490, "last": 100}
    times = {name: NOW - timedelta(days=ago) for name, ago in days.items()}
    told = list(times)
    random.Random(seed).shuffle(told)
    for place, name in enumerate(told):
        if place == seed:  # purchases arrive among the records
            await buy(client, back)
            await buy(client, NOW - timedelta(days=1_001))
        answer = await client.post(
            PATH, json=record(churn_record_id=name, occurred_at=times[name].isoformat())
        )
        assert answer.status_code == 201
    expected = {
        times["said"] - timedelta(days=1): "early",  # the silence has just become too long
        times["said"]: "said",
        times["first"]: "first",
        times["second"]: "second",
        back - timedelta(seconds=1): "second",
        back: None,
        times["after"]: None,
        NOW - timedelta(days=300): "after",
        times["last"]: "last",
        NOW: "last",
    }
    for at, name in expected.items():
        assert await why(client, at) == name, (at, name)


async def test_why_somebody_left_once_does_not_explain_the_next_time(
    client: httpx.AsyncClient,
) -> None:
    await buy(client, NOW - timedelta(days=1_001))
    await post(client, occurred_at=(NOW - timedelta(days=600)).isoformat())
    assert await why(client) == "r1"
    await buy(client, NOW - timedelta(days=500))
    assert await why(client, NOW - timedelta(days=501)) == "r1"
    assert await why(client) is None
    await post(client, 2)
    assert await why(client) == "r2"


async def test_a_move_to_churned_by_hand_writes_one(client: httpx.AsyncClient) -> None:
    await buy(client, NOW - timedelta(days=10))
    body = {"stage": "churned", "reason": "competitor"}
    answer = await client.post("/v1/customers/c1/stage/override", json=body)
    (written,) = await listed(client)
    assert (written["source"], written["reason"]) == ("manual", "competitor")
    assert written["occurred_at"] == answer.json()["since"]
    assert (answer.status_code, answer.json()["churn_record"]) == (201, written)
    loyal = {"stage": "active", "reason": "a talk"}
    assert (await client.post("/v1/customers/c1/stage/override", json=loyal)).status_code == 201
    assert await listed(client) == [written]
    assert await why(client, NOW + timedelta(seconds=1)) is None


async def test_a_reason_by_hand_of_who_has_left_already_is_no_conflict(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    await buy(client, LOST)
    for reason in ("competitor", "price"):
        clock.now += timedelta(minutes=1)
        body = {"stage": "churned", "reason": reason}
        answer = await client.post("/v1/customers/c1/stage/override", json=body)
        assert answer.status_code == 201, answer.text
        stage = answer.json()
        assert (stage["stage"], stage["rule"], stage["override"]) == (
            "churned", "silent_too_long", None,
        )  # fmt: skip
        assert stage["churn_record"]["reason"] == reason
    stale = await client.post(
        "/v1/customers/c1/stage/override", json=body, headers={"If-Match": '"99"'}
    )
    assert stale.status_code == 412
    rows = (await client.get("/v1/customers/c1/transitions")).json()["items"]
    assert [row["cause"] for row in rows] == ["inactivity", "fact"]
    assert len(await listed(client)) == 2


async def test_a_refused_move_by_hand_writes_none(client: httpx.AsyncClient) -> None:
    await buy(client, NOW - timedelta(days=10))
    for body, status in (
        ({"stage": "loyal", "reason": "x"}, 409),
        ({"stage": "churned", "reason": "boredom"}, 422),
    ):
        answer = await client.post("/v1/customers/c1/stage/override", json=body)
        assert answer.status_code == status
    assert await listed(client) == []


async def test_a_list_is_newest_first_and_of_a_known_customer(client: httpx.AsyncClient) -> None:
    for number, day in enumerate((2, 3, 1)):
        await post(client, number, occurred_at=f"2026-01-0{day}T12:00:00Z")
    names = [each["churn_record_id"] for each in await listed(client)]
    assert names == ["r1", "r0", "r2"]
    oldest = await listed(client, sort="occurred_at", limit=2)
    assert [each["churn_record_id"] for each in oldest] == ["r2", "r0"]
    assert (await client.get("/v1/customers/c2/churn-records")).status_code == 404


async def test_a_record_of_nobody_known_begins_a_history(client: httpx.AsyncClient) -> None:
    await post(client, occurred_at="2026-01-02T12:00:00Z")
    history = (await client.get("/v1/customers/c1/stage-history")).json()
    assert [each["from"] for each in history["periods"]] == ["2026-01-02T12:00:00Z"]


async def test_one_that_is_voided_explains_nothing(client: httpx.AsyncClient) -> None:
    await buy(client, LOST)
    await client.post(PATH, json=EXAMPLE)
    query = {"source": EXAMPLE["source"], "churn_record_id": EXAMPLE["churn_record_id"]}
    voided = await client.delete(PATH, params={**query, "reason": "of another customer"})
    assert voided.status_code == 200, voided.text
    assert voided.json()["churn_record"]["voided"]["reason"] == "of another customer"
    assert await why(client) is None
    assert await listed(client) == []
    again = (await client.post(PATH, json={**EXAMPLE, "revision": 2})).json()
    assert (again["status"], again["churn_record"]["voided"]) == ("updated", None)
    assert await why(client) == EXAMPLE["churn_record_id"]
