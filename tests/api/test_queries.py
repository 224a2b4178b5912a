"""Questions about customers over HTTP: what is asked, answered, refused, and who may ask."""

import csv
import io
import json
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.postgres.db import Database
from app.schemas.common import personal
from app.services.runs import aggregate_groups, aggregates, queries
from app.worker import Worker
from tests.database import NOW, Clock, make_client

QUERY, AGGREGATE = "/v1/customers/query", "/v1/customers/aggregate"
BOUGHT = {"variable": "purchase_days", "op": ">=", "value": 1}
SATISFIED = {"not": {"variable": "satisfied", "op": "==", "value": False}}
"""What is stored nowhere; it holds of everybody here."""


async def fill(client: httpx.AsyncClient) -> None:
    """Ten customers, c0 to c9: cN has N purchases of 10 each, and cN of an even N is a company."""
    for number in range(10):
        profile = {"kind": "company" if number % 2 == 0 else "person", "name": f"N{number}",
                   "country": "DE" if number < 4 else "FR", "attributes": {"tier": "gold"},
                   "owner": None if number == 3 else f"team-{number % 3}",
                   "birth_date": "1990-05-01"}  # fmt: skip
        put = await client.put(f"/v1/customers/c{number}", json=profile)
        assert put.status_code == 201
    items = [
        {"customer_id": f"c{number}", "transaction_id": f"t{number}.{n}",
         "occurred_at": f"2026-05-{n + 1:02}T12:00:00Z", "amount": {"amount": "10.00"}}
        for number in range(10) for n in range(number)
    ]  # fmt: skip
    done = await client.post("/v1/transactions/bulk", json={"items": items, "mode": "atomic"})
    assert done.status_code == 200, done.text


async def ask(client: httpx.AsyncClient, **asked: Any) -> Any:
    asked = {name: value for name, value in asked.items() if value is not None}
    answer = await client.post(QUERY, json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def everybody(client: httpx.AsyncClient, **asked: Any) -> list[dict[str, Any]]:
    """Return the items of all pages."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = await ask(client, **asked, **({"cursor": cursor} if cursor else {}))
        assert len(page["items"]) <= asked.get("limit", 50)
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["customer_id"] for item in items]


@pytest.mark.parametrize("when", [None, SATISFIED])
async def test_pages_are_whole_and_in_order(client: httpx.AsyncClient, when: Any) -> None:
    await fill(client)
    names = [f"c{number}" for number in range(10)]
    for limit in (1, 3, 10, 50):
        asked = {"when": when, "limit": limit}
        assert ids(await everybody(client, **asked)) == names
        assert ids(await everybody(client, **asked, sort="-customer_id")) == names[::-1]
        assert ids(await everybody(client, **asked, sort="-revenue")) == names[::-1]
        by_owner = await everybody(client, **asked, sort="owner")
        owners = [item["values"]["owner"] for item in by_owner]
        assert owners == [*sorted(owner for owner in owners if owner), None]
        backwards = await everybody(client, **asked, sort="-owner")
        assert ids(backwards)[:-1] == ids(by_owner)[:-1][::-1]
        assert ids(backwards)[-1] == "c3"
        silent = await everybody(client, **asked, sort="days_since_last_purchase")
        assert ids(silent) == [*names[:0:-1], "c0"]


@pytest.mark.parametrize("also", [None, SATISFIED])
async def test_a_rule_is_counted_with_its_money_and_told_what_was_selected(
    client: httpx.AsyncClient, also: Any
) -> None:
    await fill(client)
    rule = {"all": [BOUGHT, {"variable": "country", "op": "==", "value": "DE"}]}
    when = {"all": [rule, also]} if also else rule
    select = ["revenue", {"variable": "interactions", "days": 30}, "purchase_days", "owner",
              {"variable": "attribute", "name": "tier"}, "satisfied"]  # fmt: skip
    page = await ask(client, when=when, select=select, count=True)
    assert ids(page["items"]) == ["c1", "c2", "c3"]
    assert page["evaluated"] is (also is not None)
    assert page["items"][1] == {
        "customer_id": "c2",
        "name": "N2",
        "values": {
            "revenue": {"amount": "20.00", "currency": "EUR"},
            "interactions(30 days)": 0,
            "purchase_days": 2,
            "owner": "team-2",
            "attribute(tier)": "gold",
            "satisfied": None,
        },
    }
    assert [(each["name"], each["unit"]) for each in page["columns"]] == [
        ("revenue", "currency"), ("interactions(30 days)", "count"), ("purchase_days", "count"),
        ("owner", None), ("attribute(tier)", None), ("satisfied", None),
    ]  # fmt: skip
    assert page["columns"][1]["title"] == {
        "en": "Number of interactions in the last 30 days", "zh": "近30天互动次数",
    }  # fmt: skip
    assert page["count"] == {
        "customers": 3,
        "revenue": {"amount": "60.00", "currency": "EUR"},
        "clv": None,
        "value_to_save": None,
    }
    assert page["as_of"] == "2026-06-01T12:00:00Z"


async def test_an_earlier_instant_knows_what_was_known_then(client: httpx.AsyncClient) -> None:
    await fill(client)
    asked = {"when": BOUGHT, "as_of": "2026-05-03", "select": ["purchase_days"], "count": True}
    page = await ask(client, **asked)
    found = {item["customer_id"]: item["values"]["purchase_days"] for item in page["items"]}
    assert found == {f"c{number}": min(number, 3) for number in range(1, 10)}
    assert page["count"]["revenue"]["amount"] == "240.00"
    assert ids(await everybody(client, **{**asked, "limit": 2, "sort": "-purchase_days"}))[-2:] == [
        "c2", "c1",
    ]  # fmt: skip


async def test_what_waited_for_its_time_counts_when_it_has_come(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    await fill(client)
    ahead = {"customer_id": "c0", "transaction_id": "ahead", "occurred_at": "2026-06-01T20:00:00Z",
             "amount": {"amount": "500.00"}}  # fmt: skip
    assert (await client.post("/v1/transactions", json=ahead)).status_code == 201
    asked = {"when": BOUGHT, "sort": "-revenue", "limit": 1, "count": True}
    assert ids((await ask(client, **asked))["items"]) == ["c9"]
    clock.now = NOW.replace(hour=21)
    page = await ask(client, **asked)
    assert (page["evaluated"], ids(page["items"])) == (False, ["c0"])
    assert page["count"]["customers"] == 10
    assert page["count"]["revenue"]["amount"] == "950.00"
    groups = await client.post(AGGREGATE, json={"when": BOUGHT, "measures": [
        {"kind": "sum", "of": "revenue"}, {"kind": "quantiles", "of": "revenue", "at": [1]},
    ]})  # fmt: skip
    (group,) = groups.json()["groups"]
    assert group["customers"] == 10
    assert group["measures"][0]["money"]["amount"] == "950.00"
    assert group["measures"][1]["quantiles"] == [500.0]


@pytest.mark.parametrize("also", [None, SATISFIED])
async def test_groups_are_added_up(client: httpx.AsyncClient, also: Any) -> None:
    await fill(client)
    asked: dict[str, Any] = {
        **({"when": also} if also else {}),
        "by": [{"of": "country"}, {"of": "purchase_days", "bands": [1, 4]}],
        "measures": [
            {"kind": "n", "of": "owner"},
            {"kind": "sum", "of": "revenue"},
            {"kind": "mean", "of": "purchase_days"},
            {"kind": "quantiles", "of": "revenue", "at": [0, 0.5, 1]},
            {"kind": "share", "when": {"variable": "kind", "op": "==", "value": "company"}},
            {"kind": "share"},
        ],
    }
    answer = (await client.post(AGGREGATE, json=asked)).json()
    assert (answer["customers"], answer["evaluated"]) == (10, also is not None)
    told = [(group["by"], group["customers"]) for group in answer["groups"]]
    assert told == [(["FR", 4.0], 6), (["DE", 1.0], 3), (["DE", None], 1)]
    n, revenue, days, quantiles, companies, share = answer["groups"][1]["measures"]
    assert (n["value"], n["known"]) == (2, 2)
    assert revenue["money"] == {"amount": "60.00", "currency": "EUR"}
    assert (days["value"], days["known"]) == (2.0, 3)
    assert quantiles["quantiles"] == [10.0, 20.0, 30.0]
    assert companies["value"] == pytest.approx(1 / 3)
    assert share["value"] == pytest.approx(0.3)


@pytest.mark.parametrize("also", [None, SATISFIED])
async def test_more_groups_than_anybody_reads_are_refused(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, also: Any
) -> None:
    await fill(client)
    monkeypatch.setattr(aggregate_groups, "MOST_GROUPS", 3)
    answer = await client.post(
        AGGREGATE, json={**({"when": also} if also else {}), "by": [{"of": "owner"}]}
    )
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["errors"]
    assert (fault["pointer"], fault["code"]) == ("/by", "too_many_groups")


async def test_lines_are_all_for_whom_it_holds(client: httpx.AsyncClient) -> None:
    await fill(client)
    await client.patch("/v1/customers/c1", json={"name": "=1+1"})
    asked = {"when": BOUGHT, "select": ["revenue", "owner"]}
    for when in (BOUGHT, {"all": [BOUGHT, SATISFIED]}):
        body = {**asked, "when": when}
        answer = await client.post(QUERY, json=body, headers={"Accept": "application/x-ndjson"})
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        found = [json.loads(line) for line in answer.text.splitlines()]
        assert found == await everybody(client, **body)
        answer = await client.post(QUERY, json=body, headers={"Accept": "text/csv"})
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [row["customer_id"] for row in rows] == ids(found)
        assert rows[0] == {"customer_id": "c1", "name": "'=1+1", "revenue": "10.00",
                           "owner": "team-1"}  # fmt: skip
    refused = await client.post(QUERY, json={**asked, "limit": 3}, headers={"Accept": "text/csv"})
    assert refused.json()["errors"][0]["pointer"] == "/limit"


@pytest.mark.parametrize(
    ("path", "body", "pointer", "code"),
    [
        (QUERY, {"when": {"variable": "revenu", "op": ">", "value": 1}}, "/when/variable",
         "unknown_variable"),
        (QUERY, {"when": None}, "/when", "expression"),
        (QUERY, {"when": {"any": []}}, "/when/any", "expression"),
        (QUERY, {"sort": "satisfied"}, "/sort", "not_stored"),
        (QUERY, {"sort": "-usual_gap_days"}, "/sort", "not_stored"),
        (QUERY, {"sort": "call_reasons"}, "/sort", "not_stored"),
        (QUERY, {"sort": "nothing"}, "/sort", "unknown_variable"),
        (QUERY, {"select": ["revenue", {"variable": "attribute"}]}, "/select/1/name", "missing"),
        (QUERY, {"select": [3]}, "/select/0", "expression"),
        (QUERY, {"as_of": "tomorrow"}, "/as_of", "as_of"),
        (QUERY, {"as_of": "2026-05-01", "select": ["clv"]}, "/as_of", "not_with_scores"),
        (QUERY, {"limit": 501}, "/limit", "less_than_equal"),
        (AGGREGATE, {"by": [{"of": "revenue"}]}, "/by/0/bands", "missing"),
        (AGGREGATE, {"by": [{"of": "revenue", "bands": [2, 1]}]}, "/by/0/bands", "not_ascending"),
        (AGGREGATE, {"by": [{"of": "stage", "bands": [1]}]}, "/by/0/bands", "type_mismatch"),
        (AGGREGATE, {"by": [{"of": "stage"}] * 4}, "/by", "too_long"),
        (AGGREGATE, {"measures": [{"kind": "sum", "of": "stage"}]}, "/measures/0/of",
         "type_mismatch"),
        (AGGREGATE, {"measures": [{"kind": "mean"}]}, "/measures/0", "value_error"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_told_with_a_pointer(
    client: httpx.AsyncClient, path: str, body: Any, pointer: str, code: str
) -> None:
    answer = await client.post(path, json=body)
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["errors"]
    assert (fault["pointer"], fault["code"]) == (pointer, code)


async def test_a_cursor_belongs_to_its_rule(client: httpx.AsyncClient) -> None:
    await fill(client)
    cursor = (await ask(client, limit=2))["next_cursor"]
    answer = await client.post(QUERY, json={"when": BOUGHT, "cursor": cursor})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/cursor"
    answer = await client.post(QUERY, json={"cursor": "nonsense"})
    assert answer.json()["code"] == "invalid_cursor"


async def test_a_model_is_needed_for_what_models_compute(client: httpx.AsyncClient) -> None:
    answer = await client.post(QUERY, json={"select": ["value_tier"]})
    assert answer.json()["code"] == "no_model"


async def test_who_may_not_read_personal_data_or_scores_is_not_told_by_asking(
    settings: Settings, database: Database, clock: Clock, client: httpx.AsyncClient
) -> None:
    await fill(client)
    blind = await make_client(settings, database, clock, ("customers:read",))
    tier = {"variable": "attribute", "name": "tier"}
    async with blind:
        page = await ask(blind, limit=2, count=True)
        assert ([item["name"] for item in page["items"]], page["masked"]) == ([None] * 2, ["name"])
        for body, scope in (
            ({"when": {**tier, "op": "==", "value": "gold"}}, personal.READ_PII),
            ({"select": ["age_years"]}, personal.READ_PII),
            ({"sort": "age_years"}, personal.READ_PII),
            ({"select": ["clv"]}, "scores:read"),
            ({"sort": "-value_to_save"}, "scores:read"),
            ({"when": {"variable": "churn_probability", "op": ">", "value": 0.5}}, "scores:read"),
        ):
            answer = await blind.post(QUERY, json=body)
            assert (answer.status_code, answer.json()["missing_scope"]) == (403, scope)
        answer = await blind.post(AGGREGATE, json={"by": [{"of": tier}]})
        assert answer.json()["missing_scope"] == personal.READ_PII
        lines = await blind.post(QUERY, json={}, headers={"Accept": "application/x-ndjson"})
        assert "N1" not in lines.text


async def test_what_takes_a_worker_has_the_same_answer(
    own_client: httpx.AsyncClient,
    own_database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await fill(own_client)
    worker = Worker(own_database, settings, clock=lambda: NOW)
    asked: dict[str, Any] = {
        "when": {"all": [BOUGHT, SATISFIED]}, "sort": "-revenue", "count": True, "limit": 4,
        "select": ["owner"],
    }  # fmt: skip
    grouped: dict[str, Any] = {
        "when": SATISFIED, "by": [{"of": "country"}],
        "measures": [{"kind": "sum", "of": "revenue"}, {"kind": "mean", "of": "revenue"},
                     {"kind": "quantiles", "of": "revenue"},
                     {"kind": "share", "when": BOUGHT}],
    }  # fmt: skip
    at_once = await ask(own_client, **asked)
    groups_at_once = (await own_client.post(AGGREGATE, json=grouped)).json()
    monkeypatch.setattr(queries, "AT_ONCE", 5)
    monkeypatch.setattr("app.services.runs.query_parts.PART", 3)

    async def operated(path: str, body: Any) -> Any:
        answer = await own_client.post(path, json=body)
        assert answer.status_code == 202, answer.text
        while await worker.work_once():
            pass
        operation = (await own_client.get(answer.headers["location"])).json()
        assert operation["state"] == "succeeded", operation
        return operation["result"]

    page = await operated(QUERY, asked)
    assert ids(page["items"]) == ids(at_once["items"]) == ["c9", "c8", "c7", "c6"]
    assert [item["values"] for item in page["items"]] == [
        item["values"] for item in at_once["items"]
    ]
    assert page["count"] == at_once["count"]
    rest = await operated(QUERY, {**asked, "cursor": page["next_cursor"]})
    assert ids(rest["items"]) == ["c5", "c4", "c3", "c2"]
    assert (await operated(AGGREGATE, grouped)) == groups_at_once
    personal_ = {**grouped, "by": [{"of": {"variable": "attribute", "name": "tier"}}]}
    refused = await own_client.post(AGGREGATE, json=personal_)
    assert refused.json()["errors"][0]["code"] == "personal"
    assert aggregates.AGGREGATE == "customer_aggregate"


async def test_a_page_by_id_is_looked_for_as_long_as_one_may_wait(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(client)
    monkeypatch.setattr(queries, "AT_ONCE", 5)
    monkeypatch.setattr(queries, "PIECE", 2)
    asked = {"when": {"all": [BOUGHT, SATISFIED]}, "limit": 4}
    names = [f"c{number}" for number in range(1, 10)]
    assert ids(await everybody(client, **asked)) == names
    monkeypatch.setattr(queries, "SECONDS", -1.0)
    page = await ask(client, **asked)
    assert (ids(page["items"]), page["next_cursor"] is None) == (["c1"], False)
    assert ids(await everybody(client, **asked)) == names
