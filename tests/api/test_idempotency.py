"""POST requests that name an `Idempotency-Key`."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import select, text

from app.config import Settings
from app.models import IdempotencyKey
from app.postgres.db import Database, database_time
from app.schemas.policies.policies import POLICY_EXAMPLE
from app.schemas.worklist_rules import RULES_EXAMPLE
from app.services.operations import housekeeping
from tests import openapi
from tests.database import Clock, make_client, writing


def purchase(**changes: object) -> dict[str, object]:
    return {
        "customer_id": "c1",
        "transaction_id": "t1",
        "occurred_at": "2026-01-31T12:00:00Z",
        "amount": {"amount": "12.50"},
        **changes,
    }


async def post(
    client: httpx.AsyncClient, key: str | bytes, body: Any, path: str = "/v1/transactions"
) -> httpx.Response:
    return await client.post(path, json=body, headers={"Idempotency-Key": key})  # type: ignore[dict-item]


async def kept(database: Database) -> list[tuple[str, int | None]]:
    async with database.reads() as session:
        rows = await session.execute(
            select(IdempotencyKey.idempotency_key, IdempotencyKey.status).order_by(
                IdempotencyKey.idempotency_key
            )
        )
        return [tuple(row) for row in rows]


VISIT = {
    "customer_id": "c1",
    "interaction_id": "i1",
    "occurred_at": "2026-01-31T12:00:00Z",
    "kind": "visit",
}
REPEATABLE: dict[str, Any] = {
    "/v1/transactions": purchase(),
    "/v1/transactions/bulk": {"items": [purchase()]},
    "/v1/interactions": VISIT,
    "/v1/interactions/bulk": {"items": [VISIT]},
    "/v1/customers/bulk": {"items": [{"customer_id": "c1", "name": "王小明"}]},
    "/v1/models": {},
    "/v1/backtests": {},
    "/v1/scoring-runs": {},
    "/v1/rebuilds": {},
    "/v1/policies": POLICY_EXAMPLE,
    "/v1/worklist-rules": RULES_EXAMPLE,
}
SHOWN_ONCE = {"/v1/keys"}
"""Their answers are replayed without the secret."""
PATHS_OF_ONE = {
    "/v1/models/{model_id}/activate",
    "/v1/customers/{customer_id}/churn-records",
    "/v1/customers/{customer_id}/stage/override",
    "/v1/operations/{operation_id}/cancel",
    "/v1/policies/{version}/activate",
    "/v1/policies/{version}/preview",
    "/v1/policies/{version}/season",
    "/v1/worklist-rules/{version}/activate",
    "/v1/keys/{key_id}/rotate",
}


def test_the_list_of_repeatable_operations_is_whole() -> None:
    document = openapi.committed()
    posts = {path for path, methods in document["paths"].items() if "post" in methods}
    # To score, to ask, or to try a mapping, has no effect to repeat. A file is read while it
    # arrives, and has none either that would not be there already.
    assert posts == {
        *REPEATABLE, *PATHS_OF_ONE, *SHOWN_ONCE, "/v1/score", "/v1/scores/lookup",
        "/v1/imports", "/v1/mappings/propose", "/v1/mappings/test",
        "/v1/customers/query", "/v1/customers/aggregate", "/v1/segments/{code}/preview",
    }  # fmt: skip
    for path in (*REPEATABLE, *PATHS_OF_ONE, *SHOWN_ONCE):
        names = [each["name"] for each in document["paths"][path]["post"]["parameters"]]
        assert "Idempotency-Key" in names


@pytest.mark.parametrize("path", REPEATABLE)
async def test_a_repeated_post_gets_the_first_answer_again(
    client: httpx.AsyncClient, clock: Clock, path: str
) -> None:
    first = await post(client, "k1", REPEATABLE[path], path)
    clock.now += timedelta(hours=1)
    again = await post(client, "k1", REPEATABLE[path], path)
    own = {"x-request-id", "idempotent-replayed", "date"}
    assert first.is_success
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert {k: v for k, v in again.headers.items() if k not in own} == {
        k: v for k, v in first.headers.items() if k not in own
    }
    assert again.headers["x-request-id"] != first.headers["x-request-id"]


async def test_the_answer_is_replayed_even_when_the_effect_was_changed_since(
    client: httpx.AsyncClient,
) -> None:
    first = await post(client, "k1", purchase())
    await client.post("/v1/transactions", json=purchase(amount={"amount": "99.00"}, revision=2))
    again = await post(client, "k1", purchase())
    assert (again.status_code, again.json()) == (201, first.json())


async def test_a_key_used_with_another_request_is_refused(client: httpx.AsyncClient) -> None:
    await post(client, "k1", purchase())
    answers = [
        await post(client, "k1", purchase(amount={"amount": "13.00"})),
        await post(client, "k1", purchase(), "/v1/customers/bulk"),
        await post(client, "k1", {"items": [purchase()]}, "/v1/transactions/bulk"),
        await post(client, "k1", {"not": "valid"}),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
        assert answer.headers["content-type"] == "application/problem+json"
    assert "idempotent-replayed" in (await post(client, "k1", purchase())).headers


async def test_a_quoted_key_is_the_same_as_the_bare_one(client: httpx.AsyncClient) -> None:
    first = await post(client, '"k 1"', purchase())
    again = await post(client, "k 1", purchase())
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == first.content


async def test_only_successes_are_kept(client: httpx.AsyncClient, database: Database) -> None:
    await client.post("/v1/transactions", json=purchase())
    conflict = await post(client, "k1", purchase(amount={"amount": "13.00"}))
    invalid = await post(client, "k2", purchase(amount={"amount": "x"}))
    broken = await client.post("/v1/transactions", content=b"{", headers={"Idempotency-Key": "k3"})
    rejected = await post(client, "k4", {"items": [{}], "mode": "atomic"}, "/v1/customers/bulk")
    missing = await post(client, "k5", {"model_id": "none"}, "/v1/scoring-runs")
    codes = [each.status_code for each in (conflict, invalid, broken, rejected, missing)]
    assert codes == [409, 422, 400, 422, 404]
    assert await kept(database) == []
    # A key whose request failed is free: nothing happened under it.
    good = await post(client, "k1", purchase(transaction_id="t2"))
    assert good.status_code == 201
    assert await kept(database) == [("k1", 201)]


@pytest.mark.parametrize(
    "key", ["", '""', "x" * 256, "x" * 300, b"\xe9", "a\tb", b"caf\xc3\xa9"], ids=repr
)
async def test_a_key_that_is_none_is_refused(
    client: httpx.AsyncClient, database: Database, key: str | bytes
) -> None:
    answer = await post(client, key, purchase())
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["header:Idempotency-Key"]
    assert await kept(database) == []


async def test_the_longest_key_is_accepted_bare_and_quoted(client: httpx.AsyncClient) -> None:
    first = await post(client, "x" * 255, purchase())
    again = await post(client, '"' + "x" * 255 + '"', purchase())
    assert (first.status_code, again.status_code) == (201, 201)
    assert "idempotent-replayed" in again.headers


async def test_keys_of_different_callers_do_not_meet(
    settings: Settings, database: Database, client: httpx.AsyncClient, clock: Clock
) -> None:
    await post(client, "k1", purchase())
    async with await make_client(settings, database, clock) as other:
        theirs = await post(other, "k1", purchase(transaction_id="t2"))
    assert (theirs.status_code, "idempotent-replayed" in theirs.headers) == (201, False)
    assert await kept(database) == [("k1", 201), ("k1", 201)]


async def test_fifty_requests_at_once_have_one_effect(
    own_client: httpx.AsyncClient, own_database: Database
) -> None:
    bodies = [{"items": [purchase(transaction_id=f"t{n}") for n in range(20)]}] * 50
    path = "/v1/transactions/bulk"
    answers = await asyncio.gather(*(post(own_client, "k1", body, path) for body in bodies))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["counts"]["created"] == 20
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 49
    async with own_database.reads() as session:
        versions = await session.scalar(text("SELECT version FROM customers"))
    assert versions == 1
    assert await kept(own_database) == [("k1", 200)]


async def test_of_two_bodies_at_once_under_one_key_one_is_refused(
    own_client: httpx.AsyncClient,
) -> None:
    bodies = [purchase(transaction_id=f"t{number % 2}") for number in range(20)]
    answers = await asyncio.gather(*(post(own_client, "k1", body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [422] * 10
    listed = await own_client.get("/v1/customers/c1/transactions")
    assert len(listed.json()["items"]) == 1


@pytest.fixture
async def holder(own_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of another process, which stands for a request that is still running."""
    connection = await asyncpg.connect(own_url.replace("+asyncpg", ""))
    yield connection
    await connection.close()


async def claim_elsewhere(client: httpx.AsyncClient, holder: Any) -> Any:
    key_id = client.headers["Authorization"].split("_")[1]
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute(
        "INSERT INTO idempotency_keys (key_id, idempotency_key, fingerprint, created_at)"
        " VALUES ($1, 'k1', '', now())",
        key_id,
    )
    return transaction


@pytest.mark.parametrize("lock_timeout", ["300"])
async def test_a_request_whose_twin_does_not_end_is_told_to_come_back(
    own_client: httpx.AsyncClient, holder: Any
) -> None:
    transaction = await claim_elsewhere(own_client, holder)
    answer = await post(own_client, "k1", purchase())
    await transaction.rollback()
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_in_progress")
    assert answer.headers["retry-after"] == "1"
    assert (await post(own_client, "k1", purchase())).status_code == 201


async def test_a_request_whose_twin_dies_does_the_work(
    own_client: httpx.AsyncClient, holder: Any
) -> None:
    transaction = await claim_elsewhere(own_client, holder)
    waiting = asyncio.create_task(post(own_client, "k1", purchase()))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await transaction.rollback()
    answer = await waiting
    assert (answer.status_code, "idempotent-replayed" in answer.headers) == (201, False)


async def test_a_key_is_forgotten_after_two_days_and_the_fact_is_not(
    client: httpx.AsyncClient, database: Database
) -> None:
    await post(client, "k1", purchase())
    async with database.writes() as session, session.begin():
        now = await database_time(writing(session))
        await housekeeping.sweep(writing(session), now + timedelta(hours=47))
    assert await kept(database) == [("k1", 201)]
    async with database.writes() as session, session.begin():
        await housekeeping.sweep(writing(session), now + timedelta(hours=49))
    again = await post(client, "k1", purchase())
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    assert "idempotent-replayed" not in again.headers
