"""Who may call what, for every operation that the OpenAPI document names."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from app import deps
from app.config import Settings
from app.db import Database, database_time
from app.models import ApiKey
from app.services.access import keys
from tests.database import NOW, Clock, make_client, writing
from tests.openapi import document

OPEN = {"get_liveness", "get_readiness", "get_metrics"}


def operations() -> Iterator[Any]:
    """Yield method, path and scope of every operation, the path with an example for each id."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            values = (method, re.sub(r"{\w+}", "x1", path), operation.get("x-required-scope"))
            if operation["operationId"] not in OPEN:
                yield pytest.param(*values, id=operation["operationId"])


GUARDED = pytest.mark.parametrize(("method", "path", "scope"), list(operations()))


def test_every_operation_but_health_and_metrics_declares_a_scope_that_exists() -> None:
    for path, methods in document()["paths"].items():
        for operation in methods.values():
            scope = operation.get("x-required-scope")
            if operation["operationId"] in OPEN:
                assert scope is None
                assert not path.startswith("/v1")
                assert operation["security"] == []
            else:
                assert scope in keys.SCOPES, path
                assert operation["security"] == [{"HTTPBearer": []}]
                assert {"401", "403"} <= operation["responses"].keys()
    assert {each.values[2] for each in operations()} == set(keys.SCOPES) - {"admin"}


@GUARDED
async def test_without_a_key_nothing_is_answered(
    client: httpx.AsyncClient, method: str, path: str, scope: str
) -> None:
    del client.headers["Authorization"]
    for body in (None, b"{}", b'{"surprise": 1}'):
        headers = {"Content-Type": "application/json"}
        answer = await client.request(method, path, content=body, headers=headers)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (401, "unauthorized")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert (problem["instance"], problem["status"]) == (path, 401)
        assert problem["request_id"] == answer.headers["x-request-id"]


@GUARDED
async def test_a_key_with_every_other_scope_is_told_the_missing_one(
    settings: Settings, database: Database, clock: Clock, method: str, path: str, scope: str
) -> None:
    others = tuple(set(keys.SCOPES) - {scope, "admin"})
    async with await make_client(settings, database, clock, others) as client:
        answer = await client.request(method, path, json={} if method != "get" else None)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (403, "missing_scope")
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["missing_scope"] == scope


@GUARDED
async def test_the_scope_alone_is_enough(
    settings: Settings, database: Database, clock: Clock, method: str, path: str, scope: str
) -> None:
    async with await make_client(settings, database, clock, (scope,)) as client:
        answer = await client.request(method, path, json={} if method != "get" else None)
    assert answer.status_code not in (401, 403, 405)
    assert answer.status_code < 500


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic {key}",
        "{key}",
        "Token {key}",
        "Bearer clm",
        "Bearer clm__",
        "Bearer clm_x_y_z",
        "Bearer {key}x",
        "Bearer {key} {key}",
        "Bearer x{key}",
        "Bearer {id}",
        "Bearer {id}_",
        "Bearer {id}_" + "0" * 32,
        "Bearer clm_%_%",
        "Bearer clm_' OR 1=1 --_x",
        "Bearer " + "x" * 8000,
    ],
)
async def test_what_is_not_exactly_a_key_is_refused(
    client: httpx.AsyncClient, authorization: str
) -> None:
    key = client.headers["Authorization"].removeprefix("Bearer ")
    shown = authorization.replace("{key}", key).replace("{id}", key.rpartition("_")[0])
    answer = await client.get("/v1/info", headers={"Authorization": shown})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert key not in answer.text


@pytest.mark.parametrize("secret", [b"clm_abc_\xe9", b"clm_abc_\xff\xfe", b"clm_\xed\xa0\x80_x"])
async def test_bytes_that_are_no_text_are_no_key(client: httpx.AsyncClient, secret: bytes) -> None:
    answer = await client.get("/v1/info", headers={b"Authorization": b"Bearer " + secret})
    assert answer.status_code == 401


async def test_the_scheme_may_be_written_in_any_case(client: httpx.AsyncClient) -> None:
    lower = client.headers["Authorization"].replace("Bearer", "bearer")
    answer = await client.get("/v1/info", headers={"Authorization": lower})
    assert answer.status_code == 200


async def _info(client: httpx.AsyncClient, key: str) -> int:
    answer = await client.get("/v1/info", headers={"Authorization": f"Bearer {key}"})
    return answer.status_code


async def test_a_key_ends_at_its_expiry_even_when_it_was_seen_a_moment_before(
    client: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.writes() as session, session.begin():
        now = await database_time(writing(session))
        expires_at = now + timedelta(seconds=5)
        key = await keys.create(
            writing(session), "short", ["admin"], now=now, expires_at=expires_at
        )
    passed = [0.0]
    real = deps.time.monotonic
    monkeypatch.setattr(deps.time, "monotonic", lambda: real() + passed[0])
    before = await _info(client, key)
    passed[0] = 5.0
    async with database.writes() as session, session.begin():
        await session.execute(
            text("UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE name = 'short'")
        )
    assert (before, await _info(client, key)) == (200, 401)


async def test_a_revoked_key_ends_within_the_ten_seconds_it_is_remembered(
    client: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.writes() as session, session.begin():
        key = await keys.create(writing(session), "lost", ["admin"], now=NOW)
    passed = [0.0]
    real = deps.time.monotonic
    monkeypatch.setattr(deps.time, "monotonic", lambda: real() + passed[0])
    assert await _info(client, key) == 200
    async with database.writes() as session, session.begin():
        assert await keys.revoke(writing(session), key.split("_")[1], NOW)
        assert not await keys.revoke(writing(session), key.split("_")[1], NOW)
    passed[0] = deps.PRINCIPAL_SECONDS
    assert await _info(client, key) == 401


async def test_a_revoked_or_expired_key_that_was_not_seen_before_is_refused_at_once(
    client: httpx.AsyncClient, database: Database
) -> None:
    async with database.writes() as session, session.begin():
        revoked = await keys.create(writing(session), "revoked", ["admin"], now=NOW)
        await keys.revoke(writing(session), revoked.split("_")[1], NOW)
        expired = await keys.create(writing(session), "expired", ["admin"], now=NOW, expires_at=NOW)
    assert [await _info(client, key) for key in (revoked, expired)] == [401, 401]


async def test_secrets_are_neither_in_the_database_nor_in_memory(
    client: httpx.AsyncClient, database: Database
) -> None:
    key = client.headers["Authorization"].removeprefix("Bearer ")
    _, key_id, secret = key.split("_")
    assert re.fullmatch(r"clm_[A-Za-z0-9]{8}_[A-Za-z0-9]{32}", key)
    assert await _info(client, key) == 200
    async with database.reads() as session:
        stored = await session.scalar(select(ApiKey.secret_hash).where(ApiKey.key_id == key_id))
        rows = (await session.execute(text("SELECT to_jsonb(k)::text FROM api_keys k"))).all()
    assert stored is not None
    assert len(stored) == 32
    assert secret not in str(rows)
    assert secret.encode().hex() not in str(rows)
    state = client._transport.app.state.clm  # type: ignore[attr-defined]
    assert state.principals
    assert secret not in repr(state.principals)


async def test_a_key_of_an_unknown_scope_cannot_be_made(database: Database) -> None:
    async with database.writes() as session:
        for scopes in ([], ["customers:reed"], ["admin", ""]):
            with pytest.raises(ValueError, match="scopes must be some of customers:read"):
                await keys.create(writing(session), "bad", scopes, now=NOW)
