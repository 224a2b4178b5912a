"""The schema of the database: which revision this code needs, and how to get there.

Alembic is imported to migrate alone: to serve, a process must only know whether it has to.
"""

import asyncio
import re
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
LOCK_NOT_AVAILABLE = "55P03"
_LOCK = 4_252_017  # any number, as long as all migrators share it
_TRIES = 30
_POLL_SECONDS = 0.2
_REVISIONS = re.compile(r"^(revision|down_revision)\b.*= ['\"](.+)['\"]$", re.MULTILINE)


def config() -> "Config":
    """Return how alembic finds the migrations, wherever the service is installed."""
    from alembic.config import Config  # noqa: PLC0415

    found = Config()
    found.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return found


@lru_cache
def head() -> str:
    """Return the revision that this code was written for: the one that no other follows."""
    names: dict[str, set[str]] = {"revision": set(), "down_revision": set()}
    for script in (MIGRATIONS / "versions").glob("*.py"):
        for kind, name in _REVISIONS.findall(script.read_text("utf-8")):
            names[kind].add(name)
    (newest,) = names["revision"] - names["down_revision"]
    return newest


async def current(engine: AsyncEngine) -> str | None:
    """Return the revision of a database, None for an empty one."""
    async with engine.connect() as connection:
        if await connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
            return None
        revision: str | None = await connection.scalar(
            text("SELECT version_num FROM alembic_version")
        )
        return revision


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
    from alembic import command  # noqa: PLC0415

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
