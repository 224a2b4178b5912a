"""Profiles with two times over HTTP: what held when, by what was known when, and who said it."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text

from app.models import Customer, ProfileChange
from app.postgres.db import WriteSession
from app.schemas.common.types import format_instant
from tests import slow_profile
from tests.database import NOW, Clock
from tests.slow_profile import Said

PATH = "/v1/customers/c1"
MARCH, APRIL, MAY = (f"2026-0{month}-01T00:00:00Z" for month in (3, 4, 5))


async def patch(client: httpx.AsyncClient, **change: Any) -> dict[str, Any]:
    answer = await client.patch(PATH, json=change)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def get(client: httpx.AsyncClient, **params: str) -> dict[str, Any]:
    answer = await client.get(PATH, params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def history(client: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    """Return all pages."""
    found, cursor = [], None
    while True:
        asked = {**params, **({"cursor": cursor} if cursor else {})}
        answer = await client.get(f"{PATH}/profile-history", params=asked)
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return found


async def rows(session: WriteSession) -> int:
    counted = await session.scalar(select(func.count()).select_from(ProfileChange))
    assert counted is not None
    return counted


async def test_a_profile_written_once_holds_from_the_beginning_and_needs_no_row(
    client: httpx.AsyncClient, session: WriteSession
) -> None:
    body = {"name": "Ann", "country": "CN", "attributes": {"vip": True}, "source": "crm"}
    assert (await client.put(PATH, json=body)).status_code == 201
    again = await client.put(PATH, json=body)
    assert (await rows(session), again.headers["etag"]) == (0, '"1"')
    long_ago = await get(client, as_of="2020-01-01")
    assert (long_ago["name"], long_ago["country"]) == ("Ann", "CN")
    assert (long_ago["as_of"], long_ago["recorded_at"]) == ("2020-01-01T22:59:59.999999Z", None)
    told = await history(client)
    assert [(each["field"], each["value"]) for each in told] == [
        ("name", "Ann"), ("country", "CN"), ("attributes.vip", True),
    ]  # fmt: skip
    (me,) = {each["actor"] for each in told}
    assert me
    for each in told:
        assert (each["valid_from"], each["recorded_at"]) == (None, format_instant(NOW))
        assert (each["source"], each["holds"], each["profile_version"]) == ("crm", True, 1)
    (entry,) = (await client.get(f"{PATH}/timeline")).json()["items"]
    assert (entry["type"], entry["at"]) == ("profile_change", format_instant(NOW))
    change = entry["profile_change"]
    assert change["changes"] == {"name": "Ann", "country": "CN", "attributes.vip": True}
    assert (change["source"], change["actor"]) == ("crm", me)


async def test_a_later_value_leaves_the_past(
    client: httpx.AsyncClient, session: WriteSession, clock: Clock
) -> None:
    await client.put(PATH, json={"country": "CN", "attributes": {"vip": False}})
    clock.now = NOW + timedelta(days=1)
    answer = await patch(client, country="DE", city="Bonn", attributes={"vip": None}, source="shop")
    assert (answer["country"], answer["attributes"], answer["source"]) == ("DE", {}, "default")
    assert await rows(session) == 2
    before = await get(client, as_of=format_instant(NOW))
    assert (before["country"], before["attributes"]) == ("CN", {"vip": False})
    assert before["city"] == "Bonn"  # its first value
    now = await get(client)
    assert (now["country"], now["as_of"]) == ("DE", format_instant(clock.now))
    known = await get(client, recorded_at=format_instant(NOW))
    assert (known["country"], known["city"], known["attributes"]) == ("CN", None, {"vip": False})
    assert known["recorded_at"] == format_instant(NOW)
    told = [(e["field"], e["value"], e["valid_from"] is None, e["source"], e["holds"])
            for e in await history(client)]  # fmt: skip
    assert told == [
        ("country", "DE", False, "shop", True),
        ("city", "Bonn", True, "shop", True),
        ("attributes.vip", None, False, "shop", True),
        ("country", "CN", True, "default", False),
        ("attributes.vip", False, True, "default", False),
    ]


async def test_a_change_of_the_past_changes_the_past(client: httpx.AsyncClient) -> None:
    await client.put(PATH, json={"country": "CN"})
    late = await patch(client, country="DE", valid_from=MAY)
    early = await patch(client, country="FR", valid_from=MARCH, source="shop")
    assert (late["country"], early["country"]) == ("DE", "DE")
    assert (late["warnings"], early["profile_version"]) == ([], 3)
    assert [(w["code"], w["pointer"]) for w in early["warnings"]] == [
        ("not_current", "/valid_from")
    ]
    held = [(await get(client, as_of=day))["country"] for day in ("2026-02-01", "2026-03-01",
            "2026-04-30", "2026-05-01")]  # fmt: skip
    assert held == ["CN", "FR", "FR", "DE"]
    corrected = await patch(client, country="IT", valid_from=MARCH, source="shop")
    again = await patch(client, country="IT", valid_from=MARCH, source="shop")
    assert (corrected["profile_version"], again["profile_version"]) == (4, 4)
    assert (await get(client, as_of=APRIL))["country"] == "IT"
    assert [each["value"] for each in await history(client, limit=1, field="country")] == [
        "IT", "FR", "DE", "CN",
    ]  # fmt: skip
    # What a source has said already does not undo what another one has said since then.
    await patch(client, country="ES", valid_from=MARCH, source="crm")
    assert (await patch(client, country="IT", valid_from=MARCH, source="shop"))[
        "profile_version"
    ] == 5
    assert (await get(client, as_of=APRIL))["country"] == "ES"


async def test_a_put_of_the_past_says_all_of_then(client: httpx.AsyncClient) -> None:
    await client.put(PATH, json={"country": "CN", "city": "上海", "attributes": {"a": 1, "b": 2}})
    body = {"country": "CN", "attributes": {"a": 1}, "valid_from": APRIL}
    done = await client.put(PATH, json=body)
    assert (done.json()["city"], done.json()["attributes"]) == (None, {"a": 1})
    assert (await get(client, as_of="2026-03-31"))["city"] == "上海"
    assert (await client.put(PATH, json=body)).headers["etag"] == '"2"'
    await patch(client, attributes={"b": {"x": 1}}, valid_from=MARCH)
    await patch(client, attributes={"b": {"y": 2}}, valid_from=MARCH)
    assert (await get(client, as_of=MARCH))["attributes"] == {"a": 1, "b": {"x": 1, "y": 2}}
    assert (await get(client))["attributes"] == {"a": 1}
    await patch(client, attributes=None, valid_from=MAY)
    assert [(await get(client, as_of=day))["attributes"] for day in (APRIL, MAY)] == [{"a": 1}, {}]


async def test_a_first_profile_since_an_instant_holds_from_then(client: httpx.AsyncClient) -> None:
    made = await client.put(PATH, json={"country": "CN", "valid_from": APRIL})
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    assert [(await get(client, as_of=day))["country"] for day in (MARCH, APRIL)] == [None, "CN"]
    await patch(client, country="DE")  # not the first value of the field: true from now on
    assert (await get(client, as_of=MAY))["country"] == "CN"
    (entry, _) = (await client.get(f"{PATH}/timeline?type=profile_change")).json()["items"]
    assert entry["at"] == format_instant(NOW)


async def test_what_lies_ahead_is_refused_and_writes_nothing(
    client: httpx.AsyncClient, session: WriteSession
) -> None:
    ahead = {"country": "CN", "valid_from": format_instant(NOW + timedelta(microseconds=1))}
    answer = await client.put(PATH, json=ahead)
    assert answer.status_code == 422
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [
        ("/valid_from", "future")
    ]
    items = [{"customer_id": "c1", **ahead}, {"customer_id": "c2", "country": "CN"}]
    bulk = (await client.post("/v1/customers/bulk", json={"items": items})).json()
    assert [each["status"] for each in bulk["items"]] == ["rejected", "created"]
    assert bulk["items"][0]["error"]["errors"][0]["pointer"] == "/items/0/valid_from"
    assert (await client.get(PATH)).status_code == 404
    atomic = await client.post("/v1/customers/bulk", json={"items": items, "mode": "atomic"})
    assert atomic.status_code == 422
    patched = await client.patch("/v1/customers/c2", json=ahead)
    assert patched.json()["errors"][0]["pointer"] == "/valid_from"


@pytest.mark.parametrize(
    ("one", "other", "pointer"),
    [
        ({"country": "CN"}, {"country": "DE"}, "country"),
        ({"country": "CN"}, {"country": None}, "country"),
        ({"attributes": {"a/b": 1}}, {"attributes": {"a/b": True}}, "attributes/a~1b"),
        ({"attributes": {"a": {"x": 1}}}, {"attributes": {"a": {"x": 2}}}, "attributes/a"),
        ({"attributes": {"a": 1}}, {"attributes": None}, "attributes"),
        ({"attributes": None}, {"attributes": {"a": 1}}, "attributes/a"),
        ({"country": "CN"}, {"country": "CN", "city": "Bonn"}, None),
        ({"attributes": {"a": {"x": 1}}}, {"attributes": {"a": {"y": 2}}}, None),
        ({"country": "CN"}, {"country": "DE", "source": "shop/eu"}, None),
        ({"country": "CN"}, {"country": "DE", "valid_from": MAY}, None),
        ({"country": "CN"}, {"country": "DE", "valid_from": None}, None),
        ({"country": "CN"}, {"country": "DE", "customer_id": "c2"}, None),
    ],
    ids=str,
)
async def test_one_source_says_one_thing_of_an_instant_within_a_request(
    client: httpx.AsyncClient, one: dict[str, Any], other: dict[str, Any], pointer: str | None
) -> None:
    first = {"customer_id": "c1", "valid_from": MARCH, "source": "crm"}
    body = {"items": [{**first, **one}, {**first, **other}]}
    answer = (await client.post("/v1/customers/bulk", json=body)).json()["items"]
    if pointer is None:
        assert answer[1]["error"] is None, answer
        return
    assert [each["status"] for each in answer] == ["created", "rejected"]
    (fault,) = answer[1]["error"]["errors"]
    assert (fault["pointer"], fault["code"]) == (f"/items/1/{pointer}", "contradiction")
    again = await client.post("/v1/customers/bulk", json={"items": [{**first, **other}]})
    assert again.json()["items"][0]["status"] in {"updated", "duplicate"}  # a correction


async def test_a_batch_with_several_writes_of_one_customer_keeps_each(
    client: httpx.AsyncClient, session: WriteSession
) -> None:
    items = [
        {"customer_id": "c1", "country": "CN", "source": "crm"},
        {"customer_id": "c1", "country": "DE", "source": "shop"},
        {"customer_id": "c1", "country": "DE", "source": "support"},
        {"customer_id": "c1", "country": "FR", "source": "shop", "valid_from": MARCH},
    ]
    answer = await client.post("/v1/customers/bulk", json={"items": items})
    assert [each["status"] for each in answer.json()["items"]] == [
        "created", "updated", "duplicate", "updated",
    ]  # fmt: skip
    now = await get(client)
    assert (now["country"], now["profile_version"], now["source"]) == ("DE", 3, "crm")
    assert [(e["value"], e["source"]) for e in await history(client)] == [
        ("FR", "shop"), ("DE", "shop"), ("CN", "crm"),
    ]  # fmt: skip
    assert await rows(session) == 3


async def test_a_profile_of_before_there_was_a_history_holds_from_the_beginning(
    client: httpx.AsyncClient, session: WriteSession
) -> None:
    """A row as the release before has left it: nobody kept who wrote it."""
    await client.put(PATH, json={"country": "CN", "attributes": {"vip": 1}})
    await session.execute(
        text(
            "UPDATE customers SET profile_actor = NULL, source = NULL, attributes = '{\"vip\": 1}'"
        )
    )
    for each in await history(client):
        assert (each["valid_from"], each["actor"], each["source"]) == (None, None, "default")
    await patch(client, country="DE", source="crm")
    assert (await get(client, as_of=MARCH))["country"] == "CN"
    told = [(e["value"], e["actor"] is None) for e in await history(client, field="country")]
    assert told == [("DE", False), ("CN", True)]
    assert [each["field"] for each in await history(client, field="attributes")] == [
        "attributes.vip"
    ]


async def test_a_clock_that_is_behind_makes_no_earlier_knowledge(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    await client.put(PATH, json={"country": "CN"})
    await patch(client, country="DE")
    clock.now = NOW - timedelta(seconds=1)
    await patch(client, country="FR")
    assert (await get(client, as_of=format_instant(NOW)))["country"] == "FR"
    assert [each["recorded_at"] for each in await history(client)] == [format_instant(NOW)] * 3


async def test_unknown_fields_and_instants_are_refused(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    await client.put(PATH, json={"country": "CN"})
    for field in ("nothing", "country.x", "source", "attribute.x"):
        answer = await client.get(f"{PATH}/profile-history", params={"field": field})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "query:field"
    for name in ("as_of", "recorded_at"):
        for value in ("2027-01-01", "yesterday"):
            answer = await client.get(PATH, params={name: value})
            assert answer.json()["errors"][0]["pointer"] == f"query:{name}"
    early = await client.get(PATH, params={"recorded_at": "2026-01-01"})
    assert (early.status_code, early.json()["code"]) == (404, "not_found")
    assert (await client.get("/v1/customers/nobody/profile-history")).status_code == 404


async def test_the_stage_is_that_of_the_instant(client: httpx.AsyncClient, clock: Clock) -> None:
    fact = {"customer_id": "c1", "transaction_id": "t1", "occurred_at": APRIL,
            "amount": {"amount": "5"}}  # fmt: skip
    await client.put(PATH, json={"country": "CN"})
    clock.now = NOW + timedelta(days=1)
    await client.post("/v1/transactions", json=fact)
    found = [await get(client, as_of=day) for day in (MARCH, APRIL)]
    assert [(each["stage"], each["stage_since"]) for each in found] == [
        ("potential", None), ("initial", APRIL),
    ]  # fmt: skip
    assert (await get(client, recorded_at=format_instant(NOW)))["stage"] == "potential"


@pytest.mark.parametrize("seed", range(3))
async def test_three_sources_in_any_order_make_the_profile_that_a_slow_reading_finds(
    client: httpx.AsyncClient, session: WriteSession, clock: Clock, seed: int
) -> None:
    rng, said = random.Random(seed), list[Said]()
    start = datetime(2026, 1, 1, tzinfo=UTC)
    days = [start + timedelta(days=n) for n in range(20)]
    for n in range(30):
        clock.now = NOW + timedelta(minutes=n)
        source, since = rng.choice(("crm", "shop", "support")), rng.choice(days)
        keys = rng.sample(("a", "b", "c"), rng.choice((1, 2)))
        inside = {key: rng.choice((1, 2, True, "x", None)) for key in keys}
        body = {"customer_id": "c1", "source": source, "valid_from": format_instant(since),
                "attributes": inside, "country": rng.choice(("CN", "DE"))}  # fmt: skip
        answer = await client.post("/v1/customers/bulk", json={"items": [body]})
        (item,) = answer.json()["items"]
        values = {f"attributes.{key}": each for key, each in inside.items()}
        values["country"] = body["country"]
        own = [each.values for each in said if (each.since, each.source) == (since, source)]
        known = {cell: each for values in own for cell, each in values.items()}
        new = {c: v for c, v in values.items() if c not in known or repr(known[c]) != repr(v)}
        assert item["status"] == ("created" if n == 0 else "updated" if new else "duplicate")
        if new:
            said.append(Said(new, since, clock.now, source))
    for at in (*days, *(day - timedelta(seconds=1) for day in days)):
        for known_at in (None, *rng.sample([each.known for each in said], 3)):
            params = {"as_of": format_instant(at)}
            params |= {} if known_at is None else {"recorded_at": format_instant(known_at)}
            found = await get(client, **params)
            held = slow_profile.profile(slow_profile.held(said, at, known_at))
            assert found["country"] == held.get("country")
            assert repr(sorted(found["attributes"].items())) == repr(
                sorted(held["attributes"].items())
            )
    since_when = await session.scalar(select(Customer.profile_holds_from))
    assert since_when == max(each.since for each in said if each.since)
