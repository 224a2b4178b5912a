"""The schema of the database: which revision this code needs, and how to get there."""

import asyncio
import time
from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
LOCK_NOT_AVAILABLE = "55P03"
_LOCK = 4_252_017  # any number, as long as all migrators share it
_TRIES = 30
_POLL_SECONDS = 0.2


def config() -> Config:
    """Return how alembic finds the migrations, wherever the service is installed."""
    found = Config()
    found.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return found


@lru_cache
def head() -> str:
    """Return the revision that this code was written for."""
    revision = ScriptDirectory.from_config(config()).get_current_head()
    assert revision is not None
    return revision


async def current(engine: AsyncEngine) -> str | None:
    """Return the revision of a database, None for an empty one."""
    async with engine.connect() as connection:
        return await connection.run_sync(
            lambda sync: MigrationContext.configure(sync).get_current_revision()
        )


async def upgrade(engine: AsyncEngine, revision: str = "head") -> None:
    """Bring a database to a revision; migrators wait for each other."""
    async with engine.connect() as connection:
        # The migrator before this one may take long; while migrating, locks are waited for briefly.
        await connection.execute(text("SET statement_timeout = 0"))
        await connection.commit()
        # One that waits in a transaction would itself be waited for by an index built concurrently.
        while not await connection.scalar(
            text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}
        ):
            await connection.rollback()
            await asyncio.sleep(_POLL_SECONDS)
        await connection.commit()
        try:
            await connection.run_sync(_upgrade, revision)
        finally:
            await connection.rollback()
            await connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
            await connection.commit()


def _upgrade(connection: Connection, revision: str) -> None:
    """Run the migrations; one that gave up waiting for a lock is tried again."""
    configuration = config()
    configuration.attributes["connection"] = connection
    for attempt in range(_TRIES):
        try:
            command.upgrade(configuration, revision)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE or attempt == _TRIES - 1:
                raise
            connection.rollback()
            time.sleep(1)
        else:
            connection.commit()
            return
