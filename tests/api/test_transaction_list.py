"""The list of all customers' transactions, against a plain selection in Python."""

import random
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.database import NOW, Clock

PATH = "/v1/transactions"
SORTS = ("occurred_at", "-occurred_at", "received_at", "-received_at")
BATCHES, SIZE = 4, 25


@pytest.fixture
async def stored(client: httpx.AsyncClient, clock: Clock) -> list[dict[str, Any]]:
    """Write batches an hour apart, with many facts of one instant; return what is stored."""
    rng = random.Random(5)
    for batch in range(BATCHES):
        clock.now = NOW + timedelta(hours=batch)
        items = [
            {
                "customer_id": f"c{rng.randrange(6)}",
                "transaction_id": f"{batch}/{number}",
                "source": rng.choice(("shop", "pos")),
                "kind": rng.choice(("purchase", "purchase", "refund")),
                "channel": rng.choice(("web", "store", None)),
                "occurred_at": f"2026-01-0{rng.randint(1, 9)}T{rng.choice(('00', '12'))}:00:00Z",
                "amount": {"amount": number + 1},
            }
            for number in range(SIZE)
        ]
        answer = await client.post(f"{PATH}/bulk", json={"items": items})
        assert answer.json()["counts"]["created"] == SIZE
    return (await client.get(PATH, params={"limit": 500})).json()["items"]


async def pages(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await client.get(PATH, params={"limit": 7, **query, **cursor})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found += body["items"]
        if body["next_cursor"] is None:
            return found
        cursor = {"cursor": body["next_cursor"]}


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_everything_is_listed_newest_first(
    client: httpx.AsyncClient, stored: list[dict[str, Any]]
) -> None:
    assert len(stored) == BATCHES * SIZE
    assert await pages(client) == stored
    times = [instant(each["occurred_at"]) for each in stored]
    assert times == sorted(times, reverse=True)
    own = [each for each in stored if each["customer_id"] == "c1"]
    assert (await client.get("/v1/customers/c1/transactions?limit=500")).json()["items"] == own


@pytest.mark.parametrize("sort", SORTS)
async def test_a_sort_orders_by_its_time_then_by_identity(
    client: httpx.AsyncClient, stored: list[dict[str, Any]], sort: str
) -> None:
    time = sort.removeprefix("-")

    def key(each: dict[str, Any]) -> Any:
        return instant(each[time]), each["customer_id"], each["source"], each["transaction_id"]

    expected = sorted(stored, key=key, reverse=sort.startswith("-"))
    assert await pages(client, sort=sort) == expected


@pytest.mark.parametrize(
    "query",
    [
        {"customer_id": "c1"}, {"source": "pos"}, {"kind": "refund"}, {"channel": "web"},
        {"source": "shop", "kind": "purchase", "channel": "store", "customer_id": "c2"},
        {"since": "2026-01-04"}, {"until": "2026-01-04"},
        {"since": "2026-01-03T12:00:00Z", "until": "2026-01-05T12:00:00Z", "kind": "purchase"},
        {"received_since": "2026-06-01T14:00:00Z"}, {"received_since": "2026-06-02"},
        {"received_since": "2026-06-01T13:00:00Z", "source": "pos", "until": "2026-01-05"},
    ],
)  # fmt: skip
async def test_filters_select_what_they_say(
    client: httpx.AsyncClient, stored: list[dict[str, Any]], query: dict[str, str]
) -> None:
    def fits(each: dict[str, Any]) -> bool:
        at, received = instant(each["occurred_at"]), instant(each["received_at"])
        equal = ("customer_id", "source", "kind", "channel")
        return (
            all(each[name] == query[name] for name in equal if name in query)
            and at >= edge(query.get("since", "2000-01-01"))
            and at <= edge(query.get("until", "2100-01-01"), ends=True)
            and received >= edge(query.get("received_since", "2000-01-01"))
        )

    expected = [each for each in stored if fits(each)]
    assert await pages(client, **query) == expected
    assert bool(expected) == (query != {"received_since": "2026-06-02"})


def edge(text: str, *, ends: bool = False) -> datetime:
    """Return the first or last instant of a day of Berlin, which is in winter here, or a time."""
    if "T" in text:
        return instant(text)
    day = instant(f"{text}T00:00:00+0{2 if '-06-' in text else 1}:00")
    return day + timedelta(days=1, microseconds=-1) if ends else day


async def test_what_is_voided_is_not_listed(
    client: httpx.AsyncClient, stored: list[dict[str, Any]]
) -> None:
    one = stored[3]
    query = {name: one[name] for name in ("customer_id", "source", "transaction_id")}
    answer = await client.delete(PATH, params={**query, "reason": "test"})
    assert answer.status_code == 200
    assert await pages(client) == [each for each in stored if each != one]


async def test_a_cursor_belongs_to_its_filters_and_bad_ones_are_pointed_to(
    client: httpx.AsyncClient, stored: list[dict[str, Any]]
) -> None:
    cursor = (await client.get(f"{PATH}?limit=1")).json()["next_cursor"]
    for query in ({"source": "pos"}, {"since": "2026-01-01"}, {"sort": "occurred_at"}):
        answer = await client.get(PATH, params={"cursor": cursor, **query})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")
    for name, values in {
        "since": ("", "yesterday", "2026-13-01"), "until": ("0001-01-01",),
        "received_since": ("2026-01-31T12:00:00", "%00"), "kind": ("gift",), "sort": ("amount",),
        "customer_id": ("a/b", ""), "source": ("", " a"), "channel": ("",), "limit": ("0", "501"),
    }.items():  # fmt: skip
        for value in values:
            answer = await client.get(PATH, params={name: value})
            assert answer.status_code == 422, (name, value)
            assert [fault["pointer"] for fault in answer.json()["errors"]] == [f"query:{name}"]
