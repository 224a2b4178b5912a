"""A batch tells what looks like lines of one order, and is silent about orders."""

import re
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.services.ingest import order_lines

BULK = "/v1/transactions/bulk"
LINE = re.compile(r"(.*\d.*?)[-_#/:. |](0*[1-9]\d?|0|[a-z])", re.IGNORECASE)
MOMENT, DAY = "2026-01-31T08:26:00Z", "2026-01-31T00:00:00Z"


def line(transaction_id: str, at: str = MOMENT, **changes: Any) -> dict[str, Any]:
    return {
        "customer_id": "c1",
        "transaction_id": transaction_id,
        "occurred_at": at,
        "amount": {"amount": "2.55"},
        **changes,
    }


async def told(client: httpx.AsyncClient, items: list[dict[str, Any]]) -> list[str]:
    answer = (await client.post(BULK, json={"items": items})).json()
    assert all(each["code"] == "lines_of_one_order" for each in answer["warnings"])
    of_items = {one["code"] for each in answer["items"] for one in each["warnings"]}
    assert of_items <= {"refund_exceeds_purchases"}
    return [each["detail"] for each in answer["warnings"]]


def orders(many: int) -> list[dict[str, Any]]:
    """Return orders of different customers, each at a moment of its own."""
    first = datetime.fromisoformat(MOMENT)
    return [
        line(f"o{n}", (first + timedelta(minutes=n)).isoformat(), customer_id=f"c{n % 7}")
        for n in range(many)
    ]


@pytest.mark.parametrize(
    "items",
    [
        [line("536365-1"), line("536365-2")],
        [line(f"536365-{code}") for code in ("85123A", "71053", "84406B")],
        [line(str(row)) for row in range(3)],
        [line(f"#1001#{n}", DAY) for n in range(4)],
        [line("7/1", DAY), line("7/2", DAY), line("8/1", DAY), line("8/2", DAY)],
        [line("A7.a", DAY), line("A7.b", DAY)],
        [line(f"o-9-0{n}", DAY, kind="refund") for n in range(1, 4)],
        [*orders(100), *(line(f"x{n}") for n in range(3))],
    ],
)
async def test_lines_are_told_once_with_examples(
    client: httpx.AsyncClient, items: list[dict[str, Any]]
) -> None:
    [detail] = await told(client, items)
    assert "`items`" in detail
    assert any(each["transaction_id"] in detail for each in items[-3:])
    assert await told(client, items) == [detail]


@pytest.mark.parametrize(
    "items",
    [
        orders(50),
        [line("o1", DAY), line("o2", DAY), line("INV/2026/0107", DAY), line("INV/2026/0108", DAY)],
        [line("2026-107", DAY), line("2026-108", DAY)],
        [line("1-1", customer_id="c1"), line("1-2", customer_id="c2")],
        [line("1-1", source="a"), line("1-2", source="b")],
        [line("o7-1", DAY), line("o8-1", DAY)],
        [*orders(100), line("x1"), line("x2")],
        [line("o1"), line("o1-r", kind="refund", refunds={"transaction_id": "o1"})],
        [line("o1"), line("o1")],
        [line("o1"), line("o1", revision=2, amount={"amount": "3.00"})],
    ],
)
async def test_orders_are_not_told_for_lines(
    client: httpx.AsyncClient, items: list[dict[str, Any]]
) -> None:
    assert await told(client, items) == []


async def test_lines_with_the_id_of_their_order_are_told_why_they_conflict(
    client: httpx.AsyncClient,
) -> None:
    items = [line("536365", amount={"amount": str(n)}) for n in range(1, 4)]
    answer = (await client.post(BULK, json={"items": items})).json()
    assert answer["counts"] == {"created": 1, "updated": 0, "duplicate": 0, "rejected": 2}
    [warning] = answer["warnings"]
    assert (warning["code"], warning["pointer"]) == ("lines_of_one_order", "/items")
    assert "536365" in warning["detail"]
    # Sent again later, with another content than what is stored, it is a conflict and no more.
    later = [line("536365", amount={"amount": "9"}), line("o2", DAY)]
    assert (await client.post(BULK, json={"items": later})).json()["warnings"] == []


@given(st.text("019aZſ٣é-_#/:. |+", max_size=9))
@example("o-1-007")
@example("1-000")
@example("1--1")
@example("o-1")
def test_an_id_is_split_at_its_last_separator(fact_id: str) -> None:
    found = LINE.fullmatch(fact_id)
    line = found and (found[1], found[2].lower().lstrip("0") or "0")
    assert order_lines._split(fact_id) == line
