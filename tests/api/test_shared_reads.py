"""Cards and stages that are asked for at the same moment are those that are asked for alone."""

import asyncio
from typing import Any

import httpx
import pytest

from app.postgres.db import Database
from tests.database import Clock, writing
from tests.kept import store_model

IDS = [f"c{number}" for number in range(12)]
PATHS = [
    "stage",
    "stage?as_of=2026-05-01",
    "stage?policy_version=1",
    "scores",
    "scores?horizon_days=30",
    "scores?as_of=2026-05-01",
    "scores?clv_horizon_days=180&annual_discount=0.2",
]


async def fill(client: httpx.AsyncClient) -> None:
    items = [
        {
            "customer_id": customer_id,
            "transaction_id": f"t{fact}",
            "occurred_at": f"2026-0{1 + fact % 5}-{1 + number:02}T08:00:00Z",
            "amount": {"amount": f"{10 + number + fact}.00"},
        }
        for number, customer_id in enumerate(IDS)
        for fact in range(1 + number % 5)
    ]
    done = await client.post("/v1/transactions/bulk", json={"items": items})
    assert done.json()["counts"]["created"] == len(items)
    held = {"stage": "churned", "reason": "price", "until": "2026-07-01T00:00:00Z"}
    answer = await client.post(f"/v1/customers/{IDS[3]}/stage/override", json=held)
    assert answer.is_success, answer.text


@pytest.fixture
async def filled(own_client: httpx.AsyncClient, own_database: Database) -> httpx.AsyncClient:
    await fill(own_client)
    async with own_database.writes() as session, session.begin():
        await store_model(writing(session), "model_of_tests")
    return own_client


async def answer_of(client: httpx.AsyncClient, customer_id: str, path: str) -> tuple[int, Any]:
    answer = await client.get(f"/v1/customers/{customer_id}/{path}")
    body = answer.json()
    return answer.status_code, {
        name: value for name, value in body.items() if name not in ("request_id", "instance")
    }


async def test_together_each_gets_the_own_answer(filled: httpx.AsyncClient) -> None:
    asked = [(each, path) for path in PATHS for each in [*IDS, "nobody", IDS[0]]]
    alone = [await answer_of(filled, *each) for each in asked]
    together = await asyncio.gather(*(answer_of(filled, *each) for each in asked))
    assert {status for status, _ in alone} == {200, 404}
    for each, one, other in zip(asked, alone, together, strict=True):
        assert one[0] == other[0], each
        assert _alike(one[1], other[1]), each


def _alike(one: Any, other: Any) -> bool:
    """Say whether two answers are the same, numbers to rounding."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_alike(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float):
        return bool(one == pytest.approx(other, rel=1e-12, abs=1e-12))
    return bool(one == other)


async def test_who_leaves_hurts_nobody(filled: httpx.AsyncClient) -> None:
    tasks = [asyncio.create_task(answer_of(filled, each, "scores")) for each in IDS]
    await asyncio.sleep(0.002)
    for task in tasks[::3]:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(each[0] == 200 for each in found if isinstance(each, tuple))
    assert sum(isinstance(each, tuple) for each in found) >= len(IDS) * 2 // 3
    assert (await answer_of(filled, IDS[0], "scores"))[0] == 200


async def test_what_was_written_before_is_in_the_answer(
    filled: httpx.AsyncClient, clock: Clock
) -> None:
    async def buy_and_ask(number: int) -> None:
        customer_id = f"n{number}"
        item = {
            "customer_id": customer_id,
            "transaction_id": "t",
            "occurred_at": clock.now.isoformat(),
            "amount": {"amount": "5.00"},
        }
        assert (await filled.post("/v1/transactions", json=item)).status_code == 201
        for path in ("stage", "scores"):
            _, answer = await answer_of(filled, customer_id, path)
            assert answer["purchase_days"] == 1

    await asyncio.gather(*(buy_and_ask(number) for number in range(24)))
