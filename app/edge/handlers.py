"""The one place that turns an exception into a problem document (RFC 9457).

What is not known here is a fault of ours and goes on to the guard, which answers 500.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from app.edge.jsonbody import malformed
from app.errors import (
    AppError,
    FieldError,
    InternalError,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    Unavailable,
    ValidationFailed,
    printable,
    tree,
)
from app.postgres.sqlstates import DATABASE_ERRORS, from_database, sqlstate_of
from app.schemas.common.shapes import detail_of
from app.services.common.stored_documents import NewerVersion
from app.telemetry.logs import request_id_var
from app.telemetry.metrics import UNMATCHED

MAX_ERRORS = 100
_MAX_INSTANCE = 1_000
_MAX_DETAIL = 300
_ABSENT = object()

Handler = Callable[[Request, Exception], Awaitable[Response]]

logger = logging.getLogger("clm.errors")

# The general class of a status is the first of the tree that has it.
_BY_STATUS = {kind.status: kind for kind in reversed(list(tree()))}


def problem_response(error: AppError, scope: MutableMapping[str, Any]) -> Response:
    """Return the response for an error, as an answer to the request of this ASGI scope."""
    scope.setdefault("state", {})["error_code"] = error.code  # for the access log
    raw_path = scope.get("raw_path") or quote(scope["path"]).encode()
    document = error.problem(
        instance=raw_path.decode("ascii", "replace")[:_MAX_INSTANCE],
        request_id=scope.get("state", {}).get("request_id") or request_id_var.get(),
    )
    return Response(
        # ASCII escapes carry even a lone surrogate; `str` writes dates and decimals.
        json.dumps(document, default=str, separators=(",", ":")).encode(),
        status_code=error.status,
        headers=error.headers,
        media_type="application/problem+json",
    )


def route_template(scope: Mapping[str, Any]) -> str:
    """Return the path template of the route that a request matched, `unmatched` without one."""
    # A route of an included router knows only its own part; FastAPI keeps the whole here.
    included = scope.get("fastapi", {}).get("effective_route_context")
    path = getattr(included, "path", None) or getattr(scope.get("route"), "path", None)
    return path or UNMATCHED


def _child(body: object, step: str | int) -> object:
    if isinstance(body, Mapping):
        return body.get(step, _ABSENT)
    if isinstance(body, list) and isinstance(step, int) and step < len(body):
        return body[step]
    return _ABSENT


def json_pointer(location: Sequence[str | int], body: object) -> str:
    """Return the JSON pointer (RFC 6901) of pydantic's location in a body.

    Steps that are not in the body, the names of union members, are left out; only a last
    step may be absent, and is kept: the name of a missing field.
    """
    pointer = ""
    for position, step in enumerate(location):
        inside = _child(body, step)
        last = position == len(location) - 1
        if inside is _ABSENT and not (last and isinstance(body, Mapping) and step != "[key]"):
            continue
        body = inside
        pointer += "/" + printable(str(step)).replace("~", "~0").replace("/", "~1")
    return pointer


def field_error(error: Mapping[str, Any], body: object) -> FieldError:
    """Return one of pydantic's errors as ours, without the value that was sent."""
    place, *rest = error["loc"] or ("body",)
    if place == "body":
        pointer = json_pointer(rest, body)
    else:
        pointer = f"{place}:{'.'.join(printable(str(step)) for step in rest)}"
    return FieldError(pointer, str(error["type"]), printable(detail_of(error), _MAX_DETAIL))


def _invalid(exc: RequestValidationError) -> AppError:
    faults = exc.errors()
    if faults and faults[0]["type"] == "json_invalid":
        document, position = str(exc.body), int(faults[0]["loc"][-1])
        line = document.count("\n", 0, position) + 1
        column = position - document.rfind("\n", 0, position)
        return malformed(f"line {line} column {column}: {faults[0]['ctx']['error']}")
    detail = f"{len(faults)} faults, of which the first {MAX_ERRORS} are listed"
    return ValidationFailed(
        detail if len(faults) > MAX_ERRORS else None,
        errors=[field_error(each, exc.body) for each in faults[:MAX_ERRORS]],
    )


def _allow(scope: Mapping[str, Any]) -> dict[str, str]:
    """Return the Allow header of a path; Starlette's names the first of its routes only."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    methods = {
        method
        for route in iter_route_contexts(scope["app"].routes)
        if route.path is not None and compile_path(route.path)[0].match(path)
        for method in route.methods or ()
    }
    if "GET" in methods:
        methods.add("HEAD")
    return {"Allow": ", ".join(sorted(methods))} if methods else {}


def _from_http(exc: HTTPException, scope: Mapping[str, Any]) -> AppError:
    if isinstance(exc.__cause__, AppError):  # FastAPI wraps what reading the body raised
        return exc.__cause__
    if exc.status_code == NotFound.status:
        return NotFound("No route has this path", headers=exc.headers)
    if exc.status_code == MethodNotAllowed.status:
        return MethodNotAllowed(headers={**(exc.headers or {}), **_allow(scope)})
    other = MalformedRequest if exc.status_code < InternalError.status else InternalError
    kind = _BY_STATUS.get(exc.status_code, other)
    return kind(printable(str(exc.detail), _MAX_DETAIL), headers=exc.headers)


async def _on_app_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, AppError)
    return problem_response(exc, request.scope)


async def _on_http_exception(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    return problem_response(_from_http(exc, request.scope), request.scope)


async def _on_invalid_request(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    return problem_response(_invalid(exc), request.scope)


async def _on_database_error(request: Request, exc: Exception) -> Response:
    error = from_database(exc)
    if error is None:
        raise exc
    logger.warning(
        "database error",
        extra={"error": type(exc).__name__, "sqlstate": sqlstate_of(exc), "code": error.code},
        # A value that only the database refused lacks a check of ours: say where.
        exc_info=exc if error.status == ValidationFailed.status else None,
    )
    return problem_response(error, request.scope)


async def _on_newer_version(request: Request, exc: Exception) -> Response:
    logger.warning("stored by a newer version", extra={"error": str(exc)})
    error = Unavailable("A newer version of the service has stored this; it can read it.")
    return problem_response(error, request.scope)


_HANDLERS: Mapping[type[Exception], Handler] = {
    AppError: _on_app_error,
    HTTPException: _on_http_exception,
    RequestValidationError: _on_invalid_request,
    NewerVersion: _on_newer_version,
    **dict.fromkeys(DATABASE_ERRORS, _on_database_error),
}


def handler_of(error: Exception) -> Handler | None:
    """Return what answers an error, None for a fault of ours."""
    return next((_HANDLERS[kind] for kind in type(error).__mro__ if kind in _HANDLERS), None)


def install(app: FastAPI) -> None:
    """Register every handler; not one for Exception, whose response would break the connection."""
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
