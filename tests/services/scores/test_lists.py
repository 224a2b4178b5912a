"""What is read of runs: lists, whole runs as streams, and live scores of many."""

import asyncio
import csv
import io
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import text

from app import money
from app.config import Settings
from app.deployment import Deployment
from app.lifecycle.records import UNITS
from app.postgres.db import Database
from app.schemas.scores.lists import LookupAnswer, ScoreItem
from app.services.common import threads
from app.services.scores import run_columns, streams
from app.worker import Worker
from tests import histories
from tests.database import NOW, Clock
from tests.kept import store_model
from tests.services.policy_changes import test_policy_changes as changes
from tests.services.runs import test_runs as made
from tests.services.scores.test_churn_risk import nearly
from tests.twin import Fact

CUSTOMERS = 30


@pytest.fixture
def worker(own_database: Database, settings: Settings) -> Worker:
    return Worker(own_database, settings)


@pytest.fixture
def people(deployment: Deployment) -> dict[str, list[Fact]]:
    """Customers of whom some never purchased."""
    rng, zone = random.Random(11), deployment.calendar.zone
    end = datetime.now(zone).date() - timedelta(days=30)
    return {
        f"c{number:02}": histories.facts(rng, zone, end - timedelta(days=rng.randrange(300)))
        for number in range(CUSTOMERS)
    }


@pytest.fixture
async def run_id(
    own_database: Database,
    deployment: Deployment,
    worker: Worker,
    clock: Clock,
    people: dict[str, list[Fact]],
) -> int:
    """A published run of everybody; customers come by two channels."""
    clock.now = datetime.now(UTC)
    await made.post(own_database, deployment, people, clock.now)
    async with made.write(own_database) as session:
        await store_model(session, "model_of_lists")
        await session.execute(
            text(
                "INSERT INTO customers (customer_id, version, profile_version, attributes, stage,"
                " stage_version, created_at, updated_at, name)"
                " VALUES ('never', 1, 1, '{}', 'potential', 1, :at, :at, 'N')"
            ),
            {"at": clock.now},
        )
        await session.execute(
            text(
                "UPDATE customers SET acquisition_channel ="
                " CASE WHEN customer_id < 'c15' THEN 'web' ELSE 'shop' END"
            )
        )
    found = await made.run(own_database, deployment, worker)
    clock.now = datetime.now(UTC)
    return found


async def pages(client: httpx.AsyncClient, path: str, **asked: str) -> AsyncIterator[Any]:
    cursor: str | None = ""
    while cursor is not None:
        params = {"limit": "7", **asked, **({"cursor": cursor} if cursor else {})}
        answer = await client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        yield answer.json()
        cursor = answer.json()["next_cursor"]


async def listed(client: httpx.AsyncClient, path: str, **asked: str) -> list[dict[str, Any]]:
    return [item async for page in pages(client, path, **asked) for item in page["items"]]


def status_of(item: dict[str, Any]) -> str | None:
    return None if item["rhythm"] is None else item["rhythm"]["status"]


async def streamed(client: httpx.AsyncClient, form: str, **asked: str) -> str:
    answer = await client.get("/v1/scores", params=asked, headers={"Accept": form})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].split(";")[0] in form
    return answer.text


@pytest.mark.parametrize("sort", ["customer_id", "-probability", "-value_to_save"])
async def test_everybody_is_listed_once_in_order_and_those_without_a_score_last(
    own_client: httpx.AsyncClient, run_id: int, sort: str
) -> None:
    items = await listed(own_client, "/v1/scores", sort=sort)
    ids = [item["customer_id"] for item in items]
    assert len(ids) == len(set(ids)) == CUSTOMERS + 1
    assert {item["run_id"] for item in items} == {run_id}
    never = [item for item in items if item["status"] == "never_purchased"]
    assert {"never"} <= {item["customer_id"] for item in never}
    assert all(item["probability"] is None is item["rhythm"] is item["reason"] for item in never)
    key = sort.removeprefix("-")
    if key == "customer_id":
        assert ids == sorted(ids)
    else:
        shown = [item[key] for item in items if item[key] is not None]
        values = [float(each["amount"]) if isinstance(each, dict) else each for each in shown]
        assert values == sorted(values, reverse=True)
        assert [item[key] for item in items[: len(shown)]] == shown


@pytest.mark.parametrize("path", ["/v1/scores", "/v1/churn-risks"])
async def test_filters_choose_what_items_say(
    own_client: httpx.AsyncClient, run_id: int, path: str
) -> None:
    more = {"include": "all"} if path == "/v1/churn-risks" else {}
    everybody = await listed(own_client, path, **more)
    for name in ("stage", "value_tier", "reason", "rfm_group"):
        if name not in everybody[0]:
            continue
        for value in {item[name] for item in everybody} - {None}:
            chosen = await listed(own_client, path, **more, **{name: value})
            assert chosen == [item for item in everybody if item[name] == value]
    assert len({status_of(item) for item in everybody} - {None}) > 1
    for status in ("on_time", "due", "overdue", "lost"):
        chosen = await listed(own_client, path, rhythm=status)
        assert chosen == [item for item in everybody if status_of(item) == status]
    web = await listed(own_client, path, channel="web", **more)
    assert web == [item for item in everybody if item["customer_id"] < "c15"]
    assert await listed(own_client, path, channel="fair", **more) == []


@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
async def test_a_filter_by_a_code_that_is_none_is_refused(
    client: httpx.AsyncClient, accept: str
) -> None:
    for name, code, known in (
        ("reason", "bad_weather", "inactivity"),
        ("rfm_group", "kings", "rising"),
    ):
        refused = await client.get("/v1/scores", params={name: code}, headers={"Accept": accept})
        assert refused.status_code == 422
        (fault,) = refused.json()["errors"]
        assert (fault["pointer"], fault["code"]) == (f"query:{name}", "enum")
        assert known in fault["detail"]
    assert (await client.get("/v1/churn-risks", params={"reason": "kings"})).status_code == 422


async def test_streams_are_the_list_line_by_line(
    own_client: httpx.AsyncClient, run_id: int
) -> None:
    everybody = await listed(own_client, "/v1/scores")
    lines = (await streamed(own_client, "application/x-ndjson")).splitlines()
    items = [json.loads(line) for line in lines]
    assert [ScoreItem.model_validate(item) for item in items]
    assert items == everybody
    given = await streamed(own_client, "text/csv")
    assert given.count("\r\n") == given.count("\n") == len(everybody) + 1
    rows = list(csv.DictReader(io.StringIO(given)))
    assert [row["customer_id"] for row in rows] == [item["customer_id"] for item in everybody]
    for row, item in zip(rows, everybody, strict=True):
        for name in ("stage", "status", "rfm_group", "reason", "last_purchase_on"):
            assert row[name] == (item[name] or "")
        assert row["revenue"] == item["revenue"]["amount"]
        assert row["clv"] == (item["clv"]["amount"] if item["clv"] else "")
        assert row["call_reasons"].split() == item["call_reasons"]
        assert_same_rhythm(row, item["rhythm"])
        assert row["currency"] == "EUR"
        assert float(row["probability"] or -1) == (
            -1 if item["probability"] is None else item["probability"]
        )
    late = await streamed(own_client, "text/csv;q=0.5, application/x-ndjson", rhythm="overdue")
    assert [json.loads(line) for line in late.splitlines()] == [
        item for item in everybody if status_of(item) == "overdue"
    ]


def assert_same_rhythm(row: dict[str, str], rhythm: dict[str, Any] | None) -> None:
    shown = rhythm or dict.fromkeys(("status", "usual_gap_days", "days_silent", "chance_if_active"))
    assert row["rhythm"] == (shown["status"] or "")
    for name in ("usual_gap_days", "days_silent", "chance_if_active"):
        assert (float(row[name]) if row[name] else None) == shown[name]


async def test_a_stream_has_no_pages_and_before_the_first_run_nobody(
    own_client: httpx.AsyncClient,
) -> None:
    assert await streamed(own_client, "application/x-ndjson") == ""
    assert (await streamed(own_client, "text/csv")).startswith("customer_id,run_id,stage")
    headers = {"Accept": "text/csv"}
    for name, value in {"limit": "5", "cursor": "x", "sort": "-probability"}.items():
        refused = await own_client.get("/v1/scores", params={name: value}, headers=headers)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == f"query:{name}"
    assert (await own_client.get("/v1/scores")).json()["items"] == []


async def test_kept_runs_can_be_read_and_who_changed_since_one(
    own_database: Database,
    own_client: httpx.AsyncClient,
    deployment: Deployment,
    worker: Worker,
    run_id: int,
) -> None:
    then = (datetime.now(UTC) - timedelta(days=150)).isoformat()
    before = {item["customer_id"]: item for item in await listed(own_client, "/v1/scores")}
    at = datetime.now(UTC) - timedelta(days=200)
    new = {"new": [Fact(("default", "p"), at, Decimal(9))]}
    await made.post(own_database, deployment, new, datetime.now(UTC))
    await own_client.put("/v1/customers/newcomer", json={})
    later = await made.run(own_database, deployment, worker, as_of=then)
    of_later = {"run_id": str(later)}  # of an earlier instant: nothing is taken over by it
    now = {item["customer_id"]: item for item in await listed(own_client, "/v1/scores", **of_later)}
    assert {item["run_id"] for item in now.values()} == {later}
    old = await listed(own_client, "/v1/scores", run_id=str(run_id))
    assert {item["customer_id"]: item for item in old} == before
    moved = await listed(own_client, "/v1/scores", changed_since_run=str(run_id), **of_later)
    assert {item["customer_id"] for item in moved} == {"new", "newcomer"} | {
        each for each in before if status_of(now[each]) != status_of(before[each])
    }
    assert 2 < len(moved) < len(now)
    for item in moved:
        earlier = before.get(item["customer_id"])
        assert item["previous"] == (earlier and {
            "run_id": run_id, "probability": earlier["probability"], "rhythm": status_of(earlier),
        })  # fmt: skip
        assert item == {**now[item["customer_id"]], "previous": item["previous"]}
    lines = await streamed(
        own_client, "application/x-ndjson", changed_since_run=str(run_id), **of_later
    )
    assert [json.loads(line) for line in lines.splitlines()] == moved
    table = csv.DictReader(
        io.StringIO(
            await streamed(own_client, "text/csv", changed_since_run=str(run_id), **of_later)
        )
    )
    assert [row["previous_rhythm"] for row in table] == [
        (item["previous"] or {}).get("rhythm") or "" for item in moved
    ]
    risks = await listed(
        own_client, "/v1/churn-risks", changed_since_run=str(run_id), include="all", **of_later
    )
    told = {item["customer_id"]: item["previous"] for item in risks}
    assert told == {i["customer_id"]: i["previous"] for i in moved if i["probability"] is not None}


async def heads(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Return what the lists say of their run, which a stream must say in its headers."""
    found = []
    for path in ("/v1/scores", "/v1/churn-risks"):
        head = (await client.get(path, params={"limit": "1"})).json()
        found.append({name: head[name] for name in head if name not in ("items", "next_cursor")})
    assert found[1] == {**found[0], "masked": []}  # the call list alone shows personal data
    for form in streams.FORMS[1:]:
        answer = await client.get("/v1/scores", headers={"Accept": form})
        told = {name: answer.headers.get(f"clm-{name.replace('_', '-')}") for name in OF_A_RUN}
        assert told == {name: str(found[0][name]) for name in OF_A_RUN}
        risk = found[0]["churn_risk"]
        assert answer.headers["clm-churn-risk-status"] == risk["status"]
        assert answer.headers["clm-churn-risk-extrapolated"] == str(risk["extrapolated"]).lower()
    return found


OF_A_RUN = ("as_of", "run_id", "model_id", "stage_policy_version")


async def test_lists_and_streams_say_which_run_and_policy_they_show(
    own_database: Database,
    own_client: httpx.AsyncClient,
    deployment: Deployment,
    worker: Worker,
    clock: Clock,
    run_id: int,
) -> None:
    first = (await heads(own_client))[0]
    assert (first["run_id"], first["model_id"], first["stage_policy_version"]) == (
        run_id, "model_of_lists", 1,
    )  # fmt: skip
    assert first["churn_risk"] == {
        "horizon_days": 90, "kind": "mbg_nbd", "status": "ok", "label_window_days": None,
        "extrapolated": False,
    }  # fmt: skip
    before = datetime.now(UTC).isoformat()
    seen = await changes.preview(own_client, worker, 2)
    await changes.activate(own_client, worker, 2, seen["token"])
    clock.now = datetime.now(UTC)
    assert (await heads(own_client))[0] == first
    # A run for an instant goes by the policy that was in force then, as every other answer does.
    for more, version in (({"as_of": before}, 1), ({}, 2)):
        await made.run(own_database, deployment, worker, **more)
        head = (await heads(own_client))[0]
        report = (await own_client.get("/v1/reports/stages")).json()
        assert head["stage_policy_version"] == report["policy_version"] == version
        stages = {each["stage"] for each in report["stages"]}
        assert {item["stage"] for item in await listed(own_client, "/v1/scores")} <= stages


@pytest.mark.parametrize("path", ["/v1/scores", "/v1/churn-risks"])
@pytest.mark.parametrize("name", ["run_id", "changed_since_run"])
async def test_a_run_that_is_not_kept_is_a_problem(
    own_database: Database, own_client: httpx.AsyncClient, run_id: int, path: str, name: str
) -> None:
    async with made.write(own_database) as session:
        await session.execute(
            text("INSERT INTO runs (operation_id, model_id, policy_version, as_of, created_at)"
                 " VALUES ('op_unpublished', 'model_of_lists', 1, now(), now())")
        )  # fmt: skip
    for accept in ("application/json", "text/csv"):
        for other in (run_id + 1, run_id + 7, 2**31, 2**63 - 1):
            answer = await own_client.get(
                path, params={name: str(other)}, headers={"Accept": accept}
            )
            assert answer.status_code == 404
            assert answer.json()["errors"][0]["pointer"] == f"query:{name}"
    for none in (0, 2**63):
        assert (await own_client.get(path, params={name: str(none)})).status_code == 422


async def test_reasons_of_the_list_add_up_and_the_first_is_the_one_kept(
    own_client: httpx.AsyncClient, run_id: int
) -> None:
    for item in await listed(own_client, "/v1/churn-risks", include="all"):
        card = (await own_client.get(f"/v1/customers/{item['customer_id']}/scores")).json()
        risk = card["churn_risk"]
        assert item["sentence"] == card["sentence"]
        assert ("call" in item["sentence"]["en"].lower(), "expected" in item["sentence"]["en"]) == (
            True, True,
        )  # fmt: skip
        assert item["probability"] == pytest.approx(risk["probability"], rel=1e-9)
        assert [each["code"] for each in item["reasons"]] == [
            each["code"] for each in risk["reasons"]
        ]
        raising = [each for each in risk["reasons"] if each["contribution"] > 0]
        assert item["reason"] == (raising[0]["code"] if raising else None)


@pytest.mark.parametrize("inline", [1, 500])
async def test_a_lookup_answers_what_each_card_does(
    own_client: httpx.AsyncClient,
    run_id: int,
    people: dict[str, list[Fact]],
    inline: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "INLINE_ROWS", inline)
    ids = ["c07", "nobody", "never", *people, "c07"]
    then = (datetime.now(UTC) - timedelta(days=200)).date().isoformat()
    for more in ({}, {"as_of": then, "horizon_days": 30}):
        answer = await own_client.post("/v1/scores/lookup", json={"customer_ids": ids, **more})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["unknown"] == ["nobody"]
        assert LookupAnswer.model_validate_json(answer.content).model_dump(mode="json") == found
        asked = [each for each in dict.fromkeys(ids) if each != "nobody"]
        assert [item["customer_id"] for item in found["items"]] == asked
        for item in found["items"]:
            card = await own_client.get(f"/v1/customers/{item['customer_id']}/scores", params=more)
            assert item == nearly(card.json())


@pytest.mark.parametrize(
    ("value", "shown"),
    [(36.845, "36.84"), (36.8449999, "36.84"), (36.846, "36.85"), (0.125, "0.12"), (7.0, "7.00")],
)
def test_money_is_rounded_alike_for_one_and_for_columns(value: float, shown: str) -> None:
    (units,) = run_columns._units(np.array([value])).tolist()
    assert str(money.to_cents(value)) == shown
    assert Decimal(units) / UNITS == Decimal(shown)


@pytest.mark.parametrize("horizon", [True, "30", 30.5])
async def test_a_horizon_is_a_number_of_days(client: httpx.AsyncClient, horizon: object) -> None:
    for path, body in (
        ("/v1/scores/lookup", {"customer_ids": ["a"]}),
        ("/v1/score", {"items": [{"x": 0, "t_x": 0, "T": 3}]}),
    ):
        answer = await client.post(path, json={**body, "horizon_days": horizon})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "/horizon_days"


async def test_a_card_says_in_words_that_there_is_no_model(client: httpx.AsyncClient) -> None:
    bought = {"customer_id": "new", "transaction_id": "t", "amount": {"amount": "20"},
              "occurred_at": (NOW - timedelta(days=1)).isoformat()}  # fmt: skip
    assert (await client.post("/v1/transactions", json=bought)).status_code == 201
    assert (await client.put("/v1/customers/never", json={})).status_code == 201
    said = {
        each: (await client.get(f"/v1/customers/{each}/scores")).json()["sentence"]["en"]
        for each in ("new", "never")
    }
    assert said == {
        "new": "Initial; bought once, 1 day ago. No model tells yet what to expect.",
        "never": "Potential; no purchase so far.",
    }


async def test_a_lookup_before_any_model(own_client: httpx.AsyncClient) -> None:
    answer = await own_client.post("/v1/scores/lookup", json={"customer_ids": ["a", "b"]})
    assert (answer.json()["items"], answer.json()["unknown"]) == ([], ["a", "b"])
    for bad in ([], ["a/b"], [f"c{n}" for n in range(1001)]):
        answer = await own_client.post("/v1/scores/lookup", json={"customer_ids": bad})
        assert answer.status_code == 422
    answer = await own_client.post(
        "/v1/scores/lookup", json={"customer_ids": ["a"], "as_of": "yesterday"}
    )
    assert answer.json()["errors"][0]["pointer"] == "/as_of"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
        ("text/csv", "text/csv"),
        ("application/x-ndjson, */*;q=0.1", "application/x-ndjson"),
        ("application/json;q=0.5, text/csv;q=0.9", "text/csv"),
        ("text/csv;q=0", "application/json"),
        ("TEXT/CSV ; q=oops", "text/csv"),
    ],
)
def test_the_preferred_form_is_chosen(accept: str | None, form: str) -> None:
    assert streams.form_of(accept) == form


async def test_a_reader_who_goes_away_ends_the_statement(own_database: Database) -> None:
    endless = "SELECT 'line ' || generate_series(1, 1000000000)"
    lines = streams._lines(own_database, "text/csv", endless, [])
    assert (await anext(lines)).startswith(b"?column?\r\nline 1\r\n")
    await lines.aclose()
    busy = text(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%generate_series%'"
        " AND state = 'active' AND datname = current_database()"
    )
    async with own_database.reads() as session:
        for _ in range(50):
            if await session.scalar(busy) == 0:
                break
            await asyncio.sleep(0.1)
        assert await session.scalar(busy) == 0
    assert own_database.engine.pool.checkedout() == 0


async def test_a_stream_that_fails_says_so(own_database: Database) -> None:
    failing = "SELECT 1 / (5000 - generate_series(1, 100000))"
    with pytest.raises(Exception, match="division by zero"):
        async for _ in streams._lines(own_database, "text/csv", failing, []):
            pass
    assert own_database.engine.pool.checkedout() == 0


CELLS = {
    "=1+1": "'=1+1", "+49 170": "'+49 170", "-1+1": "'-1+1", "@cell": "'@cell", "＝1": "'＝1",
    '="a,b"': "'=\"a,b\"", "-5": "-5", "+12.50": "+12.50", "c=1": "c=1", "'=1": "'=1",
}  # fmt: skip
"""Ids, and the cells of CSV that they are."""


async def test_no_cell_of_csv_is_a_formula_and_numbers_stay_numbers(
    own_client: httpx.AsyncClient, own_database: Database, run_id: int
) -> None:
    change = text(
        f"UPDATE runs.scores_{run_id} SET customer_id = :sent, clv = -12.5 WHERE customer_id = :was"
    )
    async with own_database.writes() as session, session.begin():
        for number, sent in enumerate(CELLS):
            await session.execute(change, {"sent": sent, "was": f"c{number:02}"})
    rows = csv.DictReader(io.StringIO(await streamed(own_client, "text/csv")))
    changed = [row for row in rows if row["clv"] == "-12.50"]
    assert {row["customer_id"] for row in changed} == set(CELLS.values())
    assert all(row["stage"][0].isalpha() for row in changed)
    lines = (await streamed(own_client, "application/x-ndjson")).splitlines()
    assert {json.loads(line)["customer_id"] for line in lines} >= set(CELLS)
