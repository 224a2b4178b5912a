"""Lists of customers over HTTP: filters, order, pages and cursors."""

import base64
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests import openapi
from tests.profiles import faults_of, ids, put


@pytest.fixture
async def people(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client of a service that knows six customers."""
    for customer_id, profile in {
        "b2": {"name": "王小明", "owner": "east", "email": "Wang@Example.com"},
        "a1": {"name": "王大明", "owner": "west", "phone": "+86 1"},
        "C3": {"name": "Ann Smith", "owner": "east", "phone": "+49 30"},
        "d4": {"name": "ANNA", "email": "a_n%n@example.com"},
        "客5": {"name": "Ünal", "owner": "east"},
        "e6": {},
    }.items():
        await put(client, customer_id, **profile)
    fact = {
        "customer_id": "d4",
        "transaction_id": "t1",
        "occurred_at": "2026-05-31T12:00:00Z",
        "amount": {"amount": "12.50"},
    }
    assert (await client.post("/v1/transactions", json=fact)).status_code == 201
    return client


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ["C3", "a1", "b2", "d4", "e6", "客5"]),
        ({"sort": "customer_id"}, ["C3", "a1", "b2", "d4", "e6", "客5"]),
        ({"sort": "-customer_id"}, ["客5", "e6", "d4", "b2", "a1", "C3"]),
        ({"sort": "created_at"}, ["C3", "a1", "b2", "d4", "e6", "客5"]),
        ({"sort": "-created_at"}, ["客5", "e6", "d4", "b2", "a1", "C3"]),
        ({"stage": "initial"}, ["d4"]),
        ({"stage": "potential", "owner": "east"}, ["C3", "b2", "客5"]),
        ({"stage": "none such"}, []),
        ({"owner": "west"}, ["a1"]),
        ({"q": "王"}, ["a1", "b2"]),
        ({"q": "王小明"}, ["b2"]),
        ({"q": "小明"}, ["b2"]),
        ({"q": "ann"}, ["C3", "d4"]),
        ({"q": "ANN"}, ["C3", "d4"]),
        ({"q": "ünal"}, ["客5"]),
        ({"q": "客"}, ["客5"]),
        ({"q": "b2"}, ["b2"]),
        ({"q": "c3"}, []),
        ({"q": "wang@example"}, ["b2"]),
        ({"q": "+86"}, ["a1"]),
        ({"q": "a_n%"}, ["d4"]),
        ({"q": "%"}, []),
        ({"q": "_"}, []),
        ({"q": "a", "owner": "west"}, ["a1"]),
    ],
    ids=str,
)
async def test_a_list_has_those_who_fit_all_filters_in_order(
    people: httpx.AsyncClient, params: dict[str, str], expected: list[str]
) -> None:
    assert await ids(people, **params) == expected
    by_one, cursor = [], ""
    while cursor is not None:
        page = {**params, "limit": 1, **({"cursor": cursor} if cursor else {})}
        answer = (await people.get("/v1/customers", params=page)).json()
        by_one += [item["customer_id"] for item in answer["items"]]
        cursor = answer["next_cursor"]
    assert by_one == expected


async def test_creation_times_order_a_list(client: httpx.AsyncClient, clock: Any) -> None:
    for customer_id in ("c2", "c3", "c1"):
        await put(client, customer_id)
        clock.now = clock.now.replace(minute=clock.now.minute + 1)
    assert await ids(client, sort="created_at") == ["c2", "c3", "c1"]
    assert await ids(client, sort="-created_at") == ["c1", "c3", "c2"]
    first = (await client.get("/v1/customers?sort=-created_at&limit=2")).json()
    rest = await ids(client, sort="-created_at", limit=2, cursor=first["next_cursor"])
    assert rest == ["c2"]


async def test_pages_cover_everybody_once_while_others_are_added(
    client: httpx.AsyncClient,
) -> None:
    known = [f"c{number:03}" for number in range(0, 90, 2)]
    body = {"items": [{"customer_id": each} for each in known]}
    assert (await client.post("/v1/customers/bulk", json=body)).status_code == 200
    seen: list[str] = []
    cursor, added = None, iter(range(1, 90, 2))
    while True:
        params = {"limit": 7} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/customers", params=params)).json()
        seen += [item["customer_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        await put(client, f"c{next(added):03}")
        await put(client, f"c{89 - next(added):03}")
    assert len(seen) == len(set(seen))
    assert set(known) <= set(seen)
    assert seen == sorted(seen)


async def test_the_cursor_of_the_longest_ids_is_accepted(client: httpx.AsyncClient) -> None:
    customer, source = "😀" * 128, "客" * 128
    for number in range(3):
        fact = {
            "customer_id": customer,
            "source": "😀" * 128 if number == 0 else source,
            "transaction_id": f"{number}" + "😀" * 127,
            "occurred_at": "2026-01-31T12:00:00Z",
            "amount": {"amount": "12.50"},
        }
        assert (await client.post("/v1/transactions", json=fact)).status_code == 201
    await put(client, "z")
    path = f"/v1/customers/{quote(customer)}/transactions"
    seen, cursor = 0, ""
    while cursor is not None:
        page = await client.get(path, params={"limit": 1} | ({"cursor": cursor} if cursor else {}))
        assert page.status_code == 200, page.text
        seen, cursor = seen + len(page.json()["items"]), page.json()["next_cursor"]
    assert seen == 3


def tampered(cursor: str) -> list[str]:
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    flipped = [
        base64.urlsafe_b64encode(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]).decode()
        for at in (0, 15, 16, len(raw) - 1)
    ]
    return [
        *(each.rstrip("=") for each in flipped),
        cursor[:-1],
        cursor + "A",
        cursor + "=",
        cursor[:5] + "!" + cursor[5:],
        "",
        "A",
        "é",
        "0",
        "\x00",
        "null",
    ]


async def test_a_cursor_not_as_it_was_given_is_refused(people: httpx.AsyncClient) -> None:
    cursor = (await people.get("/v1/customers?limit=2")).json()["next_cursor"]
    for bad in tampered(cursor):
        answer = await people.get("/v1/customers", params={"cursor": bad})
        assert answer.status_code == 400, bad
        assert answer.json()["code"] == "invalid_cursor"
        assert faults_of(answer) == [("query:cursor", "invalid_cursor")]


async def test_a_cursor_of_other_filters_or_another_list_is_refused(
    people: httpx.AsyncClient,
) -> None:
    cursor = (await people.get("/v1/customers?limit=2&owner=east")).json()["next_cursor"]
    assert await ids(people, cursor=cursor, owner="east") == ["客5"]
    for path in (
        "customers?",
        "customers?owner=west&",
        "customers?owner=east&q=a&",
        "customers?owner=east&stage=initial&",
        "customers?owner=east&sort=-customer_id&",
        "customers/d4/transactions?",
        "customers/d4/transitions?",
        "customers/d4/interactions?",
        "customers/d4/timeline?",
        "operations?",
        "models?",
    ):
        answer = await people.get(f"/v1/{path}cursor={cursor}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor"), path
        assert faults_of(answer) == [("query:cursor", "invalid_cursor")]


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ("limit=0", "query:limit", "greater_than_equal"),
        ("limit=-1", "query:limit", "greater_than_equal"),
        ("limit=501", "query:limit", "less_than_equal"),
        ("limit=99999999999999999999", "query:limit", "less_than_equal"),
        ("limit=ten", "query:limit", "int_parsing"),
        ("sort=name", "query:sort", "enum"),
        ("q=", "query:q", "string_too_short"),
        ("colour=red", "query:colour", "extra_forbidden"),
        ("owner=a&owner=b", "query:owner", "repeated"),
        (f"cursor={'A' * 2001}", "query:cursor", "string_too_long"),
    ],
)
async def test_a_list_says_which_parameter_is_wrong(
    client: httpx.AsyncClient, query: str, pointer: str, code: str
) -> None:
    answer = await client.get(f"/v1/customers?{query}")
    assert answer.status_code == 422
    assert faults_of(answer) == [(pointer, code)]


async def test_every_operation_refuses_an_unknown_parameter(client: httpx.AsyncClient) -> None:
    for path, operations in openapi.committed()["paths"].items():
        for method in operations:
            if not path.startswith("/v1/"):
                continue
            url = path.replace("{", "").replace("}", "")
            answer = await client.request(method, url, params={"sütun": "1"}, json={})
            assert answer.status_code == 422, (method, path)
            assert ("query:sütun", "extra_forbidden") in faults_of(answer)
