"""What is accepted without full effect is told: each code of the registry is provoked here."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.schemas.common.warnings import CODES

Told = list[dict[str, Any]]
Provoke = Callable[[httpx.AsyncClient], Awaitable[Told]]
BULK = "/v1/transactions/bulk"


def purchase(**changes: object) -> dict[str, Any]:
    return {
        "customer_id": "c1",
        "transaction_id": "t1",
        "occurred_at": "2026-01-31T12:00:00Z",
        "amount": {"amount": "12.50"},
        **changes,
    }


AHEAD = purchase(occurred_at="2026-06-02T10:00:00Z")


async def written(client: httpx.AsyncClient, item: Any, noun: str = "transaction") -> Told:
    """Write one fact; return what it is warned of, which is the same alone and in a bulk."""
    answer = await client.post(f"/v1/{noun}s", json=item)
    assert answer.status_code in (200, 201), answer.text
    bulk = await client.post(f"/v1/{noun}s/bulk", json={"items": [item], "mode": "atomic"})
    alone: Told = answer.json()["warnings"]
    for each in bulk.json()["items"][0]["warnings"]:
        if each["pointer"] is not None:
            assert each["pointer"].startswith("/items/0/")
            each["pointer"] = each["pointer"].removeprefix("/items/0")
        assert each in alone
    return alone


async def ahead(client: httpx.AsyncClient) -> Told:
    return await written(client, AHEAD)


async def superseded(client: httpx.AsyncClient) -> Told:
    await client.post("/v1/transactions", json=purchase(revision=4))
    return await written(client, purchase(revision=2))


async def kind_normalised(client: httpx.AsyncClient) -> Told:
    visit = {"customer_id": "c1", "interaction_id": "i1", "occurred_at": "2026-01-31T12:00:00Z"}
    return await written(client, visit | {"kind": "Payment Overdue"}, "interaction")


def refund(**changes: object) -> dict[str, Any]:
    return purchase(**{"transaction_id": "r1", "kind": "refund", **changes})


async def refund_waits(client: httpx.AsyncClient) -> Told:
    return await written(client, refund(refunds={"transaction_id": "t1"}))


async def refund_of_another_source(client: httpx.AsyncClient) -> Told:
    await client.post("/v1/transactions", json=purchase(source="shop"))
    return await written(client, refund(source="till", refunds={"transaction_id": "t1"}))


async def refund_exceeds_purchases(client: httpx.AsyncClient) -> Told:
    await client.post("/v1/transactions", json=purchase(amount={"amount": 10}))
    return await written(client, refund())


async def refund_of_nothing(client: httpx.AsyncClient) -> Told:
    return await written(client, refund(amount={"amount": "0"}))


async def lines_of_one_order(client: httpx.AsyncClient) -> Told:
    items = [purchase(transaction_id=f"536365-{line}") for line in (1, 2)]
    told: Told = (await client.post(BULK, json={"items": items})).json()["warnings"]
    return told


async def voided(client: httpx.AsyncClient) -> Told:
    await client.post("/v1/transactions", json=purchase())
    query = {"customer_id": "c1", "transaction_id": "t1", "reason": "entered twice"}
    await client.delete("/v1/transactions", params=query)
    return await written(client, purchase())


def of_interaction(**changes: object) -> Provoke:
    async def provoke(client: httpx.AsyncClient) -> Told:
        item = {"customer_id": "c1", "interaction_id": "i1", "kind": "call",
                "occurred_at": "2026-01-31T12:00:00Z", **changes}  # fmt: skip
        return await written(client, item, "interaction")

    return provoke


async def not_churned(client: httpx.AsyncClient) -> Told:
    record = {"churn_record_id": "r1", "occurred_at": "2026-01-31T12:00:00Z", "reason": "price"}
    answer = await client.post("/v1/customers/c1/churn-records", json=record)
    told: Told = answer.json()["warnings"]
    return told


async def not_current(client: httpx.AsyncClient) -> Told:
    """Say of the past what does not hold now, alone and in a bulk."""
    await client.put("/v1/customers/c1", json={"country": "CN"})
    await client.patch("/v1/customers/c1", json={"country": "DE"})
    found = []
    for country in ("FR", "IT"):
        said = {"country": country, "valid_from": "2026-01-31T12:00:00Z"}
        found.append((await client.patch("/v1/customers/c1", json=said)).json()["warnings"])
        items = [{"customer_id": "c1", **said, "source": "crm"}]
        (item,) = (await client.post("/v1/customers/bulk", json={"items": items})).json()["items"]
        assert [each["pointer"] for each in item["warnings"]] == ["/items/0/valid_from"]
    assert found[0] == found[1]
    told: Told = found[0]
    return told


def unread(field: str, value: str) -> Provoke:
    """Say what is none of its kind, alone and in a bulk; it is told also where it is no news."""

    async def provoke(client: httpx.AsyncClient) -> Told:
        (alone, again) = [
            (await client.put("/v1/customers/c1", json={field: value})).json() for _ in range(2)
        ]
        assert alone["warnings"] == again["warnings"]
        patched = await client.patch("/v1/customers/c1", json={field: value, "name": "Ada"})
        assert patched.json()["warnings"] == alone["warnings"]
        items = [{"customer_id": "c2"}, {"customer_id": "c1", field: value}]
        answer = await client.post("/v1/customers/bulk", json={"items": items})
        bare, item = answer.json()["items"]
        assert bare["warnings"] == []
        assert [each["pointer"] for each in item["warnings"]] == [f"/items/1/{field}"]
        told: Told = alone["warnings"]
        assert all(value not in each["detail"] for each in told)
        return told

    return provoke


PROVOKED: dict[str, Provoke] = {
    "ahead_of_time": ahead,
    "country_unread": unread("country", "Atlantis"),
    "email_unread": unread("email", "anna at example"),
    "not_current": not_current,
    "kind_normalised": kind_normalised,
    "lines_of_one_order": lines_of_one_order,
    "refund_exceeds_purchases": refund_exceeds_purchases,
    "refund_of_another_source": refund_of_another_source,
    "refund_of_nothing": refund_of_nothing,
    "refund_waits": refund_waits,
    "phone_unread": unread("phone", "ask the desk"),
    "superseded": superseded,
    "voided": voided,
    "not_churned": not_churned,
    "score_without_scale": of_interaction(score=3),
    "snoozed_without_day": of_interaction(kind="snoozed"),
    "undeclared_kind": of_interaction(kind="complant"),
    "unknown_outcome": of_interaction(outcome="won"),
}


def test_every_code_of_the_registry_is_provoked_here() -> None:
    assert set(PROVOKED) == set(CODES)


@pytest.mark.parametrize("code", PROVOKED)
async def test_what_has_no_full_effect_is_told(client: httpx.AsyncClient, code: str) -> None:
    told = await PROVOKED[code](client)
    assert [each["code"] for each in told] == [code]
    assert told[0]["detail"]


async def test_what_has_its_full_effect_is_told_nothing(client: httpx.AsyncClient) -> None:
    assert await written(client, purchase()) == []
    answer = await client.put("/v1/customers/c1", json={"name": "Ada"})
    assert answer.json()["warnings"] == []
    assert "warnings" not in (await client.get("/v1/customers/c1")).json()


async def test_a_bulk_tells_each_item_its_own_and_nothing_of_one_that_was_rejected(
    client: httpx.AsyncClient,
) -> None:
    other = AHEAD | {"amount": {"amount": "1"}}
    unfit = AHEAD | {"transaction_id": "t3", "exchange_rate": "2"}
    items = [purchase(transaction_id="t2"), AHEAD, other, unfit]
    answer = (await client.post(BULK, json={"items": items})).json()
    assert [each["status"] for each in answer["items"]] == [
        "created", "created", "rejected", "rejected",
    ]  # fmt: skip
    told = [[(w["code"], w["pointer"]) for w in each["warnings"]] for each in answer["items"]]
    assert told == [[], [("ahead_of_time", "/items/1/occurred_at")], [], []]
    assert [each["code"] for each in answer["warnings"]] == ["lines_of_one_order"]
