"""The figures that operations watch: one look at the database serves every scrape of some seconds.

Every process reports the same, so nothing is summed.
"""

import asyncio
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from app.config import Settings
from app.models import Run
from app.postgres.db import AnyRow, Database
from app.postgres.sqlstates import from_database
from app.services.common.deployment_settings import LAST_BACKUP, LAST_HOUSEKEEPING
from app.services.models.run_monitor import RunMonitor

LOOK_SECONDS = 2.0
KEPT_SECONDS = 5.0
Figures = dict[str, float | Mapping[str, float | None] | None]

_LOOK = text(
    "SELECT (SELECT count(*) FROM operations WHERE state IN ('pending', 'running')) AS depth,"
    " (SELECT min(created_at) FROM operations WHERE state IN ('pending', 'running')) AS oldest,"
    " (SELECT max(published_at) FROM runs) AS last_run,"
    " (SELECT max(fitted_at) FROM models) AS last_fit,"
    " (SELECT CAST(value #>> '{}' AS timestamptz) FROM settings"
    "  WHERE key = :housekeeping) AS last_housekeeping,"
    " (SELECT CAST(value #>> '{}' AS timestamptz) FROM settings"
    "  WHERE key = :backup) AS last_backup,"
    " (SELECT m.fitted_at FROM models m JOIN settings s"
    "  ON s.key = 'active_model_id' AND s.value #>> '{}' = m.model_id) AS model,"
    " (SELECT r.monitor FROM runs r JOIN settings s"
    "  ON s.key = 'published_run_id' AND s.value = to_jsonb(r.run_id)) AS monitor,"
    " (SELECT jsonb_object_agg(kind, number) FROM (SELECT kind, count(*) AS number FROM operations"
    "  WHERE state = 'failed' AND finished_at > now() - interval '1 day' GROUP BY kind) AS failed)"
    "  AS failed,"
    " p.*, pg_database_size(current_database()) AS size"
    " FROM (SELECT count(*) FILTER (WHERE state = 'pending') AS waiting,"
    "  count(*) FILTER (WHERE state = 'running' AND lease_until >= now()) AS running,"
    "  count(*) FILTER (WHERE attempt > 1) AS tried_again,"
    "  count(*) FILTER (WHERE state = 'running' AND lease_until < now()) AS abandoned"
    "  FROM operation_parts WHERE state <> 'done') AS p"
).columns(monitor=Run.monitor.type)

_NAMES = {"housekeeping": LAST_HOUSEKEEPING, "backup": LAST_BACKUP}


@dataclass
class Watch:
    """Looks at a database for whoever scrapes, at most once in a while."""

    database: Database
    settings: Settings
    _row: AnyRow | None = None
    _until: float = 0.0

    def __post_init__(self) -> None:
        self._looking = asyncio.Lock()

    async def figures(self, now: datetime) -> Figures:
        """Return the gauges of a scrape."""
        pool = self.database.engine.pool
        assert isinstance(pool, QueuePool)
        found: Figures = {"pool_size": pool.size(), "pool_checked_out": pool.checkedout()}
        found |= self._disk()
        row = await self._look()
        # When the database is away, the rest is wanted most.
        return found if row is None else found | _of(row, now)

    async def _look(self) -> AnyRow | None:
        async with self._looking:
            if time.monotonic() < self._until:
                return self._row
            try:
                async with asyncio.timeout(LOOK_SECONDS), self.database.reads() as session:
                    self._row = (await session.execute(_LOOK, _NAMES)).one()
            except (SQLAlchemyError, OSError) as error:
                if from_database(error) is None:
                    raise
                return None
            self._until = time.monotonic() + KEPT_SECONDS
            return self._row

    def _disk(self) -> Figures:
        """Return what is free beside the embedded database, which fills the disk of the service."""
        folder = self.settings.data_dir
        try:
            if (folder / "postgres.lock").stat().st_size == 0:  # nobody runs one here
                return {}
            usage = shutil.disk_usage(folder)
        except OSError:
            return {}
        return {"disk_free_bytes": usage.free, "disk_size_bytes": usage.total}


def _of(row: Any, now: datetime) -> Figures:
    monitor = None if row.monitor is None else RunMonitor.load(row.monitor)
    ended = {
        "scoring_run": row.last_run,
        "fit": row.last_fit,
        "housekeeping": row.last_housekeeping,
        "backup": row.last_backup,
    }
    return {
        "operations_queue_depth": row.depth,
        "operations_queue_age_seconds": 0.0 if row.oldest is None else _age(row.oldest, now),
        "last_scoring_run_age_seconds": _age(row.last_run, now),
        "model_age_seconds": _age(row.model, now),
        "churn_calibration_error": monitor and monitor.ece,
        "churn_calibration_in_the_large": monitor and monitor.calibration_in_the_large,
        "operation_parts_waiting": row.waiting,
        "operation_parts_running": row.running,
        "operation_parts_tried_again": row.tried_again,
        "operation_parts_abandoned": row.abandoned,
        "database_size_bytes": row.size,
        "operations_failed_last_day": row.failed or {},
        "last_success_timestamp_seconds": {
            task: None if at is None else at.timestamp() for task, at in ended.items()
        },
    }


def _age(then: datetime | None, now: datetime) -> float | None:
    return None if then is None else max(0.0, (now - then).total_seconds())
