"""The application works as a role that can neither change the schema nor remove what happened."""

import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

import app
from app.config import Settings
from app.migrate import SchemaOutdated, migrate, verify
from app.models import Base
from app.postgres import roles
from app.postgres.db import Database, create_engine
from app.postgres.roles import DELETED, LEDGER, READ, RoleRefused
from app.services.operations import housekeeping
from app.worker import Worker
from tests.database import Clock, make_client, writing


@pytest.fixture
def role() -> str:
    return f"clm_app_{uuid.uuid4().hex[:8]}"


@pytest.fixture
async def application(
    engine: AsyncEngine, settings: Settings, own_url: str, role: str
) -> AsyncIterator[Database]:
    """The database as the application's role sees it."""
    await migrate(engine, settings.model_copy(update={"application_role": role}))
    await execute(engine, f"ALTER ROLE {role} PASSWORD 'secret'")
    url = make_url(own_url).set(username=role, password="secret")
    database = Database.on(create_engine(url.render_as_string(hide_password=False), pool_size=5))
    yield database
    await database.close()


async def execute(engine: AsyncEngine, statement: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(statement))


async def work_off(database: Database, settings: Settings) -> None:
    worker = Worker(database, settings)
    await worker._housekeep()
    while await worker.work_once():
        pass


async def test_api_and_worker_do_all_their_work_as_the_role_of_the_application(
    application: Database, settings: Settings, clock: Clock
) -> None:
    clock.now = datetime.now(UTC)
    async with await make_client(settings, application, clock) as client:

        async def ask(method: str, path: str, body: Any = None) -> Any:
            answer = await client.request(method, path, json=body)
            assert answer.is_success, f"{method} {path}: {answer.text}"
            return answer.json() if answer.content else None

        await ask("GET", "/readyz")
        await write_facts(ask)

        async def finished(path: str, body: Any = None) -> Any:
            started = await ask("POST", path, body)
            await work_off(application, settings)
            ended = await ask("GET", f"/v1/operations/{started['id']}")
            assert ended["state"] == "succeeded", ended
            return ended["result"]

        await ask(
            "POST", "/v1/customers/c2/stage/override", {"stage": "active", "reason": "a talk"}
        )
        preview = await finished("/v1/policies/2/preview")
        await finished("/v1/policies/2/activate", {"token": preview["token"]})
        for path in ("/v1/models", "/v1/scoring-runs", "/v1/backtests"):
            await finished(path, {})
        await finished("/v1/rebuilds", {"repair": True})
        for path in ("scores", "stage", "timeline"):
            await ask("GET", f"/v1/customers/c1/{path}")
        states = [each["state"] for each in (await ask("GET", "/v1/operations"))["items"]]
        assert set(states) == {"succeeded"}
    await keep_house(application)


async def write_facts(ask: Any) -> None:
    """Write, correct and void facts of each family, so that all that is derived is replaced."""
    for number in range(60):
        purchase = {
            "customer_id": f"c{number % 20}",
            "transaction_id": f"t{number}",
            "occurred_at": f"2026-0{1 + number % 6}-11T12:00:00Z",
            "amount": {"amount": "12.50"},
        }
        await ask("POST", "/v1/transactions", purchase)
    (reason, *_) = (await ask("GET", "/v1/churn-reasons"))["items"]
    families: dict[str, tuple[str, dict[str, Any]]] = {
        "transaction": ("/v1/transactions", {"kind": "refund", "amount": {"amount": "5"}}),
        "interaction": ("/v1/interactions", {"kind": "complaint"}),
        "churn_record": ("/v1/customers/c1/churn-records", {"reason": reason["code"]}),
    }
    for noun, (path, content) in families.items():
        whose = {} if noun == "churn_record" else {"customer_id": "c1"}
        fact = {f"{noun}_id": "x", "occurred_at": "2026-05-01T12:00:00Z", **whose, **content}
        for revision in (1, 2):
            await ask("POST", path, {**fact, "revision": revision})
        asked = httpx.QueryParams({**whose, f"{noun}_id": "x", "reason": "entered twice"})
        await ask("DELETE", f"{path}?{asked}")
    for name in ("Ada", "Grace"):
        await ask("PUT", "/v1/customers/c1", {"name": name, "phone": "+49 30 901820"})


async def keep_house(database: Database) -> None:
    """Remove what has had its time, from everything that ever has."""
    now = datetime.now(UTC)
    async with database.writes() as session, session.begin():
        await session.execute(text("UPDATE stage_transitions SET voided_at = recorded_at"))
    for later in (timedelta(), timedelta(days=400)):
        async with database.writes() as session, session.begin():
            await housekeeping.sweep(writing(session), now + later, voided_kept=timedelta(days=1))
    async with database.reads() as session:
        for table in ("stage_transitions", "operations", "idempotency_keys"):
            left = await session.scalar(text(f"SELECT count(*) FROM {table}"))
            assert left == 0, table


TABLES = sorted({*Base.metadata.tables, "alembic_version"})
OF_CUSTOMERS = LEDGER.keys() - {"audit_entries", "policy_activations"}
FORBIDDEN = [
    *(f"TRUNCATE {table}" for table in TABLES),
    *(f"DROP TABLE {table}" for table in TABLES),
    *(f"DELETE FROM {table}" for table in TABLES if table not in DELETED),
    *(f"UPDATE {table} SET customer_id = 'c2'" for table in TABLES if table in OF_CUSTOMERS),
    "UPDATE policy_activations SET version = 1",
    "UPDATE alembic_version SET version_num = '9999'",
    "INSERT INTO alembic_version VALUES ('9999')",
    "CREATE TABLE another (id int)",
    "CREATE TABLE runs.another AS SELECT 1; DROP TABLE transactions",
    "CREATE SCHEMA another",
    "ALTER TABLE transactions ADD COLUMN another text",
    "ALTER TABLE transactions DISABLE TRIGGER ALL",
    "CREATE INDEX another ON transactions (amount)",
    "CREATE OR REPLACE FUNCTION prune_audit(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER FUNCTION prune_transitions SECURITY INVOKER",
    "SET ROLE clm",
    "CREATE ROLE another",
    "COPY transactions TO PROGRAM 'true'",
]


async def test_what_the_role_must_not_do_is_denied(application: Database, role: str) -> None:
    async with application.engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await connection.commit()
        allowed = []
        for statement in FORBIDDEN:
            try:
                await driver.execute(statement)
            except asyncpg.InsufficientPrivilegeError:
                continue
            allowed.append(statement)
        assert allowed == []
        me = await driver.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        assert me is False


async def test_a_temporary_table_does_not_get_in_the_way_of_the_owners_functions(
    application: Database, client: httpx.AsyncClient
) -> None:
    """Else a trigger on it would run with the rights of the owner."""
    async with application.writes() as session, session.begin():
        await session.execute(
            text("CREATE TEMP TABLE stage_transitions (LIKE public.stage_transitions)")
        )
        insert = (
            "INSERT INTO {}.stage_transitions (customer_id, transition_id, from_stage, to_stage,"
            " effective_at, recorded_at, voided_at, cause, rule, policy_version, evidence,"
            " derivation_version) {} VALUES ('c1', 1, 'a', 'b', now(), now(), now(), 'fact', 'r',"
            " 1, '{{}}', 1)"
        )
        await session.execute(text(insert.format("pg_temp", "")))
        await session.execute(text(insert.format("public", "OVERRIDING SYSTEM VALUE")))
        await session.execute(text("SELECT prune_transitions(ARRAY['c1'], ARRAY[1::bigint])"))
        count = "SELECT count(*) FROM {}.stage_transitions"
        assert await session.scalar(text(count.format("pg_temp"))) == 1
        assert await session.scalar(text(count.format("public"))) == 0


async def test_transitions_that_hold_are_not_pruned(application: Database) -> None:
    async with application.writes() as session, session.begin():
        await session.execute(
            text(
                "INSERT INTO stage_transitions (customer_id, from_stage, to_stage, effective_at,"
                " recorded_at, cause, rule, policy_version, evidence, derivation_version)"
                " VALUES ('c1', 'a', 'b', now(), now(), 'fact', 'r', 1, '{}', 1)"
            )
        )
        pruned = (
            "SELECT prune_transitions(ARRAY['c1'], array_agg(transition_id)) FROM stage_transitions"
        )
        await session.execute(text(pruned))
        assert await session.scalar(text("SELECT count(*) FROM stage_transitions")) == 1


async def test_whoever_may_do_everything_is_no_role_of_the_application(
    engine: AsyncEngine, settings: Settings
) -> None:
    for name in ("clm", "postgres"):
        with pytest.raises(RoleRefused, match=f"CLM_APPLICATION_ROLE={name} .* name another role"):
            await migrate(engine, settings.model_copy(update={"application_role": name}))


async def test_rights_that_the_role_had_before_are_taken_back(
    engine: AsyncEngine, application: Database, role: str
) -> None:
    await execute(engine, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    await roles.allow(engine, role)
    async with application.writes() as session:
        with pytest.raises(DBAPIError, match="permission denied"):
            await session.execute(text("TRUNCATE transactions"))


async def test_a_process_does_not_start_on_tables_that_its_role_was_not_granted(
    engine: AsyncEngine, settings: Settings, application: Database, role: str
) -> None:
    """As those are of a new release that was migrated without the name of the role."""
    await verify(application.engine, settings)
    await execute(engine, f"REVOKE ALL ON rebuild_differences, runs FROM {role}")
    told = f"{role} may not work on rebuild_differences, runs: .* CLM_APPLICATION_ROLE={role}"
    with pytest.raises(SchemaOutdated, match=told):
        await verify(application.engine, settings)
    await verify(engine, settings)


async def test_runs_from_before_there_was_a_role_are_handed_over(
    engine: AsyncEngine, application: Database, role: str
) -> None:
    await execute(engine, "CREATE TABLE runs.scores_99 (customer_id text)")
    await roles.allow(engine, role)
    async with application.writes() as session, session.begin():
        await session.execute(text("DROP TABLE runs.scores_99"))


def test_every_table_that_is_named_is_one_and_the_ledger_is_not_deleted_from() -> None:
    assert Base.metadata.tables.keys() >= DELETED | LEDGER.keys()
    assert not DELETED & LEDGER.keys()
    assert not (DELETED | LEDGER.keys()) & READ


def test_the_application_deletes_from_no_table_that_is_not_named() -> None:
    classes = {each.class_.__name__: each.class_.__tablename__ for each in Base.registry.mappers}
    named: set[str] = set()
    for path in Path(app.__file__).parent.rglob("*.py"):
        source = path.read_text("utf-8")
        named |= set(re.findall(r"DELETE FROM (\w+)", source))
        named |= {classes[name] for name in re.findall(r"\bdelete\(([A-Z]\w+)\)", source)}
    assert len(named) > 8
    assert named <= DELETED
