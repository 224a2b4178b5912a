"""How every router is made: its scope, its tag, and the problems any operation can answer."""

from typing import Any

from fastapi import APIRouter, Depends, Response
from fastapi.routing import APIRoute

from app.errors import Conflict, MissingScope, ValidationFailed
from app.http.deps import Route, Scope
from app.schemas.common.shapes import bulk_answer
from app.schemas.ingest.facts import FactWritten
from app.schemas.responses import problems
from app.services.ingest.facts import Ingested
from app.telemetry import metrics

# The others of every operation are of the same shape: the document names them.
_SHAPES = problems(MissingScope, ValidationFailed)


def router(tag: str) -> APIRouter:
    """Return a router of `/v1` whose operations carry a tag."""
    return APIRouter(
        prefix="/v1",
        tags=[tag],
        route_class=Route,
        responses=_SHAPES,
        generate_unique_id_function=operation_id,
        strict_content_type=False,  # without a content type, a body counts as JSON
    )


def operation_id(route: APIRoute) -> str:
    """Return what the document calls an operation: as its function is called."""
    return route.name


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


def of_fact(written: type[FactWritten]) -> dict[str, Any]:
    """Return what the POST of a single fact is declared with."""
    return {
        "status_code": 201,
        "response_model": written,
        "responses": {
            200: {"model": written, "description": "Replaced, or stored before"},
            201: {"description": "Stored"},
            **problems(Conflict),
        },
    }


def answer_fact(response: Response, noun: str, written: dict[str, Any]) -> dict[str, Any]:
    """Answer 201 for a fact not known before, else 200."""
    metrics.count_facts(noun, written["status"])
    response.status_code = 201 if written["status"] == "created" else 200
    return written


def answer_batch(noun: str, ingested: Ingested) -> dict[str, Any]:
    """Answer what became of each fact of a batch."""
    metrics.count_all_facts(noun, ingested.counts())
    answer = bulk_answer(ingested.outcomes, ingested.warnings)
    return {**answer, "customers_created": ingested.customers_created}
