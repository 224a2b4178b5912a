"""Engine and session factory. No queries live here."""

import json
from collections.abc import Awaitable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from time import perf_counter
from typing import Any, NewType, TypeAlias, TypeVar

from sqlalchemy import Connection, ExceptionContext, Row, Select, event, func, select
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn

from app.config import Settings
from app.postgres import connections
from app.postgres.limits import COMMAND_LINE, REQUEST, Limits
from app.postgres.pooling import LastAnswer, LazySession

T = TypeVar("T")
AnyRow: TypeAlias = Row[*tuple[Any, ...]]
AnySelect: TypeAlias = Select[*tuple[Any, ...]]

ReadSession = NewType("ReadSession", AsyncSession)
"""A session that reads only; two reads on it need not agree."""
WriteSession = NewType("WriteSession", ReadSession)
"""A session inside the one transaction of its request; a writer may read, no reader may write."""


class Spent:
    """How long a request has waited for statements, how many there were, since when it waits."""

    __slots__ = ("asked_at", "seconds", "statements")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.statements = 0
        self.asked_at: float | None = None

    def begin(self) -> float:
        self.asked_at = now = perf_counter()
        return now

    def end(self, started: float) -> None:
        self.asked_at = None
        self.seconds += perf_counter() - started
        self.statements += 1


SPENT_ELSEWHERE = Spent()
"""What was asked for several requests at once, or for none."""
spent_var: ContextVar[Spent] = ContextVar("spent", default=SPENT_ELSEWHERE)
"""Where the statements of the request at hand are summed."""

CONNECT_SECONDS, POOL_SECONDS = 5, 5

SERVER_SETTINGS = {
    "application_name": "clm",
    "timezone": "UTC",
    "jit": "off",
    "random_page_cost": "1.1",
    # What a client that has vanished leaves behind: a statement, a connection.
    "client_connection_check_interval": "2000",
    "idle_session_timeout": "7200000",
    "tcp_keepalives_idle": str(connections.SILENT_SECONDS),
    "tcp_keepalives_interval": str(connections.PROBE_SECONDS),
    "tcp_keepalives_count": str(connections.PROBES),
}


def _encode_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_encode_special)


def _encode_special(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def create_engine(
    url: str,
    *,
    pool_size: int = 5,
    limits: Limits = COMMAND_LINE,
    server_settings: dict[str, str] | None = None,
) -> AsyncEngine:
    """Return an engine whose pool never overflows and whose waits are bounded."""
    settings = {**SERVER_SETTINGS, **limits.settings(), **(server_settings or {})}
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_SECONDS,
        pool_recycle=1800,
        json_serializer=_encode_json,
        hide_parameters=True,  # errors are logged, personal data is not
        connect_args={
            "server_settings": settings,
            "timeout": CONNECT_SECONDS,
            "command_timeout": limits.command,
            "connection_class": connections.Connection,
        },
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    event.listen(engine.sync_engine, "before_cursor_execute", _begin_statement)
    event.listen(engine.sync_engine, "after_cursor_execute", _end_statement)
    event.listen(engine.sync_engine, "commit", _begin_commit)
    event.listen(engine.sync_engine, "handle_error", _drop_silent)
    return engine


@dataclass(frozen=True)
class Database:
    """The engine of a process and the two ways to open a session on it."""

    engine: AsyncEngine
    reads: async_sessionmaker[AsyncSession]
    writes: async_sessionmaker[AsyncSession]
    last_answer: LastAnswer = field(default_factory=LastAnswer)

    @classmethod
    def connect(cls, settings: Settings, url: str) -> "Database":
        return cls.on(create_engine(url, pool_size=settings.pool_size, limits=REQUEST))

    @classmethod
    def on(cls, engine: AsyncEngine) -> "Database":
        """Open sessions on `engine`: reads in autocommit, writes in a transaction."""
        autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        database = cls(
            engine,
            async_sessionmaker(autocommit, class_=LazySession, expire_on_commit=False),
            async_sessionmaker(engine, expire_on_commit=False),
        )
        event.listen(engine.sync_engine, "checkin", database.last_answer.note)
        return database

    async def most_connections(self) -> int:
        """Return how many connections the server has for applications."""
        async with self.reads() as session:
            asked = "max_connections", "superuser_reserved_connections"
            row = (await session.execute(select(*map(func.current_setting, asked)))).one()
        most, reserved = map(int, row)
        return most - reserved

    async def close(self) -> None:
        await self.engine.dispose()


async def limit(session: AsyncSession | AsyncConnection, limits: Limits) -> None:
    """Set limits of its own for what is left of a transaction."""
    local = True
    settings = limits.settings().items()
    await session.execute(select(*(func.set_config(*each, local) for each in settings)))


async def database_time(session: ReadSession) -> datetime:
    """Return what time it is to the database, which is one time for all processes."""
    row = await fetch_row(session, "SELECT clock_timestamp()")
    assert row is not None
    now: datetime = row[0]
    return now


async def copy_rows(
    session: WriteSession,
    table: str,
    columns: Sequence[str],
    rows: Sequence[tuple[object, ...]],
) -> None:
    """Append rows by binary COPY, inside the session's transaction."""
    if rows:
        driver = await driver_of(session)
        await timed(driver.copy_records_to_table(table, records=rows, columns=list(columns)))


async def fetch_rows(session: ReadSession, query: str, *arguments: object) -> list[Any]:
    """Return the rows of a query as the driver gives them, `$1` being the first argument.

    A reader borrows a connection of the pool for this statement alone; a writer asks on its own,
    after what it holds back.
    """
    found: list[Any] = await timed(_ask(session, "fetch", query, arguments))
    return found


async def fetch_row(session: ReadSession, query: str, *arguments: object) -> Any | None:
    """Return the first row of a query as the driver gives it, or None; else as `fetch_rows`."""
    return await timed(_ask(session, "fetchrow", query, arguments))


async def timed(asked: Awaitable[T]) -> T:
    """Wait for what the database is asked, and add how long that took to the request's sum."""
    spent = spent_var.get()
    started = spent.begin()
    try:
        return await asked
    finally:
        spent.end(started)


def _begin_statement(*asked: Any) -> None:
    *_, context, _ = asked
    if context is not None:
        context.clm_started = spent_var.get().begin()


def _end_statement(*asked: Any) -> None:
    *_, context, _ = asked
    if context is not None:
        spent_var.get().end(context.clm_started)


def _begin_commit(_: object) -> None:
    spent_var.get().begin()


async def _ask(session: ReadSession, method: str, query: str, arguments: tuple[object, ...]) -> Any:
    engine = session.bind
    if session.in_transaction() or not isinstance(engine, AsyncEngine) or not _autocommits(engine):
        driver = await driver_of(session)
        return await getattr(driver, method)(query, *arguments)
    borrowed = await engine.raw_connection()
    try:
        return await getattr(borrowed.driver_connection, method)(query, *arguments)
    except Exception as error:
        if isinstance(error, TimeoutError):
            borrowed.invalidate()
        raise
    except BaseException:
        borrowed.invalidate()  # an answer that nobody waits for may still be on its way
        raise
    finally:
        borrowed.close()  # nothing was begun, so that nothing is sent to end it


def _autocommits(given: AsyncEngine | Connection) -> bool:
    return given.get_execution_options().get("isolation_level") == "AUTOCOMMIT"


async def driver_of(session: ReadSession) -> Any:
    """Return the driver's connection of a session, in its transaction, all held back written."""
    return await greenlet_spawn(_own_driver, session.sync_session)


def _own_driver(session: Session) -> Any:
    # The transaction is begun first: on a fresh connection the driver would write outside of it.
    session.flush()
    connection = session.connection()
    driver: Any = connection.connection.driver_connection
    if driver.is_closed():
        raise ConnectionResetError("the connection of the session has ended")
    if not driver.is_in_transaction() and not _autocommits(connection):
        connection.exec_driver_sql("SELECT 1")
    return driver


def _refuse_closed(connection: Any, *_: object) -> None:
    """Have the pool connect anew where the server has ended what it holds."""
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError


def _drop_silent(context: ExceptionContext) -> None:
    """Have the pool drop a connection that did not answer: its answer may come to somebody else."""
    if isinstance(context.original_exception, TimeoutError) and context.connection is not None:
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False  # others may be well, and say so if not
