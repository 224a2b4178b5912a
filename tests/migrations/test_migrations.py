"""The migrations against a real PostgreSQL: up, down, twice and at once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.config import Settings
from app.lifecycle.presets import PRESETS
from app.migrate import SchemaOutdated, migrate, verify
from app.models import Base
from app.postgres import schema
from app.services.common.deployment_settings import SettingsMismatch


@pytest.fixture
async def empty(engine: AsyncEngine) -> AsyncEngine:
    """An engine on a database without a table."""
    await execute(engine, "DROP SCHEMA public, runs CASCADE")
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


def _downgrade(connection: Connection, revision: str = "base") -> None:
    configuration = schema.config()
    configuration.attributes["connection"] = connection
    command.downgrade(configuration, revision)


def test_there_is_one_head_and_one_line_of_migrations() -> None:
    script = ScriptDirectory.from_config(schema.config())
    assert script.get_heads() == [schema.head()]
    assert len(script.get_bases()) == 1
    assert all(not each.is_merge_point for each in script.walk_revisions())


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


async def test_the_database_says_which_revision_it_serves_at_least(
    engine: AsyncEngine, settings: Settings
) -> None:
    line = list(schema.revisions().items())
    assert await schema.state(engine) == schema.SchemaState(*line[-1])
    async with engine.begin() as connection:
        await connection.run_sync(_downgrade, line[-2][0])
    assert await schema.state(engine) == schema.SchemaState(*line[-2])
    with pytest.raises(SchemaOutdated, match="run `clm migrate` first"):
        await verify(engine, settings)


async def test_an_older_migrator_leaves_a_newer_schema_that_serves_it_as_it_is(
    engine: AsyncEngine, settings: Settings
) -> None:
    await execute(engine, "UPDATE alembic_version SET version_num = '9999'")
    before = await rows(engine, "SELECT key, value FROM settings ORDER BY key")
    assert "is newer (9999)" in await migrate(engine, settings)
    await schema.upgrade(engine)
    assert await rows(engine, "SELECT key, value FROM settings ORDER BY key") == before
    assert await rows(engine, "SELECT version_num FROM alembic_version") == [("9999",)]
    served = f"UPDATE settings SET value = '\"9998\"' WHERE key = '{schema.OLDEST_SERVED}'"
    await execute(engine, served)
    with pytest.raises(SchemaOutdated, match="serves revision 9998 and later ones: run a newer"):
        await migrate(engine, settings)


async def test_migrators_at_the_same_time_wait_for_each_other(
    empty: AsyncEngine, settings: Settings
) -> None:
    await asyncio.gather(*(migrate(empty, settings) for _ in range(4)))
    assert await schema.current(empty) == schema.head()
    assert await rows(empty, "SELECT count(*) FROM alembic_version") == [(1,)]


@pytest.mark.parametrize("lock_timeout", ["300"])
async def test_a_second_migrator_waits_longer_than_any_statement_may(
    empty: AsyncEngine, settings: Settings
) -> None:
    async with empty.connect() as first:
        await first.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": schema._LOCK})
        await first.commit()
        second = asyncio.create_task(migrate(empty, settings))
        await asyncio.sleep(1.5)  # far beyond the lock timeout
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
    await execute(engine, f"DELETE FROM settings WHERE key = '{schema.OLDEST_SERVED}'")
    with pytest.raises(SchemaOutdated, match=f"at revision {version}, this version needs"):
        await verify(engine, settings)


def _of_their_own() -> list[str]:
    script = ScriptDirectory.from_config(schema.config())
    return [
        str(each.down_revision)
        for each in script.walk_revisions()
        if "autocommit_block" in Path(each.path).read_text()
    ]


@pytest.mark.parametrize("before", _of_their_own())
async def test_an_upgrade_that_broke_off_at_an_index_can_be_run_again(
    engine: AsyncEngine, before: str
) -> None:
    """What is built concurrently commits what came before it, whose version is not stamped yet."""

    def broken(connection: Connection) -> None:
        def give_up(*arguments: Any) -> None:
            if "CREATE INDEX CONCURRENTLY" in arguments[2]:
                raise TimeoutError("a lock that was not to be had")

        configuration = schema.config()
        configuration.attributes["connection"] = connection
        event.listen(connection, "before_cursor_execute", give_up)
        try:
            with pytest.raises((TimeoutError, PendingRollbackError)):
                command.upgrade(configuration, "head")
        finally:
            event.remove(connection, "before_cursor_execute", give_up)

    def whole(connection: Connection) -> None:
        configuration = schema.config()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")

    async with engine.connect() as connection:
        await connection.run_sync(_downgrade, before)
        await connection.commit()
    async with engine.connect() as connection:
        await connection.run_sync(broken)
    async with engine.connect() as connection:
        await connection.run_sync(whole)
        await connection.commit()
    assert await schema.current(engine) == schema.head()
