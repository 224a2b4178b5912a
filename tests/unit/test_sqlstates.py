"""Failures of the database by SQLSTATE and by type, without a database."""

import asyncio
import errno
import socket
from collections.abc import Iterator

import asyncpg
import pytest
import sqlalchemy.exc
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.edge import handlers
from app.errors import AppError, Conflict, DatabaseUnavailable, ValidationFailed
from app.postgres.sqlstates import from_database, sqlstate_of


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
    ("state", "told"),
    [
        ("57014", "longer than it may"),
        ("55P03", "has to lock"),
        ("53100", "disk"),
        ("25006", "standby"),
    ],
)
def test_what_is_in_the_way_of_the_database_is_told(state: str, told: str) -> None:
    """As who operates does something else about each."""
    found = from_database(wrapped(state))
    assert found is not None
    assert told in found.detail
    assert found.headers["Retry-After"] == "1"


AWAY = [
    "PostgresConnectionError",
    "ConnectionDoesNotExistError",
    "ConnectionFailureError",
    "ClientCannotConnectError",
    "ConnectionRejectionError",
    "TransactionResolutionUnknownError",
    "ProtocolViolationError",
    "StatementCompletionUnknownError",
    "InsufficientResourcesError",
    "DiskFullError",
    "OutOfMemoryError",
    "TooManyConnectionsError",
    "ConfigurationLimitExceededError",
    "OperatorInterventionError",
    "QueryCanceledError",
    "AdminShutdownError",
    "CrashShutdownError",
    "CannotConnectNowError",
    "DatabaseDroppedError",
    "IdleSessionTimeoutError",
    "PostgresSystemError",
    "PostgresIOError",
    "UndefinedFileError",
    "DuplicateFileError",
    "FileNameTooLongError",
    "SnapshotTooOldError",
    "LockNotAvailableError",
    "ReadOnlySQLTransactionError",
    "IdleInTransactionSessionTimeoutError",
    "TransactionTimeoutError",
    "InvalidSQLStatementNameError",
    "InvalidAuthorizationSpecificationError",
    "InvalidPasswordError",
    "InvalidCatalogNameError",
    "InvalidCachedStatementError",
    "OutdatedSchemaCacheError",
    "ProtocolError",
    "TargetServerAttributeNotMatched",
]
CONTRADICTS = [
    "IntegrityConstraintViolationError",
    "RestrictViolationError",
    "NotNullViolationError",
    "ForeignKeyViolationError",
    "UniqueViolationError",
    "CheckViolationError",
    "ExclusionViolationError",
    "TransactionRollbackError",
    "TransactionIntegrityConstraintViolationError",
    "SerializationError",
    "DeadlockDetectedError",
]


def driver_errors(root: type[Exception]) -> Iterator[type[Exception]]:
    for child in root.__subclasses__():
        if child.__module__.startswith("asyncpg."):
            yield child
            yield from driver_errors(child)


def expected(error: type[Exception]) -> type[AppError] | None:
    if error.__name__ in AWAY:
        return DatabaseUnavailable
    if error.__name__ in CONTRADICTS:
        return Conflict
    of_values = str(getattr(error, "sqlstate", None))[:2] in ("21", "22")
    return ValidationFailed if of_values or error is asyncpg.exceptions._base.DataError else None


ROOTS = asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError
TREE = [error for root in ROOTS for error in driver_errors(root)]


@pytest.mark.parametrize("error", TREE, ids=lambda each: each.__name__)
def test_the_whole_tree_of_the_driver(error: type[Exception]) -> None:
    """What means that the database is away is told so; what means a fault of ours is not."""
    raised = error("alice")
    for each in (raised, wrapped_error(raised)):
        found = from_database(each)
        assert (None if found is None else type(found)) is expected(error)
        assert found is None or "alice" not in found.detail
        assert handlers.handler_of(each) is not None


def test_the_tree_is_the_one_that_the_table_was_written_for() -> None:
    names = {error.__name__ for error in TREE}
    assert {*AWAY, *CONTRADICTS} <= names
    assert len(names) > 200


def wrapped_error(original: Exception) -> sqlalchemy.exc.DBAPIError:
    adapted = Exception("adapter")
    adapted.__cause__ = original
    return sqlalchemy.exc.DBAPIError("SELECT 1", {}, adapted)


PENDING = sqlalchemy.exc.PendingRollbackError


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (wrapped("XX000", invalidated=True), DatabaseUnavailable),
        (sqlalchemy.exc.TimeoutError(), DatabaseUnavailable),
        (sqlalchemy.exc.InvalidatePoolError(), DatabaseUnavailable),
        (sqlalchemy.exc.InvalidRequestError("This connection is closed"), DatabaseUnavailable),
        (PENDING("Can't reconnect until invalid", code="8s2b"), DatabaseUnavailable),
        (PENDING("rolled back due to a previous exception", code="7s2a"), None),
        (asyncpg.InterfaceError("connection is closed"), DatabaseUnavailable),
        (
            asyncpg.InterfaceError("cannot call X.fetch(): the underlying connection is closed"),
            DatabaseUnavailable,
        ),
        (
            asyncpg.InterfaceError("cannot perform operation: another operation is cancelling"),
            DatabaseUnavailable,
        ),
        (asyncpg.InterfaceError("another operation is in progress"), None),
        (asyncpg.InterfaceError("a query cannot be run, it has several statements"), None),
        (asyncpg.InternalClientError("not connected"), DatabaseUnavailable),
        (
            asyncpg.InternalClientError(
                'cannot switch to state 3; protocol is in the "failed" state'
            ),
            DatabaseUnavailable,
        ),
        (
            asyncpg.InternalClientError(
                "cannot switch to state 14; another operation (2) is in progress"
            ),
            DatabaseUnavailable,
        ),
        (
            asyncpg.InternalClientError(
                "cannot switch to state 14; another operation (11) is in progress"
            ),
            None,
        ),
        (asyncpg.InternalClientError("no binary format encoder for type x (OID 1)"), None),
        (asyncpg.exceptions.ClientConfigurationError("bad option"), None),
        (asyncpg.InvalidCachedStatementError("stale plan"), DatabaseUnavailable),
        (ConnectionResetError(), DatabaseUnavailable),
        (BrokenPipeError(), DatabaseUnavailable),
        (TimeoutError(), DatabaseUnavailable),
        (OSError(errno.EHOSTUNREACH, "no route"), DatabaseUnavailable),
        (OSError(errno.ENETDOWN, "no network"), DatabaseUnavailable),
        (OSError(errno.ETIMEDOUT, "late"), DatabaseUnavailable),
        (socket.gaierror(), DatabaseUnavailable),
        (FileNotFoundError(), None),
        (OSError(errno.ENOSPC, "our own disk"), None),
        (sqlalchemy.exc.InvalidRequestError(), None),
        (sqlalchemy.exc.ResourceClosedError("This Connection is closed"), None),
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


async def test_a_connection_that_dies_as_it_is_made_is_told_so_where_sqlalchemy_wraps_nothing() -> (
    None
):
    """As `raw_connection` does, which reads borrow a connection by."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    engine = create_async_engine(f"postgresql+asyncpg://clm@127.0.0.1:{port}/clm")
    with pytest.raises(Exception) as raised:  # whatever it is
        await engine.raw_connection()
    await engine.dispose()
    server.close()
    assert handlers.handler_of(raised.value) is not None
    assert isinstance(from_database(raised.value), DatabaseUnavailable)
