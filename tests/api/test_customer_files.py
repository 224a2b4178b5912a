"""The customer file: each part as its own operation answers it, and habits against plain Python."""

import random
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from statistics import median
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.postgres.db import Database
from tests.api.test_worklist import interact, put
from tests.database import NOW, Clock, make_client

CUSTOMER = "/v1/customers/c1"


async def file_of(client: httpx.AsyncClient, customer_id: str = "c1") -> Any:
    answer = await client.get(f"/v1/customers/{customer_id}/file")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_each_part_of_the_file_is_what_its_own_operation_answers(
    client: httpx.AsyncClient,
) -> None:
    quiet = {"variable": "days_since_last_purchase", "op": ">", "value": 60}
    segment = {"name": {"en": "Quiet", "zh": "沉默"}, "rule": quiet}
    assert (await client.put("/v1/segments/quiet", json=segment)).status_code == 201
    await put(client, "c1", name="W", country="DE", owner="anna", attributes={"consent": "phone"})
    patch = {"country": "FR", "source": "crm"}
    assert (await client.patch(CUSTOMER, json=patch)).status_code == 200
    for ago in (200, 150, 100):
        body = {"customer_id": "c1", "transaction_id": f"t{ago}", "amount": {"amount": "10.00"},
                "occurred_at": (NOW - timedelta(days=ago)).isoformat()}  # fmt: skip
        assert (await client.post("/v1/transactions", json=body)).status_code == 201
    for ago in range(12):
        await interact(client, "c1", "visit", timedelta(days=20 + ago), channel="shop")
    await interact(client, "c1", "complaint", timedelta(days=2))
    found = await file_of(client)

    async def of(path: str) -> Any:
        answer = await client.get(f"{CUSTOMER}{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    profile = await of("")
    assert found["customer"] == {name: profile[name] for name in found["customer"]}
    assert found["stage"] == await of("/stage")
    assert found["scores"] == await of("/scores")
    assert found["transitions"] == (await of("/transitions"))["items"] != []
    assert found["worklist"] == await of("/worklist")
    assert found["segments"] == await of("/segments")
    assert [each["inside"] for each in found["segments"]["items"]] == [True]
    assert [each["code"] for each in found["worklist"]["reasons"]] == ["open_complaint"]
    assert found["interactions"] == (await of("/interactions?limit=10"))["items"]
    said = (await of("/profile-history"))["items"]
    names = ("field", "source", "actor", "valid_from", "recorded_at")
    assert found["provenance"] == sorted(
        ({name: each[name] for name in names} for each in said if each["holds"]),
        key=lambda each: str(each["field"]),
    )
    assert {each["field"] for each in found["provenance"]} == {
        "name", "country", "owner", "attributes.consent",
    }  # fmt: skip


async def test_habits_are_counted_of_what_was_bought(client: httpx.AsyncClient) -> None:
    rng = random.Random(5)
    days, paid, channels = [], [], []
    lines: list[tuple[str, float, float]] = []
    for number in range(30):
        ago = rng.randrange(1, 300)
        at = NOW - timedelta(days=ago)
        channel = rng.choice(("web", "shop"))
        items = [{"product_id": "p", "category": rng.choice(("tea", "coffee")),
                  "quantity": rng.randrange(1, 5),
                  "unit_price": {"amount": f"{rng.randrange(100, 900) / 100:.2f}"}}
                 for _ in range(rng.randrange(1, 4))]  # fmt: skip
        amount = rng.randrange(500, 5000) / 100
        body = {"customer_id": "c1", "transaction_id": f"t{number}", "channel": channel,
                "occurred_at": at.isoformat(), "amount": {"amount": f"{amount:.2f}"},
                "items": items}  # fmt: skip
        assert (await client.post("/v1/transactions", json=body)).status_code == 201
        if number == 7:  # refunded in full: no purchase
            refund = {"customer_id": "c1", "transaction_id": "r", "kind": "refund",
                      "occurred_at": (at + timedelta(hours=1)).isoformat(),
                      "amount": body["amount"], "refunds": {"transaction_id": "t7"}}  # fmt: skip
            assert (await client.post("/v1/transactions", json=refund)).status_code == 201
            continue
        days.append((NOW - timedelta(days=ago)).date())
        paid.append(amount)
        channels.append(channel)
        for each in items:
            price = float(each["unit_price"]["amount"])  # type: ignore[index]
            lines.append((str(each["category"]), float(str(each["quantity"])), price))
    habits = (await file_of(client))["habits"]
    own = sorted(set(days))
    gaps = [(later - earlier).days for earlier, later in pairwise(own)]
    assert habits["gaps"] == {"shortest": min(gaps), "median": median(gaps),
                              "longest": max(gaps), "last": gaps[-1]}  # fmt: skip
    assert (habits["purchases"], habits["since"]) == (29, str(own[0]))
    weekdays = Counter(day.isoweekday() for day in own)
    assert [each["purchase_days"] for each in habits["weekdays"]] == [
        weekdays[day] for day in range(1, 8)
    ]
    assert money(habits["basket"]["mean"]) == near(sum(paid) / 29)
    assert money(habits["basket"]["median"]) == near(median(paid))
    assert {each["channel"]: each["purchases"] for each in habits["channels"]} == Counter(channels)
    for each in habits["categories"]:
        mine = [(number, price) for category, number, price in lines
                if category == each["category"]]  # fmt: skip
        worth, quantity = sum(n * price for n, price in mine), sum(n for n, _ in mine)
        assert each["lines"] == len(mine)
        assert money(each["paid"]) == near(worth)
        assert money(each["unit_price"]) == near(worth / quantity)
    assert {each["category"] for each in habits["categories"]} == {"tea", "coffee"}


def money(shown: dict[str, str]) -> float:
    return float(shown["amount"])


def near(value: float) -> Any:
    """As near as amounts are rounded."""
    return pytest.approx(value, abs=0.0051)


async def test_who_never_bought_has_no_habits_and_nobody_unknown_has_a_file(
    client: httpx.AsyncClient, settings: Settings, database: Database, clock: Clock
) -> None:
    await put(client, "c1", name="W", phone="+49 30 901820", attributes={"vip": True})
    found = await file_of(client)
    assert (found["habits"], found["interactions"], found["transitions"]) == (None, [], [])
    assert (await client.get("/v1/customers/nobody/file")).status_code == 404
    scopes = ("scores:read", "customers:read")
    async with await make_client(settings, database, clock, scopes) as other:
        masked = await file_of(other)
    assert masked["customer"]["name"] is masked["worklist"]["reach"]["phone"] is None
    assert masked["customer"]["attributes"] == {"vip": None}
    async with await make_client(settings, database, clock, scopes[1:]) as other:
        without = await file_of(other)
    assert without["scores"] is without["worklist"] is None
    assert without["stage"] == found["stage"]
