"""What the OpenAPI document says of responses: the problem of each status, and the headers.

Routers name statuses and headers; `app.openapi` puts what is meant once into the components.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from app.errors import AppError, tree
from app.schemas.common import Problem
from app.schemas.policies import PREVIEW_CELL_EXAMPLE
from app.schemas.problems import ConflictProblem, MissingScopeProblem

Described = dict[str, Any]
Responses = dict[int | str, Described]

HEADERS: Mapping[str, Described] = {
    "Allow": {
        "description": "the methods of this path",
        "schema": {"type": "string"},
        "example": "GET, PUT",
    },
    "CLM-As-Of": {
        "description": "of lines: the instant of the run",
        "schema": {"type": "string", "format": "date-time"},
        "example": "2026-06-01T02:00:00Z",
    },
    "CLM-Churn-Risk-Extrapolated": {
        "description": "of lines: whether the churn risk was learnt over another number of days, "
        "and is carried to the horizon",
        "schema": {"type": "string", "enum": ["true", "false"]},
    },
    "CLM-Churn-Risk-Status": {
        "description": "of lines: `ok`, `insufficient_history` or `weakly_identified`",
        "schema": {"type": "string"},
        "example": "ok",
    },
    "CLM-Model-Id": {
        "description": "of lines: the model that scored the run",
        "schema": {"type": "string"},
        "example": "model_3d1f0c7ab2e94f60",
    },
    "CLM-Run-Id": {
        "description": "of lines: the run; all of these headers are absent before the first",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "example": "7",
    },
    "CLM-Stage-Policy-Version": {
        "description": "of lines: the policy by which the stages of the run are",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "example": "1",
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
OF_STREAMS = tuple(name for name in HEADERS if name.startswith("CLM-"))
"""What lines cannot say of the whole run."""
_HEADERS_OF_PROBLEM = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    409: ("Retry-After",),
    503: ("Retry-After",),
}
_SHAPES: Mapping[int, type[BaseModel]] = {403: MissingScopeProblem, 409: ConflictProblem}
_EXTRA: Mapping[str, dict[str, Any]] = {
    "missing_scope": {"missing_scope": "scores:read"},
    "operation_running": {"operation_id": "op_4f1d7c0a9be25d18"},
    "invalid_transition": {
        "current_stage": "active",
        "allowed": ["loyal", "churned"],
        "refused_by": {"policy_version": 1, "rule": "moves/active"},
    },
    "preview_stale": {
        "matrix": [PREVIEW_CELL_EXAMPLE],
        "previewed": [{**PREVIEW_CELL_EXAMPLE, "customers": 11}],
    },
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
    return {status: {"model": _shape(status)} for status in statuses}


def _shape(status: int) -> type[BaseModel]:
    return _SHAPES.get(status, Problem)


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
                "schema": {"$ref": f"#/components/schemas/{_shape(status).__name__}"},
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
