"""Whether this process can do its work."""

import asyncio

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.db import Database
from app.errors import DatabaseUnavailable, Unavailable
from app.schema import head

CHECK_SECONDS = 2.0


async def check(database: Database) -> None:
    """Raise unless the database answers soon and its schema is the one of this code."""
    try:
        async with asyncio.timeout(CHECK_SECONDS), database.reads() as session:
            revision = await session.scalar(text("SELECT version_num FROM alembic_version"))
    except TimeoutError:
        raise DatabaseUnavailable from None
    except ProgrammingError:
        raise Unavailable("The database has no schema; it must be migrated first.") from None
    if revision != head():
        raise Unavailable(f"The schema is at {revision}, but this version needs {head()}.")
