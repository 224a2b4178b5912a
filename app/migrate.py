"""Bringing a database to the newest schema, and refusing to work on another one."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from app import schema
from app.config import Settings
from app.db import Database, ReadSession, WriteSession
from app.services.common import deployment_settings as stored


class SchemaOutdated(RuntimeError):
    """The database is not at the revision that this code needs."""


async def migrate(engine: AsyncEngine, settings: Settings) -> Settings:
    """Migrate, and write what a new database needs; return what `verify` does."""
    if await schema.current(engine) != schema.head():
        await schema.upgrade(engine)
    async with Database.on(engine).writes() as session, session.begin():
        await stored.initialise(WriteSession(ReadSession(session)), settings, datetime.now(UTC))
    return await verify(engine, settings)


async def verify(engine: AsyncEngine, settings: Settings) -> Settings:
    """Return the settings as the database settles them; raise unless its schema is the newest."""
    revision = await schema.current(engine)
    if revision != schema.head():
        raise SchemaOutdated(
            f"the database is at revision {revision}, this version needs {schema.head()}: "
            "run `clm migrate` first"
        )
    async with Database.on(engine).reads() as session:
        return await stored.settled(ReadSession(session), settings)
