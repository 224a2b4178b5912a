"""Who may call what, for every operation that the OpenAPI document names."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import event, select, text

from app.config import Settings
from app.edge import recognition
from app.models import ApiKey
from app.postgres.db import Database
from app.schemas.common import personal
from app.services.access import key_changes, key_texts, keys
from tests.database import NOW, Clock, make_client, writing
from tests.openapi import committed

OPEN = {"get_liveness", "get_readiness", "get_metrics"}


def operations() -> Iterator[Any]:
    """Yield method, path and scope of every operation, the path with an example for each id."""
    for path, methods in committed()["paths"].items():
        for method, operation in methods.items():
            values = (method, re.sub(r"{\w+}", "x1", path), operation.get("x-required-scope"))
            if operation["operationId"] not in OPEN:
                yield pytest.param(*values, id=operation["operationId"])


GUARDED = pytest.mark.parametrize(("method", "path", "scope"), list(operations()))


def test_every_operation_but_health_and_metrics_declares_a_scope_that_exists() -> None:
    for path, methods in committed()["paths"].items():
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
    # To read personal data is asked for by what is shown, not by an operation.
    assert {each.values[2] for each in operations()} == set(keys.SCOPES) - {personal.READ_PII}


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
    key_id = "_".join(key.split("_")[:2])
    shown = authorization.replace("{key}", key).replace("{id}", key_id)
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


async def _change(database: Database, key: str, change: str) -> None:
    """Change a key by the clock of the database, which alone decides."""
    async with database.writes() as session, session.begin():
        statement = f"UPDATE api_keys SET {change} WHERE key_id = :key_id"
        await session.execute(text(statement), {"key_id": keys.id_of(key)})


async def _made(database: Database) -> str:
    async with database.writes() as session, session.begin():
        return await keys.create(writing(session), "made", ["admin"], now=NOW)


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that have passed for the memory of the process."""
    seconds = [0.0]
    real = recognition.monotonic
    monkeypatch.setattr(recognition, "monotonic", lambda: real() + seconds[0])
    return seconds


async def test_a_key_ends_at_its_expiry_even_when_it_was_seen_a_moment_before(
    own_client: httpx.AsyncClient, own_database: Database, clock: Clock, passed: list[float]
) -> None:
    key = await _made(own_database)
    await _change(own_database, key, "expires_at = now() + interval '5 seconds'")
    before = await _info(own_client, key)
    # The clock of the process counts for nothing: it may be days ahead, or behind.
    clock.now += timedelta(days=3)
    ahead = await _info(own_client, key)
    await _change(own_database, key, "expires_at = now()")
    passed[0] = 5
    assert (before, ahead, await _info(own_client, key)) == (200, 200, 401)


async def test_a_revoked_key_ends_within_the_ten_seconds_it_is_remembered(
    client: httpx.AsyncClient, database: Database, passed: list[float]
) -> None:
    key = await _made(database)
    assert await _info(client, key) == 200
    async with database.writes() as session, session.begin():
        shown = await key_changes.revoke(writing(session), keys.id_of(key))
        assert shown["state"] == "revoked"
    passed[0] = recognition.PRINCIPAL_SECONDS
    assert await _info(client, key) == 401


async def test_a_revoked_or_expired_key_that_was_not_seen_before_is_refused_at_once(
    client: httpx.AsyncClient, database: Database
) -> None:
    revoked, expired = await _made(database), await _made(database)
    await _change(database, revoked, "revoked_at = now()")
    await _change(database, expired, "expires_at = now()")
    assert [await _info(client, key) for key in (revoked, expired)] == [401, 401]


async def test_secrets_are_neither_in_the_database_nor_in_memory(
    client: httpx.AsyncClient, database: Database
) -> None:
    key = client.headers["Authorization"].removeprefix("Bearer ")
    _, key_id, secret, _ = key.split("_")
    assert re.fullmatch(r"clm_[A-Za-z0-9]{8}_[A-Za-z0-9]{32}_[A-Za-z0-9]{6}", key)
    assert await _info(client, key) == 200
    async with database.reads() as session:
        stored = await session.scalar(select(ApiKey.secret_hash).where(ApiKey.key_id == key_id))
        rows = (await session.execute(text("SELECT to_jsonb(k)::text FROM api_keys k"))).all()
    assert stored is not None
    assert len(stored) == 32
    assert secret not in str(rows)
    assert secret.encode().hex() not in str(rows)
    state = client._transport.app.state.clm  # type: ignore[attr-defined]
    assert state.recognition.known
    assert secret not in repr(vars(state.recognition))


async def test_a_key_of_an_unknown_scope_cannot_be_made(database: Database) -> None:
    async with database.writes() as session:
        for scopes in ([], ["customers:reed"], ["admin", ""]):
            with pytest.raises(ValueError, match="scopes must be some of customers:read"):
                await keys.create(writing(session), "bad", scopes, now=NOW)


async def test_a_key_of_before_checksums_is_valid_still(client: httpx.AsyncClient) -> None:
    key = client.headers["Authorization"].removeprefix("Bearer ")
    assert await _info(client, key.rpartition("_")[0]) == 200


def test_the_checksum_is_the_published_one() -> None:
    """CRC-32 in base 62, of six digits; the CRC of these nine digits is in every table."""
    assert key_texts.checksum("123456789") == "3jZRME"
    digits = [key_texts._ALPHABET.index(digit) for digit in "3jZRME"]
    assert sum(digit * 62**place for place, digit in enumerate(reversed(digits))) == 0xCBF43926


async def test_what_is_malformed_is_refused_without_asking_the_database(
    client: httpx.AsyncClient, database: Database
) -> None:
    key = client.headers["Authorization"].removeprefix("Bearer ")
    wrong = key[:20] + ("A" if key[20] != "A" else "B") + key[21:]
    asked: list[str] = []

    def note(*arguments: Any) -> None:
        asked.append(arguments[2])

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        for malformed in (wrong, key[:-1], key + "0", key.upper(), "clm_x_y", "x" * 5000):
            assert await _info(client, malformed) == 401
        assert not [each for each in asked if "api_keys" in each]
        assert await _info(client, key) == 200
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
    assert [each for each in asked if "api_keys" in each]
