"""How every router is made: its scope, its tag, and the problems any operation can answer."""

from typing import Any

from fastapi import APIRouter, Depends, Response

from app.deps import Route, Scope
from app.errors import AppError, tree
from app.schemas.common import Problem

_ALWAYS = (400, 401, 403, 422, 500, 503)


def router(tag: str) -> APIRouter:
    """Return a router of `/v1` whose operations carry a tag."""
    return APIRouter(prefix="/v1", tags=[tag], route_class=Route, responses=problems(*_ALWAYS))


def scope(name: str) -> dict[str, Any]:
    """Return what an operation is declared with so that it asks for a scope and says so."""
    return {
        "dependencies": [Depends(Scope(name))],
        "openapi_extra": {"x-required-scope": name},
    }


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the problem documents of some statuses, with an example of each code."""
    return {status: _describe(status) for status in statuses}


def _describe(status: int) -> dict[str, Any]:
    of_status: list[type[AppError]] = [kind for kind in tree() if kind.status == status]
    return {
        "model": Problem,
        "description": "; ".join(f"`{kind.code}`: {kind.title}" for kind in of_status),
        "content": {
            "application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {kind.code: {"value": _example(kind)} for kind in of_status},
            }
        },
    }


def _example(kind: type[AppError]) -> dict[str, Any]:
    extra: dict[str, Any] = {"missing_scope": "scores:read"} if kind.code == "missing_scope" else {}
    problem = AppError.problem(
        kind(**extra), instance="/v1/transactions", request_id="0b6bd6f3a0fd4d6c8f2a1c9e4d5b6a70"
    )
    if kind.status == 422:
        problem["errors"] = [
            {"pointer": "/amount", "code": "decimal", "detail": "must be a decimal number"}
        ]
    return problem


def accept(response: Response, operation: dict[str, Any]) -> dict[str, Any]:
    """Answer 202 with the operation to follow."""
    response.headers["Location"] = f"/v1/operations/{operation['id']}"
    response.headers["Retry-After"] = "1"
    return operation
