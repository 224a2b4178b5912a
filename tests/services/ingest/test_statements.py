"""A batch costs as many statements for many customers as for few."""

from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import event

from app.postgres.db import Database
from app.services.customers import customers

FEW, MANY = 16, 256
"""Sizes of batches of which the customers are taken by one statement each."""
assert MANY == customers.BLOCK

Items = Callable[[int], dict[str, Any]]


def purchase(number: int, day: int, **other: Any) -> dict[str, Any]:
    return {
        "customer_id": f"c{number}",
        "transaction_id": f"t{number}-{day}",
        "occurred_at": f"2026-02-{day:02}T12:00:00Z",
        "amount": {"amount": "12.50"},
        **other,
    }


def call(number: int, **other: Any) -> dict[str, Any]:
    return {
        "customer_id": f"c{number}",
        "interaction_id": f"i{number}",
        "occurred_at": "2026-02-20T12:00:00Z",
        "kind": "call",
        **other,
    }


STEPS: list[tuple[str, Items]] = [
    ("transactions", lambda n: purchase(n, 9)),
    ("transactions", lambda n: purchase(n, 12)),
    ("transactions", lambda n: purchase(n, 5)),
    ("transactions", lambda n: purchase(n, 12, revision=3, amount={"amount": n + 1})),
    ("transactions", lambda n: purchase(n, 12, revision=2)),
    (
        "transactions",
        lambda n: purchase(n, 13, kind="refund", refunds={"transaction_id": f"t{n}-5"}),
    ),
    ("transactions", lambda n: purchase(n, 14, kind="refund", refunds={"transaction_id": "none"})),
    ("interactions", call),
    ("interactions", lambda n: call(n, kind="complaint", revision=2)),
    ("customers", lambda n: {"customer_id": f"c{n}", "name": f"Anna {n}", "email": f"{n}@x.org"}),
    ("customers", lambda n: {"customer_id": f"c{n}", "city": "Rome", "attributes": {"n": n}}),
    (
        "customers",
        lambda n: {"customer_id": f"c{n}", "city": "Bonn", "valid_from": "2026-01-05T00:00:00Z"},
    ),
    ("customers", lambda n: {"customer_id": f"new{n}", "name": f"Bo {n}", "phone": "030 901820"}),
]


@pytest.fixture
def sent(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whatever is sent to the database, in order."""
    found: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        found.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    for name in ("fetch", "fetchrow", "copy_to_table", "copy_records_to_table", "copy_from_query"):
        method = getattr(asyncpg.Connection, name)

        async def noting(
            self: Any, what: str, *args: Any, _method: Any = method, **more: Any
        ) -> Any:
            found.append(what)
            return await _method(self, what, *args, **more)

        monkeypatch.setattr(asyncpg.Connection, name, noting)
    return found


async def costs(
    client: httpx.AsyncClient, sent: list[str], many: int, first: int
) -> list[list[str]]:
    """Return what each step sends for so many customers."""
    found = []
    for door, item in STEPS:
        sent.clear()
        body = {"items": [item(number) for number in range(first, first + many)]}
        answer = await client.post(f"/v1/{door}/bulk", json=body)
        assert answer.status_code == 200
        assert answer.json()["counts"]["rejected"] == 0
        found.append(list(sent))
    return found


async def test_a_batch_sends_no_statement_for_each_customer(
    client: httpx.AsyncClient, sent: list[str]
) -> None:
    await costs(client, sent, FEW, 10_000)  # what a process reads once
    few = await costs(client, sent, FEW, 20_000)
    many = await costs(client, sent, MANY, 30_000)
    assert [len(step) for step in few] == [len(step) for step in many]
    assert min(map(len, few)) > 3
