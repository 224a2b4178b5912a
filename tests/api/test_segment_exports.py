"""Who is in which segments, as lines: those whom the page of members lists, and no others."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.postgres.db import Database
from app.services.runs.segments import exports
from tests.api.test_segment_scopes import WANTS_PHONE
from tests.api.test_segments import BUYERS, HAPPY, LARGE, SEGMENTS, buy, declare
from tests.database import NOW, Clock, make_client

EXPORT = "/v1/exports/segments"
QUIET = {"variable": "days_since_last_purchase", "op": ">", "value": 31}
BY_MODEL = {"variable": "churn_probability", "op": ">", "value": 0.1}
FORMULA = {"name": {"en": "=A1", "zh": "名"}}
Membership = tuple[str, str, str | None]


async def exported(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    answer = await client.get(EXPORT)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()]


def told(lines: list[dict[str, Any]]) -> list[Membership]:
    return [(each["customer_id"], each["segment"], each["entered_at"]) for each in lines]


async def listed(client: httpx.AsyncClient) -> list[Membership]:
    """Return what the pages of members list of all segments that may be asked, by customer."""
    found: list[Membership] = []
    for segment in (await client.get(SEGMENTS)).json()["items"]:
        code = segment["code"]
        page = await client.get(f"{SEGMENTS}/{code}/members", params={"limit": 500})
        items = page.json().get("items", ())
        found += [(item["customer_id"], code, item["entered_at"]) for item in items]
    return sorted(found, key=lambda each: each[:2])


async def test_lines_are_those_whom_the_pages_of_members_list(
    client: httpx.AsyncClient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PIECE", 2)
    assert await exported(client) == []
    await buy(client, "a", 10)
    await buy(client, "b", 40)
    await declare(client, "retired", BUYERS)
    await declare(client, "buyers", BUYERS)
    await declare(client, "large", LARGE, parent="buyers", **FORMULA)
    await declare(client, "happy", {"all": [{"segment": "buyers"}, HAPPY]})
    await declare(client, "quiet", QUIET)
    for number, amounts in enumerate([(), (10, 20), (30,)]):
        await client.put(f"/v1/customers/c{number}", json={"kind": "person"})
        if amounts:
            await buy(client, f"c{number}", *amounts)
    ahead = {"customer_id": "a", "transaction_id": "later", "amount": {"amount": "25.00"},
             "occurred_at": "2026-06-01T14:00:00Z"}  # fmt: skip
    assert (await client.post("/v1/transactions", json=ahead)).status_code == 201
    assert (await client.delete(f"{SEGMENTS}/retired")).status_code == 204
    kept = {("a", "buyers"), ("c1", "buyers"), ("c1", "large"), ("c2", "buyers"), ("c2", "large")}
    for now in (NOW, NOW + timedelta(hours=3), NOW + timedelta(days=40)):
        clock.now = now
        lines = await exported(client)
        assert told(lines) == await listed(client)
        inside = {(line["customer_id"], line["segment"]) for line in lines}
        assert {("a", "happy"), ("b", "large"), *kept} <= inside
        assert (("a", "large") in inside) == (now > NOW)
        assert (("b", "quiet") in inside) == (now > NOW + timedelta(days=1))
        assert {each[:2] for each in told(lines) if each[2] is not None} == kept
    answer = await client.get(EXPORT, headers={"Accept": "text/csv"})
    assert answer.headers["content-disposition"] == 'attachment; filename="segments.csv"'
    assert answer.headers["clm-as-of"] == "2026-07-11T12:00:00Z"
    assert answer.headers["clm-segments-left-out"] == "0"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [(row["customer_id"], row["segment"], row["entered_at"] or None) for row in rows] == (
        told(lines)
    )
    names = {row["segment"]: (row["version"], row["name_en"], row["name_zh"]) for row in rows}
    assert names["large"] == ("1", "'=A1", "名")
    assert names.keys() == {"buyers", "happy", "large", "quiet"}


async def test_segments_whose_rules_a_key_may_not_ask_are_left_out_and_counted(
    client: httpx.AsyncClient, settings: Settings, database: Database, clock: Clock
) -> None:
    await client.put("/v1/customers/c1", json={"attributes": {"consent": "phone"}})
    await buy(client, "c1", 40)
    rules = {"buyers": BUYERS, "by_phone": WANTS_PHONE, "risky": {"not": {
        "variable": "churn_risk", "op": ">", "value": 0.5}}}  # fmt: skip
    for code, rule in rules.items():
        await declare(client, code, rule)
    await declare(client, "within", BUYERS, parent="by_phone")
    await declare(client, "by_model", BY_MODEL)  # and there is none
    for scopes, expected in (
        (("customers:read", "customers:read_pii", "scores:read"), [*rules, "within"]),
        (("customers:read", "customers:read_pii"), ["buyers", "by_phone", "within"]),
        (("customers:read", "scores:read"), ["buyers", "risky"]),
        (("customers:read",), ["buyers"]),
    ):
        async with await make_client(settings, database, clock=clock, scopes=scopes) as reader:
            lines = await exported(reader)
            assert [line["segment"] for line in lines] == expected, scopes
            assert told(lines) == await listed(reader)
            head = await reader.head(EXPORT)
            assert head.headers["clm-segments-left-out"] == str(5 - len(expected))
    async with await make_client(settings, database, clock=clock, scopes=("scores:read",)) as none:
        assert (await none.get(EXPORT)).status_code == 403
    other = await client.get("/v1/exports/segment")
    assert (other.status_code, other.json()["code"]) == (404, "not_found")
    assert "interactions, segments" in other.json()["detail"]
