"""Logs: one JSON object a line on stdout, each with the ids of the request it belongs to.

Callers log what happened and codes, never bodies, headers, URLs or personal data.
"""

import logging
import random
import sys
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonEncoder

request_id_var: ContextVar[str] = ContextVar("request_id", default="")
trace_id_var: ContextVar[str] = ContextVar("trace_id", default="")


def new_request_id() -> str:
    """Return an id for a request that brought none; it is to be unique, and no secret."""
    return f"{random.getrandbits(128):032x}"


# Messages of these types name types, attributes and modules; any other may quote a value
# of a customer (a driver quotes the row, a validator the input), so only its type is kept.
_PLAIN_TYPES = (AttributeError, ImportError, NameError, NotImplementedError, TypeError)
# Below these levels they write statements with their values, or URLs.
_QUIET = ("asyncio", "httpcore", "httpx", "sqlalchemy.engine", "sqlalchemy.pool")
_MAX_CHAIN = 10
_NOT_EXTRA = frozenset((*RESERVED_ATTRS, "color_message"))  # the latter is uvicorn's

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def _name(error: BaseException) -> str:
    kind = type(error)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    name = module + kind.__qualname__
    sqlstate = getattr(error, "sqlstate", None)
    if isinstance(sqlstate, str):
        return f"{name} (sqlstate {sqlstate})"
    return f"{name}: {error}" if kind in _PLAIN_TYPES else name


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it came from, at most a few, each once."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo and len(seen) < _MAX_CHAIN:
        current = todo.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        hidden = current.__suppress_context__
        todo.append(current.__cause__ or (None if hidden else current.__context__))
        if isinstance(current, BaseExceptionGroup):
            todo.extend(current.exceptions)


def describe(error: BaseException) -> str:
    """Return the stack of an error and of its causes, root last, without their messages."""
    parts = [
        "".join([_name(each), "\n", *traceback.format_tb(each.__traceback__)])
        for each in _chain(error)
    ]
    return "from ".join(parts).rstrip()


_access_logger = logging.getLogger("clm.access")


def log_access(*, of_probe: bool = False, **fields: object) -> None:
    """Write the one line of a request, also of one that was refused before the API had it.

    It says what was asked by its template: a path or a query string may name a customer. What is
    None is left out; probes are logged at the level DEBUG.
    """
    level = logging.DEBUG if of_probe else logging.INFO
    if _access_logger.isEnabledFor(level):
        told = {name: value for name, value in fields.items() if value is not None}
        _access_logger.log(level, "request", extra=told)


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON; each request has one, so that it must cost little."""

    def __init__(self) -> None:
        super().__init__()
        self._encode = JsonEncoder().encode

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, the fields of its `extra` among the others."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for field, variable in (("request_id", request_id_var), ("trace_id", trace_id_var)):
            if value := variable.get():
                line[field] = value
        line |= {name: value for name, value in vars(record).items() if name not in _NOT_EXTRA}
        if record.exc_info:
            line["exc_info"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack_info"] = record.stack_info
        return self._encode(line)

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 - the name is logging's
        return "" if ei[1] is None else describe(ei[1])


def configure(level: str = "INFO") -> None:
    """Send every logger of the process through one JSON handler; safe to call again.

    uvicorn must be started with `log_config=None`, or it puts its own handlers back.
    """
    # What no line shows need not be looked up for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001  # the manual's own advice
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # The guard writes the access log; without a handler uvicorn does not format its own.
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))
