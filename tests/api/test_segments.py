"""Segments over HTTP: declared in versions, refused, asked for members, kept with dates."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.deployment import Deployment
from app.postgres.db import Database
from app.schemas import segments
from app.services.runs import queries
from app.services.runs.segments import updates
from app.worker import Worker
from tests.database import NOW, Clock, make_client, writing

SEGMENTS = "/v1/segments"
BUYERS = {"variable": "purchase_days", "op": ">=", "value": 1}
LARGE = {"variable": "revenue", "op": ">=", "value": 30}
HAPPY = {"not": {"variable": "satisfied", "op": "==", "value": False}}
"""What is stored nowhere; it holds of everybody here."""


async def put(client: httpx.AsyncClient, code: str, rule: Any, **more: Any) -> httpx.Response:
    body = {"name": {"en": code, "zh": code}, "rule": rule, **more}
    return await client.put(f"{SEGMENTS}/{code}", json=body)


async def declare(client: httpx.AsyncClient, code: str, rule: Any, **more: Any) -> Any:
    answer = await put(client, code, rule, **more)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def buy(client: httpx.AsyncClient, customer: str, *amounts: int, month: int = 5) -> None:
    items = [
        {"customer_id": customer, "transaction_id": f"{customer}.{month}.{n}",
         "occurred_at": f"2026-{month:02}-{n + 1:02}T12:00:00Z", "amount": {"amount": f"{amount}"}}
        for n, amount in enumerate(amounts)
    ]  # fmt: skip
    done = await client.post("/v1/transactions/bulk", json={"items": items, "mode": "atomic"})
    assert done.status_code == 200, done.text


async def members(client: httpx.AsyncClient, code: str, **asked: Any) -> list[str]:
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await client.get(f"{SEGMENTS}/{code}/members", params={**asked, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += [item["customer_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def faults(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(each["pointer"], each["code"]) for each in answer.json()["errors"]]


async def test_a_segment_is_declared_in_versions(client: httpx.AsyncClient) -> None:
    first = await put(client, "buyers", BUYERS, owner="sales", purpose="who has bought")
    assert first.status_code == 201
    assert first.headers["etag"] == '"1"'
    told = first.json()
    assert told["rule"] == BUYERS
    assert "purchase days" in told["words"]["en"]
    assert told["kept_on_write"] is True
    assert told["kept_until"] is None
    again = await put(client, "buyers", BUYERS, owner="sales", purpose="who has bought")
    assert (again.status_code, again.json()["version"]) == (200, 1)
    body = {"name": {"en": "b", "zh": "b"}, "rule": LARGE}
    stale = await client.put(f"{SEGMENTS}/buyers", json=body, headers={"If-Match": '"7"'})
    assert stale.status_code == 412
    other = await client.put(f"{SEGMENTS}/buyers", json=body, headers={"If-Match": '"1"'})
    assert other.json()["version"] == 2
    page = (await client.get(f"{SEGMENTS}/buyers/versions")).json()
    assert [each["version"] for each in page["items"]] == [2, 1]
    assert page["items"][1]["document"]["rule"] == BUYERS
    listed = (await client.get(SEGMENTS)).json()
    assert [each["code"] for each in listed["items"]] == ["buyers"]
    assert (await client.get(f"{SEGMENTS}/buyer")).status_code == 404


async def test_faulty_segments_are_refused_with_pointers(client: httpx.AsyncClient) -> None:
    await declare(client, "buyers", BUYERS)
    own = {"all": [BUYERS, {"segment": "itself"}]}
    assert await faults(await put(client, "itself", own)) == [
        ("/rule/all/1/segment", "within_itself")
    ]
    assert await faults(await put(client, "itself", BUYERS, parent="itself")) == [
        ("/parent", "within_itself")
    ]
    await declare(client, "large", {"any": [{"segment": "buyers"}, LARGE]})
    for more in ({"parent": "large"}, {}):
        rule = BUYERS if more else {"not": {"segment": "large"}}
        pointer = "/parent" if more else "/rule/not/segment"
        assert await faults(await put(client, "buyers", rule, **more)) == [
            (pointer, "within_itself")
        ]
    assert await faults(await put(client, "x", {"segment": "buyer"})) == [
        ("/rule/segment", "unknown_segment")
    ]
    assert await faults(await put(client, "x", BUYERS, parent="nobody")) == [
        ("/parent", "unknown_segment")
    ]
    assert await faults(await put(client, "x", {"variable": "nothing", "op": "<", "value": 1})) == [
        ("/rule/variable", "unknown_variable")
    ]
    kept = {"variable": "segments", "op": "contains", "value": "buyers"}
    assert await faults(await put(client, "x", kept)) == [("/rule/variable", "not_allowed")]
    assert await faults(await put(client, "x", {"segment": "buyers", "op": "=="})) == [
        ("/rule/segment", "not_allowed")
    ]
    assert (await put(client, "x", None)).status_code == 422
    asked = await client.post("/v1/customers/query", json={"when": {"segment": "none"}})
    assert await faults(asked) == [("/when/segment", "unknown_segment")]


async def test_those_that_are_shown_as_examples_can_be_declared_and_written_under(
    client: httpx.AsyncClient,
) -> None:
    for number, example in enumerate(segments.EXAMPLES):
        path = f"{SEGMENTS}/example_{number}"
        answer = await client.put(path, json=example)
        assert answer.status_code == 201, answer.text
        assert answer.json()["kept_on_write"] is True
        assert set(await members(client, f"example_{number}")) <= {"c1"}
        # Each by itself: what a write looks at is what this one's rule does.
        written = await client.put("/v1/customers/c1", json={"owner": f"owner {number}"})
        assert written.status_code in (200, 201), (example, written.text)
        assert (await client.delete(path)).status_code == 204


async def test_who_is_named_cannot_be_retired(client: httpx.AsyncClient) -> None:
    await declare(client, "buyers", BUYERS)
    await declare(client, "large", LARGE, parent="buyers")
    assert (await client.delete(f"{SEGMENTS}/buyers")).status_code == 409
    assert (await client.delete(f"{SEGMENTS}/large")).status_code == 204
    assert (await client.delete(f"{SEGMENTS}/buyers")).status_code == 204
    assert (await client.delete(f"{SEGMENTS}/buyers")).status_code == 404
    retired = (await client.get(f"{SEGMENTS}/buyers")).json()
    assert retired["retired_at"] is not None
    assert (await client.get(f"{SEGMENTS}/buyers/members")).status_code == 404
    assert (await declare(client, "buyers", BUYERS))["version"] == 2


@pytest.mark.parametrize("also", [None, HAPPY])
async def test_members_are_those_of_the_rule_at_any_instant(
    client: httpx.AsyncClient, also: Any
) -> None:
    for number, amounts in enumerate([(), (10,), (10, 20), (40,), (30, 10)]):
        await client.put(f"/v1/customers/c{number}", json={"kind": "person"})
        if amounts:
            await buy(client, f"c{number}", *amounts)
    await declare(client, "buyers", {"all": [BUYERS, also]} if also else BUYERS)
    await declare(client, "large", LARGE, parent="buyers")
    assert await members(client, "buyers") == ["c1", "c2", "c3", "c4"]
    assert await members(client, "large", limit=2) == ["c2", "c3", "c4"]
    assert await members(client, "large", as_of="2026-05-01") == ["c3", "c4"]
    assert await members(client, "large", as_of="2026-04-01") == []
    when = {"all": [{"segment": "buyers"}, {"not": {"segment": "large"}}]}
    asked = await client.post("/v1/customers/query", json={"when": when, "count": True})
    assert [each["customer_id"] for each in asked.json()["items"]] == ["c1"]
    share = {"measures": [{"kind": "share", "when": {"segment": "large"}}]}
    told = (await client.post("/v1/customers/aggregate", json=share)).json()
    assert told["groups"][0]["measures"][0]["value"] == pytest.approx(0.6)
    inside = {"by": [{"when": {"segment": "large"}}, {"of": "kind"}],
              "measures": [{"kind": "share", "when": {"segment": "buyers"}}]}  # fmt: skip
    told = (await client.post("/v1/customers/aggregate", json=inside)).json()
    groups = [(each["by"], each["customers"], each["measures"][0]["value"])
              for each in told["groups"]]  # fmt: skip
    assert groups == [([True, "person"], 3, 1.0), ([False, "person"], 2, 0.5)]
    assert told["evaluated"] is (also is not None)
    neither = await client.post("/v1/customers/aggregate", json={"by": [{}]})
    assert neither.status_code == 422
    kept = (await client.get("/v1/customers", params={"segment": "large"})).json()["items"]
    assert kept == []  # they were there before the segment was
    await client.patch("/v1/customers/c3", json={"name": "Ada"})
    kept = (await client.get("/v1/customers", params={"segment": "large"})).json()["items"]
    assert [each["customer_id"] for each in kept] == ([] if also else ["c3"])
    wrong = await client.get("/v1/customers", params={"segment": "larger"})
    assert await faults(wrong) == [("query:segment", "unknown_segment")]
    wrong = await client.get(f"{SEGMENTS}/large/members", params={"as_of": "tomorrow"})
    assert await faults(wrong) == [("query:as_of", "as_of")]


async def periods(database: Database) -> list[tuple[Any, ...]]:
    async with database.reads() as session:
        found = await session.connection()
        rows = await found.exec_driver_sql(
            "SELECT customer_id, code, entered_at, left_at, version FROM segment_periods"
            " ORDER BY customer_id, code, entered_at"
        )
        return list(map(tuple, rows.all()))


async def arrays(database: Database) -> dict[str, list[str]]:
    async with database.reads() as session:
        found = await session.connection()
        rows = await found.exec_driver_sql("SELECT customer_id, codes FROM customer_segments")
        return {row.customer_id: row.codes for row in rows.all()}


async def test_writes_keep_who_is_in_and_since_when(
    client: httpx.AsyncClient, database: Database, clock: Clock
) -> None:
    await declare(client, "buyers", BUYERS)
    await declare(client, "large", LARGE, parent="buyers")
    await buy(client, "a", 10)
    assert await periods(database) == [("a", "buyers", NOW, None, 1)]
    later = clock.now = NOW.replace(hour=13)
    await buy(client, "a", 40, month=4)
    assert await arrays(database) == {"a": ["buyers", "large"]}
    card = (await client.get("/v1/customers/a/scores")).json()
    assert card["segments"] == ["buyers", "large"]
    card = (await client.get("/v1/customers/a/scores", params={"as_of": "2026-05-20"})).json()
    assert card["segments"] is None
    for also in (None, HAPPY):
        kept = {"variable": "segments", "op": "contains", "value": "large"}
        asked = {"select": ["segments"], "when": {"all": [kept, also]} if also else kept}
        found = (await client.post("/v1/customers/query", json=asked)).json()
        assert [each["values"] for each in found["items"]] == [{"segments": ["buyers", "large"]}]
    past = await client.post("/v1/customers/query", json={**asked, "as_of": "2026-05-01"})
    assert await faults(past) == [("/as_of", "not_with_scores")]
    page = (await client.get(f"{SEGMENTS}/large/members")).json()
    assert page["items"][0]["entered_at"] == "2026-06-01T13:00:00Z"
    last = clock.now = NOW.replace(hour=14)
    refund = {"customer_id": "a", "transaction_id": "r", "kind": "refund",
              "occurred_at": "2026-05-20T12:00:00Z", "amount": {"amount": "40.00"}}  # fmt: skip
    assert (await client.post("/v1/transactions", json=refund)).status_code == 201
    assert await arrays(database) == {"a": ["buyers"]}
    assert await periods(database) == [
        ("a", "buyers", NOW, None, 1),
        ("a", "large", later, last, 1),
    ]


async def test_a_worker_keeps_what_was_there_before_and_what_time_turns(
    client: httpx.AsyncClient, database: Database, deployment: Deployment, settings: Settings,
    clock: Clock,
) -> None:  # fmt: skip
    await buy(client, "a", 10)
    await buy(client, "b", 40)
    await declare(client, "large", LARGE)
    await declare(client, "happy", {"all": [BUYERS, HAPPY]})
    quiet = {"variable": "days_since_last_purchase", "op": ">", "value": 31}
    await declare(client, "quiet", quiet)
    worker = Worker(database, settings, lambda: clock.now)

    async def work() -> None:
        async with database.writes() as session:
            await updates.start_due(writing(session), deployment, clock.now)
            await session.commit()
        while await worker.work_once():
            pass

    await work()
    assert await arrays(database) == {"a": ["happy"], "b": ["happy", "large"]}
    told = (await client.get(f"{SEGMENTS}/happy")).json()
    assert (told["kept_on_write"], told["kept_until"]) == (False, "2026-06-01T12:00:00Z")
    clock.now = NOW.replace(day=2)
    await work()
    assert await arrays(database) == {"a": ["happy", "quiet"], "b": ["happy", "large", "quiet"]}
    assert (await client.delete(f"{SEGMENTS}/happy")).status_code == 204
    await buy(client, "a", 1, month=6)
    assert (await arrays(database))["a"] == []
    await work()
    assert await arrays(database) == {"a": [], "b": ["large", "quiet"]}
    operations = (await client.get("/v1/operations", params={"kind": "segment_update"})).json()
    assert {each["state"] for each in operations["items"]} == {"succeeded"}


async def test_a_preview_counts_who_would_enter_and_leave(client: httpx.AsyncClient) -> None:
    for number, amount in enumerate((10, 25, 40)):
        await buy(client, f"c{number}", amount)
    body = {"name": {"en": "l", "zh": "l"}, "rule": LARGE}
    told = (await client.post(f"{SEGMENTS}/large/preview", json=body)).json()
    assert (told["version"], told["before"], told["leave"]) == (None, None, None)
    assert told["enter"] == told["after"]
    await declare(client, "large", LARGE)
    rule = {"all": [{"variable": "revenue", "op": ">=", "value": 20},
                    {"variable": "revenue", "op": "<", "value": 40}]}  # fmt: skip
    answer = await client.post(f"{SEGMENTS}/large/preview", json={**body, "rule": rule})
    told = answer.json()
    assert answer.status_code == 200, answer.text
    found = {name: (told[name]["sample"], told[name]["revenue"]["amount"])
             for name in ("before", "after", "enter", "leave")}  # fmt: skip
    assert found == {"before": (["c2"], "40.00"), "after": (["c1"], "25.00"),
                     "enter": (["c1"], "25.00"), "leave": (["c2"], "40.00")}  # fmt: skip
    assert (await client.get(f"{SEGMENTS}/large")).json()["version"] == 1
    wrong = await client.post(f"{SEGMENTS}/large/preview",
                              json={**body, "rule": {"segment": "large"}})  # fmt: skip
    assert await faults(wrong) == [("/rule/segment", "within_itself")]


async def test_a_customer_is_told_since_when_and_what_would_change_that(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    await client.put("/v1/customers/z", json={"name": "Z", "attributes": {"vip": True}})
    assert (await client.get("/v1/customers/z/segments")).json()["items"] == []
    for number, value in enumerate((True, 1, "x")):
        rule = {"variable": "attribute", "name": "vip", "op": "==", "value": value}
        await declare(client, f"a{number}", rule)
    told = (await client.get("/v1/customers/z/segments")).json()["items"]
    assert [each["inside"] for each in told] == [True, False, False]
    for number in range(3):
        assert (await client.delete(f"{SEGMENTS}/a{number}")).status_code == 204
    recent = {"variable": "tenure_days", "op": "<", "value": 90}
    await declare(client, "fast", {"all": [{**BUYERS, "value": 3}, recent]})
    await declare(client, "quiet", {"variable": "days_since_last_purchase", "op": ">", "value": 60})
    await declare(client, "old", {"variable": "age_years", "op": ">=", "value": 60})
    await buy(client, "a", 10)
    told = (await client.get("/v1/customers/a/segments")).json()
    fast, old, quiet = told["items"]
    assert [each["inside"] for each in told["items"]] == [False] * 3
    assert fast["nearest"]["turns"][0]["missing"] == 2
    assert fast["nearest"]["until"] == "2026-07-29"  # the day before 90 days since the 1st of May
    assert old["nearest"]["turns"][0] == {
        "words": old["nearest"]["turns"][0]["words"], "must_hold": True,
        "variable": "age_years", "value": None, "missing": None, "unit": "years", "on": None,
    }  # fmt: skip
    assert quiet["nearest"]["turns"][0]["on"] == "2026-07-01"
    assert quiet["nearest"]["turns"][0]["value"] == 31
    await buy(client, "a", 10, 20, 30)
    clock.now = NOW.replace(day=20)
    told = (await client.get("/v1/customers/a/segments")).json()
    fast = told["items"][0]
    assert (fast["inside"], fast["entered_at"]) == (True, "2026-06-01T12:00:00Z")
    assert told["periods"] == [
        {"code": "fast", "version": 1, "entered_at": "2026-06-01T12:00:00Z", "left_at": None}
    ]
    assert fast["nearest"]["turns"][0]["must_hold"] is False
    before = (await client.get("/v1/customers/a/segments", params={"as_of": "2026-05-02"})).json()
    assert (before["items"][0]["inside"], before["items"][0]["entered_at"]) == (False, None)
    assert (await client.get("/v1/customers/b/segments")).status_code == 404


async def test_a_key_is_told_of_no_segment_whose_rule_it_may_not_ask(
    client: httpx.AsyncClient, database: Database, settings: Settings, clock: Clock
) -> None:
    await declare(client, "old", {"variable": "age_years", "op": ">=", "value": 60})
    await declare(client, "buyers", BUYERS)
    await client.put("/v1/customers/a", json={"birth_date": "1950-01-01"})
    async with await make_client(settings, database, clock, ("customers:read",)) as reader:
        told = (await reader.get("/v1/customers/a/segments")).json()
        assert [each["code"] for each in told["items"]] == ["buyers"]
        assert (told["withheld"], told["periods"]) == (["old"], [])
        refused = await reader.get(f"{SEGMENTS}/old/members")
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")


async def test_quality_tells_size_flow_overlap_and_holds_members_against_their_neighbours(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    """c00 to c59 bought for 1 to 60; of those from c30 on all bought again, of others a third.

    n00 to n29 came later, and are no neighbours of anybody before.
    """
    await declare(client, "large", LARGE)
    await declare(client, "buyers", BUYERS)
    clock.now = NOW.replace(month=3)
    for number in range(60):
        await buy(client, f"c{number:02}", number + 1, month=2)
    clock.now = NOW
    again = [number for number in range(60) if number >= 30 or number % 3 == 0]
    for number in again:
        await buy(client, f"c{number:02}", 100)
    for number in range(30):
        await buy(client, f"n{number:02}", 5)
    told = (await client.get(f"{SEGMENTS}/large/quality", params={"days": 60})).json()
    assert (told["members"], told["customers"]) == (31 + 10, 90)
    assert told["coverage"] == pytest.approx(41 / 90)
    flow = {each["month"]: (each["entered"], each["left"]) for each in told["flow"]}
    assert len(flow) == 12
    assert (flow["2026-03"], flow["2026-06"], flow["2025-07"]) == ((31, 0), (10, 0), (0, 0))
    assert told["overlap"] == [
        {"code": "buyers", "members": 41, "share": 1.0, "jaccard": pytest.approx(41 / 90)}
    ]
    compared = told["comparison"]
    assert (compared["status"], compared["cut"], compared["at"]) == ("ok", "revenue", 30)
    assert (compared["members"], compared["outside"]) == (31, 29)
    bought = compared["bought"]
    outside = len([number for number in again if number < 29]) / 29
    assert bought["members"] == pytest.approx(30 / 31)
    assert bought["outside"] == pytest.approx(outside)
    assert bought["interval"]["low"] < bought["difference"] < bought["interval"]["high"]
    assert bought["interval"]["low"] > 0.3
    assert float(compared["revenue"]["outside"]["amount"]) == pytest.approx(outside * 100, abs=0.01)
    assert compared["proves_cause"] is False
    few = (await client.get(f"{SEGMENTS}/large/quality", params={"days": 700})).json()
    assert few["comparison"]["status"] == "too_few"


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/customers/query", {"when": {"not": {"segment": "large"}}}),
     ("/v1/customers?segment=large", None)],
)  # fmt: skip
async def test_what_nobody_asks_for_is_unused_after_ninety_days(
    client: httpx.AsyncClient, clock: Clock, path: str, body: Any
) -> None:
    state = client.app.state.clm  # type: ignore[attr-defined]
    await state.write_usage()
    await declare(client, "buyers", BUYERS)
    await declare(client, "large", LARGE, parent="buyers")
    await declare(client, "other", BUYERS)
    await state.write_usage()
    assert (await client.get(f"{SEGMENTS}/large")).json()["last_used_at"] is None
    asked = await client.request("GET" if body is None else "POST", path, json=body)
    assert asked.status_code == 200, asked.text
    await state.write_usage()
    for code, is_used in (("large", True), ("buyers", True), ("other", False)):
        told = (await client.get(f"{SEGMENTS}/{code}")).json()
        assert (told["last_used_at"] is not None) is is_used, code
        quality = (await client.get(f"{SEGMENTS}/{code}/quality")).json()
        assert (quality["last_used_at"], quality["unused"]) == (told["last_used_at"], False)
    clock.now = NOW + timedelta(days=91)
    quality = (await client.get(f"{SEGMENTS}/other/quality")).json()
    assert quality["unused"] is True


async def test_value_is_reported_by_segment_as_it_was_kept(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    await declare(client, "buyers", BUYERS)
    await declare(client, "large", LARGE)
    clock.now = NOW.replace(month=3)
    await client.put("/v1/customers/none", json={"name": "Nobody"})
    for customer, amounts in (("a", (10,)), ("b", (20, 30)), ("c", (40,))):
        await buy(client, customer, *amounts, month=2)
    clock.now = NOW
    await buy(client, "a", 50)
    asked = {"from": "2026-02-01", "to": "2026-05-31", "by": "segment"}

    async def told(**more: str) -> dict[Any, tuple[int, str, int]]:
        answer = await client.get("/v1/reports/value", params={**asked, **more})
        assert answer.status_code == 200, answer.text
        table = answer.json()
        rows = [*table["rows"], {**table["totals"], "segment": "all"}]
        assert "segments_overlap" in [each["code"] for each in table["notes"]]
        return {row["segment"]: (row["customers"], row["revenue"]["amount"],
                                 row["repurchased"]["n"]) for row in rows}  # fmt: skip

    assert await told(to="2026-06-01") == {
        None: (1, "0.00", 0), "buyers": (3, "150.00", 2), "large": (3, "150.00", 2),
        "all": (4, "150.00", 2),
    }  # fmt: skip
    assert await told(to="2026-04-30") == {
        None: (1, "0.00", 0), "buyers": (3, "100.00", 1), "large": (2, "90.00", 1),
        "all": (4, "100.00", 1),
    }  # fmt: skip


async def test_a_fact_that_has_waited_for_its_time_counts_in_groups_and_on_write(
    client: httpx.AsyncClient, database: Database, clock: Clock
) -> None:
    await declare(client, "large", LARGE)
    await buy(client, "a", 10)
    await buy(client, "b", 40)
    ahead = {"customer_id": "a", "transaction_id": "later", "amount": {"amount": "25.00"},
             "occurred_at": "2026-06-01T14:00:00Z"}  # fmt: skip
    assert (await client.post("/v1/transactions", json=ahead)).status_code == 201
    assert await arrays(database) == {"b": ["large"]}
    clock.now = NOW.replace(hour=15)
    asked = {"by": [{"when": {"segment": "large"}}], "measures": [{"kind": "sum", "of": "revenue"}]}
    told = (await client.post("/v1/customers/aggregate", json=asked)).json()
    assert told["evaluated"] is False
    (group,) = told["groups"]
    assert (group["by"], group["customers"]) == ([True], 2)
    assert group["measures"][0]["money"]["amount"] == "75.00"
    await client.patch("/v1/customers/a", json={"name": "Ada"})
    assert await arrays(database) == {"a": ["large"], "b": ["large"]}


async def test_a_preview_that_takes_long_is_counted_by_a_worker(
    client: httpx.AsyncClient, database: Database, settings: Settings, clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(queries, "AT_ONCE", 0)
    for number, amount in enumerate((10, 25, 40)):
        await buy(client, f"c{number}", amount)
    await declare(client, "large", LARGE)
    rule = {"all": [{"variable": "revenue", "op": "<", "value": 40}, HAPPY]}
    body = {"name": {"en": "l", "zh": "l"}, "rule": rule}
    accepted = await client.post(f"{SEGMENTS}/large/preview", json=body)
    assert accepted.status_code == 202, accepted.text
    worker = Worker(database, settings, lambda: clock.now)
    while await worker.work_once():
        pass
    told = (await client.get(accepted.headers["location"])).json()
    assert told["state"] == "succeeded", told
    groups = [(each["by"], each["customers"], each["measures"][0]["money"]["amount"])
              for each in told["result"]["groups"]]  # fmt: skip
    assert groups == [([True, False], 2, "35.00"), ([False, True], 1, "40.00")]


async def test_long_work_that_names_a_segment_ends_with_a_reason_if_that_changes_meanwhile(
    client: httpx.AsyncClient, database: Database, settings: Settings, clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(queries, "AT_ONCE", 0)
    await buy(client, "c1", 40)
    await declare(client, "large", {"all": [LARGE, HAPPY]})
    await declare(client, "other", LARGE)
    worker = Worker(database, settings, lambda: clock.now)
    for named, state in (("large", "failed"), (None, "succeeded")):
        when = {"all": [HAPPY, {"segment": named} if named else LARGE]}
        accepted = await client.post("/v1/customers/query", json={"when": when, "count": True})
        assert accepted.status_code == 202, accepted.text
        assert await worker.work_once()  # it has been split
        assert (await client.delete(f"{SEGMENTS}/{named or 'other'}")).status_code == 204
        while await worker.work_once():
            pass
        told = (await client.get(accepted.headers["location"])).json()
        assert told["state"] == state, told
        assert (told["error"] or {}).get("code") == ("conflict" if named else None)
