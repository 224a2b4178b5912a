"""Files in over HTTP: sent, read by a worker, told in totals, refused rows given back."""

import gzip
import json
from typing import Any

import httpx
import pytest
from backports import zstd
from sqlalchemy import text

from app.config import Settings
from app.postgres.db import Database
from app.worker import Worker

MAPPING: dict[str, Any] = {
    "name": "Orders of the shop",
    "source": "shop",
    "times": {"zone": "Europe/Berlin"},
    "filters": [{"code": "test_order", "when": {"column": "status", "in": ["test"]}}],
    "facts": [
        {
            "fact": "transactions",
            "negative": "refund",
            "fields": {
                "transaction_id": {"column": "order_id"},
                "customer_id": {"column": "customer"},
                "occurred_at": {"column": "ordered_at", "patterns": ["%Y-%m-%d %H:%M"]},
                "amount": {"column": "amount"},
            },
        }
    ],
}
HEADER = "order_id,customer,ordered_at,amount,status\n"
ORDERS = HEADER + (
    "A-1,c-1,2026-01-31 12:00,12.50,paid\n"
    "A-2,c-1,2026-02-01 00:30,20.00,paid\n"
    "A-3,c-2,2026-02-03 09:00,abc,paid\n"
    'A-4,c-3,2026-02-04 10:00,"7,5",paid\n'
    "A-5,c-3,2026-02-04 10:00,-2.00,paid\n"
    "A-6,c-4,2026-02-05 10:00,1.00,test\n"
)


@pytest.fixture
async def worker(own_database: Database, settings: Settings) -> Worker:
    return Worker(own_database, settings)


@pytest.fixture
async def mapped(own_client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client of a service that knows the mapping."""
    answer = await own_client.put("/v1/mappings/shop", json={"document": MAPPING})
    assert answer.status_code == 201, answer.text
    return own_client


async def send(client: httpx.AsyncClient, content: str | bytes, **query: Any) -> httpx.Response:
    given = content.encode() if isinstance(content, str) else content
    return await client.post("/v1/imports", params={"mapping": "shop", **query}, content=given)


async def done(worker: Worker, client: httpx.AsyncClient, sent: httpx.Response) -> dict[str, Any]:
    """Return the import once a worker has read it."""
    assert sent.status_code == 202, sent.text
    while await worker.work_once():
        pass
    found = await client.get(f"/v1/imports/{sent.json()['id']}")
    assert found.status_code == 200, found.text
    shown: dict[str, Any] = found.json()
    return shown


async def test_a_file_becomes_facts_totals_and_refused_rows(
    mapped: httpx.AsyncClient, worker: Worker
) -> None:
    shown = await done(worker, mapped, await send(mapped, ORDERS, name="orders.csv"))
    assert (shown["state"], shown["file_name"], shown["source"]) == (
        "succeeded", "orders.csv", "shop",
    )  # fmt: skip
    totals = shown["totals"]
    counted = {name: totals[name] for name in totals if name.endswith("rows")}
    assert counted == {"rows": 6, "mapped_rows": 3, "rejected_rows": 2, "left_out_rows": 1}
    assert totals["left_out"] == {"test_order": 1}
    assert totals["facts"] == {
        "transactions": {"created": 3, "updated": 0, "duplicate": 0, "rejected": 0}
    }
    assert totals["customers_created"] == 2
    (money,) = totals["money"]
    sums = {
        "purchases": 2,
        "purchased": {"amount": "32.50", "currency": "EUR"},
        "refunds": 1,
        "refunded": {"amount": "2.00", "currency": "EUR"},
    }
    assert {name: money[name] for name in sums} == money["created"] == sums
    assert (totals["first_on"], totals["last_on"]) == ("2026-01-31", "2026-02-04")
    assert [
        (each["code"], each["column"], each["first_line"]) for each in totals["rejections"]
    ] == [("not_a_number", "amount", 4)]
    operation = (await mapped.get(f"/v1/operations/{shown['id']}")).json()
    assert operation["result"] == totals
    listed = (await mapped.get("/v1/customers/c-1/transactions")).json()["items"]
    assert [(each["transaction_id"], each["occurred_at"]) for each in listed] == [
        ("A-2", "2026-01-31T23:30:00Z"), ("A-1", "2026-01-31T11:00:00Z"),
    ]  # fmt: skip


async def test_refused_rows_are_mended_and_sent_again(
    mapped: httpx.AsyncClient, worker: Worker
) -> None:
    shown = await done(worker, mapped, await send(mapped, ORDERS))
    refused = await mapped.get(f"/v1/imports/{shown['id']}/rejected")
    assert refused.headers["content-type"].startswith("text/csv")
    header, first, second = refused.text.splitlines()
    assert header == HEADER.strip() + ",clm_line,clm_field,clm_reason"
    assert first.startswith("A-3,c-2,2026-02-03 09:00,abc,paid,4,amount,not_a_number: ")
    assert second.startswith('A-4,c-3,2026-02-04 10:00,"7,5",paid,5,amount,')
    mended = refused.text.replace(",abc,", ",30.00,").replace('"7,5"', "7.50")
    shown = await done(worker, mapped, await send(mapped, mended))
    assert (shown["totals"]["mapped_rows"], shown["totals"]["rejected_rows"]) == (2, 0)
    again = await done(worker, mapped, await send(mapped, ORDERS))
    assert again["totals"]["facts"]["transactions"]["duplicate"] == 3


def sums_of(money: dict[str, Any]) -> tuple[int, str, int, str]:
    return (
        money["purchases"], money["purchased"]["amount"],
        money["refunds"], money["refunded"]["amount"],
    )  # fmt: skip


async def test_money_is_told_to_hold_against_the_source_and_against_what_is_stored(
    own_client: httpx.AsyncClient, worker: Worker, own_database: Database
) -> None:
    fields = {**MAPPING["facts"][0]["fields"], "revision": {"column": "status"}}
    document = {**MAPPING, "filters": [], "facts": [{**MAPPING["facts"][0], "fields": fields}]}
    await own_client.put("/v1/mappings/shop", json={"document": document})
    first = HEADER + (
        "A-1,c-1,2026-01-31 12:00,10.00,1\n"
        "A-1,c-1,2026-01-31 12:00,10.00,1\n"  # again
        "A-1,c-1,2026-01-31 12:00,12.00,2\n"  # in place of it
        "A-2,c-1,2026-01-31 13:00,5.00,3\n"
        "A-2,c-1,2026-01-31 13:00,4.00,2\n"  # lower than what is in force
        "A-3,c-1,2026-02-01 13:00,-3.00,1\n"
        "A-4,c-1,2026-02-01 13:00,7.00,1\n"
        "A-4,c-1,2026-02-01 13:00,8.00,1\n"  # contradicts
    )
    second = HEADER + (
        "A-1,c-1,2026-01-31 12:00,20.00,4\n"
        "A-1,c-1,2026-01-31 12:00,21.00,5\n"
        "A-3,c-1,2026-02-01 13:00,3.50,2\n"  # a purchase now
        "A-4,c-1,2026-02-01 13:00,7.00,1\n"
    )
    expected: list[dict[str, Any]] = [
        {"created": (3, "22.00", 1, "3.00"), "updated": (1, "12.00", 0, "0.00"),
         "replaced": (1, "10.00", 0, "0.00"), "duplicate": (2, "14.00", 0, "0.00"),
         "all": (6, "48.00", 1, "3.00"), "stored": "24.00 3.00"},
        {"created": (0, "0.00", 0, "0.00"), "updated": (3, "44.50", 0, "0.00"),
         "replaced": (2, "32.00", 1, "3.00"), "duplicate": (1, "7.00", 0, "0.00"),
         "all": (4, "51.50", 0, "0.00"), "stored": "36.50 0.00"},
    ]  # fmt: skip
    asked = (
        "SELECT sum(amount) FILTER (WHERE kind = 'purchase'),"
        " sum(amount) FILTER (WHERE kind = 'refund') FROM transactions"
    )
    for content, sums in zip((first, second), expected, strict=True):
        shown = await done(worker, own_client, await send(own_client, content))
        (money,) = shown["totals"]["money"]
        found: dict[str, Any] = {
            name: sums_of(money[name]) for name in sums if name not in ("all", "stored")
        }
        async with own_database.reads() as session:
            bought, back = (await session.execute(text(asked))).one()
        stored = f"{bought:.2f} {back or 0:.2f}"
        found |= {"all": sums_of(money), "stored": stored}
        assert found == sums


@pytest.mark.parametrize(
    "packed",
    [gzip.compress, zstd.compress, lambda plain: plain.decode().encode("utf-16")],
    ids=["gzip", "zstd", "utf-16"],
)
async def test_however_a_file_is_packed_it_is_the_same(
    mapped: httpx.AsyncClient, worker: Worker, packed: Any
) -> None:
    shown = await done(worker, mapped, await send(mapped, packed(ORDERS.encode())))
    assert shown["totals"]["mapped_rows"] == 3


async def test_a_dry_run_tells_all_and_keeps_no_fact(
    mapped: httpx.AsyncClient, worker: Worker
) -> None:
    shown = await done(worker, mapped, await send(mapped, ORDERS, dry_run=True))
    assert (shown["dry_run"], shown["totals"]["mapped_rows"]) == (True, 3)
    assert shown["first_facts"][0]["item"]["customer_id"] == "c-1"
    assert (await mapped.get("/v1/customers/c-1")).status_code == 404
    assert (await mapped.get(f"/v1/imports/{shown['id']}/rejected")).text.count("\n") == 3
    real = await done(worker, mapped, await send(mapped, ORDERS))
    assert real["totals"] == shown["totals"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (gzip.compress(ORDERS.encode())[:-9], "gzip"),
        (zstd.compress(ORDERS.encode())[:-9], "zstd"),
        (b"", "empty"),
        (b"PK\x03\x04\x00\x00\x00\x00" * 100, "binary"),
        (b"order_id,order_id,amount\n1,2,3\n", "double_header"),
        (b"a,b,c\n1,2,3\n", "unknown_column"),
    ],
)
async def test_a_file_that_is_none_is_refused_and_leaves_nothing(
    mapped: httpx.AsyncClient, content: bytes, code: str
) -> None:
    answer = await send(mapped, content)
    assert answer.status_code in (400, 422), answer.text
    assert code in {fault["code"] for fault in answer.json()["errors"]}, answer.text
    assert (await mapped.get("/v1/imports")).json()["items"] == []
    assert (await mapped.get("/v1/operations")).json()["items"] == []


async def test_without_a_mapping_nothing_is_guessed(mapped: httpx.AsyncClient) -> None:
    answer = await mapped.post("/v1/imports", content=ORDERS.encode())
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "needed")
    for query in ({"preset": "nothing"}, {"mapping": "nothing"}, {"parameters": "[]"}):
        answer = await mapped.post("/v1/imports", params=query, content=ORDERS.encode())
        assert answer.status_code in (404, 422), answer.text


async def test_an_import_that_is_cancelled_keeps_what_it_has_written(
    mapped: httpx.AsyncClient, worker: Worker
) -> None:
    sent = (await send(mapped, ORDERS)).json()
    answer = await mapped.post(f"/v1/operations/{sent['id']}/cancel")
    assert answer.json()["state"] == "cancelled"
    assert not await worker.work_once()
    assert (await mapped.get(f"/v1/imports/{sent['id']}")).json()["state"] == "cancelled"


async def test_several_files_wait_for_each_other_in_no_way(
    mapped: httpx.AsyncClient, worker: Worker
) -> None:
    first = await send(mapped, ORDERS)
    second = await send(mapped, HEADER + "B-1,c-9,2026-03-01 10:00,5.00,paid\n")
    assert (first.status_code, second.status_code) == (202, 202)
    shown = await done(worker, mapped, second)
    assert shown["state"] == "succeeded"
    page = (await mapped.get("/v1/imports", params={"limit": 1})).json()
    rest = await mapped.get("/v1/imports", params={"limit": 1, "cursor": page["next_cursor"]})
    found = {each["id"] for each in (*page["items"], *rest.json()["items"])}
    assert found == {first.json()["id"], second.json()["id"]}


async def test_lines_of_json_are_taken_as_well(mapped: httpx.AsyncClient, worker: Worker) -> None:
    lines = [
        {"order_id": "J-1", "customer": "c-1", "ordered_at": "2026-01-31 12:00", "amount": 12.5},
        {"order_id": "J-2", "customer": "c-1", "ordered_at": "soon", "amount": "1"},
    ]
    content = "".join(json.dumps({**line, "status": "paid"}) + "\n" for line in lines)
    shown = await done(worker, mapped, await send(mapped, content))
    assert (shown["totals"]["mapped_rows"], shown["totals"]["rejected_rows"]) == (1, 1)
    refused = await mapped.get(f"/v1/imports/{shown['id']}/rejected")
    assert json.loads(refused.text)["clm_field"] == "ordered_at"


async def test_segments_follow_what_a_file_says(mapped: httpx.AsyncClient, worker: Worker) -> None:
    body = {"name": {"en": "Large", "zh": "大额"},
            "rule": {"variable": "revenue", "op": ">=", "value": 30}}  # fmt: skip
    assert (await mapped.put("/v1/segments/large", json=body)).status_code == 201
    await done(worker, mapped, await send(mapped, ORDERS))
    kept = (await mapped.get("/v1/customers", params={"segment": "large"})).json()
    assert [each["customer_id"] for each in kept["items"]] == ["c-1"]
