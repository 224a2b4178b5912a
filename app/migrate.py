"""Bringing a database to the newest schema, and refusing to work on another one."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from app import schema
from app.config import Settings
from app.db import Database, ReadSession, WriteSession
from app.services.access import audit, audit_log
from app.services.common import deployment_settings as stored


class SchemaOutdated(RuntimeError):
    """The database is not at the revision that this code needs."""


async def migrate(engine: AsyncEngine, settings: Settings) -> None:
    """Migrate, and write what a new database needs."""
    before = await schema.current(engine)
    if before != schema.head():
        await schema.upgrade(engine)
    async with Database.on(engine).writes() as session, session.begin():
        writing = WriteSession(ReadSession(session))
        await stored.initialise(writing, settings, datetime.now(UTC))
        await audit_log.renumber(writing)
        if before != schema.head():
            await audit.record_command(writing, "migrate", {"from": before, "to": schema.head()})
    await verify(engine, settings)


async def verify(engine: AsyncEngine, settings: Settings) -> None:
    """Raise unless the schema is the newest, and zone and currency are those of the facts."""
    revision = await schema.current(engine)
    if revision != schema.head():
        raise SchemaOutdated(
            f"the database is at revision {revision}, this version needs {schema.head()}: "
            "run `clm migrate` first"
        )
    async with Database.on(engine).reads() as session:
        await stored.verify(ReadSession(session), settings)
