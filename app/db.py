"""Engine and session factory. No queries live here."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NewType, TypeAlias

from sqlalchemy import Row, Select, text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from app.config import Settings

AnyRow: TypeAlias = Row[*tuple[Any, ...]]
AnySelect: TypeAlias = Select[*tuple[Any, ...]]

ReadSession = NewType("ReadSession", AsyncSession)
"""A session that reads only; two reads on it need not agree."""
WriteSession = NewType("WriteSession", ReadSession)
"""A session inside the one transaction of its request; a writer may read, no reader may write."""

# Bounds of the server side: a client that has gone away must not hold a connection for ever.
SERVER_SETTINGS = {
    "application_name": "clm",
    "timezone": "UTC",
    "jit": "off",
    "lock_timeout": "5000",
    "statement_timeout": "30000",
    "idle_in_transaction_session_timeout": "60000",
}


def _encode_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_encode_special)


def _encode_special(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def create_engine(
    url: str, *, pool_size: int = 5, server_settings: dict[str, str] | None = None
) -> AsyncEngine:
    """Return an engine whose pool never overflows and whose waits are bounded."""
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        pool_recycle=1800,
        json_serializer=_encode_json,
        hide_parameters=True,  # errors are logged, personal data is not
        connect_args={
            "server_settings": {**SERVER_SETTINGS, **(server_settings or {})},
            "timeout": 5,
        },
    )


@dataclass(frozen=True)
class Database:
    """The engine of a process and the two ways to open a session on it."""

    engine: AsyncEngine
    reads: async_sessionmaker[AsyncSession]
    writes: async_sessionmaker[AsyncSession]

    @classmethod
    def connect(cls, settings: Settings, url: str) -> "Database":
        return cls.on(create_engine(url, pool_size=settings.pool_size))

    @classmethod
    def on(cls, engine: AsyncEngine) -> "Database":
        """Open sessions on `engine`: reads in autocommit, writes in a transaction."""
        autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        return cls(
            engine,
            async_sessionmaker(autocommit, expire_on_commit=False),
            async_sessionmaker(engine, expire_on_commit=False),
        )

    async def close(self) -> None:
        await self.engine.dispose()


async def copy_rows(
    session: WriteSession,
    table: str,
    columns: Sequence[str],
    rows: Sequence[tuple[object, ...]],
) -> None:
    """Append rows by binary COPY, inside the session's transaction.

    The transaction is begun first: on a fresh connection the driver would write outside of it.
    """
    if rows:
        driver = await _driver(session)
        if not driver.is_in_transaction():
            await session.execute(text("SELECT 1"))
        await driver.copy_records_to_table(table, records=rows, columns=list(columns))


async def fetch_rows(session: ReadSession, query: str, *arguments: object) -> list[Any]:
    """Return the rows of a query as the driver gives them: for the many small rows of facts."""
    # A statement of the session's own comes first, so that what it holds back is written.
    await session.execute(text("SELECT 1"))
    found: list[Any] = await (await _driver(session)).fetch(query, *arguments)
    return found


async def _driver(session: ReadSession) -> Any:
    connection = await (await session.connection()).get_raw_connection()
    return connection.driver_connection
