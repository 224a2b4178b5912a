"""The environment of alembic: which database it works on, and how it compares models with it.

The service brings a connection of its own (`app/postgres/schema.py`). The command line of alembic brings
none: it gets the database that the settings name, or the embedded one.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator

from alembic import context
from alembic.migration import MigrationContext, MigrationInfo
from alembic.operations.ops import MigrationScript
from sqlalchemy import Connection, Index
from sqlalchemy.schema import CreateIndex, SchemaItem

from app.config import load_settings
from app.models import Base
from app.postgres import schema
from app.postgres.db import create_engine
from app.postgres.embedded import EmbeddedPostgres, running

COMPARED = ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"]


def is_comparable(item: SchemaItem, *details: object) -> bool:
    """Leave indexes with a collation as they are: none is read back, so each would look changed.

    The last detail is what the item is compared with; an index made or dropped has none.
    """
    other = details[-1]
    indexes = [each for each in (item, other) if isinstance(each, Index)]
    return other is None or not any("COLLATE" in str(CreateIndex(each)) for each in indexes)


def number(
    migration: MigrationContext, _revision: object, directives: list[MigrationScript]
) -> None:
    """Give a new migration the number after the last one."""
    assert migration.script is not None
    last = migration.script.get_current_head()
    for directive in directives:
        directive.rev_id = f"{int(last or 0) + 1:04}"


def declare(*, ctx: MigrationContext, step: MigrationInfo, **_: object) -> None:
    """Write beside the revision which is the oldest it serves: `app/postgres/schema.py` reads it."""
    for revision in step.destination_revision_ids:
        oldest = schema.revisions().get(revision, revision)
        ctx.impl.execute(
            "INSERT INTO settings (key, value) VALUES"  # noqa: S608  # revisions are ours
            f" ('{schema.OLDEST_SERVED}', '\"{oldest}\"')"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        )


def migrate(connection: Connection | None) -> None:
    """Run the migrations in one transaction each; without a connection, write their SQL."""
    context.configure(
        connection=connection,
        dialect_name="postgresql",
        literal_binds=connection is None,
        target_metadata=Base.metadata,
        transaction_per_migration=True,
        on_version_apply=declare,
        compare_server_default=True,
        include_object=is_comparable,
        process_revision_directives=number,
        autogenerate_plugins=COMPARED,
    )
    with context.begin_transaction():
        context.run_migrations()


@contextlib.contextmanager
def database() -> Iterator[str]:
    """Yield the URL of the database of the settings; run the embedded one if nobody does."""
    settings = load_settings()
    url = settings.database_url or running(settings.data_dir)
    if url is not None:
        yield url
    else:
        with EmbeddedPostgres.start(settings.data_dir) as server:
            yield server.url


async def connect(url: str) -> None:
    engine = create_engine(url, pool_size=1)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is not None or context.is_offline_mode():
    migrate(given)
else:
    logging.basicConfig(format="%(message)s")
    logging.getLogger("alembic.autogenerate").setLevel(logging.INFO)
    with database() as url:
        asyncio.run(connect(url))
