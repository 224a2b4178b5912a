"""The migrations against a real PostgreSQL: up, down, twice, at once, and equal to the models."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app import schema
from app.config import Settings
from app.db import create_engine
from app.lifecycle.presets import PRESETS
from app.migrate import SchemaOutdated, migrate, verify
from app.models import Base
from app.services.settings import SettingsMismatch


@pytest.fixture
async def engine(own_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a migrated database of this test alone."""
    engine = create_engine(own_url, pool_size=4)
    yield engine
    await engine.dispose()


@pytest.fixture
async def empty(engine: AsyncEngine) -> AsyncEngine:
    """An engine on a database without a table."""
    await execute(engine, "DROP SCHEMA public CASCADE")
    await execute(engine, "CREATE SCHEMA public")
    return engine


async def execute(engine: AsyncEngine, statement: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(statement))


async def rows(engine: AsyncEngine, statement: str) -> list[tuple[Any, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(statement))]


async def tables(engine: AsyncEngine) -> set[str]:
    found = await rows(engine, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {name for (name,) in found}


def _downgrade(connection: Connection) -> None:
    configuration = schema.config()
    configuration.attributes["connection"] = connection
    command.downgrade(configuration, "base")


def test_there_is_one_head_and_one_line_of_migrations() -> None:
    script = ScriptDirectory.from_config(schema.config())
    assert script.get_heads() == [schema.head()]
    assert len(script.get_bases()) == 1
    assert all(not each.is_merge_point for each in script.walk_revisions())


# SQLAlchemy reads no collation of an index back, so alembic takes these for changed; the test of
# the twin compares them.
COLLATED = {f"ix_customers_{column}_prefix" for column in ("name", "email", "phone")}


async def test_alembic_finds_nothing_to_migrate(engine: AsyncEngine) -> None:
    def differences(connection: Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        return [
            found
            for found in compare_metadata(context, Base.metadata)
            if found[0] not in ("add_index", "remove_index") or found[1].name not in COLLATED
        ]

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


CATALOGUE = {
    "columns": "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,"
    " a.attidentity::text, a.attgenerated::text, l.collname, pg_get_expr(d.adbin, d.adrelid)"
    " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'"
    " LEFT JOIN pg_collation l ON l.oid = a.attcollation"
    " LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum"
    " WHERE c.relnamespace = '{schema}'::regnamespace AND a.attnum > 0",
    "constraints": "SELECT conname, contype::text, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = '{schema}'::regnamespace",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = '{schema}'",
    "triggers": "SELECT tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
    " WHERE c.relnamespace = '{schema}'::regnamespace",
}


async def test_the_migrated_database_is_the_one_that_the_models_make(engine: AsyncEngine) -> None:
    await execute(engine, "CREATE SCHEMA twin")
    async with engine.connect() as connection:
        twin = await connection.execution_options(schema_translate_map={None: "twin"})
        await twin.run_sync(Base.metadata.create_all)
        await twin.commit()
    await execute(engine, "DROP TABLE alembic_version")
    for what, query in CATALOGUE.items():
        migrated, made = [
            sorted(
                str([str(value).replace(f"{name}.", "") for value in row])
                for row in await rows(engine, query.format(schema=name))
            )
            for name in ("public", "twin")
        ]
        assert migrated == made, what
        assert (what == "triggers") == (not migrated)


async def test_every_key_of_a_customer_owned_table_begins_with_the_customer() -> None:
    for table in Base.metadata.tables.values():
        if "customer_id" in table.columns:
            assert next(iter(table.primary_key.columns)).name == "customer_id", table.name
            for index in table.indexes:
                assert not index.unique or "customer_id" in index.columns, index.name
        else:
            targets = {key.column.table.name for key in table.foreign_keys}
            assert all("customer_id" not in Base.metadata.tables[t].columns for t in targets)


async def test_an_empty_database_is_migrated_and_initialised(
    empty: AsyncEngine, settings: Settings
) -> None:
    assert await schema.current(empty) is None
    with pytest.raises(SchemaOutdated, match="run `clm migrate` first"):
        await verify(empty, settings)
    await migrate(empty, settings)
    assert await schema.current(empty) == schema.head()
    assert await tables(empty) == {*Base.metadata.tables, "alembic_version"}
    stored = dict(await rows(empty, "SELECT key, value FROM settings"))  # type: ignore[arg-type]
    assert (stored["time_zone"], stored["currency"]) == ("Europe/Berlin", "EUR")
    assert stored["active_policy_version"] == 1
    assert len(stored["cursor_secret"]) == 64
    assert await rows(empty, "SELECT version FROM policies ORDER BY 1") == [
        (version,) for version in range(1, len(PRESETS) + 1)
    ]


async def test_the_way_down_leads_to_an_empty_database_and_up_again(
    engine: AsyncEngine, settings: Settings
) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(_downgrade)
    assert await tables(engine) == {"alembic_version"}
    left = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    assert await rows(engine, left) == [(2,)]  # that table, and its key
    assert await schema.current(engine) is None
    await migrate(engine, settings)
    assert await schema.current(engine) == schema.head()


async def test_to_migrate_again_changes_nothing(engine: AsyncEngine, settings: Settings) -> None:
    before = await rows(engine, "SELECT key, value FROM settings ORDER BY key")
    await migrate(engine, settings)
    await migrate(engine, settings)
    assert await rows(engine, "SELECT key, value FROM settings ORDER BY key") == before
    assert await rows(engine, "SELECT count(*) FROM policies") == [(len(PRESETS),)]


async def test_migrators_at_the_same_time_wait_for_each_other(
    empty: AsyncEngine, settings: Settings
) -> None:
    await asyncio.gather(*(migrate(empty, settings) for _ in range(4)))
    assert await schema.current(empty) == schema.head()
    assert await rows(empty, "SELECT count(*) FROM alembic_version") == [(1,)]


async def test_a_second_migrator_waits_longer_than_any_statement_may(
    empty: AsyncEngine, settings: Settings
) -> None:
    async with empty.connect() as first:
        await first.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": schema._LOCK})
        await first.commit()
        second = asyncio.create_task(migrate(empty, settings))
        await asyncio.sleep(6)  # beyond the lock timeout of five seconds
        assert not second.done(), second.exception()
        assert await tables(empty) == set()
        await first.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": schema._LOCK})
        await first.commit()
    await second
    assert await schema.current(empty) == schema.head()


async def test_the_lock_of_migrators_is_given_back_after_a_failure(
    empty: AsyncEngine, settings: Settings
) -> None:
    await execute(empty, "CREATE TABLE customers (unexpected int)")
    for _ in range(2):
        with pytest.raises(Exception, match="already exists"):
            await migrate(empty, settings)
    assert await tables(empty) <= {"customers", "alembic_version"}
    assert await rows(empty, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]
    await execute(empty, "DROP TABLE customers")
    await migrate(empty, settings)


async def test_a_migration_that_gets_no_lock_is_tried_again(
    engine: AsyncEngine, settings: Settings
) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(_downgrade)
    holder = await engine.connect()
    await holder.execute(text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
    migrating = asyncio.create_task(migrate(engine, settings))
    await asyncio.sleep(3.5)
    assert not migrating.done()
    await holder.rollback()
    await holder.close()
    await migrating
    assert await schema.current(engine) == schema.head()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_zone": "Asia/Shanghai"}, "CLM_TIME_ZONE=Europe/Berlin, .* says Asia/Shanghai"),
        ({"currency": "CNY"}, "CLM_CURRENCY=EUR, .* says CNY"),
    ],
)
async def test_another_zone_or_currency_than_that_of_the_facts_is_refused(
    engine: AsyncEngine, settings: Settings, changes: dict[str, str], message: str
) -> None:
    other = settings.model_copy(update=changes)
    for use in (verify, migrate):
        with pytest.raises(SettingsMismatch, match=message):
            await use(engine, other)
    await verify(engine, settings)


@pytest.mark.parametrize("version", ["older", None])
async def test_a_schema_of_another_version_is_refused(
    engine: AsyncEngine, settings: Settings, version: str | None
) -> None:
    change = f"UPDATE alembic_version SET version_num = '{version}'"
    await execute(engine, change if version else "DELETE FROM alembic_version")
    with pytest.raises(SchemaOutdated, match=f"at revision {version}, this version needs"):
        await verify(engine, settings)
