"""How every router is made: its scope, its tag, and the problems any operation can answer."""

from typing import Any

from fastapi import APIRouter, Depends, Response

from app.deps import Route, Scope
from app.schemas.responses import problems

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


def accept(response: Response, operation: dict[str, Any]) -> dict[str, Any]:
    """Answer 202 with the operation to follow."""
    response.headers["Location"] = f"/v1/operations/{operation['id']}"
    response.headers["Retry-After"] = "1"
    return operation
