"""Voided facts count for nothing anywhere, in any order of facts, revisions and voidings."""

import asyncio
import itertools
import random
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app.deployment import Deployment
from app.errors import AlreadyVoided, NotFound
from app.models import InteractionDay, InteractionRevision, TransactionRevision
from app.postgres.db import WriteSession
from app.services.ingest import transactions
from app.services.ingest.voids import Voiding
from tests import histories
from tests.database import NOW
from tests.kept import as_item, ingest, kept_ledger, kept_summary, store_model
from tests.twin import Fact, Twin

PATH = "/v1/transactions"
ODD = "7/31#1 50%?"


def purchase(**changes: object) -> dict[str, Any]:
    return {
        "customer_id": "c1",
        "transaction_id": "t1",
        "occurred_at": "2026-01-31T12:00:00Z",
        "amount": {"amount": "12.50"},
        **changes,
    }


def call(**changes: object) -> dict[str, Any]:
    return {
        "customer_id": "c1",
        "interaction_id": "i1",
        "occurred_at": "2026-01-31T12:00:00Z",
        "kind": "call",
        "score": 4.5,
        "attributes": {"a": 1.5},
        **changes,
    }


async def void(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    query = {"customer_id": "c1", "transaction_id": "t1", "reason": "entered twice", **changes}
    path = PATH
    if "interaction_id" in changes:
        del query["transaction_id"]
        path = "/v1/interactions"
    return await client.delete(path, params=query)


async def listed(client: httpx.AsyncClient, noun: str = "transaction", **query: Any) -> list[Any]:
    answer = await client.get(f"/v1/customers/c1/{noun}s", params=query)
    assert answer.status_code == 200, answer.text
    items: list[Any] = answer.json()["items"]
    return items


async def days(client: httpx.AsyncClient) -> int:
    found: int = (await client.get("/v1/customers/c1/scores")).json()["purchase_days"]
    return found


@pytest.mark.parametrize("named", ["t1", "#1001", "7/31", "50%", "a?b", "a b", "..", "a&b=c", "+1"])
async def test_a_voided_transaction_counts_for_nothing_and_is_shown_on_request(
    client: httpx.AsyncClient, clock: Any, named: str
) -> None:
    items = "/v1/transactions/bulk"
    lines = [{"product_id": "p", "quantity": 1.5, "unit_price": {"amount": "12.50"}}]
    item = purchase(
        transaction_id=named, source=named, margin={"amount": "-3"}, items=lines,
        attributes={"a": [1.5, None]}, channel="web", exchange_rate="1",
    )  # fmt: skip
    other = purchase(transaction_id="t2", occurred_at="2026-02-03T12:00:00Z")
    answer = await client.post(items, json={"items": [item, other]})
    assert answer.json()["counts"]["created"] == 2
    [before] = [each for each in await listed(client) if each["transaction_id"] == named]
    assert before["voided"] is None
    clock.now += timedelta(minutes=5)
    voided = await void(client, transaction_id=named, source=named)
    assert voided.status_code == 200, voided.text
    told = voided.json()["transaction"]["voided"]
    assert (told["voided_at"], told["reason"]) == ("2026-06-01T12:05:00Z", "entered twice")
    assert told["actor"]
    assert voided.json() == {"transaction": before | {"voided": told}, "warnings": []}
    assert await days(client) == 1
    assert [each["transaction_id"] for each in await listed(client)] == ["t2"]
    whole = await listed(client, include_voided=True)
    assert whole == [*await listed(client), before | {"voided": told}]
    first = (await client.get("/v1/customers/c1/transactions?include_voided=true&limit=1")).json()
    rest = await listed(client, include_voided=True, limit=1, cursor=first["next_cursor"])
    assert first["items"] + rest == whole
    assert (
        len((await client.get("/v1/customers/c1/timeline?type=transaction")).json()["items"]) == 1
    )


async def test_a_voided_interaction_is_counted_on_no_day(
    client: httpx.AsyncClient, session: WriteSession
) -> None:
    await client.post("/v1/interactions", json=call())
    await client.post("/v1/interactions", json=call(interaction_id="i2"))
    [*_, before] = await listed(client, "interaction")
    voided = (await void(client, interaction_id="i1")).json()
    assert voided["interaction"] == before | {"voided": voided["interaction"]["voided"]}
    assert await session.scalar(select(func.sum(InteractionDay.count))) == 1
    assert [each["interaction_id"] for each in await listed(client, "interaction")] == ["i2"]
    kept = await listed(client, "interaction", include_voided=True, kind="call")
    assert len(kept) == 2
    await void(client, interaction_id="i2")
    assert await session.scalar(select(func.count()).select_from(InteractionDay)) == 0
    await client.post("/v1/interactions", json=call(revision=2, kind="visit"))
    days = (await session.execute(select(InteractionDay.kind, InteractionDay.count))).all()
    assert days == [("visit", 1)]
    assert await session.scalar(select(func.count()).select_from(InteractionRevision)) == 2


async def test_a_higher_revision_brings_it_back_and_no_other_does(
    client: httpx.AsyncClient,
) -> None:
    await client.post(PATH, json=purchase(revision=3))
    await void(client)
    for revision in (3, 2):
        answer = await client.post(PATH, json=purchase(revision=revision))
        assert (answer.status_code, answer.json()["status"]) == (200, "duplicate")
        assert [each["code"] for each in answer.json()["warnings"]] == ["voided"]
        assert answer.json()["transaction"]["voided"]["reason"] == "entered twice"
    conflict = await client.post(PATH, json=purchase(revision=3, amount={"amount": "9"}))
    assert conflict.status_code == 409
    assert await days(client) == 0
    back = await client.post(PATH, json=purchase(revision=4, amount={"amount": "9"}))
    assert (back.json()["status"], back.json()["warnings"]) == ("updated", [])
    assert back.json()["transaction"]["voided"] is None
    assert await days(client) == 1
    late = (await client.post(PATH, json=purchase(revision=3))).json()
    assert [each["code"] for each in late["warnings"]] == ["superseded"]
    again = await void(client)
    assert again.json()["transaction"]["revision"] == 4
    assert len(await listed(client, include_voided=True)) == 1
    assert await days(client) == 0


async def test_a_lower_revision_may_be_voided_late_and_nothing_happens(
    client: httpx.AsyncClient, session: WriteSession
) -> None:
    for revision in (1, 2):
        await client.post(PATH, json=purchase(revision=revision))
    answer = (await void(client, revision=1)).json()
    assert answer["transaction"]["voided"] is None
    assert answer["transaction"]["revision"] == 2
    told = [(each["code"], each["pointer"]) for each in answer["warnings"]]
    assert told == [("superseded", "query:revision")]
    assert await session.scalar(select(TransactionRevision.void_reason)) == "entered twice"
    assert await days(client) == 1
    assert len(await listed(client, include_voided=True)) == 1


async def test_what_cannot_be_voided_is_told_why_and_nothing_changes(
    client: httpx.AsyncClient,
) -> None:
    unknown = await void(client)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert (await client.get("/v1/customers/c1")).status_code == 404
    await client.post(PATH, json=purchase(revision=2))
    for changes in (
        {"source": "other"},
        {"transaction_id": "t2"},
        {"revision": 3},
        {"revision": 1},
    ):
        assert (await void(client, **changes)).status_code == 404
    assert (await client.get("/v1/customers/c1/scores")).json()["purchase_days"] == 1
    await void(client)
    for changes in ({}, {"revision": 2}):
        twice = await void(client, **changes)
        assert (twice.status_code, twice.json()["code"]) == (409, "already_voided")
        assert "entered twice" in twice.json()["detail"]
    await client.post(PATH, json=purchase(revision=1))
    assert (await void(client, revision=1)).json()["code"] == "already_voided"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"reason": None}, "query:reason"),
        ({"reason": ""}, "query:reason"),
        ({"reason": "x" * 201}, "query:reason"),
        ({"reason": "a\x00b"}, "query:reason"),
        ({"transaction_id": ""}, "query:transaction_id"),
        ({"transaction_id": None}, "query:transaction_id"),
        ({"transaction_id": "a\nb"}, "query:transaction_id"),
        ({"customer_id": "a/b"}, "query:customer_id"),
        ({"customer_id": None}, "query:customer_id"),
        ({"source": " a"}, "query:source"),
        ({"revision": 0}, "query:revision"),
        ({"revision": 2**63}, "query:revision"),
        ({"revision": "x"}, "query:revision"),
        ({"surprise": 1}, "query:surprise"),
    ],
)
async def test_a_bad_parameter_of_a_voiding_is_pointed_to(
    client: httpx.AsyncClient, changes: dict[str, Any], pointer: str
) -> None:
    await client.post(PATH, json=purchase())
    query = {"customer_id": "c1", "transaction_id": "t1", "reason": "x", **changes}
    query = {name: value for name, value in query.items() if value is not None}
    answer = await client.delete(PATH, params=query)
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]
    assert len(await listed(client)) == 1


# --- any order -----------------------------------------------------------------------------------

REVISIONS = (1, 2, 3)


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_of_revisions_and_voidings_ends_the_same(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    """The highest revision and the highest voided one say the end, and nothing else does."""
    rng = random.Random(seed)
    orders = list(itertools.permutations([*REVISIONS, -1, -2, -3]))
    for number, order in enumerate(rng.sample(orders, 25)):
        customer_id = f"c{seed}-{number}"
        steps = list(order)[: rng.randint(2, 6)]
        known, voided = set[int](), set[int]()
        for step in steps:
            if step > 0:
                item = purchase(
                    customer_id=customer_id, revision=step, amount={"amount": str(step)}
                )
                [status] = await ingest(session, deployment, [item], NOW)
                before = max(known, default=0)
                assert status == ("created" if not known else "updated" if step > before
                                  else "duplicate")  # fmt: skip
                known.add(step)
                continue
            asked = Voiding((customer_id, "default", "t1"), -step, "x", "key")
            try:
                await transactions.void(session, deployment, asked, now=NOW)
            except NotFound:
                assert -step not in known
            except AlreadyVoided:
                assert max(voided) >= -step
            else:
                voided.add(-step)
        highest = max(known, default=0)
        counts = highest if highest > max(voided, default=0) else 0
        if known:
            summary = await kept_summary(session, customer_id)
            assert summary["revenue"] == counts
            assert bool(await kept_ledger(session, customer_id)) == bool(counts)


@pytest.mark.parametrize("seed", range(8))
async def test_what_is_left_after_voidings_agrees_with_the_twin(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    rng = random.Random(seed)
    await store_model(session, f"model_voids_{seed}")
    zone = deployment.calendar.zone
    facts = histories.facts(rng, zone, NOW.astimezone(zone).date(), revise=True)
    facts = [fact for fact in facts if fact.at <= NOW] or [
        Fact(("shop", "t"), NOW - timedelta(days=1), "purchase", 5)
    ]
    steps: list[tuple[str, Fact]] = [("post", fact) for fact in facts]
    voided = {fact.name: fact for fact in rng.sample(facts, max(1, len(facts) // 3))}
    told: dict[tuple[str, str], int] = {}
    rng.shuffle(steps)
    for _, fact in steps:
        await ingest(session, deployment, [as_item("c1", fact)], NOW)
        if rng.random() < 0.4 and fact.name in voided:
            told[fact.name] = await voided_now(session, deployment, fact, told)
    for name, fact in voided.items():
        if name not in told:
            told[name] = await voided_now(session, deployment, fact, told)
    left = [fact for fact in facts if fact.revision > told.get(fact.name, 0)]
    assert await kept_ledger(session, "c1") == Twin(left, zone).ledger(NOW)
    assert await kept_summary(session, "c1") == Twin(left, zone).summary(NOW)


async def voided_now(
    session: WriteSession, deployment: Deployment, fact: Fact, told: dict[tuple[str, str], int]
) -> int:
    """Void what is in force of a fact; return the revision."""
    asked = Voiding(("c1", *fact.name), None, "x", "key")
    try:
        answer = await transactions.void(session, deployment, asked, now=NOW)
    except AlreadyVoided:
        return told[fact.name]
    revision: int = answer["transaction"]["revision"]
    return revision


async def test_voidings_and_revisions_at_the_same_time_end_as_one_after_the_other(
    own_client: httpx.AsyncClient,
) -> None:
    """Four void revision 1 while others post 1 and 2: one is told it voided, and 2 counts."""
    for number in range(6):
        named = {"customer_id": f"c{number}", "transaction_id": ODD}
        await own_client.post(PATH, json=purchase(**named))
        query = {**named, "revision": 1, "reason": "entered twice"}
        answers = await asyncio.gather(
            *(own_client.delete(PATH, params=query) for _ in range(4)),
            *(own_client.post(PATH, json=purchase(**named, revision=n)) for n in (1, 2, 1, 2)),
        )
        statuses = [answer.status_code for answer in answers]
        assert sorted(statuses[:4]) == [200, 409, 409, 409]
        assert statuses[4:] == [200] * 4
        told = [answer.json()["status"] for answer in answers[4:]]
        assert sorted(told) == ["duplicate", "duplicate", "duplicate", "updated"]
        found = (await own_client.get(f"/v1/customers/c{number}/transactions")).json()["items"]
        assert [each["revision"] for each in found] == [2]
        scores = (await own_client.get(f"/v1/customers/c{number}/scores")).json()
        assert scores["purchase_days"] == 1
