"""`POST /v1/transactions/bulk` beside plain COPY of the same rows into the same table."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import httpx

from benchmarks import common

ITEMS = 1000
ROUNDS = 15
START = datetime(2024, 1, 1, 12, tzinfo=UTC)
COLUMNS = (
    "customer_id", "source", "transaction_id", "revision", "fingerprint", "kind", "occurred_at",
    "occurred_on", "amount", "currency", "value", "received_at",
)  # fmt: skip


def items(prefix: str, day: int, *, suffix: str = "") -> list[dict[str, Any]]:
    at = (START + timedelta(days=day)).isoformat()
    return [
        {
            "customer_id": f"{prefix}-{number:04}",
            "transaction_id": f"{day}{suffix}",
            "occurred_at": at,
            "amount": {"amount": f"{10 + number % 90}.50"},
        }
        for number in range(ITEMS)
    ]


async def post(client: httpx.AsyncClient, batch: list[dict[str, Any]]) -> None:
    answer = await client.post("/v1/transactions/bulk", json={"items": batch})
    assert answer.json()["counts"]["created"] == len(batch), answer.text[:500]


async def copy(connection: asyncpg.Connection, batch: list[dict[str, Any]]) -> None:
    now = datetime.now(UTC)
    rows = [
        (
            "copy-" + item["customer_id"], "default", item["transaction_id"], 1, b"0" * 16,
            "purchase", datetime.fromisoformat(item["occurred_at"]),
            datetime.fromisoformat(item["occurred_at"]).date(),
            Decimal(item["amount"]["amount"]), "EUR", Decimal(item["amount"]["amount"]), now,
        )
        for item in batch
    ]  # fmt: skip
    await connection.copy_records_to_table("transactions", records=rows, columns=COLUMNS)


async def compare(
    client: httpx.AsyncClient,
    connection: asyncpg.Connection,
    name: str,
    batches: list[list[dict[str, Any]]],
) -> str:
    ours, theirs, ratio = await common.paired(
        lambda turn: post(client, batches[turn]), lambda turn: copy(connection, batches[turn]),
        ROUNDS,
    )  # fmt: skip
    print(f"{name}: {ours * 1000:.1f} ms, COPY {theirs * 1000:.1f} ms")
    return f"{name}: {ratio:.1f} x COPY"


async def main(
    service: common.Service, connection: asyncpg.Connection, client: httpx.AsyncClient
) -> None:
    del service
    ratios = []
    fresh = [items(uuid.uuid4().hex[:8], 0) for _ in range(ROUNDS)]
    ratios.append(await compare(client, connection, "1,000 items, new customers", fresh))

    for day in range(50):
        await post(client, items("known", day))
    in_order = [items("known", 50 + turn) for turn in range(ROUNDS)]
    name = "1,000 items, customers with 50 facts, in order of time"
    ratios.append(await compare(client, connection, name, in_order))
    late = [items("known", turn, suffix="-late") for turn in range(ROUNDS)]
    name = "1,000 items, customers with 50 facts, back-dated"
    ratios.append(await compare(client, connection, name, late))

    big = [
        {**item, "customer_id": "whale", "transaction_id": f"{day}-{number}"}
        for day in range(100)
        for number, item in enumerate(items("whale", day))
    ]
    for start in range(0, len(big), ITEMS):
        await post(client, big[start : start + ITEMS])
    for label, day in (("in order of time", 101), ("back-dated", 50)):
        first = {**items("whale", day)[0], "customer_id": "whale"}
        one = [[{**first, "transaction_id": f"{day}x{turn}"}]
               for turn in range(ROUNDS)]  # fmt: skip
        name = f"one fact for a customer with 100,000, {label}"
        ratios.append(await compare(client, connection, name, one))
    print("\n".join(ratios))


if __name__ == "__main__":
    common.run(main)
