"""What the OpenAPI document says of responses: the problem of each status, and the headers.

Routers name statuses and headers; `app.openapi` puts what is meant once into the components.
"""

from collections.abc import Mapping
from typing import Any

from app.errors import AppError, tree
from app.schemas.common import Problem

Described = dict[str, Any]
Responses = dict[int | str, Described]

HEADERS: Mapping[str, Described] = {
    "Allow": {
        "description": "the methods of this path",
        "schema": {"type": "string"},
        "example": "GET, PUT",
    },
    "ETag": {
        "description": "the version of what is shown; `If-Match` takes it",
        "required": True,
        "schema": {"type": "string"},
        "example": '"3"',
    },
    "Idempotent-Replayed": {
        "description": "`true` if this is the stored answer to an earlier request with the same "
        "`Idempotency-Key`; absent otherwise",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Location": {
        "description": "where to find what was made",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
        "example": "/v1/operations/op_4f1d7c0a9be25d18",
    },
    "Retry-After": {
        "description": "seconds after which to try again",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "example": "1",
    },
    "WWW-Authenticate": {
        "description": "how to authenticate",
        "schema": {"type": "string"},
        "example": "Bearer",
    },
    "X-Request-Id": {
        "description": "the id of the request in logs and problems: the caller's, or a new one",
        "required": True,
        "schema": {"type": "string"},
        "example": "0b6bd6f3a0fd4d6c8f2a1c9e4d5b6a70",
    },
}
_HEADERS_OF_PROBLEM = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    409: ("Retry-After",),
    503: ("Retry-After",),
}
_EXTRA: Mapping[str, dict[str, str]] = {
    "missing_scope": {"missing_scope": "scores:read"},
    "operation_running": {"operation_id": "op_4f1d7c0a9be25d18"},
}
_FAULTS = {
    "validation_failed": ("/amount", "decimal", 'must be a decimal number, such as "12.50"'),
    "batch_rejected": ("/items/3/amount", "decimal", 'must be a decimal number, such as "12.50"'),
    "malformed": ("", "malformed_json", "line 1 column 18: Expecting value"),
    "invalid_cursor": ("query:cursor", "invalid_cursor", "take it from next_cursor unchanged"),
    "stale_version": ("header:If-Match", "stale_version", 'the profile is at "4"'),
}


def problems(*statuses: int) -> Responses:
    """Declare problem documents of some statuses."""
    return {status: {"model": Problem} for status in statuses}


def headers(*names: str) -> Described:
    """Declare headers of a response."""
    return {"headers": {name: header_reference(name) for name in names}}


def header_reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def problem_components() -> dict[str, Described]:
    """Return the response of each problem status, with an example of each of its codes."""
    statuses = sorted({kind.status for kind in tree()})
    return {f"Problem{status}": _describe(status) for status in statuses}


def _describe(status: int) -> Described:
    of_status: list[type[AppError]] = [kind for kind in tree() if kind.status == status]
    return {
        "description": "; ".join(f"`{kind.code}`: {kind.title}" for kind in of_status),
        **headers("X-Request-Id", *_HEADERS_OF_PROBLEM.get(status, ())),
        "content": {
            "application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {kind.code: {"value": _example(kind)} for kind in of_status},
            }
        },
    }


def _example(kind: type[AppError]) -> dict[str, Any]:
    extra: dict[str, Any] = dict(_EXTRA.get(kind.code, {}))
    problem = kind(**extra).problem(
        instance="/v1/transactions", request_id="0b6bd6f3a0fd4d6c8f2a1c9e4d5b6a70"
    )
    if kind.code in _FAULTS:
        pointer, code, detail = _FAULTS[kind.code]
        problem["errors"] = [{"pointer": pointer, "code": code, "detail": detail}]
    return problem
