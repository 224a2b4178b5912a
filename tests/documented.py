"""Answers held against what the OpenAPI document declares."""

from functools import cache
from typing import Any

import httpx

from tests import openapi


@cache
def _schema() -> Any:
    import schemathesis  # noqa: PLC0415  # slow to import, and few files need it

    return schemathesis.openapi.from_dict(openapi.committed())


def check(answer: httpx.Response, path: str) -> httpx.Response:
    """Check an answer of the operation with this path in the document, and return it."""
    _schema()[path][answer.request.method].validate_response(answer)
    return answer


def operation(answer: httpx.Response) -> dict[str, Any]:
    """Return the operation that was answered, as it is declared."""
    found: dict[str, Any] = check(answer, "/v1/operations/{operation_id}").json()
    return found
