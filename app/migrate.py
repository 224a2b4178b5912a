"""Bringing a database to the newest schema, and refusing to work on another one."""

from sqlalchemy.ext.asyncio import AsyncEngine

from app import schema
from app.config import Settings
from app.db import Database, ReadSession, WriteSession, database_time
from app.services.common import deployment_settings as stored


class SchemaOutdated(RuntimeError):
    """The database is not at the revision that this code needs."""


async def migrate(engine: AsyncEngine, settings: Settings) -> None:
    """Migrate, and write what a new database needs."""
    if await schema.current(engine) != schema.head():
        await schema.upgrade(engine)
    async with Database.on(engine).writes() as session, session.begin():
        writing = WriteSession(ReadSession(session))
        await stored.initialise(writing, settings, await database_time(writing))
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
