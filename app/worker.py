"""The worker: claims parts of operations, runs the service function, finishes. Wiring only."""

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from app import logs, metrics, schema, tracing, worker_page
from app.config import VERSION, Settings
from app.db import Database, ReadSession, WriteSession, create_engine
from app.deployment import Deployment
from app.errors import AppError, InternalError
from app.metrics import PartOutcome
from app.services.customers import search_rows
from app.services.models import backtests, model_store, refitting
from app.services.operations import housekeeping, operations, parts
from app.services.operations.parts import LEASE, LeaseLost, Part
from app.services.policy_changes import activations, previews
from app.services.rebuilds import rebuilds
from app.services.runs import runs, schedule
from app.sqlstates import from_database
from app.worker_page import Signs

Task = Callable[[WriteSession, Deployment, Part, datetime], Awaitable[None]]
Completion = Callable[[WriteSession, Deployment, Part, datetime], Awaitable[dict[str, Any] | None]]
"""Returns the result of the operation, or None if there are further parts to do."""
Clock = Callable[[], datetime]

TASKS: dict[str, Task] = {
    model_store.FIT: refitting.fit_part,
    backtests.BACKTEST: backtests.test_part,
    runs.RUN: runs.plan_part,
    "transition": runs.transition_part,
    "score": runs.score_part,
    "index": runs.index_part,
    previews.PREVIEW: previews.plan_part,
    previews.COMPARE: previews.compare_part,
    activations.ACTIVATION: activations.plan_part,
    activations.APPLY: activations.apply_part,
    rebuilds.REBUILD: rebuilds.plan_part,
    rebuilds.DERIVE: rebuilds.derive_part,
}
COMPLETIONS: dict[str, Completion] = {
    model_store.FIT: refitting.fit_result,
    backtests.BACKTEST: backtests.result,
    runs.RUN: runs.complete,
    previews.PREVIEW: previews.result,
    activations.ACTIVATION: activations.apply_next_parts,
    rebuilds.REBUILD: rebuilds.result,
}

IDLE_SECONDS = 0.5
HOUSEKEEPING_SECONDS = 60.0
# A part holds its transaction while numpy works, and reads and writes many rows at a time.
SERVER_SETTINGS = {
    "application_name": "clm-worker",
    "statement_timeout": "600000",
    "idle_in_transaction_session_timeout": "600000",
    "lock_timeout": "60000",
}

logger = logging.getLogger("clm.worker")


def utc_now() -> datetime:
    return datetime.now(UTC)


class Worker:
    """Works off parts, one at a time, until it is told to stop; `clock` tells what time it is."""

    def __init__(self, database: Database, settings: Settings, clock: Clock = utc_now) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._deployment = Deployment.of(settings)
        self._stopping = asyncio.Event()
        self.signs = Signs()

    def stop(self) -> None:
        """Finish the part at hand and end."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until stopped; the database may go away and come back meanwhile."""
        due = 0.0
        clock = asyncio.get_running_loop().time
        while not self._stopping.is_set():
            try:
                if clock() >= due:
                    due = clock() + (0.0 if await self._housekeep() else HOUSEKEEPING_SECONDS)
                worked = await self.work_once()
            except (SQLAlchemyError, OSError) as error:
                logger.warning("database away", extra={"error": type(error).__name__})
                worked = False
            if not worked:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), IDLE_SECONDS)

    async def work_once(self) -> bool:
        """Do one part if there is any."""
        async with self._write() as session:
            part = await parts.claim(session)
        self.signs.answered()
        if part is None:
            return False
        heart = asyncio.create_task(self._beat(part))
        started = time.perf_counter()
        outcome: PartOutcome = "failed"
        try:
            with tracing.part(part.task):
                await self._do(part)
            outcome = "done"
        except LeaseLost:
            outcome = "lost"
            logger.warning("part taken over", extra={"part": part.part_id, "task": part.task})
        except Exception as error:  # noqa: BLE001  # whatever it was, the operation says so
            outcome = await self._give_up(part, error)
        finally:
            heart.cancel()
            metrics.observe_part(part.task, outcome, time.perf_counter() - started)
        return True

    async def _do(self, part: Part) -> None:
        """Run the task; its effect, its `done` and what completes the operation are one commit."""
        logger.info("part started", extra={"part": part.part_id, "task": part.task})
        now = self._clock()
        async with self._write() as session:
            await TASKS[part.task](session, self._deployment, part, now)
            if await parts.finish(session, part):
                now = self._clock()
                part = await parts.refresh(session, part)
                result = await COMPLETIONS[part.kind](session, self._deployment, part, now)
                if result is not None:
                    await operations.succeed(session, part.operation_id, result, now)

    async def _give_up(self, part: Part, error: Exception) -> PartOutcome:
        """Try again later if the database was the cause, else fail the operation."""
        logger.error("part failed", extra={"part": part.part_id, "task": part.task}, exc_info=error)
        async with self._write() as session:
            if from_database(error) is not None and part.attempt < parts.MAX_ATTEMPTS:
                await parts.release(session, part)
                return "put_off"
            problem = error if isinstance(error, AppError) else InternalError()
            await operations.fail(session, part.operation_id, problem, self._clock())
            return "failed"

    async def _beat(self, part: Part) -> None:
        """Keep the lease while the part is worked on, on a connection of its own."""
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            with contextlib.suppress(SQLAlchemyError, OSError):
                async with self._write() as session:
                    await parts.extend_lease(session, part)
                    self.signs.answered()

    async def _housekeep(self) -> bool:
        now = self._clock()
        async with self._write() as session:
            await rebuilds.start_due(session, now)
        async with self._write() as session:
            await schedule.start_due(session, self._settings.scoring_every, now)
        async with self._write() as session:
            await parts.fail_exhausted(session, now)
            more = await housekeeping.sweep(session, now, voided_kept=self._settings.voided_kept)
        async with self._write() as session:
            return await search_rows.fill(session, self._deployment, now) or more

    @contextlib.asynccontextmanager
    async def _write(self) -> AsyncIterator[WriteSession]:
        async with self._database.writes() as session, session.begin():
            yield WriteSession(ReadSession(session))


def work(settings: Settings, url: str, *, until_eof: bool = False) -> None:
    """Work until a signal ends it, or the end of standard input if asked."""
    logs.configure(settings.log_level)
    tracing.configure("clm-worker", VERSION)
    asyncio.run(_work(settings, url, until_eof=until_eof))


async def _work(settings: Settings, url: str, *, until_eof: bool) -> None:
    database = Database.on(create_engine(url, pool_size=3, server_settings=SERVER_SETTINGS))
    worker = Worker(database, settings)
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, worker.stop)
    if until_eof:
        loop.add_reader(sys.stdin.fileno(), worker.stop)
    metrics.set_build(VERSION, schema.head())
    turning = asyncio.create_task(_turn(worker.signs))
    try:
        with worker_page.served(settings, worker.signs):
            await worker.run()
    finally:
        turning.cancel()
        await database.close()


async def _turn(signs: Signs) -> None:
    """Keep noting that the event loop turns."""
    while True:
        signs.turned()
        await asyncio.sleep(1)
