"""What a failure of the database means to a caller: the one table of SQLSTATE codes.

The messages of the server and of the driver quote rows and parameters, so none is passed on.
"""

import errno
import socket
from collections.abc import Callable, Iterator
from functools import partial

import asyncpg
import sqlalchemy.exc
from sqlalchemy.exc import EmulatedDBAPIException, SQLAlchemyError

from app.errors import AppError, Conflict, DatabaseUnavailable, ValidationFailed

DATABASE_ERRORS = (
    SQLAlchemyError,
    EmulatedDBAPIException,  # of a connection that could not be made, where SQLAlchemy wraps none
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
"""Whatever the database, the driver and the way to it raise; what it means is told below."""

_MAX_CHAIN = 5
_RETRY = {"Retry-After": "1"}


def _invalid() -> AppError:
    return ValidationFailed("A value of the request is outside what can be stored")


def _conflict() -> AppError:
    return Conflict("The request contradicts what is stored")


def _raced() -> AppError:
    return Conflict("Another request changed the same data at the same time", headers=_RETRY)


def _unavailable(detail: str | None = None) -> AppError:
    return DatabaseUnavailable(detail)


# A longer key wins over a shorter one.
_MEANING: dict[str, Callable[[], AppError]] = {
    "08": _unavailable,  # connection exception
    "21": _invalid,  # cardinality violation
    "22": _invalid,  # data exception
    "23": _conflict,  # integrity constraint violation
    "40": _raced,  # serialization failure, deadlock
    "40003": _unavailable,  # statement completion unknown
    "53": _unavailable,  # insufficient resources: connections, memory, disk
    "58": _unavailable,  # system error: input and output
    "53100": partial(_unavailable, "The disk of the database is full: nothing was written"),
    "57014": partial(_unavailable, "A statement took longer than it may; nothing was written"),
    "57": _unavailable,  # cancelled, shutdown, crash, not yet started, dropped, idle timeout
    "25006": partial(_unavailable, "The database takes no writes: it may be a standby"),
    "25P03": _unavailable,  # idle in transaction timeout
    "25P04": _unavailable,  # transaction timeout
    "55P03": partial(_unavailable, "Others held for too long what this has to lock"),
    "26000": _unavailable,  # a prepared statement that another server, or a new one, does not know
    "72000": _unavailable,  # snapshot too old
    "28": _unavailable,  # refused while connecting, as is the next
    "3D000": _unavailable,
}
_NO_WAY = {
    getattr(errno, name, -1)
    for name in (
        "EADDRNOTAVAIL", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETRESET", "ENETUNREACH",
    )
}  # fmt: skip


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, then what SQLAlchemy and its adapter wrapped, outermost first."""
    current: BaseException | None = error
    for _ in range(_MAX_CHAIN):
        if current is None:
            return
        yield current
        inner = getattr(current, "orig", None)
        current = inner if isinstance(inner, BaseException) else current.__cause__


def sqlstate_of(error: BaseException) -> str | None:
    """Return the SQLSTATE that an error of asyncpg or SQLAlchemy carries."""
    for each in _chain(error):
        state = getattr(each, "sqlstate", None)
        if isinstance(state, str):
            return state
    return None


def is_missing_table(error: BaseException) -> bool:
    """Say whether a statement names a table that there is not, or no longer."""
    return sqlstate_of(error) == "42P01"


# What is not the fault of who asked: it can be asked again, as it is, when that is over.
_HINDRANCES = {
    "25006": "read_only",
    "40": "serialization_failure",
    "53100": "disk_full",
    "55P03": "lock_timeout",
    "57014": "statement_timeout",
}


def hindrance(error: BaseException) -> str | None:
    """Return in a word what of the database was in the way; None for a fault of what was asked."""
    state = sqlstate_of(error) or ""
    for length in (5, 2):
        if word := _HINDRANCES.get(state[:length]):
            return word
    away = any(isinstance(each, DatabaseUnavailable) for each in (error, from_database(error)))
    return "database_unavailable" if away else None


def is_refused(error: BaseException) -> bool:
    """Say whether a lock was not to be had at once, or the role may not do it."""
    return sqlstate_of(error) in ("55P03", "42501")


def _by_state(state: str) -> AppError | None:
    for length in (5, 4, 2):
        if meaning := _MEANING.get(state[:length]):
            return meaning()
    return None


def _raised_by_driver(error: BaseException) -> bool:
    """Say whether an error came up through asyncpg; a plain OSError does not tell."""
    trace = error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__")).startswith("asyncpg."):
            return True
        trace = trace.tb_next
    return False


def _is_connection_loss(error: BaseException) -> bool:  # noqa: PLR0911  # a table
    match error:
        # No free connection in the pool; a plan that a migration made stale; an answer that is
        # none; a server that may only be read; no connection.
        case (
            sqlalchemy.exc.TimeoutError()
            | sqlalchemy.exc.DisconnectionError()
            | asyncpg.InvalidCachedStatementError()
            | asyncpg.exceptions.OutdatedSchemaCacheError()
            | asyncpg.exceptions.ProtocolError()
            | asyncpg.exceptions.TargetServerAttributeNotMatched()
            | ConnectionError()
            | TimeoutError()
            | socket.gaierror()
        ):
            return True
        case sqlalchemy.exc.DBAPIError():
            return error.connection_invalidated
        case sqlalchemy.exc.PendingRollbackError():
            return error.code == "8s2b"  # of a connection that was lost amid the transaction
        case sqlalchemy.exc.InvalidRequestError():
            return str(error) == "This connection is closed"  # as soon as it was made, twice
        case asyncpg.InterfaceError():
            return any(words in str(error) for words in ("closed", "is cancelling"))
        case asyncpg.InternalClientError():
            # The last one: the server has said why it ends the connection, and not yet done so.
            said = "not connected", '"failed" state', "another operation (2) is in progress"
            return any(words in str(error) for words in said)
        case OSError():
            return error.errno in _NO_WAY or _raised_by_driver(error)
        case _:
            return False


def _is_unstorable(error: BaseException) -> bool:
    """Say whether asyncpg could not encode a value; that error carries no SQLSTATE."""
    return (
        isinstance(error, asyncpg.InterfaceError)
        and isinstance(error, ValueError)
        and not isinstance(error, asyncpg.exceptions.ClientConfigurationError)
    )


def from_database(error: BaseException) -> AppError | None:
    """Return what the caller is told, or None when the failure is a fault of ours (a 500)."""
    if any(_is_connection_loss(each) for each in _chain(error)):
        return _unavailable()
    if any(_is_unstorable(each) for each in _chain(error)):
        return _invalid()
    state = sqlstate_of(error)
    return None if state is None else _by_state(state)
