"""The migrated database and the models are one schema; what parts them is found and drafted.

Alembic compares most of it, and drafts from that. It looks at no predicate, collation or text of
a check: the second comparison does, between the catalogues of two real schemas.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.migration import MigrationContext
from alembic.operations.ops import MigrationScript
from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from app.models import Base
from app.postgres import schema

REPOSITORY = Path(__file__).parents[2]

CATALOGUE = {
    "columns": "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,"
    " a.attidentity::text, a.attgenerated::text, l.collname, pg_get_expr(d.adbin, d.adrelid)"
    " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'"
    " LEFT JOIN pg_collation l ON l.oid = a.attcollation"
    " LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum"
    " WHERE c.relnamespace = '{schema}'::regnamespace AND a.attnum > 0 AND NOT attisdropped",
    "constraints": "SELECT conname, contype::text, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = '{schema}'::regnamespace",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = '{schema}'",
    "triggers": "SELECT tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
    " WHERE c.relnamespace = '{schema}'::regnamespace",
}


async def unlike(engine: AsyncEngine, metadata: MetaData) -> list[str]:
    """Return what differs between the migrated schema and the one that the models make."""
    async with engine.connect() as connection:
        await connection.execute(text("CREATE SCHEMA twin"))
        await connection.execute(text("DROP TABLE alembic_version"))
        twin = await connection.execution_options(schema_translate_map={None: "twin"})
        await twin.run_sync(metadata.create_all)
        found = {}
        for name in ("public", "twin"):
            for what, query in CATALOGUE.items():
                rows = await connection.execute(text(query.format(schema=name)))
                found[name, what] = sorted(
                    str([str(value).replace(f"{name}.", "") for value in row]) for row in rows
                )
        await connection.rollback()
    assert not found["public", "triggers"]
    assert all(found["public", what] for what in CATALOGUE if what != "triggers")
    return [what for what in CATALOGUE if found["public", what] != found["twin", what]]


async def drafted(engine: AsyncEngine) -> list[Any]:
    """Return the changes that alembic would draft."""
    found: list[Any] = []

    def keep(_: MigrationContext, __: object, directives: list[MigrationScript]) -> None:
        assert directives[0].upgrade_ops is not None
        found.extend(directives[0].upgrade_ops.as_diffs())
        directives.clear()

    def draft(connection: Connection) -> None:
        configuration = schema.config()
        configuration.attributes["connection"] = connection
        command.revision(configuration, autogenerate=True, process_revision_directives=keep)

    async with engine.connect() as connection:
        await connection.run_sync(draft)
    return found


async def test_alembic_finds_nothing_to_migrate(engine: AsyncEngine) -> None:
    assert await drafted(engine) == []


async def test_the_migrated_database_is_the_one_that_the_models_make(engine: AsyncEngine) -> None:
    assert await unlike(engine, Base.metadata) == []


@pytest.fixture
def customers(monkeypatch: pytest.MonkeyPatch) -> Table:
    """The table of customers in models of this test alone."""
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)
    for table in Base.metadata.tables.values():
        table.to_metadata(metadata)
    monkeypatch.setattr(Base, "metadata", metadata)
    return metadata.tables["customers"]


def add_column(customers: Table) -> None:
    customers.append_column(Column("tier", Text))


def change_type(customers: Table) -> None:
    customers.c.city.type = Integer()


def forbid_null(customers: Table) -> None:
    customers.c.city.nullable = False


def add_default(customers: Table) -> None:
    customers.append_column(Column("city", Text, server_default="nowhere"), replace_existing=True)


def add_index(customers: Table) -> None:
    Index("ix_customers_city_prefix", func.lower(customers.c.city).collate("C"))


def drop_index(customers: Table) -> None:
    customers.indexes.remove(index_of(customers, "ix_customers_owner"))


def add_check(customers: Table) -> None:
    customers.append_constraint(CheckConstraint("version > 0", name="version"))


def add_table(customers: Table) -> None:
    Table("tiers", customers.metadata, Column("tier", Text, primary_key=True))


def index_of(table: Table, name: str) -> Index:
    return next(index for index in table.indexes if index.name == name)


def change_collation(customers: Table) -> None:
    drop_index(customers)
    Index("ix_customers_owner", customers.c.owner.collate("POSIX"), customers.c.customer_id)


def change_check(customers: Table) -> None:
    check = next(each for each in customers.constraints if isinstance(each, CheckConstraint))
    check.sqltext = text("kind IN ('person', 'company', 'robot')")


def change_predicate(customers: Table) -> None:
    index = index_of(customers.metadata.tables["operations"], "uq_operations_one_open")
    index.dialect_options["postgresql"]["where"] = text("state = 'pending'")


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (add_column, "add_column"),
        (change_type, "modify_type"),
        (forbid_null, "modify_nullable"),
        (add_default, "modify_default"),
        (add_index, "add_index"),
        (drop_index, "remove_index"),
        (add_check, "add_constraint"),
        (add_table, "add_table"),
    ],
)
async def test_a_change_of_the_models_is_drafted_and_nothing_else(
    engine: AsyncEngine, customers: Table, change: Callable[[Table], None], kind: str
) -> None:
    change(customers)
    (found,) = await drafted(engine)
    # Changes of one column come as a list.
    assert (found[0][0] if isinstance(found, list) else found[0]) == kind
    assert await unlike(engine, customers.metadata)


@pytest.mark.parametrize("change", [change_collation, change_check, change_predicate])
async def test_what_alembic_does_not_compare_is_found_all_the_same(
    engine: AsyncEngine, customers: Table, change: Callable[[Table], None]
) -> None:
    assert await unlike(engine, customers.metadata) == []
    change(customers)
    assert await drafted(engine) == []
    assert len(await unlike(engine, customers.metadata)) == 1


WITH_A_TIER = """
import shlex, sys
from alembic.config import main
from sqlalchemy import Column, Text
from app.models import Base
Base.metadata.tables["customers"].append_column(Column("tier", Text))
for command in sys.argv[1:]:
    main(shlex.split(command))
"""


def test_the_command_line_drafts_a_migration_that_goes_up_and_down(
    own_url: str, tmp_path: Path
) -> None:
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    shutil.copytree(REPOSITORY / "migrations", tmp_path / "migrations")
    there = {file.name for file in (tmp_path / "migrations/versions").iterdir()}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CLM_")},
        "PYTHONPATH": str(REPOSITORY),
        "CLM_DATABASE_URL": own_url,
    }

    def run(*words: str) -> None:
        done = subprocess.run(
            [sys.executable, *words],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    run("-c", WITH_A_TIER, "revision --autogenerate -m 'Tiers of customers'")
    (made,) = {
        file for file in (tmp_path / "migrations/versions").glob("*.py") if file.name not in there
    }
    assert made.name.endswith("_tiers_of_customers.py")
    assert made.name[:8].isdigit()
    written = made.read_text()
    assert written.startswith('"""Tiers of customers\n')
    assert "SET LOCAL lock_timeout" in written
    added = '    op.add_column("customers", sa.Column("tier", sa.Text(), nullable=True))\n'
    assert written.count(" op.") == 4  # a lock timeout and a change, up and down
    assert added in written
    assert '    op.drop_column("customers", "tier")\n' in written
    run("-m", "ruff", "check", str(made))
    run("-m", "ruff", "format", "--check", str(made))
    run("-c", WITH_A_TIER, "upgrade head", "check", "downgrade -1", "upgrade head --sql")
