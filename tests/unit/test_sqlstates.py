"""Failures of the database by SQLSTATE and by type, without a database."""

import asyncio
import socket

import asyncpg
import pytest
import sqlalchemy.exc
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.errors import AppError, Conflict, DatabaseUnavailable, ValidationFailed
from app.sqlstates import from_database, sqlstate_of


def wrapped(state: str, *, invalidated: bool = False) -> sqlalchemy.exc.DBAPIError:
    """Return the error as SQLAlchemy gives it: its own, around the adapter's, from asyncpg's."""
    original = asyncpg.PostgresError.new({"C": state, "M": "alice"})
    adapted = Exception("adapter")
    adapted.__cause__ = original
    return sqlalchemy.exc.DBAPIError("SELECT 1", {}, adapted, connection_invalidated=invalidated)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("22003", ValidationFailed),
        ("22P02", ValidationFailed),
        ("22021", ValidationFailed),
        ("21000", ValidationFailed),
        ("23505", Conflict),
        ("23503", Conflict),
        ("40001", Conflict),
        ("40P01", Conflict),
        ("40003", DatabaseUnavailable),
        ("55P03", DatabaseUnavailable),
        ("57014", DatabaseUnavailable),
        ("57P01", DatabaseUnavailable),
        ("57P03", DatabaseUnavailable),
        ("53300", DatabaseUnavailable),
        ("53100", DatabaseUnavailable),
        ("08006", DatabaseUnavailable),
        ("25006", DatabaseUnavailable),
        ("28P01", DatabaseUnavailable),
        ("25P02", None),
        ("42601", None),
        ("42501", None),
        ("XX000", None),
    ],
)
def test_states(state: str, kind: type[AppError] | None) -> None:
    for error in (asyncpg.PostgresError.new({"C": state, "M": "alice"}), wrapped(state)):
        found = from_database(error)
        assert sqlstate_of(error) == state
        assert (None if found is None else type(found)) is kind
        assert found is None or "alice" not in found.detail
        if state in ("40001", "40P01") or kind is DatabaseUnavailable:
            assert found is not None
            assert found.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (wrapped("XX000", invalidated=True), DatabaseUnavailable),
        (sqlalchemy.exc.TimeoutError(), DatabaseUnavailable),
        (asyncpg.InterfaceError("connection is closed"), DatabaseUnavailable),
        (asyncpg.InterfaceError("another operation is in progress"), None),
        (asyncpg.exceptions.ClientConfigurationError("bad option"), None),
        (asyncpg.InvalidCachedStatementError("stale plan"), DatabaseUnavailable),
        (ConnectionResetError(), DatabaseUnavailable),
        (TimeoutError(), DatabaseUnavailable),
        (socket.gaierror(), DatabaseUnavailable),
        (FileNotFoundError(), None),
        (sqlalchemy.exc.InvalidRequestError(), None),
        (ValueError(), None),
    ],
)
def test_types(error: Exception, kind: type[AppError] | None) -> None:
    found = from_database(error)
    assert (None if found is None else type(found)) is kind


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+asyncpg://nobody@127.0.0.1:1/none",
        "postgresql+asyncpg://nobody@/none?host=/nonexistent",
    ],
)
def test_a_database_that_is_not_there(url: str) -> None:
    async def connect() -> None:
        engine = create_async_engine(url)
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    with pytest.raises((OSError, sqlalchemy.exc.DBAPIError)) as caught:
        asyncio.run(connect())
    assert isinstance(from_database(caught.value), DatabaseUnavailable)
