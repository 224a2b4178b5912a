"""The worker: claims parts of operations, runs the service function, finishes. Wiring only."""

import asyncio
import contextlib
import logging
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

from app import worker_page
from app.config import VERSION, Settings
from app.deployment import Deployment
from app.postgres import schema
from app.postgres.db import Database, ReadSession, WriteSession, create_engine, database_time, limit
from app.postgres.limits import HOUSEKEEPING, PART
from app.postgres.sqlstates import hindrance
from app.services.access import audit
from app.services.common.stored_documents import NewerVersion
from app.services.customers import search_rows
from app.services.ingest.imports import writing
from app.services.operations import housekeeping, leases, operations, parts
from app.services.operations.leases import Lease
from app.services.operations.parts import LeaseLost, Part, PutOff
from app.services.rebuilds import rebuilds
from app.services.runs import schedule
from app.services.runs.segments import keeping, updates
from app.telemetry import logs, metrics, tracing
from app.telemetry.metrics import PartOutcome
from app.worker_page import Signs
from app.worker_tasks import COMPLETIONS, TASKS

Clock = Callable[[], datetime]

IDLE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
TURN_SECONDS = 10.0
"""How long a part that commits in steps goes on before others have their turn."""
HOUSEKEEPING_SECONDS = 60.0
SWITCH_SECONDS = 0.001
"""How long a thread computes while the loop has an answer of the database to go on with."""
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
        self._troubles = 0
        self._hindrance: Exception | None = None
        self.signs = Signs()

    def stop(self) -> None:
        """Finish the part at hand and end."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until stopped; the database may go away and come back meanwhile."""
        due = 0.0
        clock = asyncio.get_running_loop().time
        while not self._stopping.is_set():
            if clock() >= due:
                due = clock() + BRIEF_SECONDS  # parts are done even if this fails
                more = await self._attempt(self._housekeep, "housekeeping")
                due = clock() + (0.0 if more else HOUSEKEEPING_SECONDS)
            if not await self._attempt(self.work_once, "work") and not self._troubles:
                await self._sleep(IDLE_SECONDS)

    async def _attempt(self, work: Callable[[], Awaitable[bool]], what: str) -> bool:
        """Do some work; where that fails, wait longer each time, and say once why."""
        try:
            found = await work()
        except Exception as error:  # noqa: BLE001  # a worker ends when it is told to
            await self._wait(error, what)
            return False
        if self._hindrance is not None:
            hindered_by, self._hindrance = self._hindrance, None
            await self._wait(hindered_by, what)
        elif self._troubles:
            logger.warning("working again", extra={"failures": self._troubles})
            self._troubles = 0
        return found

    async def _wait(self, error: Exception, what: str) -> None:
        code = hindrance(error)
        if isinstance(error, NewerVersion):  # what a newer release asked for is for its workers
            logger.warning("stored by a newer version", extra={"error": str(error)})
        elif code is None:
            logger.error("%s failed", what, exc_info=error)
        elif not self._troubles:
            logger.warning("database away", extra={"error": type(error).__name__, "code": code})
        pause = min(LONGEST_PAUSE_SECONDS, IDLE_SECONDS * 2 ** min(self._troubles, 10))
        self._troubles += 1
        await self._sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311  # no secret

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def work_once(self) -> bool:
        """Do one part if there is any."""
        async with asyncio.timeout(BRIEF_SECONDS), self._write() as session:
            part = await parts.claim(session, list(TASKS))
        self.signs.answered()
        if part is None:
            return False
        started = time.perf_counter()
        outcome: PartOutcome = "failed"
        try:
            with tracing.part(part.task):
                lease = Lease(part, self._write, self.signs.answered)
                await lease.hold(self._do(part, lease))
            outcome = "done"
        except LeaseLost:
            outcome = "lost"
            logger.warning("part taken over", extra={"part": part.part_id, "task": part.task})
        except NewerVersion:
            async with self._write() as session:
                await parts.leave(session, part)
            raise
        except Exception as error:  # noqa: BLE001  # whatever it was, the operation says so
            outcome = await self._give_up(part, error)
        finally:
            metrics.observe_part(part.task, outcome, time.perf_counter() - started)
        return True

    async def _now(self, session: ReadSession) -> datetime:
        return await database_time(session) if self._clock is None else self._clock()

    async def _do(self, part: Part, lease: Lease | None = None) -> None:
        """Run the task, in as many commits as it takes."""
        logger.info("part started", extra={"part": part.part_id, "task": part.task})
        until = time.monotonic() + TURN_SECONDS
        while await self._step(part, lease, until):
            self.signs.answered()

    async def _step(self, part: Part, lease: Lease | None, until: float) -> bool:
        """Run the task once; its effect and its `done` are one commit. True if the part goes on."""
        async with self._write() as session:
            if lease is not None:
                lease.backend = await leases.backend(session)
            now = await self._now(session)
            more = await TASKS[part.task](session, self._deployment, part, now)
            await keeping.follow(session, self._deployment)
            goes_on = bool(more) and time.monotonic() < until and not self._stopping.is_set()
            if goes_on:
                await parts.go_on(session, part)
            else:
                if more:
                    await parts.plan(session, part, [(part.task, part.arguments)], part.context)
                await self._finish(session, part)
        metrics.count_written(session.info.get(writing.WRITTEN, ()))
        return goes_on

    async def _finish(self, session: WriteSession, part: Part) -> None:
        if await parts.finish(session, part):
            now = await self._now(session)
            part = await parts.refresh(session, part)
            result = await COMPLETIONS[part.kind](session, self._deployment, part, now)
            if result is not None:
                await operations.succeed(session, part.operation_id, result)
        await audit.record_work(session, part.operation_id, part.kind)

    async def _give_up(self, part: Part, error: Exception) -> PartOutcome:
        """Put the part off, or end its operation; the database may have to come back first."""
        told = {"part": part.part_id, "task": part.task}
        hindered = hindrance(error) is not None
        outcome: PartOutcome = "put_off" if hindered or isinstance(error, PutOff) else "failed"
        if outcome == "put_off":
            logger.info("part put off", extra={**told, "error": type(error).__name__})
        else:
            logger.error("part failed", extra=told, exc_info=error)
        # Other parts would fare no better now, unless the database has come back in the meantime.
        self._hindrance = error if hindered else None
        while True:
            try:
                async with self._write() as session:
                    await parts.give_up(session, part, error)
            except Exception as another:  # noqa: BLE001  # it is owed: the lease would run out
                self._hindrance = None
                await self._wait(another, "giving a part back")
                if self._stopping.is_set():
                    return outcome
            else:
                return outcome

    async def _housekeep(self) -> bool:
        """Start what is due and remove what is over; True if there may be more to remove."""
        async with self._housekeeping() as (session, now):
            await rebuilds.start_due(session, now)
        async with self._housekeeping() as (session, now):
            await schedule.start_due(session, self._settings.scoring_every, now)
        async with self._housekeeping() as (session, _):
            await updates.start_due(session, self._deployment, await self._now(session))
        async with self._housekeeping() as (session, now):
            await parts.fail_exhausted(session)
            more = await housekeeping.sweep(
                session,
                now,
                voided_kept=self._settings.voided_kept,
                audit_kept=self._settings.audit_kept,
                import_kept=self._settings.import_kept,
            )
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
    tracing.configure("clm-worker", VERSION)
    sys.setswitchinterval(SWITCH_SECONDS)
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
    metrics.set_build(VERSION, schema.head())
    turning = asyncio.create_task(_turn(worker.signs))
    try:
        with worker_page.served(settings, worker.signs):
            logger.info("worker started")
            await worker.run()
    finally:
        turning.cancel()
        await database.close()


async def _turn(signs: Signs) -> None:
    while True:  # it is the event loop that turns
        signs.turned()
        await asyncio.sleep(1)
