"""Customers over HTTP: profiles, lists and bulk writes."""

import asyncio
import base64
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.schemas.customers import Customer, Profile
from app.services.stages import derivation
from tests import openapi

FULL: dict[str, Any] = {
    "kind": "company",
    "name": "上海贸易有限公司",
    "email": "Info@Example.com",
    "phone": "+86 21 5555",
    "country": "CN",
    "preferred_language": "zh-Hans",
    "time_zone": "Asia/Shanghai",
    "region": "East",
    "city": "上海",
    "gender": "other",
    "birth_date": "1990-02-28",
    "occupation": "buyer",
    "industry": "trade",
    "income_band": "b3",
    "parent_customer_id": "c0",
    "owner": "team-east",
    "acquisition_channel": "fair",
    "referred_by": "c9",
    "first_contact_at": "2026-01-31T20:00:00+08:00",
    "contract_ends_on": "2027-12-31",
    "attributes": {"a": {"b": 1, "c": [1, None]}, "newsletter": True},
}
EMPTY: dict[str, Any] = dict.fromkeys(FULL) | {"attributes": {}}


async def put(client: httpx.AsyncClient, customer_id: str, **profile: Any) -> httpx.Response:
    answer = await client.put(f"/v1/customers/{quote(customer_id, safe='')}", json=profile)
    assert answer.status_code in (200, 201), answer.text
    return answer


async def ids(client: httpx.AsyncClient, **params: str | int) -> list[str]:
    answer = await client.get("/v1/customers", params=params)
    assert answer.status_code == 200, answer.text
    return [item["customer_id"] for item in answer.json()["items"]]


def profile_of(answer: httpx.Response) -> dict[str, Any]:
    body = answer.json()
    return {field: body[field] for field in FULL}


def faults_of(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.headers["content-type"] == "application/problem+json"
    return [(error["pointer"], error["code"]) for error in answer.json()["errors"]]


def test_every_field_of_a_profile_is_written_and_shown_here() -> None:
    assert FULL.keys() == Profile.model_fields.keys()
    assert FULL.keys() <= Customer.model_fields.keys()


# --- one profile ---------------------------------------------------------------------------------


async def test_put_makes_a_customer_and_then_replaces_the_profile(
    client: httpx.AsyncClient,
) -> None:
    made = await client.put("/v1/customers/c1", json=FULL | {"source": "crm"})
    replaced = await client.put("/v1/customers/c1", json={"name": "Ann"})
    got = await client.get("/v1/customers/c1")
    assert (made.status_code, replaced.status_code) == (201, 200)
    assert made.headers["location"] == "/v1/customers/c1"
    assert (made.headers["etag"], replaced.headers["etag"]) == ('"1"', '"2"')
    assert profile_of(made) == FULL | {"first_contact_at": "2026-01-31T12:00:00Z"}
    assert profile_of(replaced) == EMPTY | {"name": "Ann"}
    assert got.json() | {"warnings": []} == replaced.json()
    assert got.headers["etag"] == '"2"'
    assert (got.json()["stage"], got.json()["profile_version"]) == ("potential", 2)


async def test_the_same_profile_again_moves_no_version(client: httpx.AsyncClient) -> None:
    await put(client, "c1", **FULL)
    again = await client.put("/v1/customers/c1", json=FULL)
    assert (again.status_code, again.headers["etag"]) == (200, '"1"')


@pytest.mark.parametrize("customer_id", ["客户-1", "a b", "é", "a+b&c=d;e", "😀", "..."])
async def test_any_id_that_is_allowed_has_a_location_that_leads_to_it(
    client: httpx.AsyncClient, customer_id: str
) -> None:
    made = await client.put(f"/v1/customers/{quote(customer_id, safe='')}", json={"name": "Ann"})
    got = await client.get(made.headers["location"])
    assert (made.status_code, got.status_code) == (201, 200)
    assert got.json()["customer_id"] == customer_id


async def test_a_customer_known_from_facts_alone_gets_a_profile_by_put_or_patch(
    client: httpx.AsyncClient,
) -> None:
    for customer_id in ("c1", "c2"):
        fact = {
            "customer_id": customer_id,
            "transaction_id": "t1",
            "occurred_at": "2026-01-31T12:00:00Z",
            "amount": {"amount": "12.50"},
        }
        assert (await client.post("/v1/transactions", json=fact)).status_code == 201
    written = await put(client, "c1", name="Ann")
    patched = await client.patch("/v1/customers/c2", json={"name": "Bob"})
    assert (written.status_code, written.headers["etag"]) == (200, '"2"')
    assert (patched.status_code, patched.headers["etag"]) == (200, '"2"')
    assert written.json()["stage"] == patched.json()["stage"] == "initial"


async def test_patch_leaves_absent_fields_and_clears_those_with_null(
    client: httpx.AsyncClient,
) -> None:
    await put(client, "c1", **FULL)
    patched = await client.patch("/v1/customers/c1", json={"city": None, "name": "Ann"})
    nothing = await client.patch("/v1/customers/c1", json={})
    expected = FULL | {"first_contact_at": "2026-01-31T12:00:00Z", "city": None, "name": "Ann"}
    assert profile_of(patched) == expected
    assert patched.headers["etag"] == nothing.headers["etag"] == '"2"'


async def test_an_attribute_of_null_is_none(client: httpx.AsyncClient) -> None:
    made = await put(client, "c1", attributes={"a": None, "b": {"c": None}})
    assert made.json()["attributes"] == {"b": {"c": None}}
    again = await put(client, "c1", attributes={"b": {"c": None}})
    assert again.headers["etag"] == '"1"'


async def test_a_merge_patch_may_call_itself_one(client: httpx.AsyncClient) -> None:
    await put(client, "c1", name="Ann", city="Bonn")
    patched = await client.patch(
        "/v1/customers/c1",
        content=b'{"city":null}',
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert (patched.status_code, patched.json()["city"]) == (200, None)


@pytest.mark.parametrize(
    ("target", "change", "result"),
    [  # the cases of RFC 7396, appendix A, whose target and patch are objects
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": [None]}, {"a": 1}, {"e": [None], "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": 1}, None, {}),
        ({"a": True}, {"a": 1}, {"a": 1}),
        ({"a": [0]}, {"a": [False]}, {"a": [False]}),
    ],
    ids=str,
)
async def test_attributes_are_merged_as_rfc_7396_says(
    client: httpx.AsyncClient, target: Any, change: Any, result: Any
) -> None:
    await put(client, "c1", attributes=target)
    await put(client, "c2", attributes=target)
    patched = await client.patch("/v1/customers/c1", json={"attributes": change})
    items = [{"customer_id": "c2", "attributes": change}]
    merged = await client.post("/v1/customers/bulk", json={"items": items})
    got = await client.get("/v1/customers/c2")
    # Compared as text: in Python, True equals 1.
    assert repr(patched.json()["attributes"]) == repr(got.json()["attributes"])
    assert sorted(map(repr, patched.json()["attributes"].items())) == sorted(
        map(repr, result.items())
    )
    assert merged.json()["items"] == [
        {"index": 0, "status": "updated", "error": None, "warnings": []}
    ]


async def test_attributes_that_only_together_are_too_large_are_refused(
    client: httpx.AsyncClient,
) -> None:
    await put(client, "c1", attributes={"a": "x" * 9000})
    too_large = await client.patch("/v1/customers/c1", json={"attributes": {"b": "y" * 9000}})
    replacing = await client.patch("/v1/customers/c1", json={"attributes": {"a": "y" * 9000}})
    at_once = await client.put("/v1/customers/c1", json={"attributes": {"a": "x" * 17_000}})
    assert too_large.status_code == at_once.status_code == 422
    assert faults_of(too_large) == faults_of(at_once) == [("/attributes", "attributes")]
    assert (replacing.status_code, replacing.headers["etag"]) == (200, '"2"')


async def test_the_bound_of_attributes_is_in_bytes_of_utf_8(client: httpx.AsyncClient) -> None:
    fits = await client.put("/v1/customers/c1", json={"attributes": {"a": "客" * 5400}})
    exceeds = await client.put("/v1/customers/c1", json={"attributes": {"a": "客" * 5500}})
    assert (fits.status_code, exceeds.status_code) == (201, 422)


async def test_a_profile_that_changed_and_no_other_has_its_stage_revised(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    async def revise(*args: Any) -> None:
        asked.append(list(args[2]))

    monkeypatch.setattr(derivation, "revise", revise)
    profile = {"contract_ends_on": "2026-12-31"}
    for customer_id in ("c1", "c1", "c2"):
        await put(client, customer_id, **profile)
    assert asked == [["c1"], ["c2"]]
    for value in ("2026-12-31", None, None):
        await client.patch("/v1/customers/c1", json={"contract_ends_on": value})
    assert asked[2:] == [["c1"]]
    items = [{"customer_id": each, **profile} for each in ("c3", "c2", "c1")]
    await client.post("/v1/customers/bulk", json={"items": items})
    await client.post("/v1/customers/bulk", json={"items": items})
    assert asked[3:] == [["c1", "c3"]]


async def test_an_unknown_customer_is_not_found(client: httpx.AsyncClient) -> None:
    for path in (
        "", "/stage", "/transitions", "/transactions", "/interactions", "/timeline", "/scores",
    ):  # fmt: skip
        answer = await client.get(f"/v1/customers/nobody{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    patched = await client.patch("/v1/customers/nobody", json={"name": "Ann"})
    assert patched.status_code == 404


async def test_if_match_lets_only_the_newest_version_pass(client: httpx.AsyncClient) -> None:
    async def write(method: str, if_match: str) -> httpx.Response:
        return await client.request(
            method, "/v1/customers/c1", json={"name": if_match}, headers={"If-Match": if_match}
        )

    absent = [await write("PUT", tag) for tag in ('"1"', "*")]
    await put(client, "c1", name="Ann")
    stale = [await write(method, '"2"') for method in ("PUT", "PATCH")]
    unquoted = await write("PUT", "1")
    good = [await write("PUT", '"1"'), await write("PATCH", '"9","2"'), await write("PUT", "*")]
    for answer in (*absent, *stale, unquoted):
        assert (answer.status_code, answer.json()["code"]) == (412, "stale_version")
        assert faults_of(answer) == [("header:If-Match", "stale_version")]
    assert [answer.status_code for answer in good] == [200, 200, 200]
    assert good[-1].headers["etag"] == '"4"'


async def test_of_many_writers_that_saw_the_same_version_one_wins(
    own_client: httpx.AsyncClient,
) -> None:
    await put(own_client, "c1", name="Ann")
    answers = await asyncio.gather(
        *(
            own_client.request(
                "PATCH" if number % 2 else "PUT",
                "/v1/customers/c1",
                json={"name": f"writer {number}"},
                headers={"If-Match": '"1"'},
            )
            for number in range(20)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 19
    winner = next(answer for answer in answers if answer.status_code == 200)
    assert (await own_client.get("/v1/customers/c1")).json()["name"] == winner.json()["name"]


# --- lists ---------------------------------------------------------------------------------------


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


# --- bulk ----------------------------------------------------------------------------------------


async def test_a_bulk_merges_known_customers_and_makes_new_ones(
    client: httpx.AsyncClient,
) -> None:
    await put(client, "c1", name="Ann", city="Bonn", attributes={"a": 1})
    items = [
        {"customer_id": "c2", "name": "王小明"},
        {"customer_id": "c1", "city": None, "attributes": {"b": 2}},
        {"customer_id": "c3"},
        {"customer_id": "c1"},
    ]
    answer = await client.post("/v1/customers/bulk", json={"items": items})
    assert answer.json() == {
        "counts": {"created": 2, "updated": 1, "duplicate": 1, "rejected": 0},
        "items": [
            {"index": index, "status": status, "error": None, "warnings": []}
            for index, status in enumerate(("created", "updated", "created", "duplicate"))
        ],
        "warnings": [],
    }
    one = (await client.get("/v1/customers/c1")).json()
    assert (one["name"], one["city"], one["attributes"]) == ("Ann", None, {"a": 1, "b": 2})
    assert [one["profile_version"]] == [2]
    assert (await client.get("/v1/customers/c2")).headers["etag"] == '"1"'


async def test_the_same_customer_twice_in_a_batch_is_merged_in_order(
    client: httpx.AsyncClient,
) -> None:
    items = [
        {"customer_id": "c1", "name": "first", "city": "Bonn"},
        {"customer_id": "c1", "name": "second"},
        {"customer_id": "c1", "name": "second"},
        {"customer_id": "c1", "attributes": {"a": {"b": 1}}},
        {"customer_id": "c1", "attributes": {"a": {"c": 2}}, "city": None},
    ]
    answer = (await client.post("/v1/customers/bulk", json={"items": items})).json()
    one = (await client.get("/v1/customers/c1")).json()
    assert [item["status"] for item in answer["items"]] == [
        "created", "updated", "duplicate", "updated", "updated",
    ]  # fmt: skip
    assert (one["name"], one["city"]) == ("second", None)
    assert one["attributes"] == {"a": {"b": 1, "c": 2}}


async def test_a_partial_bulk_rejects_only_what_is_wrong(client: httpx.AsyncClient) -> None:
    items: list[Any] = [
        {"customer_id": "c1", "name": "Ann"},
        {"customer_id": "c2", "kind": "robot", "time_zone": "Mars/Base"},
        {"name": "nobody"},
        "not an object",
        None,
        {"customer_id": "c3", "surprise": 1},
        {"customer_id": "c4", "attributes": {"a": "x" * 9000}},
        {"customer_id": "c4", "attributes": {"b": "x" * 9000}, "name": "lost"},
        {"customer_id": "c5"},
    ]
    answer = await client.post("/v1/customers/bulk", json={"items": items})
    body = answer.json()
    assert answer.status_code == 200
    assert body["counts"] == {"created": 3, "updated": 0, "duplicate": 0, "rejected": 6}
    assert [item["index"] for item in body["items"]] == list(range(9))
    assert {
        item["index"]: [error["pointer"] for error in item["error"]["errors"]]
        for item in body["items"]
        if item["error"]
    } == {
        1: ["/items/1/kind", "/items/1/time_zone"],
        2: ["/items/2/customer_id"],
        3: ["/items/3"],
        4: ["/items/4"],
        5: ["/items/5/surprise"],
        7: ["/items/7/attributes"],
    }
    assert await ids(client) == ["c1", "c4", "c5"]
    assert (await client.get("/v1/customers/c4")).json()["name"] is None


async def test_an_atomic_bulk_with_a_fault_writes_nothing(client: httpx.AsyncClient) -> None:
    good = {"customer_id": "c1", "name": "Ann"}
    big = [{"customer_id": "c1", "attributes": {key: "x" * 9000}} for key in "ab"]
    for bad, pointer in (
        ([{"customer_id": "c2", "kind": "robot"}], "/items/1/kind"),
        (big, "/items/2/attributes"),
    ):
        body = {"items": [good, *bad], "mode": "atomic"}
        answer = await client.post("/v1/customers/bulk", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "batch_rejected")
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert await ids(client) == []
    answer = await client.post("/v1/customers/bulk", json={"items": [good], "mode": "atomic"})
    assert answer.json()["counts"]["created"] == 1


@pytest.mark.parametrize("path", ["/v1/customers/bulk", "/v1/transactions/bulk"])
async def test_a_bulk_takes_one_to_a_thousand_items(client: httpx.AsyncClient, path: str) -> None:
    for size, code in ((0, "too_short"), (1001, "too_long"), (2000, "too_long")):
        answer = await client.post(path, json={"items": [{"customer_id": "c1"}] * size})
        assert answer.status_code == 422
        assert faults_of(answer) == [("/items", code)]
    full = [{"customer_id": f"c{number}"} for number in range(1000)]
    answer = await client.post("/v1/customers/bulk", json={"items": full})
    assert answer.json()["counts"]["created"] == 1000


async def test_bulks_of_the_same_customers_in_any_order_do_not_deadlock(
    own_client: httpx.AsyncClient,
) -> None:
    def batch(number: int) -> dict[str, Any]:
        order = range(50) if number % 2 else range(49, -1, -1)
        return {
            "items": [
                {"customer_id": f"c{each}", "attributes": {f"by{number}": each}} for each in order
            ]
        }

    answers = await asyncio.gather(
        *(own_client.post("/v1/customers/bulk", json=batch(number)) for number in range(12))
    )
    assert {answer.status_code for answer in answers} == {200}
    made = sum(answer.json()["counts"]["created"] for answer in answers)
    assert made == 50
    for each in (0, 25, 49):
        one = (await own_client.get(f"/v1/customers/c{each}")).json()
        assert one["attributes"] == {f"by{number}": each for number in range(12)}
