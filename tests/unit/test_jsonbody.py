"""The strict JSON reader, alone and as the body of FastAPI routes."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from app.edge import handlers
from app.edge.jsonbody import (
    MAX_CONTAINERS,
    MAX_DEPTH,
    MAX_KEYS,
    ClmRequest,
    check_media_type,
    loads,
    printable,
)
from app.errors import FieldError, MalformedRequest, UnsupportedMediaType

# From Python 3.13 on the comma itself is named, and not what should have followed it.
TRAILING_COMMA = (
    "line 1 column 7: Illegal trailing comma before end of object"
    if sys.version_info >= (3, 13)
    else "line 1 column 8: Expecting property name enclosed in double quotes"
)
TOO_DEEP = f"values are nested more than {MAX_DEPTH} deep"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(max_examples=50, deadline=None)
@given(JSON)
def test_reads_what_json_writes(value: object) -> None:
    assert loads(json.dumps(value).encode()) == value


def fault(body: bytes) -> FieldError:
    with pytest.raises(MalformedRequest) as caught:
        loads(body)
    (error,) = caught.value.errors
    assert error.pointer == ""
    return error


@pytest.mark.parametrize(
    ("body", "code", "detail"),
    [
        (b'{"a":\n  x}', "malformed_json", "line 2 column 3: "),
        (b"", "malformed_json", "line 1 column 1: "),
        (b'{"a":1} {}', "malformed_json", "line 1 column 9: Extra data"),
        (b'{"a":"\x01"}', "malformed_json", "line 1 column 7: Invalid control character"),
        (b'{"a":1,}', "malformed_json", TRAILING_COMMA),
        (b'\xef\xbb\xbf{"a":1}', "malformed_json", "line 1 column 1: a byte order mark"),
        ('{"a":1}'.encode("utf-16"), "malformed_json", "byte 0: not UTF-8"),
        ('{"a":1}'.encode("utf-16-le"), "malformed_json", "line 1 column 2: "),
        ('{"a":"é"}'.encode("latin-1"), "malformed_json", "byte 6: not UTF-8"),
        (b"\xff", "malformed_json", "byte 0: not UTF-8"),
        (b'{"a":1,"b":{"c":1,"c":1}}', "duplicate_key", "the key 'c' occurs twice"),
        (b"9" * 5_000, "number_too_long", "too many digits"),
        (b"[" * 100_000, "nesting_too_deep", TOO_DEEP),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "nesting_too_deep", TOO_DEEP),
        (b"[" + b"{}," * MAX_CONTAINERS + b"{}]", "too_many_values", "objects and lists"),
    ],
)
def test_refuses(body: bytes, code: str, detail: str) -> None:
    error = fault(body)
    assert error.code == code
    assert detail in error.detail


def nested(depth: int) -> bytes:
    pairs = [(b'{"a":', b"}") if level % 2 else (b"[", b"]") for level in range(depth)]
    opening = b"".join(each[0] for each in pairs)
    return opening + b"1" + b"".join(each[1] for each in reversed(pairs))


def test_limits_are_the_last_that_pass() -> None:
    assert loads(nested(MAX_DEPTH))
    assert fault(nested(MAX_DEPTH + 1)).code == "nesting_too_deep"
    keys = {str(number): 0 for number in range(MAX_KEYS)}
    assert loads(json.dumps(keys).encode()) == keys
    assert fault(json.dumps({**keys, "more": 0}).encode()).code == "too_many_keys"
    assert loads(json.dumps(["[{" * 40] * 2).encode())  # brackets in text are no nesting


def test_not_finite_numbers_are_left_to_the_fields() -> None:
    assert repr(loads(b"[NaN, Infinity, -Infinity, 1e400]")) == "[nan, inf, -inf, inf]"


def test_duplicate_key_is_made_safe_to_print() -> None:
    error = fault(b'{"\\ud800\\n%s":1,"\\ud800\\n%s":2}' % (b"k" * 500, b"k" * 500))
    error.detail.encode()
    assert len(error.detail) < 150
    assert printable("a\x00b\ud800c\u202e") == "a\ufffdb\ufffdc\ufffd"


@pytest.mark.parametrize(
    ("content_type", "accepted"),
    [
        (None, True),
        ("application/json", True),
        ("Application/JSON; charset=UTF-8", True),
        ("application/merge-patch+json", True),
        ('application/json;charset="utf-8"', True),
        ("application/json; charset=latin-1", False),
        ("text/plain", False),
        ("text/json", False),
        ("application/x-www-form-urlencoded", False),
        ("application/jsonx", False),
        ("", False),
    ],
)
def test_media_types(content_type: str | None, accepted: bool) -> None:
    if accepted:
        check_media_type(content_type)
    else:
        with pytest.raises(UnsupportedMediaType):
            check_media_type(content_type)


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    amount: float


class Route(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await inner(ClmRequest(request.scope, request.receive))

        return handle


def make_app() -> FastAPI:
    app = FastAPI(strict_content_type=False)
    app.router.route_class = Route
    handlers.install(app)

    @app.post("/things")
    async def create_thing(thing: Thing) -> float:
        return thing.amount

    return app


APP = make_app()


def post(content: bytes, content_type: str | None = "application/json") -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(APP)
        headers = {"content-type": content_type} if content_type is not None else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://clm") as client:
            return await client.post("/things", content=content, headers=headers)

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("content", "content_type", "status", "code", "fields"),
    [
        (b'{"amount":1.5}', "application/json", 200, None, []),
        (b'{"amount":1.5}', None, 200, None, []),
        (b'{"amount":', "application/json", 400, "malformed", [("", "malformed_json")]),
        (b'{"a":1,"a":2}', "application/json", 400, "malformed", [("", "duplicate_key")]),
        (b"1" * 5_000, "application/json", 400, "malformed", [("", "number_too_long")]),
        (b'{"amount":1.5}', "text/plain", 415, "unsupported_media_type", []),
        (b'{"amount":1.5}', "", 415, "unsupported_media_type", []),
        (b"", None, 422, "validation_failed", [("", "missing")]),
        (b'{"amount":NaN}', None, 422, "validation_failed", [("/amount", "finite_number")]),
        (b'{"amount":1e400}', None, 422, "validation_failed", [("/amount", "finite_number")]),
    ],
)
def test_through_fastapi(
    content: bytes,
    content_type: str | None,
    status: int,
    code: str | None,
    fields: list[tuple[str, str]],
) -> None:
    response = post(content, content_type)
    assert response.status_code == status
    if code is not None:
        problem = response.json()
        assert problem["code"] == code
        assert [(each["pointer"], each["code"]) for each in problem["errors"]] == fields
