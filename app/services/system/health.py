"""Whether this process can do its work, and the figures operations watch."""

import asyncio
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import QueuePool

from app.db import Database
from app.errors import DatabaseUnavailable, Unavailable
from app.models import Run
from app.schema import head
from app.services.models.run_monitor import RunMonitor
from app.sqlstates import DATABASE_ERRORS, from_database

CHECK_SECONDS = 2.0


async def check(database: Database) -> None:
    """Raise unless the database answers soon and its schema is the one of this code.

    Where all connections are in use and answered, the database does, and nothing more is asked.
    """
    try:
        async with asyncio.timeout(CHECK_SECONDS), database.reads() as session:
            revision = await session.scalar(text("SELECT version_num FROM alembic_version"))
    except TimeoutError:
        if database.last_answer.seconds_ago() <= CHECK_SECONDS:
            return
        raise DatabaseUnavailable from None
    except ProgrammingError:
        raise Unavailable("The database has no schema; it must be migrated first.") from None
    if revision != head():
        raise Unavailable(f"The schema is at {revision}, but this version needs {head()}.")


_FIGURES = text(
    "SELECT (SELECT count(*) FROM operations WHERE state IN ('pending', 'running')) AS depth,"
    " (SELECT min(created_at) FROM operations WHERE state IN ('pending', 'running')) AS oldest,"
    " (SELECT max(published_at) FROM runs) AS last_run,"
    " (SELECT m.fitted_at FROM models m JOIN settings s"
    "  ON s.key = 'active_model_id' AND s.value #>> '{}' = m.model_id) AS model,"
    " (SELECT r.monitor FROM runs r JOIN settings s"
    "  ON s.key = 'published_run_id' AND s.value = to_jsonb(r.run_id)) AS monitor"
).columns(monitor=Run.monitor.type)


async def gauges(database: Database, now: datetime) -> dict[str, float | None]:
    """Return the gauges of a scrape; every process reports the same, so nothing is summed."""
    pool = database.engine.pool
    assert isinstance(pool, QueuePool)
    found: dict[str, float | None] = {
        "pool_size": pool.size(),
        "pool_checked_out": pool.checkedout(),
    }
    try:
        async with asyncio.timeout(CHECK_SECONDS), database.reads() as session:
            row = (await session.execute(_FIGURES)).one()
    except DATABASE_ERRORS as error:
        if from_database(error) is None:
            raise
        return found  # when the database is away, the rest is wanted most
    monitor = None if row.monitor is None else RunMonitor.load(row.monitor)
    return {
        **found,
        "queue_depth": row.depth,
        "queue_age_seconds": 0.0 if row.oldest is None else _age(row.oldest, now),
        "last_scoring_run_age_seconds": _age(row.last_run, now),
        "model_age_seconds": _age(row.model, now),
        "churn_calibration_error": monitor and monitor.ece,
        "churn_calibration_in_the_large": monitor and monitor.calibration_in_the_large,
    }


def _age(then: datetime | None, now: datetime) -> float | None:
    return None if then is None else max(0.0, (now - then).total_seconds())
