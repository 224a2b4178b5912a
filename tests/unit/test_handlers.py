"""Every kind of exception through a real FastAPI application, as a problem document."""

import asyncio
from decimal import Decimal
from typing import Annotated, Any, Literal

import asyncpg
import httpx
import pytest
import sqlalchemy.exc
from fastapi import Body, FastAPI, Header, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field

from app.edge import handlers
from app.edge.handlers import MAX_ERRORS, json_pointer, problem_response
from app.errors import AppError, IdempotencyInProgress, NotFound, tree

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id", "errors"}


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    age: int


class Line(BaseModel):
    amount: Decimal = Field(max_digits=4)


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    items: list[Line] = []
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    counts: dict[Annotated[str, Field(max_length=5)], int] = {}


class Filters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, le=500)


RAISED: list[BaseException] = []


def make_app() -> FastAPI:
    app = FastAPI()
    handlers.install(app)

    @app.get("/raise")
    async def fail() -> None:
        raise RAISED.pop()

    @app.post("/orders")
    async def create_order(order: Order) -> None: ...

    @app.put("/orders/{number}")
    async def put_order(
        number: int, size: Annotated[int, Body(embed=True)], x_tag: Annotated[int, Header()] = 0
    ) -> None: ...

    @app.get("/orders/{number}")
    async def get_order(number: int) -> None: ...

    @app.get("/orders")
    async def list_orders(filters: Annotated[Filters, Query()]) -> None: ...

    return app


APP = make_app()


def call(
    method: str, path: str, error: BaseException | None = None, **kwargs: Any
) -> httpx.Response:
    if error is not None:
        RAISED.append(error)

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(APP)
        async with httpx.AsyncClient(transport=transport, base_url="http://clm") as client:
            return await client.request(method, path, **kwargs)

    return asyncio.run(send())


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    document: dict[str, Any] = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert set(document) >= MEMBERS
    assert (response.status_code, document["status"], document["code"]) == (status, status, code)
    return document


def faults(response: httpx.Response) -> list[tuple[str, str]]:
    document = problem(response, 422, "validation_failed")
    return [(each["pointer"], each["code"]) for each in document["errors"]]


@pytest.mark.parametrize("kind", list(tree()))
def test_every_error_of_the_tree(kind: type[AppError]) -> None:
    response = call("GET", "/raise", kind("Because", headers={"X-More": "1"}, allowed=["a"]))
    document = problem(response, kind.status, kind.code)
    assert document["instance"] == "/raise"
    assert document["detail"] == "Because"
    assert document["allowed"] == ["a"]
    assert response.headers["x-more"] == "1"


def test_headers_of_an_error_are_sent() -> None:
    assert call("GET", "/raise", IdempotencyInProgress()).headers["retry-after"] == "1"


def test_unknown_path_and_method() -> None:
    problem(call("GET", "/nowhere"), 404, "not_found")
    response = call("DELETE", "/orders/5")
    problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD, PUT"


@pytest.mark.parametrize(
    ("status", "expected", "code"),
    [
        (400, 400, "malformed"),
        (401, 401, "unauthorized"),
        (403, 403, "missing_scope"),
        (404, 404, "not_found"),
        (409, 409, "conflict"),
        (413, 413, "payload_too_large"),
        (418, 400, "malformed"),
        (422, 422, "validation_failed"),
        (503, 503, "unavailable"),
        (502, 500, "internal_error"),
    ],
)
def test_http_exceptions_by_status(status: int, expected: int, code: str) -> None:
    problem(call("GET", "/raise", HTTPException(status, "Because")), expected, code)


def test_body_faults_have_json_pointers() -> None:
    body = {
        "items": [{"amount": "1"}, {"amount": "12345"}, {}],
        "pet": {"kind": "cat", "lives": "many"},
        "counts": {"a/b~": "x", "far too long": 1},
        "q/~": 1,
    }
    assert faults(call("POST", "/orders", json=body)) == [
        ("/items/1/amount", "decimal_max_digits"),
        ("/items/2/amount", "missing"),
        ("/pet/lives", "int_parsing"),
        ("/counts/a~1b~0", "int_parsing"),
        ("/counts/far too long", "string_too_long"),
        ("/q~1~0", "extra_forbidden"),
    ]
    assert faults(call("POST", "/orders", json=[])) == [("", "model_attributes_type")]
    assert faults(call("POST", "/orders")) == [("", "missing")]


def test_parameter_faults_name_their_place() -> None:
    response = call("PUT", "/orders/x", json={"size": "big"}, headers={"x-tag": "y"})
    assert faults(response) == [
        ("path:number", "int_parsing"),
        ("header:x-tag", "int_parsing"),
        ("/size", "int_parsing"),
    ]
    assert faults(call("GET", "/orders?limit=501&bogus=1")) == [
        ("query:limit", "less_than_equal"),
        ("query:bogus", "extra_forbidden"),
    ]


def test_faults_never_quote_the_input() -> None:
    body = {"items": "alice", "pet": {"kind": "alice"}, "counts": {"a": "alice"}}
    response = call("POST", "/orders", json=body)
    assert len(faults(response)) == 3
    assert "alice" not in response.text
    assert "'cat', 'dog'" in response.text


def test_faults_are_capped() -> None:
    response = call("POST", "/orders", json={"items": [{}] * 250})
    assert len(faults(response)) == MAX_ERRORS
    assert response.json()["detail"].startswith("250 faults")


def test_hostile_keys_are_printable() -> None:
    content = b'{"counts":{"\\ud800\\u0000":"x","' + b"k" * 5_000 + b'":"x"}}'
    headers = {"content-type": "application/json"}
    response = call("POST", "/orders", content=content, headers=headers)
    assert len(faults(response)) >= 2
    assert len(response.content) < 2_000


def test_broken_json_without_our_request_class() -> None:
    headers = {"content-type": "application/json"}
    response = call("POST", "/orders", content=b'{"a":\n 1,\n x}', headers=headers)
    (error,) = problem(response, 400, "malformed")["errors"]
    assert (error["pointer"], error["code"]) == ("", "malformed_json")
    assert error["detail"].startswith("line 3 column 2: ")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (asyncpg.UniqueViolationError("Key (email)=(alice)"), 409, "conflict"),
        (asyncpg.NumericValueOutOfRangeError("alice"), 422, "validation_failed"),
        (asyncpg.InterfaceError("connection is closed"), 503, "database_unavailable"),
        (ConnectionRefusedError("alice"), 503, "database_unavailable"),
        (sqlalchemy.exc.TimeoutError("alice"), 503, "database_unavailable"),
    ],
)
def test_database_errors(error: BaseException, status: int, code: str) -> None:
    response = call("GET", "/raise", error)
    problem(response, status, code)
    assert "alice" not in response.text
    assert ("retry-after" in response.headers) == (status == 503)


@pytest.mark.parametrize(
    "error", [ValueError(), FileNotFoundError(), sqlalchemy.exc.ArgumentError()]
)
def test_faults_of_ours_go_on(error: Exception) -> None:
    with pytest.raises(type(error)):
        call("GET", "/raise", error)


def test_problem_response_of_a_bare_scope() -> None:
    scope = {"path": "/v1/ü x", "state": {"request_id": "abcdefgh"}}
    response = problem_response(NotFound(amount=Decimal("1.5"), name="\ud800"), scope)
    assert b'"instance":"/v1/%C3%BC%20x"' in response.body
    assert b'"request_id":"abcdefgh"' in response.body
    assert b'"amount":"1.5","name":"\\ud800"' in response.body


def test_json_pointer_of_steps_not_in_the_body() -> None:
    assert json_pointer(("a", "tag", "b"), {"a": {"b": 1}}) == "/a/b"
    assert json_pointer(("a", "int"), {"a": "x"}) == "/a"
    assert json_pointer((0, 7), [[1]]) == "/0"
    assert json_pointer((), None) == ""
