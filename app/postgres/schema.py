"""The schema of the database: which revisions this code works on, and how to get there.

Each revision says which is the oldest whose release still works on it (`oldest_served`), and the
database keeps that of the revision it is at: so a release knows of a newer schema, of which it
knows nothing else, whether it is served. See `docs/releases.md`.

Alembic is imported to migrate alone: to serve, a process must only know whether it has to.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
LOCK_NOT_AVAILABLE = "55P03"
_LOCK = 4_252_017  # any number, as long as all migrators share it
_TRIES = 30
_POLL_SECONDS = 0.2
_DECLARED = re.compile(
    r"^(revision|down_revision|oldest_served)\b.*= ['\"](.+)['\"]$", re.MULTILINE
)
OLDEST_SERVED = "oldest_revision_served"
"""The setting that says of which revision a release at least is served; migrations write it."""
STATE = text(
    "SELECT version_num, (SELECT value #>> '{}' FROM settings"  # noqa: S608  # the name of a setting
    f" WHERE key = '{OLDEST_SERVED}') FROM alembic_version"
)


def config() -> "Config":
    """Return how alembic finds the migrations, wherever the service is installed."""
    from alembic.config import Config  # noqa: PLC0415

    found = Config()
    found.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return found


@lru_cache
def revisions() -> dict[str, str]:
    """Return the revisions of this code up to its head, each with the oldest that it serves.

    One that does not say so serves itself alone.
    """
    after: dict[str | None, str] = {}
    oldest: dict[str, str] = {}
    for script in (MIGRATIONS / "versions").glob("*.py"):
        said: dict[str, str] = dict(_DECLARED.findall(script.read_text("utf-8")))
        if "revision" in said:
            after[said.get("down_revision")] = said["revision"]
            oldest[said["revision"]] = said.get("oldest_served", said["revision"])
    line: dict[str, str] = {}
    following = after.get(None)
    while following is not None:
        line[following] = oldest[following]
        following = after.get(following)
    return line


@lru_cache
def head() -> str:
    """Return the revision that this code was written for: the one that no other follows."""
    return list(revisions())[-1]


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The revision of a database, None for an empty one, and the oldest that it serves."""

    revision: str | None
    oldest_served: str | None

    @property
    def is_newer(self) -> bool:
        """Whether a release that comes after this one made it."""
        return self.revision is not None and self.revision not in revisions()

    @property
    def fault(self) -> str | None:
        """What is wrong and what to do, unless this code works on it."""
        if self.revision == head() or (self.is_newer and self.oldest_served in revisions()):
            return None
        told = f"the database is at revision {self.revision}, this version needs {head()}"
        if not self.is_newer:
            return f"{told}: run `clm migrate` first"
        return (
            f"{told}: it was migrated by a newer version that serves revision"
            f" {self.oldest_served or self.revision} and later ones: run a newer version"
        )


async def state(engine: AsyncEngine) -> SchemaState:
    """Return where the schema of a database stands."""
    async with engine.connect() as connection:
        return await _state(connection)


async def _state(connection: AsyncConnection) -> SchemaState:
    for table in ("alembic_version", "settings"):
        found = await connection.scalar(text("SELECT to_regclass(:table)"), {"table": table})
        if found is None:
            return SchemaState(None, None)
    row = (await connection.execute(STATE)).one_or_none()
    return SchemaState(None, None) if row is None else SchemaState(*row)


async def current(engine: AsyncEngine) -> str | None:
    """Return the revision of a database, None for an empty one."""
    return (await state(engine)).revision


async def upgrade(engine: AsyncEngine, revision: str = "head") -> None:
    """Bring a database to a revision; migrators wait for each other.

    Whoever comes after a newer one leaves the schema alone.
    """
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
            # Not on another connection: those who wait may hold all that there are.
            found = await _state(connection)
            await connection.commit()
            if not found.is_newer:
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
