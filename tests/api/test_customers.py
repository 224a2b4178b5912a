"""The profile of one customer over HTTP."""

import asyncio
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.schemas.customers import Customer, Profile
from app.services.stages import derivation
from tests.profiles import EMPTY, FULL, faults_of, profile_of, put


def test_every_field_of_a_profile_is_written_and_shown_here() -> None:
    assert FULL.keys() == Profile.model_fields.keys()
    assert FULL.keys() <= Customer.model_fields.keys()


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
