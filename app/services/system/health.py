"""Whether this process can do its work."""

import asyncio

from sqlalchemy.exc import ProgrammingError

from app.errors import DatabaseUnavailable, Unavailable
from app.postgres.db import Database
from app.postgres.schema import STATE, SchemaState

CHECK_SECONDS = 2.0


async def check(database: Database) -> None:
    """Raise unless the database answers soon and its schema serves this code.

    Where all connections are in use and answered, the database does, and nothing more is asked.
    """
    try:
        async with asyncio.timeout(CHECK_SECONDS), database.reads() as session:
            row = (await session.execute(STATE)).one_or_none()
    except TimeoutError:
        if database.last_answer.seconds_ago() <= CHECK_SECONDS:
            return
        raise DatabaseUnavailable from None
    except ProgrammingError:
        raise Unavailable("The database has no schema; it must be migrated first.") from None
    fault = SchemaState(*row or (None, None)).fault
    if fault is not None:
        raise Unavailable(f"{fault[0].upper()}{fault[1:]}.")
