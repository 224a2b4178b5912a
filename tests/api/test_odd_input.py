"""What is odd, but good: it is taken as it was sent."""

from typing import Any

import httpx
import pytest

from tests.raw_requests import FACT, check, send


@pytest.mark.parametrize(
    "attributes",
    [
        {"a": 1e22, "b": -1e-308, "c": 5e-324, "d": 10**300, "e": -(2**63), "f": 0.1},
        {"": "", "a b": [None], "~/": [], "\u0001": "\u202e", "😀": "e\u0301"},
        {"a": {"b": {"c": {"d": [1]}}}},
        {"a": True, "b": 1, "c": "true", "d": "null"},
        {str(number): number for number in range(1000)},
    ],
    ids=lambda value: ascii(value)[:40],
)
async def test_free_json_comes_back_as_it_was_sent(
    client: httpx.AsyncClient, attributes: dict[str, Any]
) -> None:
    made = await send(client, "PUT", "/v1/customers/c1", {"attributes": attributes})
    got = await client.get("/v1/customers/c1")
    assert made.status_code == 201, made.text
    assert made.json()["attributes"] == got.json()["attributes"] == attributes


async def test_a_time_is_kept_to_the_microsecond_and_shown_in_utc(
    client: httpx.AsyncClient,
) -> None:
    for given, shown in (
        ("2026-01-31T23:59:59.123456789+14:00", "2026-01-31T09:59:59.123456Z"),
        ("1901-01-01t00:00:00.5z", "1901-01-01T00:00:00.500000Z"),
        ("2199-12-31 23:59:59-00:00", "2199-12-31T23:59:59Z"),
    ):
        answer = await send(client, "PUT", "/v1/customers/c1", {"first_contact_at": given})
        assert answer.json()["first_contact_at"] == shown
    for outside in ("2199-12-31T23:59:59-12:00", "1901-01-01T00:00:00+14:00"):
        answer = await send(client, "PUT", "/v1/customers/c1", {"first_contact_at": outside})
        check(answer, 422, "/first_contact_at")


async def test_the_same_fact_twice_in_a_batch_has_a_status_for_each(
    client: httpx.AsyncClient,
) -> None:
    items = [
        FACT,
        FACT | {"amount": {"amount": "12.5"}},
        FACT | {"amount": {"amount": "13.00"}},
        FACT | {"amount": {"amount": "13.00"}, "revision": 2},
        FACT | {"amount": {"amount": "x"}},
    ]
    body = (await send(client, "POST", "/v1/transactions/bulk", {"items": items})).json()
    assert [item["status"] for item in body["items"]] == [
        "created", "duplicate", "rejected", "updated", "rejected",
    ]  # fmt: skip
    assert [item["error"] and item["error"]["code"] for item in body["items"]] == [
        None, None, "conflict", None, "validation_failed",
    ]  # fmt: skip
    assert body["counts"] == {"created": 1, "updated": 1, "duplicate": 1, "rejected": 2}
    assert body["customers_created"] == 1
