"""The worker: claims parts of operations, runs the service function, finishes. Wiring only."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any

from app import logs
from app.config import Settings
from app.db import (
    HOUSEKEEPING,
    PART,
    Database,
    ReadSession,
    WriteSession,
    create_engine,
    database_time,
    limit,
)
from app.deployment import Deployment
from app.errors import AppError, InternalError
from app.services.customers import search_rows
from app.services.models import backtests, model_store, refitting
from app.services.operations import housekeeping, operations, parts
from app.services.operations.parts import LEASE, LeaseLost, Part
from app.services.policy_changes import activations, previews
from app.services.rebuilds import rebuilds
from app.services.runs import runs, schedule
from app.sqlstates import DATABASE_ERRORS, from_database

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
BRIEF_SECONDS = 10.0
"""For what a worker asks beside its parts: who does not answer by then is not there."""

logger = logging.getLogger("clm.worker")


class Worker:
    """Works off parts, one at a time, until it is told to stop.

    What time it is for a part, the clock of the database says, or `clock`; what is due or over,
    that of the database alone.
    """

    def __init__(self, database: Database, settings: Settings, clock: Clock | None = None) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._deployment = Deployment.of(settings)
        self._stopping = asyncio.Event()

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
                    due = clock() + BRIEF_SECONDS  # parts are done even if this fails
                    due = clock() + (0.0 if await self._housekeep() else HOUSEKEEPING_SECONDS)
                worked = await self.work_once()
            except DATABASE_ERRORS as error:
                fault = None if from_database(error) else error
                said = "database away" if fault is None else "database error"
                logger.warning(said, extra={"error": type(error).__name__}, exc_info=fault)
                worked = False
            if not worked:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), IDLE_SECONDS)

    async def work_once(self) -> bool:
        """Do one part if there is any."""
        async with asyncio.timeout(BRIEF_SECONDS), self._write() as session:
            part = await parts.claim(session)
        if part is None:
            return False
        heart = asyncio.create_task(self._beat(part))
        try:
            await self._do(part)
        except LeaseLost:
            logger.warning("part taken over", extra={"part": part.part_id, "task": part.task})
        except Exception as error:  # noqa: BLE001  # whatever it was, the operation says so
            await self._give_up(part, error)
        finally:
            heart.cancel()
        return True

    async def _now(self, session: ReadSession) -> datetime:
        return await database_time(session) if self._clock is None else self._clock()

    async def _do(self, part: Part) -> None:
        """Run the task; its effect, its `done` and what completes the operation are one commit."""
        logger.info("part started", extra={"part": part.part_id, "task": part.task})
        async with self._write() as session:
            now = await self._now(session)
            await TASKS[part.task](session, self._deployment, part, now)
            if await parts.finish(session, part):
                now = await self._now(session)
                part = await parts.refresh(session, part)
                result = await COMPLETIONS[part.kind](session, self._deployment, part, now)
                if result is not None:
                    await operations.succeed(session, part.operation_id, result, now)

    async def _give_up(self, part: Part, error: Exception) -> None:
        """Try again later if the database was the cause, else fail the operation."""
        logger.error("part failed", extra={"part": part.part_id, "task": part.task}, exc_info=error)
        async with self._write() as session:
            if from_database(error) is not None and part.attempt < parts.MAX_ATTEMPTS:
                await parts.release(session, part)
            else:
                problem = error if isinstance(error, AppError) else InternalError()
                now = await database_time(session)
                await operations.fail(session, part.operation_id, problem, now)

    async def _beat(self, part: Part) -> None:
        """Keep the lease while the part is worked on, on a connection of its own."""
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            with contextlib.suppress(*DATABASE_ERRORS):
                async with asyncio.timeout(BRIEF_SECONDS), self._write() as session:
                    await parts.extend_lease(session, part)

    async def _housekeep(self) -> bool:
        """Start what is due and remove what is over; True if there may be more to remove."""
        async with self._housekeeping() as (session, now):
            await rebuilds.start_due(session, now)
        async with self._housekeeping() as (session, now):
            await schedule.start_due(session, self._settings.scoring_every, now)
        async with self._housekeeping() as (session, now):
            await parts.fail_exhausted(session, now)
            more = await housekeeping.sweep(session, now, voided_kept=self._settings.voided_kept)
        async with self._housekeeping() as (session, _):
            now = await self._now(session)
            return await search_rows.fill(session, self._deployment, now) or more

    @contextlib.asynccontextmanager
    async def _housekeeping(self) -> AsyncIterator[tuple[WriteSession, datetime]]:
        async with asyncio.timeout(2 * HOUSEKEEPING.statement), self._write() as session:
            await limit(session, HOUSEKEEPING)
            yield session, await database_time(session)

    @contextlib.asynccontextmanager
    async def _write(self) -> AsyncIterator[WriteSession]:
        async with self._database.writes() as session, session.begin():
            yield WriteSession(ReadSession(session))


def work(settings: Settings, url: str, *, until_eof: bool = False) -> None:
    """Work until a signal ends it, or the end of standard input if asked."""
    logs.configure(settings.log_level)
    asyncio.run(_work(settings, url, until_eof=until_eof))


async def _work(settings: Settings, url: str, *, until_eof: bool) -> None:
    named = {"application_name": "clm-worker"}
    engine = create_engine(url, pool_size=3, limits=PART, server_settings=named)
    database = Database.on(engine)
    worker = Worker(database, settings)
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, worker.stop)
    if until_eof:
        loop.add_reader(sys.stdin.fileno(), worker.stop)
    try:
        await worker.run()
    finally:
        await database.close()
