"""Requests whose body is sent as it is, and the problems that they are answered with."""

import json
from typing import Any

import httpx

JSON = {"Content-Type": "application/json"}
CUSTOMER = {"customer_id": "c1"}
FACT = {
    "customer_id": "c1",
    "transaction_id": "t1",
    "occurred_at": "2026-01-31T12:00:00Z",
    "amount": {"amount": "12.50"},
}
INTERACTION = {
    "customer_id": "c1",
    "interaction_id": "i1",
    "occurred_at": "2026-01-31T12:00:00Z",
    "kind": "survey",
}
NUL, SURROGATE = "a\x00b", "a\ud800b"


async def send(
    client: httpx.AsyncClient, method: str, path: str, body: Any, **headers: str
) -> httpx.Response:
    """Send a body as it is; what is not bytes is written as JSON, NaN and surrogates too."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.request(method, path, content=content, headers={**JSON, **headers})


def check(answer: httpx.Response, status: int, *pointers: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert [error["pointer"] for error in problem["errors"]] == list(pointers)
    assert all(error["code"] and error["detail"] for error in problem["errors"])


# What makes a value bad in some kind of place, and the places of each kind.
