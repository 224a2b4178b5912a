"""Who is in a segment tells what its rule looks at: no door says it to who may not read that."""

from typing import Any

import httpx
import pytest

from app.config import Settings
from app.postgres.db import Database
from tests.api.test_worklist import put
from tests.database import Clock, make_client

NAME = {"en": "n", "zh": "名"}
WANTS_PHONE = {"variable": "attribute", "name": "consent", "op": "==", "value": "phone"}
KEPT = {"variable": "segments", "op": "contains", "value": "by_phone"}
QUERY, AGGREGATE, LOOKUP = "/v1/customers/query", "/v1/customers/aggregate", "/v1/scores/lookup"
TELLING: list[tuple[str, str, Any]] = [
    ("POST", QUERY, {"select": ["segments"]}),
    ("POST", QUERY, {"when": KEPT}),
    ("POST", QUERY, {"when": {"segment": "by_phone"}}),
    ("POST", AGGREGATE, {"by": [{"when": KEPT}]}),
    ("GET", "/v1/customers?segment=by_phone", None),
    ("GET", "/v1/segments/by_phone/members", None),
    ("GET", "/v1/segments/by_phone/quality", None),
    ("GET", "/v1/segments/within/quality", None),
]  # fmt: skip


@pytest.fixture
async def declared(client: httpx.AsyncClient) -> None:
    for code, rule in (
        ("by_phone", WANTS_PHONE),
        ("within", {"segment": "by_phone"}),
        ("of_anna", {"variable": "owner", "op": "==", "value": "anna"}),
    ):
        body = {"name": NAME, "rule": rule}
        assert (await client.put(f"/v1/segments/{code}", json=body)).status_code == 201
    await put(client, "c1", owner="anna", attributes={"consent": "phone"})


async def segments_told(client: httpx.AsyncClient) -> list[Any]:
    card = (await client.get("/v1/customers/c1/scores")).json()
    found = (await client.post(LOOKUP, json={"customer_ids": ["c1"]})).json()["items"][0]
    file = (await client.get("/v1/customers/c1/file")).json()
    periods = [each["code"] for each in file["segments"]["periods"]]
    return [card["segments"], found["segments"], file["scores"]["segments"], sorted(periods)]


async def overlapping(client: httpx.AsyncClient) -> list[str]:
    quality = await client.get("/v1/segments/of_anna/quality")
    assert (quality.status_code, quality.json()["members"]) == (200, 1), quality.text
    return sorted(each["code"] for each in quality.json()["overlap"])


async def test_membership_is_told_to_those_alone_who_may_read_what_it_follows_from(
    settings: Settings, database: Database, clock: Clock, client: httpx.AsyncClient, declared: None
) -> None:
    for method, path, body in TELLING:
        assert (await client.request(method, path, json=body)).status_code == 200, path
    everything = ["by_phone", "of_anna", "within"]
    assert await segments_told(client) == [everything] * 4
    assert await overlapping(client) == ["by_phone", "within"]
    scopes = ("customers:read", "scores:read")
    async with await make_client(settings, database, clock=clock, scopes=scopes) as other:
        for method, path, body in TELLING:
            answer = await other.request(method, path, json=body)
            assert answer.status_code == 403, (path, body, answer.text)
            assert answer.json()["missing_scope"] == "customers:read_pii"
        assert await segments_told(other) == [None, None, None, ["of_anna"]]
        assert await overlapping(other) == []
        allowed = await other.get("/v1/customers", params={"segment": "of_anna"})
        assert [each["customer_id"] for each in allowed.json()["items"]] == ["c1"]
        asked = await other.post(QUERY, json={"when": {"segment": "of_anna"}})
        assert [each["customer_id"] for each in asked.json()["items"]] == ["c1"]


async def test_a_rule_of_the_worklist_on_kept_membership_makes_no_line_for_them(
    settings: Settings, database: Database, clock: Clock, client: httpx.AsyncClient, declared: None
) -> None:
    rule = {"code": "kept", "duty": "care", "name": NAME, "sentence": NAME, "when": KEPT}
    made = (await client.post("/v1/worklist-rules", json={"rules": [rule]})).json()
    path = f"/v1/worklist-rules/{made['version']}"
    token = (await client.get(f"{path}/preview")).json()["preview_token"]
    done = await client.post(f"{path}/activate", json={"preview_token": token})
    assert done.status_code == 200, done.text
    assert len((await client.get("/v1/worklist")).json()["items"]) == 1
    scopes = ("customers:read", "scores:read")
    async with await make_client(settings, database, clock=clock, scopes=scopes) as other:
        found = (await other.get("/v1/worklist")).json()
        assert (found["items"], found["left_out"]) == (
            [], [{"code": "kept", "missing_scope": "customers:read_pii"}],
        )  # fmt: skip
