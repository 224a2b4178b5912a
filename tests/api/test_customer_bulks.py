"""Profiles written many at once over HTTP."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.profiles import faults_of, ids, put


async def test_a_bulk_merges_known_customers_and_makes_new_ones(
    client: httpx.AsyncClient,
) -> None:
    await put(client, "c1", name="Ann", city="Bonn", attributes={"a": 1})
    items = [
        {"customer_id": "c2", "name": "王小明"},
        {"customer_id": "c1", "city": None, "attributes": {"b": 2}},
        {"customer_id": "c3"},
        {"customer_id": "c1"},
    ]
    answer = await client.post("/v1/customers/bulk", json={"items": items})
    assert answer.json() == {
        "counts": {"created": 2, "updated": 1, "duplicate": 1, "rejected": 0},
        "items": [
            {"index": index, "status": status, "error": None, "warnings": []}
            for index, status in enumerate(("created", "updated", "created", "duplicate"))
        ],
        "warnings": [],
    }
    one = (await client.get("/v1/customers/c1")).json()
    assert (one["name"], one["city"], one["attributes"]) == ("Ann", None, {"a": 1, "b": 2})
    assert [one["profile_version"]] == [2]
    assert (await client.get("/v1/customers/c2")).headers["etag"] == '"1"'


async def test_the_same_customer_twice_in_a_batch_is_merged_in_order(
    client: httpx.AsyncClient,
) -> None:
    items = [
        {"customer_id": "c1", "name": "first", "city": "Bonn"},
        {"customer_id": "c1", "name": "second"},
        {"customer_id": "c1", "name": "second"},
        {"customer_id": "c1", "attributes": {"a": {"b": 1}}},
        {"customer_id": "c1", "attributes": {"a": {"c": 2}}, "city": None},
    ]
    answer = (await client.post("/v1/customers/bulk", json={"items": items})).json()
    one = (await client.get("/v1/customers/c1")).json()
    assert [item["status"] for item in answer["items"]] == [
        "created", "updated", "duplicate", "updated", "updated",
    ]  # fmt: skip
    assert (one["name"], one["city"]) == ("second", None)
    assert one["attributes"] == {"a": {"b": 1, "c": 2}}


async def test_a_partial_bulk_rejects_only_what_is_wrong(client: httpx.AsyncClient) -> None:
    items: list[Any] = [
        {"customer_id": "c1", "name": "Ann"},
        {"customer_id": "c2", "kind": "robot", "time_zone": "Mars/Base"},
        {"name": "nobody"},
        "not an object",
        None,
        {"customer_id": "c3", "surprise": 1},
        {"customer_id": "c4", "attributes": {"a": "x" * 9000}},
        {"customer_id": "c4", "attributes": {"b": "x" * 9000}, "name": "lost"},
        {"customer_id": "c5"},
    ]
    answer = await client.post("/v1/customers/bulk", json={"items": items})
    body = answer.json()
    assert answer.status_code == 200
    assert body["counts"] == {"created": 3, "updated": 0, "duplicate": 0, "rejected": 6}
    assert [item["index"] for item in body["items"]] == list(range(9))
    assert {
        item["index"]: [error["pointer"] for error in item["error"]["errors"]]
        for item in body["items"]
        if item["error"]
    } == {
        1: ["/items/1/kind", "/items/1/time_zone"],
        2: ["/items/2/customer_id"],
        3: ["/items/3"],
        4: ["/items/4"],
        5: ["/items/5/surprise"],
        7: ["/items/7/attributes"],
    }
    assert await ids(client) == ["c1", "c4", "c5"]
    assert (await client.get("/v1/customers/c4")).json()["name"] is None


async def test_an_atomic_bulk_with_a_fault_writes_nothing(client: httpx.AsyncClient) -> None:
    good = {"customer_id": "c1", "name": "Ann"}
    big = [{"customer_id": "c1", "attributes": {key: "x" * 9000}} for key in "ab"]
    for bad, pointer in (
        ([{"customer_id": "c2", "kind": "robot"}], "/items/1/kind"),
        (big, "/items/2/attributes"),
    ):
        body = {"items": [good, *bad], "mode": "atomic"}
        answer = await client.post("/v1/customers/bulk", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "batch_rejected")
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert await ids(client) == []
    answer = await client.post("/v1/customers/bulk", json={"items": [good], "mode": "atomic"})
    assert answer.json()["counts"]["created"] == 1


@pytest.mark.parametrize("path", ["/v1/customers/bulk", "/v1/transactions/bulk"])
async def test_a_bulk_takes_one_to_a_thousand_items(client: httpx.AsyncClient, path: str) -> None:
    for size, code in ((0, "too_short"), (1001, "too_long"), (2000, "too_long")):
        answer = await client.post(path, json={"items": [{"customer_id": "c1"}] * size})
        assert answer.status_code == 422
        assert faults_of(answer) == [("/items", code)]
    full = [{"customer_id": f"c{number}"} for number in range(1000)]
    answer = await client.post("/v1/customers/bulk", json={"items": full})
    assert answer.json()["counts"]["created"] == 1000


async def test_bulks_of_the_same_customers_in_any_order_do_not_deadlock(
    own_client: httpx.AsyncClient,
) -> None:
    def batch(number: int) -> dict[str, Any]:
        order = range(50) if number % 2 else range(49, -1, -1)
        return {
            "items": [
                {"customer_id": f"c{each}", "attributes": {f"by{number}": each}} for each in order
            ]
        }

    answers = await asyncio.gather(
        *(own_client.post("/v1/customers/bulk", json=batch(number)) for number in range(12))
    )
    assert {answer.status_code for answer in answers} == {200}
    made = sum(answer.json()["counts"]["created"] for answer in answers)
    assert made == 50
    for each in (0, 25, 49):
        one = (await own_client.get(f"/v1/customers/c{each}")).json()
        assert one["attributes"] == {f"by{number}": each for number in range(12)}
