"""All customers and facts as lines: whole, and of JSON such that they can be written elsewhere."""

import csv
import io
import json
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.postgres.db import Database
from tests.database import Clock, make_client

CUSTOMERS = [
    {"customer_id": "c-1", "name": "=1+1", "email": "a@example.com", "country": "DE",
     "attributes": {"vip": True, "note": "x"}},
    {"customer_id": "c-2", "country": "Atlantis", "birth_date": "1990-05-01"},
]  # fmt: skip
TRANSACTIONS: list[dict[str, Any]] = [
    {"customer_id": "c-1", "source": "shop", "transaction_id": "p", "channel": "web",
     "occurred_at": "2026-01-31T12:00:00Z", "amount": {"amount": "12.50", "currency": "USD"},
     "exchange_rate": "0.9", "attributes": {"coupon": None},
     "items": [{"product_id": "s", "quantity": 2, "unit_price": {"amount": "6.25"}}]},
    {"customer_id": "c-1", "source": "shop", "transaction_id": "r", "kind": "refund",
     "occurred_at": "2026-02-01T12:00:00.25Z", "amount": {"amount": "2", "currency": "USD"},
     "exchange_rate": "0.9", "refunds": {"transaction_id": "p"}},
]  # fmt: skip
INTERACTIONS = [
    {"customer_id": "c-2", "interaction_id": "i", "kind": "call", "text": 'said "no"\nand left',
     "occurred_at": "2026-01-31T12:00:00Z"},
]  # fmt: skip
WRITTEN = {"customers": CUSTOMERS, "transactions": TRANSACTIONS, "interactions": INTERACTIONS}


async def write(client: httpx.AsyncClient, what: str, items: list[dict[str, Any]]) -> Any:
    answer = await client.post(f"/v1/{what}/bulk", json={"items": items, "mode": "atomic"})
    assert answer.status_code == 200, answer.text
    return answer.json()["counts"]


@pytest.fixture
async def written(own_client: httpx.AsyncClient) -> httpx.AsyncClient:
    for what, items in WRITTEN.items():
        await write(own_client, what, items)
    return own_client


@pytest.mark.parametrize("what", WRITTEN)
async def test_a_line_of_json_is_an_item_of_the_bulk(written: httpx.AsyncClient, what: str) -> None:
    answer = await written.get(f"/v1/exports/{what}")
    assert answer.headers["content-type"] == "application/x-ndjson"
    items = [json.loads(line) for line in answer.text.splitlines()]
    assert len(items) == len(WRITTEN[what])
    counts = await write(written, what, items)
    assert counts == {"created": 0, "updated": 0, "duplicate": len(items), "rejected": 0}


async def test_csv_has_a_row_each_and_no_formula(written: httpx.AsyncClient) -> None:
    found = {}
    for what in WRITTEN:
        answer = await written.get(f"/v1/exports/{what}", headers={"Accept": "text/csv"})
        assert f'filename="{what}.csv"' in answer.headers["content-disposition"]
        found[what] = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["name"] for row in found["customers"]] == ["'=1+1", ""]
    assert [(row["amount"], row["value"]) for row in found["transactions"]] == [
        ("12.5", "11.25"), ("2", "1.8"),
    ]  # fmt: skip
    assert found["interactions"][0]["text"].replace("\r\n", "\n") == INTERACTIONS[0]["text"]


async def test_personal_data_are_for_those_who_may_see_them(
    written: httpx.AsyncClient, settings: Settings, own_database: Database, clock: Clock
) -> None:
    async with await make_client(settings, own_database, clock, ("customers:read",)) as client:
        answer = await client.get("/v1/exports/customers")
    first, second = (json.loads(line) for line in answer.text.splitlines())
    assert {"customer_id", "country"} <= first.keys()
    assert not {"name", "email"} & first.keys()
    assert first["attributes"] == {}
    assert not {"country", "birth_date"} & second.keys()
