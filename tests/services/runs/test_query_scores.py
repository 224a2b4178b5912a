"""What a published run found, in rules and lists: SQL and evaluation against what it says."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.services.runs import queries
from tests.services.scores import test_lists
from tests.services.scores.test_lists import listed

people, run_id, worker = test_lists.people, test_lists.run_id, test_lists.worker
"""Fixtures: a published run of everybody."""

QUERY = "/v1/customers/query"
NAMES = ("churn_risk", "expected_purchases", "clv", "value_to_save", "rhythm", "rfm_group",
         "call_reasons")  # fmt: skip
EVALUATED = {"not": {"variable": "satisfied", "op": "==", "value": False}}


async def queried(client: httpx.AsyncClient, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await client.post(QUERY, json={"limit": 7, **given(asked), **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


def given(asked: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value is not None}


def amount(money: dict[str, str] | None) -> float | None:
    return None if money is None else float(money["amount"])


RULES: list[tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = [
    ({"variable": "churn_risk", "op": ">", "value": 0.5},
     lambda row: row["probability"] is not None and row["probability"] > 0.5),
    ({"variable": "value_to_save", "op": ">=", "value": 0.5},
     lambda row: (amount(row["value_to_save"]) or 0) >= 0.5),
    ({"not": {"variable": "clv", "op": "<", "value": 5}},
     lambda row: row["clv"] is None or (amount(row["clv"]) or 0) >= 5),
    ({"variable": "rhythm", "op": "in", "value": ["overdue", "lost"]},
     lambda row: row["rhythm"] is not None and row["rhythm"]["status"] in ("overdue", "lost")),
    ({"variable": "rhythm", "op": "known", "value": False}, lambda row: row["rhythm"] is None),
    ({"variable": "call_reasons", "op": "contains", "value": "overdue"},
     lambda row: "overdue" in row["call_reasons"]),
    ({"variable": "call_reasons", "op": "==", "value": "overdue"}, lambda _: False),
    ({"variable": "rfm_group", "op": "!=", "value": "champions"},
     lambda row: row["rfm_group"] not in (None, "champions")),
]  # fmt: skip


async def test_rules_and_lists_see_what_the_run_found(
    own_client: httpx.AsyncClient,
    run_id: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores = await listed(own_client, "/v1/scores")
    by_id = {row["customer_id"]: row for row in scores}
    for when, holds in RULES:
        expected = [row["customer_id"] for row in scores if holds(row)]
        for rule in (when, {"all": [when, EVALUATED]}):
            found = await queried(own_client, when=rule, select=list(NAMES))
            assert [item["customer_id"] for item in found] == expected, rule
            for item in found:
                row, told = by_id[item["customer_id"]], item["values"]
                assert told["churn_risk"] == row["probability"]
                assert told["rhythm"] == (row["rhythm"] and row["rhythm"]["status"])
                assert told["clv"] == row["clv"]
                assert told["value_to_save"] == row["value_to_save"]
                assert told["call_reasons"] == row["call_reasons"]
    in_order = [row["customer_id"] for row in
                await listed(own_client, "/v1/scores", sort="-value_to_save")]  # fmt: skip
    for when in (None, EVALUATED):
        found = await queried(own_client, when=when, sort="-value_to_save")
        assert [item["customer_id"] for item in found] == in_order
        page = await own_client.post(QUERY, json=given({"when": when, "count": True}))
        count = page.json()["count"]
        for name in ("clv", "value_to_save"):
            total = sum(amount(row[name]) or 0 for row in scores)
            assert float(count[name]["amount"]) == pytest.approx(total)
        assert page.json()["run_id"] == run_id
    assert len(scores) < queries.AT_ONCE


async def test_exported_members_of_segments_are_those_that_the_run_found(
    own_client: httpx.AsyncClient, run_id: int
) -> None:
    scores = await listed(own_client, "/v1/scores")
    expected = []
    for number, (rule, holds) in enumerate(RULES):
        body = {"name": {"en": "n", "zh": "名"}, "rule": rule}
        assert (await own_client.put(f"/v1/segments/s{number}", json=body)).status_code == 201
        expected += [(row["customer_id"], f"s{number}") for row in scores if holds(row)]
    lines = (await own_client.get("/v1/exports/segments")).text.splitlines()
    found = [(line["customer_id"], line["segment"]) for line in map(json.loads, lines)]
    assert found == sorted(expected)
    assert {segment for _, segment in found} >= {"s0", "s1", "s2", "s3", "s5"}


async def test_the_plain_list_is_filtered_and_sorted_by_what_the_run_found(
    own_client: httpx.AsyncClient,
    run_id: int,
) -> None:
    scores = await listed(own_client, "/v1/scores")
    for status in ("on_time", "overdue", "lost"):
        found = await listed(own_client, "/v1/customers", rhythm=status)
        assert [row["customer_id"] for row in found] == [
            row["customer_id"] for row in scores if row["rhythm"] and
            row["rhythm"]["status"] == status
        ]  # fmt: skip
    for name in ("value_to_save", "clv"):
        for sign in ("", "-"):
            found = await listed(own_client, "/v1/customers", sort=f"{sign}{name}")
            known = sorted(
                (amount(row[name]), row["customer_id"]) for row in scores if row[name] is not None
            )
            ids = [each for _, each in (known if not sign else known[::-1])]
            none = [row["customer_id"] for row in scores if row[name] is None]
            assert [row["customer_id"] for row in found] == ids + sorted(none)
    found = await listed(own_client, "/v1/customers", sort="-last_purchase")
    days = {row["customer_id"]: row["last_purchase_on"] for row in scores}
    told = [days[row["customer_id"]] for row in found]
    bought = [day for day in told if day is not None]
    assert told == sorted(bought, reverse=True) + [None] * (len(told) - len(bought))
    page = await own_client.get("/v1/customers", params={"rhythm": "lost", "channel": "web"})
    assert {row["acquisition_channel"] for row in page.json()["items"]} <= {"web"}
