"""Without the scope `customers:read_pii` no answer tells who somebody is."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.config import Settings
from app.postgres.db import Database
from app.schemas.common import personal
from app.services.access import keys
from app.services.access.keys import Principal
from app.worker import Worker
from tests import openapi
from tests.database import Clock, make_client

SECRETS = {
    "name": "Xanthippe Zwölf", "email": "xanthippe@zwoelf.example", "phone": "+49 170 7654321",
    "birth_date": "1971-03-09", "country": "Haus Sieben, Atlantis",
    "attributes": {"street": "Nelkenweg 77"},
}  # fmt: skip
WORDS = ("anthippe", "7654321", "1971-03-09", "Atlantis", "Nelkenweg")
PLAIN = {"city": "Bonn", "owner": "team-east", "kind": "person"}
BLIND = tuple(set(keys.SCOPES) - {"admin", personal.READ_PII})
PATH = "/v1/customers/c1"


@pytest.fixture
async def told(client: httpx.AsyncClient, session: Any) -> httpx.AsyncClient:
    """A client of all scopes, after a customer was described twice, and something derived wrong."""
    for body in ({"name": "Xanthippe", "country": "DE"}, {**SECRETS, **PLAIN}):
        assert (await client.put(PATH, json=body)).is_success
    return client


@pytest.fixture
async def blind(
    told: httpx.AsyncClient, settings: Settings, database: Database, clock: Clock
) -> AsyncIterator[httpx.AsyncClient]:
    async with await make_client(settings, database, clock, BLIND) as client:
        yield client


async def test_a_profile_is_shown_without_what_is_personal(
    told: httpx.AsyncClient, blind: httpx.AsyncClient
) -> None:
    seen, masked = (await told.get(PATH)).json(), (await blind.get(PATH)).json()
    hidden = ["name", "email", "phone", "phone_e164", "birth_date", "country_text", "attributes"]
    assert (seen["masked"], masked["masked"]) == ([], hidden)
    expected = {**seen, **dict.fromkeys(hidden), "attributes": {"street": None}, "masked": hidden}
    assert masked == expected
    assert seen["country_text"] == SECRETS["country"]


async def test_what_is_not_known_is_told_apart_from_what_is_not_shown(
    told: httpx.AsyncClient, blind: httpx.AsyncClient
) -> None:
    await told.put("/v1/customers/c2", json={"name": "Ann"})
    assert (await blind.get("/v1/customers/c2")).json()["masked"] == ["name"]


async def test_of_the_history_of_a_profile_the_plain_values_are_shown(
    blind: httpx.AsyncClient,
) -> None:
    items = (await blind.get(f"{PATH}/profile-history", params={"limit": 500})).json()["items"]
    shown = {item["field"]: (item["value"], item["masked"]) for item in items if item["holds"]}
    assert shown["city"] == ("Bonn", False)
    assert shown["email"] == shown["country"] == shown["attributes.street"] == (None, True)
    assert ("DE", False) in [(each["value"], each["masked"]) for each in items]
    entries = (await blind.get(f"{PATH}/timeline")).json()["items"]
    change = entries[0]["profile_change"]
    assert change["changes"]["city"] == "Bonn"
    assert set(change["masked"]) == {name for name, value in change["changes"].items()
                                     if value is None}  # fmt: skip


async def test_writing_tells_nothing_either(blind: httpx.AsyncClient) -> None:
    answers = [
        await blind.patch(PATH, json={"city": "Köln"}),
        await blind.put(PATH, json={**SECRETS, "city": "Köln"}),
        await blind.post("/v1/customers/bulk", json={"items": [{"customer_id": "c1", **SECRETS}]}),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert not [word for word in WORDS if word in answer.text]


async def test_nobody_is_searched_for_by_what_may_not_be_read(
    told: httpx.AsyncClient, blind: httpx.AsyncClient
) -> None:
    for q in ("xanthippe@z", "Xanth", "7654", "c1", "nobody at all"):
        answer = await blind.get("/v1/customers", params={"q": q})
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (403, "missing_scope")
        assert problem["missing_scope"] == personal.READ_PII
    found = (await told.get("/v1/customers", params={"q": "Xanth"})).json()["items"]
    assert [each["customer_id"] for each in found] == ["c1"]
    listed = (await blind.get("/v1/customers")).json()["items"]
    assert [each["name"] for each in listed] == [None]


async def test_the_call_list_has_no_names(
    told: httpx.AsyncClient, blind: httpx.AsyncClient, settings: Settings, database: Database
) -> None:
    bought = [
        {"customer_id": f"c{who}", "transaction_id": f"t{day}", "amount": {"amount": "9.00"},
         "occurred_at": f"2025-0{1 + day % 9}-1{who}T12:00:00Z"}
        for who in range(1, 8) for day in range(1 + who % 4)
    ]  # fmt: skip
    assert (await told.post("/v1/transactions/bulk", json={"items": bought})).is_success
    worker = Worker(database, settings)
    await told.post("/v1/scoring-runs", json={})
    while await worker.work_once():
        pass
    asked = {"include": "all", "limit": 500}
    seen = (await told.get("/v1/churn-risks", params=asked)).json()
    masked = (await blind.get("/v1/churn-risks", params=asked)).json()
    assert (seen["masked"], masked["masked"]) == ([], ["name"])
    assert SECRETS["name"] in [each["name"] for each in seen["items"]]
    assert masked["items"] == [{**each, "name": None} for each in seen["items"]]


async def test_what_a_rebuild_lists_of_profiles_is_masked(
    told: httpx.AsyncClient, blind: httpx.AsyncClient, settings: Settings, database: Database
) -> None:
    async with database.writes() as session, session.begin():
        await session.execute(text("UPDATE customers SET name = 'Anthippe Wrong', version = 9"))
        await session.execute(text("UPDATE customer_search SET email = 'anthippe wrong'"))
    operation = (await told.post("/v1/rebuilds", json={"customers": ["c1"]})).json()
    worker = Worker(database, settings)
    while await worker.work_once():
        pass
    path = f"/v1/rebuilds/{operation['id']}/differences"
    seen, masked = await told.get(path), await blind.get(path)
    assert "anthippe" in seen.text
    assert not [word for word in WORDS if word in masked.text]
    assert all(each["masked"] for each in masked.json()["items"])
    assert masked.json()["items"]


async def test_no_answer_of_any_list_or_look_up_tells_who_somebody_is(
    told: httpx.AsyncClient, blind: httpx.AsyncClient
) -> None:
    """Every operation that can be asked with one customer known: also those to come."""
    asked = 0
    for path, method, operation in openapi.operations(openapi.committed()):
        wants_more = set(re.findall(r"{(\w+)}", path)) - {"customer_id"}
        if method != "get" or wants_more or not path.startswith("/v1"):
            continue
        required = [each["name"] for each in operation.get("parameters", ())
                    if each.get("required") and each["in"] == "query"]  # fmt: skip
        query = dict.fromkeys(required, "2026-01-31")
        answer = await blind.get(path.replace("{customer_id}", "c1"), params=query)
        assert answer.status_code in (200, 403, 409), (path, answer.text)
        assert not [word for word in WORDS if word in answer.text], path
        asked += answer.status_code == 200
    assert asked > 20


def test_admin_reads_all_and_keys_must_ask() -> None:
    assert Principal("k", frozenset({"admin"}), None).may(personal.READ_PII)
    assert not Principal("k", frozenset({"customers:read"}), None).may(personal.READ_PII)
