"""Keys over HTTP: made, shown once, changed, rotated with two live, revoked, and never the last."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from app.config import Settings
from app.errors import MissingScope
from app.models import IdempotencyKey
from app.postgres.db import Database
from app.schemas.keys import KeyPatch, KeyRequest
from app.services.access import key_changes, keys
from tests.database import NOW, Clock, make_client, writing

MADE = {"name": "shop", "scopes": ["scores:read", "customers:read"]}


async def make(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await client.post("/v1/keys", json={**MADE, **changes})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def asks(client: httpx.AsyncClient, key: str) -> int:
    """Ask with a key that the process does not remember."""
    client.app.state.clm.recognition.known.clear()  # type: ignore[attr-defined]
    answer = await client.get("/v1/info", headers={"Authorization": f"Bearer {key}"})
    return answer.status_code


def own_id(client: httpx.AsyncClient) -> str:
    return keys.id_of(client.headers["Authorization"])


async def test_a_key_is_shown_once_and_listed_without_its_secret(
    client: httpx.AsyncClient,
) -> None:
    made = await make(client, rate_per_second=12.5, burst=30, expires_in_days=7)
    assert await asks(client, made["key"]) == 200
    secret = made.pop("key").split("_")[2]
    assert (made["state"], made["rate_per_second"], made["burst"]) == ("valid", 12.5, 30)
    assert made["scopes"] == sorted(MADE["scopes"])
    shown = await client.get(f"/v1/keys/{made['key_id']}")
    assert shown.json() == made
    listed = await client.get("/v1/keys", params={"limit": 500})
    assert made in listed.json()["items"]
    assert secret not in shown.text + listed.text


async def test_days_are_counted_by_the_clock_of_the_database(
    client: httpx.AsyncClient, database: Database
) -> None:
    made = await make(client, expires_in_days=7)
    async with database.reads() as session:
        life = await session.scalar(
            text("SELECT expires_at - now() FROM api_keys WHERE key_id = :key_id"),
            {"key_id": made["key_id"]},
        )
    assert life == timedelta(days=7)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["scores:reed"]}, "/scopes/0"),
        ({"name": " "}, "/name"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2199-01-01T00:00:00Z", "expires_in_days": 3}, "/expires_in_days"),
        ({"rate_per_second": 0}, "/rate_per_second"),
        ({"rate_per_second": 1, "burst": 0}, "/burst"),
        ({"burst": 5}, "/burst"),
        ({"secret": "x"}, "/secret"),
    ],
)
async def test_what_cannot_be_is_refused_at_its_place(
    client: httpx.AsyncClient, body: dict[str, Any], pointer: str
) -> None:
    answer = await client.post("/v1/keys", json={**MADE, **body})
    assert answer.status_code == 422, answer.text
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]
    assert len((await client.get("/v1/keys")).json()["items"]) == 1


@pytest.mark.parametrize("body", [{"name": None}, {"scopes": None}, {"scopes": []}, {"burst": 2}])
async def test_a_change_that_cannot_be_is_refused(
    client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    made = await make(client)
    answer = await client.patch(f"/v1/keys/{made['key_id']}", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == f"/{next(iter(body))}"


async def test_a_change_touches_what_it_names(client: httpx.AsyncClient) -> None:
    made = await make(client, rate_per_second=5, burst=9, expires_in_days=7)
    path = f"/v1/keys/{made['key_id']}"
    changed = (await client.patch(path, json={"scopes": ["reports:read"]})).json()
    del made["key"]
    assert changed == {**made, "scopes": ["reports:read"]}
    lifted = {"expires_at": None, "rate_per_second": None, "burst": None}
    assert (await client.patch(path, json=lifted)).json() == {**changed, **lifted}
    assert (await client.patch(path, json={})).json() == {**changed, **lifted}


async def test_a_repeated_request_makes_one_key_and_its_secret_is_kept_nowhere(
    client: httpx.AsyncClient, database: Database
) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await client.post("/v1/keys", json=MADE, headers=headers)
    again = await client.post("/v1/keys", json=MADE, headers=headers)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert again.json() == {**first.json(), "key": None}
    assert again.headers["location"] == first.headers["location"]
    rotate = f"{first.headers['location']}/rotate"
    rotated = await client.post(rotate, json={}, headers={"Idempotency-Key": "k2"})
    replayed = await client.post(rotate, json={}, headers={"Idempotency-Key": "k2"})
    assert replayed.json() == {**rotated.json(), "key": None}
    async with database.reads() as session:
        kept = (await session.scalars(select(IdempotencyKey.body))).all()
        audit = await session.scalar(text("SELECT string_agg(a::text, '') FROM audit_entries a"))
    assert len(kept) == 2
    for answer in (first, rotated):
        secret = answer.json()["key"].split("_")[2]
        assert secret not in f"{kept}{audit}"


async def test_two_secrets_are_live_until_one_is_removed(client: httpx.AsyncClient) -> None:
    made = await make(client)
    path = f"/v1/keys/{made['key_id']}"
    rotated = (await client.post(f"{path}/rotate", json={})).json()
    old, new = made["key"], rotated["key"]
    assert rotated["previous_secret_valid"] is True
    assert [await asks(client, key) for key in (old, new)] == [200, 200]
    third = await client.post(f"{path}/rotate", json={})
    assert (third.status_code, third.json()["code"]) == (409, "conflict")
    ended = await client.delete(f"{path}/secrets/previous")
    assert (ended.status_code, ended.json()["previous_secret_valid"]) == (200, False)
    assert [await asks(client, key) for key in (old, new)] == [401, 200]
    assert (await client.delete(f"{path}/secrets/current")).status_code == 409


async def test_a_new_secret_that_was_lost_gives_way_to_the_old_one(
    client: httpx.AsyncClient,
) -> None:
    made = await make(client)
    path = f"/v1/keys/{made['key_id']}"
    lost = (await client.post(f"{path}/rotate", json={})).json()["key"]
    assert (await client.delete(f"{path}/secrets/current")).status_code == 200
    assert [await asks(client, key) for key in (made["key"], lost)] == [200, 401]


async def test_the_old_secret_ends_at_its_time(
    client: httpx.AsyncClient, database: Database
) -> None:
    made = await make(client)
    path = f"/v1/keys/{made['key_id']}"
    body = {"previous_ends_at": "2199-01-01T00:00:00Z"}
    rotated = (await client.post(f"{path}/rotate", json=body)).json()
    assert rotated["previous_ends_at"] == body["previous_ends_at"]
    async with database.writes() as session, session.begin():
        await session.execute(text("UPDATE api_keys SET previous_ends_at = now()"))
    assert [await asks(client, key) for key in (made["key"], rotated["key"])] == [401, 200]
    shown = (await client.get(path)).json()
    assert (shown["previous_secret_valid"], shown["previous_ends_at"]) == (False, None)
    assert (await client.post(f"{path}/rotate", json={})).status_code == 200


async def test_what_was_revoked_stays_so(client: httpx.AsyncClient) -> None:
    made = await make(client)
    path = f"/v1/keys/{made['key_id']}"
    first = await client.delete(path)
    assert (first.status_code, first.json()["state"]) == (200, "revoked")
    assert (await client.delete(path)).json() == first.json()
    assert await asks(client, made["key"]) == 401
    for answer in (await client.patch(path, json={}), await client.post(f"{path}/rotate", json={})):
        assert answer.status_code == 409


@pytest.mark.parametrize(
    "change", [{"expires_at": "2198-01-01T00:00:00Z"}, {"scopes": ["scores:read"]}, None]
)
async def test_the_last_admin_key_is_not_ended_by_mistake(
    client: httpx.AsyncClient, change: dict[str, Any] | None
) -> None:
    path = f"/v1/keys/{own_id(client)}"

    async def end() -> httpx.Response:
        return await (client.patch(path, json=change) if change else client.delete(path))

    for other in ({"scopes": ["scores:read"]}, {"scopes": ["admin"], "expires_in_days": 9}):
        await make(client, **other)
        refused = await end()
        assert (refused.status_code, refused.json()["code"]) == (409, "last_admin_key")
    gone = await make(client, scopes=["admin"])
    await client.delete(f"/v1/keys/{gone['key_id']}")
    assert (await end()).status_code == 409
    await make(client, scopes=["admin"])
    assert (await end()).status_code == 200


async def test_of_two_admins_who_revoke_each_other_at_once_one_stays(
    own_client: httpx.AsyncClient, own_database: Database
) -> None:
    for _ in range(5):
        first = await make(own_client, scopes=["admin"])
        async with own_database.writes() as session, session.begin():
            await session.execute(
                text("UPDATE api_keys SET revoked_at = now() WHERE key_id <> :key_id"),
                {"key_id": first["key_id"]},
            )
        both = {"Authorization": f"Bearer {first['key']}"}
        second = await own_client.post("/v1/keys", json={**MADE, "scopes": ["admin"]}, headers=both)
        pairs = [(first, second.json()), (second.json(), first)]
        their = {"Authorization": f"Bearer {second.json()['key']}"}
        assert (await own_client.get("/v1/keys", headers=their)).status_code == 200
        answers = await asyncio.gather(*(
            own_client.delete(
                f"/v1/keys/{other['key_id']}", headers={"Authorization": f"Bearer {own['key']}"}
            )
            for own, other in pairs
        ))  # fmt: skip
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        own_client.app.state.clm.recognition.known.clear()  # type: ignore[attr-defined]
        left = first if answers[0].status_code == 200 else second.json()
        own_client.headers["Authorization"] = f"Bearer {left['key']}"


async def test_nobody_gives_a_scope_that_they_lack(database: Database) -> None:
    """Over HTTP `admin` is asked for, which has all: the rule holds for whoever calls."""
    by = keys.Principal("k", frozenset({"scores:read"}), None)
    async with database.writes() as session, session.begin():
        wide = KeyRequest(name="x", scopes=["scores:read", "policies:write"])
        with pytest.raises(MissingScope) as raised:
            await key_changes.create(writing(session), wide, by)
        assert raised.value.extra == {"missing_scope": "policies:write"}
        key = await keys.create(writing(session), "x", ["reports:read"], now=NOW)
        grown = KeyPatch(scopes=["reports:read", "scores:read", "models:write"])
        with pytest.raises(MissingScope):
            await key_changes.change(writing(session), keys.id_of(key), grown, by)
        kept = KeyPatch(scopes=["reports:read", "scores:read"])
        shown = await key_changes.change(writing(session), keys.id_of(key), kept, by)
    assert shown["scopes"] == ["reports:read", "scores:read"]


async def test_what_a_key_allows_is_known_of_who_calls(database: Database) -> None:
    async with database.writes() as session, session.begin():
        key = await keys.create(
            writing(session), "shop", ["scores:read"], now=NOW, rate_per_second=2.5, burst=7
        )
        principal = await keys.recognise(writing(session), key)
    assert principal is not None
    assert (principal.name, principal.rate_per_second, principal.burst) == ("shop", 2.5, 7)
    assert principal.lasts is None


async def test_use_is_written_beside_the_requests_and_once(
    settings: Settings, database: Database, clock: Clock
) -> None:
    async with await make_client(settings, database, clock) as client:
        path = f"/v1/keys/{own_id(client)}"
        assert (await client.get(path)).json()["last_used_at"] is None
        state = client.app.state.clm  # type: ignore[attr-defined]
        await state.write_usage()
        assert state.usage.used == set()
        used = (await client.get(path)).json()["last_used_at"]
        assert used is not None
        assert state.usage.used == {own_id(client)}
