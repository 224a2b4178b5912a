"""The service in one transaction that is rolled back, and the time that it believes it is."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import uvloop
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncTransaction, async_sessionmaker

from app.config import Settings
from app.deployment import Deployment
from app.postgres.db import Database, ReadSession, create_engine
from app.services.common import deployment_settings as stored_settings
from app.services.operations import operations
from app.worker import Worker
from tests.database import writing

Found = TypeVar("Found")
START = datetime(2035, 1, 9, 13, 20, tzinfo=UTC)
"""Later than any test is run: where the service looks at the clock itself, it sees the past."""


class World:
    """Services and a worker on one connection; what they do is undone by `end`."""

    def __init__(self, url: str, settings: Settings) -> None:
        self.settings = settings
        self.here = Deployment.of(settings)
        self.now = START
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._engine = create_engine(url, pool_size=1)
        self._connection: AsyncConnection = self._runner.run(self._connect())
        self._transaction: AsyncTransaction | None = None
        sessions = async_sessionmaker(
            self._connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
        )
        self._database = Database(self._engine, sessions, sessions)
        self._worker = Worker(self._database, settings, clock=lambda: self.now)

    async def _connect(self) -> AsyncConnection:
        return await self._engine.connect()

    def begin(self) -> None:
        """Begin anew, at the same instant."""
        self.now = START
        self._transaction = self._runner.run(self._begin())
        self.do(stored_settings.put, stored_settings.RECORDED_UNTIL, START.isoformat())

    async def _begin(self) -> AsyncTransaction:
        return await self._connection.begin()

    def end(self) -> None:
        """Undo all that was written since it began."""
        if self._transaction is not None:
            self._runner.run(self._transaction.rollback())
            self._transaction = None

    def close(self) -> None:
        self.end()
        self._runner.run(self._dispose())
        self._runner.close()

    async def _dispose(self) -> None:
        await self._connection.close()
        await self._engine.dispose()

    def pass_time(self, gap: timedelta) -> None:
        self.now += gap

    def do(self, use_case: Callable[..., Awaitable[Found]], *args: Any, **more: Any) -> Found:
        """Call a service function in a transaction of its own, as a request does."""

        async def request() -> Found:
            async with self._database.writes() as session, session.begin():
                return await use_case(writing(session), *args, **more)

        return self._runner.run(request())

    def ask(self, question: Callable[..., Awaitable[Found]], *args: Any, **more: Any) -> Found:
        """Call a function that only reads."""

        async def request() -> Found:
            async with self._database.reads() as session:
                return await question(ReadSession(session), *args, **more)

        return self._runner.run(request())

    def operate(
        self, submit: Callable[..., Awaitable[dict[str, Any]]], *args: Any, **more: Any
    ) -> Any:
        """Submit an operation and let the worker do it; return its result."""
        operation = self.do(submit, *args, now=self.now, by="simulation", **more)
        self._runner.run(self._work_off())
        done = self.ask(operations.describe, operation["id"])
        assert done["state"] == "succeeded", done["error"]
        return done["result"]

    async def _work_off(self) -> None:
        while await self._worker.work_once():
            pass
