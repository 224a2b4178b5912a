"""Bringing a database to the newest schema, and refusing to work on one that does not serve."""

from sqlalchemy.ext.asyncio import AsyncEngine

from app.config import Settings
from app.models import Base
from app.postgres import roles, schema
from app.postgres.db import Database, ReadSession, WriteSession, database_time
from app.services.access import audit, audit_log
from app.services.common import deployment_settings as stored


class SchemaOutdated(RuntimeError):
    """The database is at a revision on which this code does not work."""


async def migrate(engine: AsyncEngine, settings: Settings) -> str:
    """Migrate, and write what a new database needs; say in a line what was found.

    A newer schema that serves this version is left as it is, as are the rights on it.
    """
    found = await schema.state(engine)
    if not found.is_newer:
        if found.revision != schema.head():
            await schema.upgrade(engine)
        await roles.close(engine)
        async with Database.on(engine).writes() as session, session.begin():
            writing = WriteSession(ReadSession(session))
            await stored.initialise(writing, settings, await database_time(writing))
            await audit_log.renumber(writing)
            if found.revision != schema.head():
                told = {"from": found.revision, "to": schema.head()}
                await audit.record_command(writing, "migrate", told)
    elif found.fault is None:
        async with Database.on(engine).writes() as session, session.begin():
            await stored.take_charge(WriteSession(ReadSession(session)))
    await verify(engine, settings)
    if found.is_newer:
        return (
            f"the schema is newer ({found.revision}) than that of this version ({schema.head()})"
            " and serves it: nothing to do"
        )
    if settings.application_role is not None:
        await roles.allow(engine, settings.application_role)
    return "the schema is the newest"


async def verify(engine: AsyncEngine, settings: Settings) -> Settings:
    """Return the settings as the database settles them; raise unless this code works on it."""
    fault = (await schema.state(engine)).fault
    if fault is not None:
        raise SchemaOutdated(fault)
    async with engine.connect() as connection:
        closed = await roles.closed(connection, Base.metadata.tables)
    if closed:
        raise SchemaOutdated(
            f"the role {engine.url.username} may not work on {', '.join(closed)}: run `clm migrate`"
            f" as the owner, with CLM_APPLICATION_ROLE={engine.url.username}"
        )
    async with Database.on(engine).reads() as session:
        reading = ReadSession(session)
        if await stored.is_behind(reading):
            raise SchemaOutdated(
                "what is stored was derived by the rules of an older version: run `clm migrate`"
                " first, which has workers of this version derive it anew"
            )
        return await stored.settled(reading, settings)
