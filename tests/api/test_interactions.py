"""Interactions over HTTP."""

import hashlib
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import select

from app.models import Interaction, InteractionRevision
from app.postgres.db import Database
from app.schemas.ingest.interactions import CORE_KINDS

BULK = "/v1/interactions/bulk"


def interaction(**changes: object) -> dict[str, Any]:
    return {
        "customer_id": "c1",
        "interaction_id": "i1",
        "occurred_at": "2026-01-31T12:00:00Z",
        "kind": "survey",
        **changes,
    }


FULL = interaction(
    source="helpdesk",
    channel="phone",
    campaign="spring",
    outcome=None,
    score=4,
    text="很好 😀\nthanks",
    attributes={"a": {"b": [1, 2.5, None, True]}, "n": 1},
)


async def post(client: httpx.AsyncClient, **changes: object) -> tuple[int, str]:
    answer = await client.post("/v1/interactions", json=interaction(**changes))
    return answer.status_code, answer.json()["status"]


async def listed(client: httpx.AsyncClient, customer_id: str = "c1", **params: Any) -> list[Any]:
    path = f"/v1/customers/{quote(customer_id, safe='')}/interactions"
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    items: list[Any] = answer.json()["items"]
    return items


async def test_an_interaction_comes_back_as_it_was_sent_and_makes_its_customer(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/v1/interactions", json=FULL)
    again = await client.post("/v1/interactions", json=interaction(interaction_id="i2"))
    assert (answer.status_code, again.status_code) == (201, 201)
    body = answer.json()
    assert (body["status"], body["customer_created"]) == ("created", True)
    own = {"revision": 1, "received_at": "2026-06-01T12:00:00Z", "voided": None}
    assert body["interaction"] == FULL | own
    assert not again.json()["customer_created"]
    bare = dict.fromkeys(("channel", "campaign", "outcome", "score", "text")) | {"attributes": {}}
    assert again.json()["interaction"].items() >= bare.items()
    customer = (await client.get("/v1/customers/c1")).json()
    assert (customer["stage"], customer["profile_version"]) == ("potential", 1)


async def test_the_same_fact_again_is_a_duplicate_however_it_is_written(
    client: httpx.AsyncClient,
) -> None:
    await client.post("/v1/interactions", json=FULL)
    rewritten = {
        "score": 4.0,
        "occurred_at": "2026-01-31T13:00:00+01:00",
        "attributes": {"n": 1.0, "a": {"b": [1.0, 2.5, None, True]}},
        "revision": 1,
    }
    again = await client.post("/v1/interactions", json=FULL | rewritten)
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    assert await post(client) == (201, "created")  # of another source
    assert await post(client, attributes={}, score=None) == (200, "duplicate")


async def test_without_an_outcome_it_is_known_by_what_it_was_before_there_were_any(
    client: httpx.AsyncClient, database: Database
) -> None:
    """What a former release has stored is told again by the fields that it knew, in their order."""
    content = {"kind": "call", "channel": "phone", "campaign": None, "text": "hello"}
    assert await post(client, **content) == (201, "created")
    said = ["call", "2026-01-31T12:00:00Z", "phone", None, None, "hello", None]
    digest = hashlib.blake2b(repr(said).encode(), digest_size=16).digest()
    async with database.reads() as session:
        assert await session.scalar(select(Interaction.fingerprint)) == digest
    assert (await client.post("/v1/interactions", json=interaction(
        **content, outcome="reached"))).status_code == 409  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "visit"},
        {"occurred_at": "2026-01-31T12:00:00.000001Z"},
        {"channel": None},
        {"campaign": "summer"},
        {"outcome": "answered"},
        {"score": 4.5},
        {"score": None},
        {"text": "很好"},
        {"attributes": {"a": {"b": [1, 2.5, None, 1]}, "n": 1}},
        {"attributes": {"a": {"b": [1, 2.5, None, True]}, "n": "1"}},
        {"attributes": None},
    ],
    ids=str,
)
async def test_other_content_of_one_revision_is_a_conflict(
    client: httpx.AsyncClient, changes: dict[str, object]
) -> None:
    await client.post("/v1/interactions", json=FULL)
    conflict = await client.post("/v1/interactions", json=FULL | changes)
    assert (conflict.status_code, conflict.json()["code"]) == (409, "conflict")
    [kept] = await listed(client)
    assert {name: kept[name] for name in FULL} == FULL


async def test_a_higher_revision_replaces_and_each_is_kept(
    client: httpx.AsyncClient, database: Database
) -> None:
    assert await post(client, score=1) == (201, "created")
    assert await post(client, score=3, revision=3) == (200, "updated")
    assert await post(client, score=2, revision=2, attributes={"a": 1}) == (200, "duplicate")
    assert await post(client, score=2, revision=2, attributes={"a": 1}) == (200, "duplicate")
    for revision in (1, 2, 3):  # a revision that is not in force cannot be told otherwise either
        answer = await client.post("/v1/interactions", json=interaction(score=9, revision=revision))
        assert answer.status_code == 409
    assert [(each["revision"], each["score"]) for each in await listed(client)] == [(3, 3)]
    async with database.reads() as session:
        kept = await session.scalars(
            select(InteractionRevision).order_by(InteractionRevision.revision)
        )
        contents = [(row.revision, row.content) for row in kept]
    assert [(revision, float(content["score"])) for revision, content in contents] == [
        (1, 1.0),
        (2, 2.0),
    ]
    assert contents[1][1]["attributes"] == {"a": 1}
    assert contents[0][1].keys() == contents[1][1].keys()


async def test_a_batch_folds_items_of_one_identity_and_tells_of_each(
    client: httpx.AsyncClient,
) -> None:
    items = [
        interaction(score=4),
        interaction(score=4.0),
        interaction(score=5),
        interaction(score=5, revision=2),
        interaction(score="x"),
        interaction(customer_id="c2"),
        interaction(source="crm"),
        interaction(occurred_at="2026-06-02T12:00:01Z", interaction_id="i9"),
    ]
    answer = (await client.post(BULK, json={"items": items})).json()
    assert [(item["status"], (item["error"] or {}).get("code")) for item in answer["items"]] == [
        ("created", None),
        ("duplicate", None),
        ("rejected", "conflict"),
        ("updated", None),
        ("rejected", "validation_failed"),
        ("created", None),
        ("created", None),
        ("rejected", "validation_failed"),
    ]
    assert answer["counts"] == {"created": 3, "updated": 1, "duplicate": 1, "rejected": 3}
    assert answer["customers_created"] == 2
    assert answer["items"][4]["error"]["errors"][0]["pointer"] == "/items/4/score"
    assert answer["items"][7]["error"]["errors"][0]["pointer"] == "/items/7/occurred_at"
    assert {(each["source"], each["score"]) for each in await listed(client)} == {
        ("default", 5),
        ("crm", None),
    }


@pytest.mark.parametrize(
    ("bad", "pointer"),
    [
        ({"kind": "9"}, "/items/1/kind"),
        ({"occurred_at": "2026-06-02T12:00:01Z"}, "/items/1/occurred_at"),
        ({"interaction_id": "i1", "score": 9}, "/items/1"),
        ({"score": 99}, "/items/1/score"),
    ],
)
async def test_an_atomic_batch_is_written_whole_or_not_at_all(
    client: httpx.AsyncClient, bad: dict[str, object], pointer: str
) -> None:
    items = [interaction(), interaction(**{"interaction_id": "i2", **bad})]
    refused = await client.post(BULK, json={"items": items, "mode": "atomic"})
    assert (refused.status_code, refused.json()["code"]) == (422, "batch_rejected")
    assert [each["pointer"] for each in refused.json()["errors"]] == [pointer]
    assert (await client.get("/v1/customers/c1")).status_code == 404
    whole = await client.post(BULK, json={"items": items[:1], "mode": "atomic"})
    assert whole.json()["counts"]["created"] == 1


async def test_a_batch_of_a_thousand_is_accepted_and_of_one_more_refused(
    client: httpx.AsyncClient,
) -> None:
    items = [interaction(interaction_id=f"i{number}") for number in range(1001)]
    refused = await client.post(BULK, json={"items": items})
    accepted = await client.post(BULK, json={"items": items[1:]})
    assert (refused.status_code, accepted.status_code) == (422, 200)
    assert accepted.json()["counts"]["created"] == 1000


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"occurred_at": "2026-06-02T12:00:01Z"}, "/occurred_at"),
        ({"kind": "a" * 65}, "/kind"),
        ({"kind": "visit\n"}, "/kind"),
        ({"score": 10.1}, "/score"),
        ({"score": 100.1, "kind": "visit"}, "/score"),
        ({"outcome": ""}, "/outcome"),
        ({"score": True}, "/score"),
        ({"text": "x" * 4001}, "/text"),
        ({"attributes": {"a": [[[[[[]]]]]]}}, "/attributes"),
        ({"interaction_id": "a\nb"}, "/interaction_id"),
        ({"interaction_id": "e\u0301"}, "/interaction_id"),
        ({"customer_id": "a\u0000"}, "/customer_id"),
        ({"revision": 0}, "/revision"),
        ({"transaction_id": "t1"}, "/transaction_id"),
    ],
    ids=lambda value: ascii(value)[:40],
)
async def test_bad_input_points_to_its_field(
    client: httpx.AsyncClient, changes: dict[str, object], pointer: str
) -> None:
    answer = await client.post("/v1/interactions", json=interaction(**changes))
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_the_bounds_themselves_are_accepted(client: httpx.AsyncClient) -> None:
    for number, changes in enumerate(
        (
            {"occurred_at": "2026-06-02T12:00:00Z"},
            {"kind": "a" * 64},
            {"kind": "x_9"},
            {"score": 0},
            {"score": -0.0},
            {"score": 10},
            {"score": 100, "kind": "visit"},
            {"score": 1e-300},
            {"text": "客" * 4000},
            {"attributes": {"a": "x" * 16_300}},
            {"revision": 2**63 - 1},
            *({"kind": kind} for kind in CORE_KINDS),
        )
    ):
        assert await post(client, interaction_id=f"i{number}", **changes) == (201, "created")
    assert await post(client, interaction_id="i4", score=0) == (200, "duplicate")


@pytest.mark.parametrize("name", ["客户-1", "a b", "é", "😀" * 128, "..."])
async def test_any_id_that_is_allowed_is_kept_to_the_byte(
    client: httpx.AsyncClient, name: str
) -> None:
    ids = {"customer_id": name, "source": name, "interaction_id": name}
    assert await post(client, **ids) == (201, "created")
    assert await post(client, **ids) == (200, "duplicate")
    [kept] = await listed(client, name)
    assert {field: kept[field] for field in ids} == ids


async def test_a_list_is_newest_first_and_may_be_of_one_kind(client: httpx.AsyncClient) -> None:
    times = {"i1": "2026-01-02", "i2": "2026-01-03", "i3": "2026-01-01", "i4": "2026-01-03"}
    for number, (name, day) in enumerate(times.items()):
        kind = "visit" if number % 2 else "call"
        await post(client, interaction_id=name, occurred_at=f"{day}T12:00:00Z", kind=kind)

    async def ids(**params: Any) -> list[str]:
        return [each["interaction_id"] for each in await listed(client, **params)]

    assert await ids() == ["i4", "i2", "i1", "i3"]
    assert await ids(sort="occurred_at") == ["i3", "i1", "i2", "i4"]
    assert await ids(kind="visit") == ["i4", "i2"]
    assert await ids(kind="other") == []
    path = "/v1/customers/c1/interactions?limit=1"
    first = (await client.get(f"{path}&kind=visit")).json()
    rest = await ids(kind="visit", limit=1, cursor=first["next_cursor"])
    other = await client.get(f"{path}&kind=call&cursor={first['next_cursor']}")
    assert ([each["interaction_id"] for each in first["items"]], rest) == (["i4"], ["i2"])
    assert (other.status_code, other.json()["code"]) == (400, "invalid_cursor")
    wrong = await client.get(f"{path}&kind=9")
    assert [each["pointer"] for each in wrong.json()["errors"]] == ["query:kind"]


async def test_an_interaction_and_a_transaction_of_one_name_are_two_facts(
    client: httpx.AsyncClient,
) -> None:
    fact = {"customer_id": "c1", "occurred_at": "2026-01-31T12:00:00Z"}
    bought = await client.post(
        "/v1/transactions", json={**fact, "transaction_id": "i1", "amount": {"amount": "1"}}
    )
    assert bought.status_code == 201
    assert await post(client) == (201, "created")
