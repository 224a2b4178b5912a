"""What the OpenAPI document says of responses: the problems of an operation, and the headers.

Routers name problems and headers; `app.http.openapi` puts what is meant once into the components.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_
from typing import Any

from pydantic import BaseModel

from app.errors import AppError, tree
from app.schemas.common.shapes import Problem
from app.schemas.problems import (
    InvalidTransitionProblem,
    MissingScopeProblem,
    OperationRunningProblem,
)

Described = dict[str, Any]
Responses = dict[int | str, Described]

HEADERS: Mapping[str, Described] = {
    "CLM-As-Of": {
        "description": "of lines: the instant that they are true for",
        "schema": {"type": "string", "format": "date-time"},
        "example": "2026-06-01T02:00:00Z",
    },
    "CLM-Churn-Risk-Extrapolated": {
        "description": "of lines: whether the churn risk was learnt over another number of days, "
        "and is extrapolated to the horizon",
        "schema": {"type": "string", "enum": ["true", "false"]},
    },
    "CLM-Churn-Risk-Status": {
        "description": "of lines: `ok`, `insufficient_history` or `weakly_identified`",
        "schema": {"type": "string"},
        "example": "ok",
    },
    "CLM-Clv-Annual-Discount": {
        "description": "of lines: rate of a year by which lifetime values are discounted",
        "schema": {"type": "string"},
        "example": "0.1",
    },
    "CLM-Clv-Basis": {
        "description": "of lines: what lifetime values count, `revenue` or `margin`",
        "schema": {"type": "string"},
        "example": "revenue",
    },
    "CLM-Clv-Caveats": {
        "description": "of lines: what to beware of in lifetime values, as `clv.caveats` of a page "
        "says; empty if nothing",
        "schema": {"type": "string"},
        "example": "horizon_extrapolated",
    },
    "CLM-Clv-Horizon-Days": {
        "description": "of lines: days ahead that lifetime values are counted over",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "example": "365",
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
    "CLM-Segments-Left-Out": {
        "description": "of lines of segments: how many segments are left out, as the key may not "
        "ask their rules, or there is no model; absent of other lines",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "example": "0",
    },
    "CLM-Stage-Policy-Version": {
        "description": "of lines: the policy by which the stages of the run are",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "example": "1",
    },
    "Content-Disposition": {
        "description": "of lines: the name to save them by",
        "schema": {"type": "string"},
        "example": 'attachment; filename="scores-run-7.csv"',
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
    "RateLimit": {
        "description": "of keys with a rate: `r`, the requests left, and `t`, the seconds until "
        "all are there again",
        "schema": {"type": "string"},
        "example": '"key";r=19;t=1',
    },
    "RateLimit-Policy": {
        "description": "of keys with a rate: `q`, the requests at once, and `w`, the seconds "
        "that it takes to earn as many; each process counts by itself",
        "schema": {"type": "string"},
        "example": '"key";q=20;w=2',
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
OF_STREAMS = tuple(
    name
    for name in HEADERS
    if name.startswith(("CLM-", "Content-")) and not name.startswith("CLM-Segments-")
)
"""What lines cannot say of the whole run."""
CODES = "x-problem-codes"
"""Where a declared response says which problems it stands for."""
_HEADERS_OF_PROBLEM = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After", "RateLimit", "RateLimit-Policy"),
    503: ("Retry-After",),
}
_HEADERS_OF_CODE = {"idempotency_in_progress": ("Retry-After",)}
_SHAPES: Mapping[str, type[BaseModel]] = {
    "missing_scope": MissingScopeProblem,
    "invalid_transition": InvalidTransitionProblem,
    "operation_running": OperationRunningProblem,
}
_KINDS = {kind.code: kind for kind in tree()}
_EXTRA: Mapping[str, dict[str, Any]] = {
    "missing_scope": {"missing_scope": "scores:read"},
    "operation_running": {"operation_id": "op_4f1d7c0a9be25d18"},
    "invalid_transition": {
        "current_stage": "active",
        "allowed": ["loyal", "churned"],
        "refused_by": {"policy_version": 1, "rule": "transitions/active"},
    },
}
_FAULTS = {
    "validation_failed": ("/name", "string_too_long", "String should have at most 200 characters"),
    "batch_rejected": ("/items/3/kind", "missing", "Field required"),
    "malformed": ("", "malformed_json", "line 1 column 18: Expecting value"),
    "invalid_cursor": ("query:cursor", "invalid_cursor", "take it from next_cursor unchanged"),
    "stale_version": ("header:If-Match", "stale_version", 'the profile is at "4"'),
}


def problems(*kinds: type[AppError]) -> Responses:
    """Declare the problems that an operation can answer besides those of its form."""
    found: dict[int, list[type[AppError]]] = {}
    for kind in kinds:
        found.setdefault(kind.status, []).append(kind)
    return {
        status: {
            "model": _union([_shape(kind.code) for kind in of_status]),
            CODES: [kind.code for kind in of_status],
        }
        for status, of_status in found.items()
    }


def _shape(code: str) -> type[BaseModel]:
    return _SHAPES.get(code, Problem)


def _union(shapes: list[type[BaseModel]]) -> Any:
    return reduce(or_, dict.fromkeys(shapes))


def headers(*names: str) -> Described:
    """Declare headers of a response."""
    return {"headers": {name: header_reference(name) for name in names}}


def header_reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def problem_component(codes: Iterable[str]) -> tuple[str, Described]:
    """Return the name and the response of problems that have one status in common."""
    kinds = sorted((_KINDS[code] for code in codes), key=lambda kind: kind.code)
    status = kinds[0].status
    shapes = dict.fromkeys(_shape(kind.code).__name__ for kind in kinds)
    references = [{"$ref": f"#/components/schemas/{name}"} for name in sorted(shapes)]
    more = dict.fromkeys(
        name
        for kind in kinds
        for name in (*_HEADERS_OF_PROBLEM.get(status, ()), *_HEADERS_OF_CODE.get(kind.code, ()))
    )
    return f"Problem{status}" + "".join(kind.__name__ for kind in kinds), {
        "description": "; ".join(f"`{kind.code}`: {kind.title}" for kind in kinds),
        **headers("X-Request-Id", *more),
        "content": {
            "application/problem+json": {
                "schema": references[0] if len(references) == 1 else {"anyOf": references},
                "examples": {kind.code: {"value": _example(kind)} for kind in kinds},
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
