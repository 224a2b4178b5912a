"""`clm doctor`, `clm backup` and `clm restore`: what they find, keep and refuse."""

import asyncio
import json
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from typer.testing import CliRunner

from app.cli import backup, checks, doctor
from app.cli import commands as cli
from app.cli.checks import Finding
from app.config import Settings
from app.migrate import migrate
from app.postgres.db import Database, create_engine
from app.postgres.pg_programs import BackupError
from app.services.access import keys
from tests.database import NOW, Clock, _administer, _named, make_client, writing

FAILED = """
INSERT INTO operations (operation_id, kind, state, request, context, done, total, created_at,
  finished_at, error) VALUES
 ('op_f', 'model_fit', 'failed', '{}', '{}', 0, 1, now(), now(), '{"code": "internal_error"}'),
 ('op_r', 'scoring_run', 'running', '{}', '{}', 0, 1, now(), NULL, NULL);
INSERT INTO operation_parts (operation_id, task, arguments, state, attempt, lease_until)
 VALUES ('op_r', 'score', '{}', 'running', 1, now() - interval '1 hour');
UPDATE api_keys SET expires_at = now() + interval '3 days';
"""


async def examined(settings: Settings, url: str, **changes: object) -> dict[str, Finding]:
    here = settings.model_copy(update={"database_url": url, **changes})
    found = await asyncio.to_thread(doctor.examine, lambda: here)
    return {each.check: each for each in found}


def dsn(url: str) -> str:
    return url.replace("+asyncpg", "")


async def test_a_sound_database_has_nothing_that_fails(
    settings: Settings, own_database: Database, own_url: str
) -> None:
    async with own_database.writes() as session, session.begin():
        await keys.create(writing(session), "tests", ["admin"], now=NOW)
    found = await examined(settings, own_url)
    # The server of the tests gives up durability for speed.
    assert found.pop("durability").detail.startswith("fsync off")
    assert {each.status for each in found.values()} <= {"ok", "warn"}
    for check in ("server", "encoding", "clock", "autovacuum", "connections", "schema", "role",
                  "transactions", "keys", "parts", "operations", "derivation"):  # fmt: skip
        assert found[check].status == "ok", found[check]
    assert found["backup"].status == found["worker"].status == "warn"
    assert all(each.advice for each in found.values() if each.status != "ok")


async def test_what_is_wrong_is_said_with_what_to_do(
    settings: Settings, own_database: Database, own_url: str
) -> None:
    async with own_database.writes() as session, session.begin():
        await keys.create(writing(session), "tests", ["admin"], now=NOW)
    connection = await asyncpg.connect(dsn(own_url))
    await connection.execute(FAILED)
    key_id = await connection.fetchval("SELECT key_id FROM api_keys")
    await connection.close()
    found = await examined(settings, own_url, pool_size=200)
    assert found["parts"].status == found["worker"].status == "fail"
    assert found["parts"].detail == "1 abandoned; oldest open operation: 0 s ago"
    assert found["operations"].status == "warn"
    assert "model_fit (internal_error)" in found["operations"].detail
    assert found["connections"].status == "fail"
    assert key_id in found["keys that expire"].detail


async def test_another_schema_or_zone_is_said(settings: Settings, own_url: str) -> None:
    found = await examined(settings, own_url, time_zone="Asia/Tokyo")
    assert (found["schema"].status, "CLM_TIME_ZONE" in found["schema"].detail) == ("fail", True)
    connection = await asyncpg.connect(dsn(own_url))
    await connection.execute("UPDATE alembic_version SET version_num = '0001'")
    await connection.close()
    found = await examined(settings, own_url)
    assert (found["schema"].status, "clm migrate" in found["schema"].detail) == ("fail", True)


@pytest.mark.parametrize(
    ("settings", "check", "told"),
    [
        ({"CLM_DATABASE_URL": "postgresql://clm:x@127.0.0.1:1/clm"}, "database", "cannot be asked"),
        ({"CLM_PORT": "-1"}, "settings", "CLM_PORT"),
        ({"CLM_PROT": "1"}, "settings", "CLM_PROT"),
        ({"CLM_DATA_DIR": "/nowhere"}, "database", "no embedded database runs"),
    ],
)
def test_it_says_what_it_cannot_reach(
    settings: dict[str, str], check: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(cli.app, ["doctor", "--json"])
    found = {each["check"]: each for each in json.loads(done.stdout)}
    assert (done.exit_code, found[check]["status"]) == (1, "fail")
    assert told in found[check]["detail"]
    assert told in " ".join(CliRunner().invoke(cli.app, ["doctor"]).stdout.split())


@pytest.fixture
def empty_url(cluster: str) -> Iterator[str]:
    """A database in which nothing is yet."""
    asyncio.run(_administer(cluster, "CREATE DATABASE clm_empty OWNER clm TEMPLATE template0"))
    yield _named(cluster, "clm_empty")
    asyncio.run(_administer(cluster, "DROP DATABASE clm_empty WITH (FORCE)"))


async def _write(client: httpx.AsyncClient, stop: asyncio.Event, acknowledged: list[str]) -> None:
    """Post two facts at a time, of which a database has both or none."""
    while not stop.is_set():
        number = len(acknowledged) + 1
        items = [
            {
                "customer_id": f"c{number % 50}",
                "transaction_id": f"t{number}-{half}",
                "occurred_at": f"2026-01-{1 + number % 28:02d}T12:00:00Z",
                "amount": {"amount": "12.50"},
            }
            for half in "ab"
        ]
        answer = await client.post("/v1/transactions/bulk", json={"items": items})
        assert answer.status_code == 200
        acknowledged.append(f"t{number}-")


async def test_a_backup_amid_writes_is_one_instant_and_comes_back_whole(
    own_client: httpx.AsyncClient, own_url: str, empty_url: str, tmp_path: Path
) -> None:
    file, stop = tmp_path / "clm.backup", asyncio.Event()
    acknowledged: list[str] = []
    writing_on = asyncio.create_task(_write(own_client, stop, acknowledged))
    while len(acknowledged) < 20:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    before = set(acknowledged)
    made = await backup.back_up(own_url, file)
    assert len(acknowledged) > len(before)
    stop.set()
    await writing_on
    assert file.stat().st_mode & 0o077 == 0
    assert not file.with_name("clm.backup.partial").exists()
    page = (await own_client.get("/metrics")).text
    assert 'clm_last_success_timestamp_seconds{task="backup"} 1.' in page

    await backup.restore(empty_url, file)
    connection = await asyncpg.connect(dsn(empty_url))
    stored = [r[0] for r in await connection.fetch("SELECT transaction_id FROM transactions")]
    summed = await connection.fetchval("SELECT sum(facts) FROM purchase_summaries")
    await connection.close()
    pairs = {each[:-1] for each in stored}
    assert len(stored) == 2 * len(pairs) == summed == made.tables["transactions"].rows
    assert before <= pairs <= {*acknowledged}

    with pytest.raises(BackupError, match="the database has customers"):
        await backup.restore(empty_url, file)
    with pytest.raises(BackupError, match="is there already"):
        backup.require_new(file)


async def test_what_is_served_or_of_others_is_not_overwritten(
    own_client: httpx.AsyncClient, own_url: str, empty_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "clm.backup"
    assert (await own_client.get("/readyz")).status_code == 200
    await backup.back_up(own_url, file)
    with pytest.raises(BackupError, match="is being served"):
        await backup.restore(own_url, file)
    connection = await asyncpg.connect(dsn(empty_url))
    await connection.execute("CREATE TABLE of_others (id int)")
    with pytest.raises(BackupError, match="something else"):
        await backup.restore(empty_url, file)
    assert await connection.fetchval("SELECT count(*) FROM of_others") == 0
    await connection.close()


def changed(file: Path, to: Path, **changes: bytes) -> Path:
    """Copy a backup with other contents."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(to, "w") as new:
        for name in old.namelist():
            new.writestr(name, changes.get(name.partition(".")[0], old.read(name)))
    return to


async def test_what_is_not_whole_is_not_restored(
    own_url: str, empty_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "clm.backup"
    await backup.back_up(own_url, file)
    with zipfile.ZipFile(file) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    short = tmp_path / "short"
    short.write_bytes(file.read_bytes()[:-100])
    manifest["tables"]["policies"]["rows"] += 1
    other = changed(file, tmp_path / "other", manifest=json.dumps(manifest).encode())
    for path, told in (
        (tmp_path / "none", "is no whole backup"),
        (short, "is no whole backup"),
        (other, "is not what was backed up: policies"),
        (changed(file, tmp_path / "broken", database=b"PGDMP"), "pg_restore failed"),
    ):
        with pytest.raises(BackupError, match=told):
            await backup.restore(empty_url, path)
        connection = await asyncpg.connect(dsn(empty_url))
        assert await connection.fetchval("SELECT to_regclass('customers')") is None
        await connection.close()
    await backup.restore(empty_url, file)


async def test_a_backup_of_a_later_release_is_refused_before_anything_is_done(
    own_url: str, empty_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "clm.backup"
    await backup.back_up(own_url, file)
    with zipfile.ZipFile(file) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    later = json.dumps({**manifest, "revision": "9999", "version": "9.9.9"}).encode()
    await backup.restore(empty_url, file)
    told = "made by CLM 9.9.9, whose schema 9999 this version .* restore it with that version"
    with pytest.raises(BackupError, match=told):
        await backup.restore(empty_url, changed(file, tmp_path / "later", manifest=later))
    connection = await asyncpg.connect(dsn(empty_url))
    assert await connection.fetchval("SELECT count(*) FROM policies") > 0
    await connection.close()


@pytest.fixture
def role(cluster: str) -> Iterator[str]:
    """The name of a role that is not there yet."""
    yield "clm_restored"
    asyncio.run(_administer(cluster, "DROP ROLE IF EXISTS clm_restored"))


def run(*words: str, **environment: str) -> Any:
    return CliRunner().invoke(cli.app, words, env=environment)


async def test_what_was_restored_can_be_served_at_once_by_the_role_of_the_application(
    own_client: httpx.AsyncClient,
    own_url: str,
    role: str,
    empty_url: str,
    tmp_path: Path,
    settings: Settings,
    clock: Clock,
) -> None:
    """On another server: with rights as they were, and an audit that goes on where it ended."""
    assert (await own_client.put("/v1/customers/c1", json={"name": "Ada"})).status_code == 201
    file = str(tmp_path / "clm.backup")
    made = await asyncio.to_thread(run, "backup", file, CLM_DATABASE_URL=own_url)
    assert (made.exit_code, "rows of" in made.stdout) == (0, True), made.output
    again = await asyncio.to_thread(run, "backup", file, CLM_DATABASE_URL=own_url)
    assert (again.exit_code, "is there already" in again.output) == (1, True)
    there = {"CLM_DATABASE_URL": empty_url, "CLM_APPLICATION_ROLE": role}
    done = await asyncio.to_thread(run, "restore", file, **there)
    assert (done.exit_code, "every digest is the same" in done.stdout) == (0, True), done.output

    connection = await asyncpg.connect(dsn(empty_url))
    await connection.execute(f"ALTER ROLE {role} PASSWORD 'secret'")
    open_to_all = await connection.fetch(
        "SELECT proname FROM pg_proc WHERE prosecdef AND has_function_privilege('public', oid,"
        " 'EXECUTE')"
    )
    await connection.close()
    assert open_to_all == []
    url = _named(empty_url, "clm_empty", username=role, password="secret")
    for found in (
        await examined(settings, url),
        await examined(settings, empty_url, **named(role)),
    ):
        assert (found["role"].status, found["role"].detail) == ("ok", role)
        assert [each.check for each in found.values() if each.status == "fail"] == ["durability"]
    database = Database.on(create_engine(url, pool_size=5))
    async with await make_client(settings, database, clock) as client:
        assert (await client.get("/v1/customers/c1")).json()["name"] == "Ada"
        assert (await client.put("/v1/customers/c2", json={})).status_code == 201
        entries = (await client.get("/v1/audit")).json()["items"]
    await database.close()
    operations = [(each["operation"], each["customer_ids"]) for each in entries]
    assert operations[:2] == [("put_customer", ["c2"]), ("put_customer", ["c1"])]


def named(role: str) -> dict[str, str]:
    return {"application_role": role}


async def test_too_many_and_too_few_rights_are_told(
    role: str, settings: Settings, own_database: Database, own_url: str
) -> None:
    found = (await examined(settings, own_url, **named(role)))["role"]
    assert (found.status, found.detail) == ("fail", f"there is no role {role}")
    await migrate(own_database.engine, settings.model_copy(update=named(role)))
    connection = await asyncpg.connect(dsn(own_url))
    for statement, told in (
        (f"GRANT DELETE ON stage_transitions TO {role}", "may DELETE stage_transitions"),
        (f"GRANT TRUNCATE ON audit_entries TO {role}", "may TRUNCATE audit_entries"),
        (f"REVOKE INSERT ON transactions FROM {role}", "lacks INSERT on transactions"),
        (f"REVOKE CREATE ON SCHEMA runs FROM {role}", "lacks CREATE in the schema runs"),
        ("GRANT EXECUTE ON FUNCTION prune_audit TO PUBLIC", "prune_audit"),
    ):
        await connection.execute(statement)
        found = (await examined(settings, own_url, **named(role)))["role"]
        assert (found.status, told in found.detail) == ("fail", True), found
        assert "clm migrate" in (found.advice or "")
    await migrate(own_database.engine, settings.model_copy(update=named(role)))
    found = (await examined(settings, own_url, **named(role)))["role"]
    assert (found.status, found.detail) == ("ok", role)
    await connection.close()
    found = (await examined(settings, own_url, application_role="clm"))["role"]
    assert (found.status, found.detail) == ("fail", "clm, owns the tables, which it may drop")


async def test_a_transaction_that_stands_still_is_told(
    settings: Settings, own_database: Database, own_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del own_database
    monkeypatch.setattr(checks, "_HOLDING", timedelta())
    connection = await asyncpg.connect(dsn(own_url))
    async with connection.transaction():
        await connection.execute("SELECT 1")
        found = (await examined(settings, own_url))["transactions"]
    await connection.close()
    assert (found.status, found.detail[:21]) == ("warn", "idle in a transaction")
