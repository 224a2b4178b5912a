"""The guard behind a real uvicorn: what early and broken answers do to the connection."""

import asyncio
import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from app.config import Settings
from app.edge import handlers
from app.edge.guard import Guard

BODY_LIMIT = 2_000
BODY_SECONDS = 0.4
LIMITS: dict[str, Any] = {
    "pool_size": 3,
    "admission_limit": 1,
    "wait_seconds": 5,
    "body_limit": BODY_LIMIT,
    "body_seconds": BODY_SECONDS,
}


def make_app() -> FastAPI:
    app = FastAPI()
    handlers.install(app)
    released = asyncio.Event()

    @app.get("/v1/port")
    async def port(request: Request) -> int:
        return request.client.port if request.client else 0

    @app.post("/v1/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    @app.api_route("/v1/broken", methods=["GET", "POST"])
    async def broken() -> None:
        raise LookupError

    @app.get("/v1/half")
    async def half() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            raise LookupError

        return StreamingResponse(parts())

    @app.get("/v1/block")
    async def block() -> None:
        await released.wait()

    @app.post("/livez")
    async def unblock(request: Request) -> bool:
        released.set()
        return bool(request.app.state.guard.draining)

    app.add_middleware(Guard, settings=Settings(**LIMITS))
    return app


@contextmanager
def serving(implementation: str) -> Iterator[int]:
    config = uvicorn.Config(make_app(), port=0, http=implementation, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(5)


@pytest.fixture(params=["httptools", "h11"], scope="module")
def address(request: pytest.FixtureRequest) -> Iterator[int]:
    with serving(request.param) as port:
        yield port


@pytest.fixture
def connection(address: int) -> Iterator[http.client.HTTPConnection]:
    with closing(http.client.HTTPConnection("127.0.0.1", address, timeout=5)) as opened:
        yield opened


def call(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any, str | None]:
    chunked = body is not None and not isinstance(body, bytes)
    connection.request(method, path, body, headers or {}, encode_chunked=chunked)
    response = connection.getresponse()
    content = json.loads(response.read())
    return response.status, content, response.getheader("connection")


def port_of(connection: http.client.HTTPConnection) -> int:
    status, port, _ = call(connection, "GET", "/v1/port")
    assert status == 200
    return int(port)


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/v1/broken", None, {}, 500),
        ("POST", "/v1/broken", b"x" * BODY_LIMIT, {}, 500),
        ("POST", "/v1/echo", b"x" * 1_500, {"Content-Encoding": "br"}, 415),
        ("POST", "/v1/nowhere", b"x" * 1_500, {}, 404),
        ("POST", "/v1/port", b"x" * 1_500, {}, 405),
    ],
)
def test_connection_lives_on_after(
    connection: http.client.HTTPConnection,
    *,
    method: str,
    path: str,
    body: bytes | None,
    headers: dict[str, str],
    status: int,
) -> None:
    before = port_of(connection)
    for _ in range(3):
        answered, problem, _ = call(connection, method, path, body, headers)
        assert answered == problem["status"] == status
    assert port_of(connection) == before


def blocks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 65_536


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_body_is_answered_whole_then_the_connection_closes(
    connection: http.client.HTTPConnection,
    chunked: bool,
) -> None:
    # The caller sends far more than the socket buffers hold before it looks at the answer.
    body: Any = blocks(100) if chunked else b"".join(blocks(100))
    before = port_of(connection)
    status, problem, keep = call(connection, "POST", "/v1/echo", body)
    assert (status, problem["code"], keep) == (413, "payload_too_large", "close")
    assert port_of(connection) != before  # http.client reconnects by itself


def send_raw(address: int, head: str, body: bytes = b"") -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", address), timeout=5)
    opened.sendall(head.replace("\n", "\r\n").encode() + b"\r\n" + body)
    return opened


def read_to_end(opened: socket.socket) -> bytes:
    received = b""
    while data := opened.recv(65_536):
        received += data
    return received


@pytest.mark.parametrize("framing", ["Content-Length: 10", "Transfer-Encoding: chunked"])
def test_stalled_body_is_timed_out_and_closed(address: int, framing: str) -> None:
    started = time.monotonic()
    with send_raw(address, f"POST /v1/echo HTTP/1.1\nHost: x\n{framing}\n", b"") as opened:
        received = read_to_end(opened)
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in received.lower()
    assert b'"code":"request_timeout"' in received
    assert BODY_SECONDS <= time.monotonic() - started < BODY_SECONDS + 2


def test_refused_expectation_closes(address: int) -> None:
    head = "POST /v1/echo HTTP/1.1\nHost: x\nContent-Length: 5\nExpect: 100-continue\n"
    with send_raw(address, head + "Content-Encoding: br\n") as opened:
        received = read_to_end(opened)
    assert received.startswith(b"HTTP/1.1 415 ")
    assert b"connection: close" in received.lower()


def test_half_an_answer_is_cut_off(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/v1/half")
    response = connection.getresponse()
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        response.read()


def test_stalled_bodies_take_no_slot(address: int, connection: http.client.HTTPConnection) -> None:
    with send_raw(address, "POST /v1/echo HTTP/1.1\nHost: x\nContent-Length: 10\n", b"12345"):
        started = time.monotonic()
        assert port_of(connection)  # there is one slot
        assert time.monotonic() - started < BODY_SECONDS / 2


def test_overload_answers_at_once_and_keeps_the_connection(
    address: int, connection: http.client.HTTPConnection
) -> None:
    before = port_of(connection)
    blocked = send_raw(address, "GET /v1/block HTTP/1.1\nHost: x\n")
    time.sleep(0.1)
    for _ in range(2):
        status, problem, keep = call(connection, "POST", "/v1/echo", b"x" * 1_000)
        assert (status, problem["code"], keep) == (503, "overloaded", None)
    assert call(connection, "POST", "/livez")[:2] == (200, False)
    with blocked:
        assert blocked.recv(12) == b"HTTP/1.1 200"
    assert port_of(connection) == before


def test_failures_are_not_reported_by_the_server(
    connection: http.client.HTTPConnection, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        call(connection, "GET", "/v1/broken")
    assert [each.name for each in caplog.records if each.levelno >= logging.ERROR] == ["clm.guard"]
