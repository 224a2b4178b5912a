"""Fixtures on a real, migrated PostgreSQL; imported by the conftest of folders that need one.

Most tests run in one transaction that is rolled back (`database`); races, workers and processes
get a copy of the template of their own (`own_database`).
"""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from app.config import Settings
from app.deployment import Deployment
from app.http import deps
from app.main import create_app
from app.postgres.db import Database, ReadSession, WriteSession, create_engine
from app.postgres.embedded import EmbeddedPostgres
from app.postgres.limits import COMMAND_LINE
from app.services.access import keys
from tests.prepared import SETTINGS, copy_of, prepared, reachable_folder  # noqa: F401  # a fixture

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def settings() -> Settings:
    return SETTINGS


@pytest.fixture(scope="session")
def deployment(settings: Settings) -> Deployment:
    return Deployment.of(settings)


@pytest.fixture(scope="session")
def cluster(prepared: Path) -> Iterator[str]:  # noqa: F811
    """A server of this test process alone; its URL names the maintenance database."""
    with reachable_folder() as folder:
        data = copy_of(prepared, folder / "data")
        with EmbeddedPostgres.start(data, throwaway=True) as server:
            yield _named(server.url, "postgres")


def _named(url: str, database: str, **other: str) -> str:
    named = make_url(url).set(database=database, **other)
    return named.render_as_string(hide_password=False)


async def _administer(url: str, statement: str) -> None:
    # The superuser alone may end an autovacuum that is at work in a database to be dropped.
    connection = await asyncpg.connect(
        _named(url, "postgres", username="postgres", drivername="postgresql")
    )
    await connection.execute(statement)
    await connection.close()


def copy_database(cluster: str, template: str, name: str) -> None:
    """Copy its files, which takes less than to write each of so few pages to the log."""
    copy = f"CREATE DATABASE {name} OWNER clm TEMPLATE {template} STRATEGY file_copy"
    asyncio.run(_administer(cluster, copy))


@pytest.fixture(scope="session")
def template() -> str:
    """The name of a migrated database that others are copied from."""
    return "clm"


@pytest.fixture
def own_url(cluster: str, template: str) -> Iterator[str]:
    """The URL of a copy of the template, for this test alone."""
    name = f"clm_{uuid.uuid4().hex[:12]}"
    copy_database(cluster, template, name)
    yield _named(cluster, name)
    asyncio.run(_administer(cluster, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def lock_timeout() -> str:
    """How many milliseconds a statement waits for a lock, as text; a test may do with fewer."""
    return COMMAND_LINE.settings()["lock_timeout"]


@pytest.fixture(scope="session")
def own_engine(cluster: str) -> AsyncEngine:
    """One for all that are on a copy of their own, as it keeps the statements it has compiled."""
    return create_engine(cluster, pool_size=12)


@pytest.fixture
async def own_database(
    own_engine: AsyncEngine, own_url: str, lock_timeout: str
) -> AsyncIterator[Database]:
    def go_there(_: object, __: object, ___: object, wanted: dict[str, Any]) -> None:
        wanted["database"] = make_url(own_url).database
        wanted["server_settings"] = {**wanted["server_settings"], "lock_timeout": lock_timeout}

    event.listen(own_engine.sync_engine, "do_connect", go_there)
    database = Database.on(own_engine.execution_options())  # a test listens to this one alone
    yield database
    await database.close()
    event.remove(own_engine.sync_engine, "do_connect", go_there)
    event.remove(database.engine.sync_engine, "checkin", database.last_answer.note)


@pytest.fixture(scope="session")
def shared_url(cluster: str, template: str) -> str:
    """The URL of the database in which tests are rolled back."""
    copy_database(cluster, template, "clm_shared")
    return _named(cluster, "clm_shared")


@pytest.fixture(scope="session")
def shared_engine(shared_url: str) -> AsyncEngine:
    """One for all, as it keeps the statements that it has compiled."""
    return create_engine(shared_url, pool_size=1)


@pytest.fixture(scope="module")
async def connected_engine(shared_engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Keep the event loop and the connection of a file of tests: both have learnt the tables."""
    yield shared_engine
    await shared_engine.dispose()


@pytest.fixture
async def database(connected_engine: AsyncEngine) -> AsyncIterator[Database]:
    """A database all of whose sessions live in one transaction, rolled back at the end."""
    engine = connected_engine.execution_options()  # a test that listens, listens to this one
    async with engine.connect() as connection:
        transaction = await connection.begin()
        sessions = async_sessionmaker(
            connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
        )
        yield Database(engine, sessions, sessions)
        await transaction.rollback()


@pytest.fixture
async def session(database: Database) -> AsyncIterator[WriteSession]:
    async with database.writes() as session:
        yield writing(session)


def writing(session: AsyncSession) -> WriteSession:
    return WriteSession(ReadSession(session))


class Clock:
    """The time that the API believes it is."""

    def __init__(self) -> None:
        self.now = NOW

    async def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


_free_apps = defaultdict[str, list[FastAPI]](list)


class _Client(httpx.AsyncClient):
    """A client whose app serves others after it.

    FastAPI works out the routes of a new app for longer than most tests run.
    """

    def __init__(self, app: FastAPI | None, settings: Settings, database: Database) -> None:
        self._free = _free_apps[settings.model_dump_json()]
        self.app = app or (self._free.pop() if self._free else create_app(settings, database))
        self.app.middleware_stack = None  # with its limits, built at the first request
        self.app.dependency_overrides.clear()
        super().__init__(transport=httpx.ASGITransport(self.app), base_url="http://clm.test")

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await super().__aexit__(kind, error, trace)
        self._free.append(self.app)


async def make_client(
    settings: Settings,
    database: Database,
    clock: Clock,
    scopes: tuple[str, ...] = ("admin",),
    *,
    app: FastAPI | None = None,
) -> httpx.AsyncClient:
    """Return a client of the real app, holding a key with these scopes."""
    client = _Client(app, settings, database)
    client.app.dependency_overrides[deps.current_time] = clock
    client.app.state.clm = await deps.State.begin(settings, database)
    async with database.writes() as session, session.begin():
        key = await keys.create(writing(session), "tests", scopes, now=NOW)
    client.headers["Authorization"] = f"Bearer {key}"
    return client


@pytest.fixture
async def client(
    settings: Settings, database: Database, clock: Clock
) -> AsyncIterator[httpx.AsyncClient]:
    """A client whose requests share one rolled-back transaction: one at a time."""
    async with await make_client(settings, database, clock) as client:
        yield client


@pytest.fixture
async def own_client(
    settings: Settings, own_database: Database, clock: Clock
) -> AsyncIterator[httpx.AsyncClient]:
    """A client on a database of its own, for concurrent requests."""
    async with await make_client(settings, own_database, clock) as client:
        yield client
