"""Connections of the API on real sockets: heads and connections beyond their limits."""

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request

from app.config import Settings
from app.edge import handlers
from app.edge.door import Door
from app.edge.guard import Guard
from app.edge.protocol import HEAD_BYTES, HEAD_FIELDS, PIPELINED, connections_of
from app.errors import AppError, Overloaded, RateLimited, Unauthorized

SETTINGS: dict[str, Any] = {
    "pool_size": 3,
    "head_seconds": 0.4,
    "keep_alive_seconds": 0.8,
    "connections": 10,
    "body_seconds": 5,
    "wait_seconds": 30,
}
GET = "GET /v1/echo HTTP/1.1\nHost: x\n"
POST = "POST /v1/echo HTTP/1.1\nHost: x\n"


def make_app() -> FastAPI:
    app = FastAPI()
    handlers.install(app)
    released = asyncio.Event()

    @app.api_route("/v1/echo", methods=["GET", "POST"])
    async def echo(request: Request) -> dict[str, Any]:
        body = await request.body()
        return {"bytes": len(body), "names": sorted(request.headers)}

    @app.get("/v1/block")
    async def block() -> None:
        await released.wait()

    @app.get("/livez")
    async def release() -> None:
        released.set()

    app.add_middleware(Guard, settings=Settings(**SETTINGS))
    return app


def refusal(_method: str, _path: str, authorization: str | None) -> AppError | None:
    limited = RateLimited()
    limited.key_id = "Xf3kP9aQ"
    told = {"shed": Overloaded(), "unknown": Unauthorized(), "over its rate": limited}
    return told.get(authorization or "")


@contextmanager
def serving() -> Iterator[int]:
    door = Door(Settings(**SETTINGS), refusal)
    config = uvicorn.Config(
        make_app(),
        port=0,
        http=connections_of(door, 30),
        ws="none",
        log_config=None,
        timeout_graceful_shutdown=2,
    )
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


@pytest.fixture(scope="module")
def address() -> Iterator[int]:
    with serving() as port:
        yield port


def connect(address: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", address), timeout=5)


def head(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("latin-1") + b"\r\n"


RELEASE = head("GET /livez HTTP/1.1\nHost: x\nConnection: close\n")


def read_to_end(opened: socket.socket) -> bytes:
    received = b""
    while data := opened.recv(65_536):
        received += data
    return received


def answers_of(received: bytes) -> list[tuple[int, dict[str, str], Any]]:
    """Part what came on a connection into answers."""
    found = []
    while received:
        lines, _, received = received.partition(b"\r\n\r\n")
        first, *fields = lines.decode().split("\r\n")
        headers = dict(field.split(": ", 1) for field in fields)
        size = int(headers["content-length"])
        content, received = received[:size], received[size:]
        found.append((int(first.split()[1]), headers, json.loads(content) if content else None))
    return found


def last_answer(address: int, sent: bytes) -> tuple[int, dict[str, str], Any]:
    """Return the answer to what ends a connection."""
    with connect(address) as opened:
        opened.sendall(sent)
        (answer,) = answers_of(read_to_end(opened))
    return answer


def check_problem(answer: tuple[int, dict[str, str], Any], status: int, code: str) -> None:
    found, headers, problem = answer
    assert (found, problem["status"], problem["code"]) == (status, status, code)
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["x-request-id"] == problem["request_id"]


@pytest.mark.parametrize(
    "sent",
    [
        b"rubbish\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        head("FOO /v1/echo HTTP/1.1\nHost: x\n"),
        head("GET /v1/echo HTTP/9.9\nHost: x\n"),
        head("GET /v1/echo HTTP/2.0\nHost: x\n"),
        head("CONNECT x:443 HTTP/1.1\nHost: x\n"),
        head("GET http://x HTTP/1.1\nHost: x\n"),
        head("GET /v1/echo HTTP/1.1\n"),
        head(GET + "Host: y\n"),
        head(GET + "Authorization: a\nauthorization: b\n"),
        head(GET + "Name : x\n"),
        head(GET + "Name: x\n folded\n"),
        head(GET + "Na\x00me: x\n"),
        head(POST + "Content-Length: 5\nTransfer-Encoding: chunked\n") + b"0\r\n\r\n",
        head(POST + "Content-Length: 5\nContent-Length: 6\n") + b"12345",
        head(POST + "Content-Length: 5\nContent-Length: 5\n") + b"12345",
        head(POST + "Content-Length: +5\n") + b"12345",
        head(POST + "Content-Length: -5\n"),
        head(POST + "Transfer-Encoding: xchunked\n") + b"0\r\n\r\n",
        head(POST + "Transfer-Encoding: chunked, identity\n") + b"0\r\n\r\n",
        head("POST /v1/echo HTTP/1.0\nTransfer-Encoding: chunked\n") + b"0\r\n\r\n",
        head(POST + "Transfer-Encoding: chunked\n") + b"zz\r\n",
    ],
)
def test_what_is_no_request_is_told_so_in_a_problem(address: int, sent: bytes) -> None:
    check_problem(last_answer(address, sent), 400, "malformed")


@pytest.mark.parametrize(
    "sent",
    [
        head(GET + f"Big: {'x' * HEAD_BYTES}\n"),
        head(GET + f"Big: {'x' * 5_000_000}\n"),
        head(GET + f"Big: {'x' * 40_000}\nBigger: {'x' * 40_000}\n"),
        head(GET + "".join(f"H{number}: x\n" for number in range(HEAD_FIELDS))),
        head(f"GET /v1/{'x' * HEAD_BYTES} HTTP/1.1\nHost: x\n"),
        head(POST + "Transfer-Encoding: chunked\n") + b"0\r\nBig: " + b"x" * 200_000,
        b"\r\n" * 100_000,
    ],
)
def test_a_head_is_bounded_in_bytes_and_fields(address: int, sent: bytes) -> None:
    check_problem(last_answer(address, sent), 431, "head_too_large")


def test_a_head_up_to_the_limits_is_read(address: int) -> None:
    many = "".join(f"H{number}: x\n" for number in range(HEAD_FIELDS - 2))
    for fields in (many, f"Big: {'x' * (HEAD_BYTES - 200)}\n"):
        status, _, _ = last_answer(address, head(GET + "Connection: close\n" + fields))
        assert status == 200


def test_a_large_body_beside_a_head_does_not_count_as_one(address: int) -> None:
    sent = head(POST + "Content-Length: 1000000\nConnection: close\n") + b"x" * 1_000_000
    status, _, content = last_answer(address, sent)
    assert (status, content["bytes"]) == (200, 1_000_000)


def test_a_head_must_arrive_in_time_however_it_trickles(address: int) -> None:
    with connect(address) as opened:
        for piece in (b"GET /v1/echo", b" HTTP/1.1\r\n", b"Host: x\r\n", b"A: b\r\n", b"C: d\r\n"):
            opened.sendall(piece)
            time.sleep(0.09)
        check_problem(answers_of(read_to_end(opened))[0], 408, "request_timeout")


def test_who_says_nothing_is_left(address: int) -> None:
    with connect(address) as opened:
        assert read_to_end(opened) == b""
    with connect(address) as opened:
        opened.sendall(head(GET))
        ((status, headers, _),) = answers_of(read_to_end(opened))
    assert (status, headers.get("connection")) == (200, None)


def test_a_body_that_nobody_reads_is_not_waited_for_longer_than_a_head(address: int) -> None:
    with connect(address) as opened:
        opened.sendall(head(POST + "Content-Encoding: br\nContent-Length: 9\n"))
        ((status, _, _),) = answers_of(read_to_end(opened))
    assert status == 415


def test_rubbish_behind_a_request_does_not_disturb_its_answer(address: int) -> None:
    with connect(address) as opened:
        opened.sendall(head("GET /v1/block HTTP/1.1\nHost: x\n") + b"rubbish\r\n\r\n")
        last_answer(address, RELEASE)
        ((status, _, content),) = answers_of(read_to_end(opened))
    assert (status, content) == (200, None)


def test_requests_may_follow_each_other_but_not_without_end(address: int) -> None:
    closing = head(GET + "Connection: close\n")
    with connect(address) as opened:
        opened.sendall(head(GET) * 5 + closing)
        assert [status for status, _, _ in answers_of(read_to_end(opened))] == [200] * 6
    with connect(address) as opened:
        opened.sendall(head("GET /v1/block HTTP/1.1\nHost: x\n") + head(GET) * (PIPELINED + 2))
        assert read_to_end(opened) == b""


def test_who_would_upgrade_is_answered_as_he_is(address: int) -> None:
    asked = head(GET + "Connection: Upgrade\nUpgrade: h2c\n")
    with connect(address) as opened:
        opened.sendall(asked * 3 + head(GET + "Connection: close\n"))
        assert [status for status, _, _ in answers_of(read_to_end(opened))] == [200] * 4


def test_fields_behind_a_body_are_not_taken_for_those_of_the_head(address: int) -> None:
    body = b"3\r\nabc\r\n0\r\nIdempotency-Key: k\r\nAuthorization: a\r\n\r\n"
    sent = head(POST + "Transfer-Encoding: chunked\nConnection: close\n") + body
    status, _, content = last_answer(address, sent)
    assert (status, content["bytes"]) == (200, 3)
    assert content["names"] == ["connection", "host", "transfer-encoding"]


@pytest.mark.parametrize("body", [b"", b"x" * 100_000])
def test_a_request_refused_by_its_head_leaves_the_connection_to_the_next(
    address: int, body: bytes
) -> None:
    shed = head(POST + f"Authorization: shed\nContent-Length: {len(body)}\n") + body
    with connect(address) as opened:
        opened.sendall(shed * 3 + head(GET + "Connection: close\n"))
        answers = answers_of(read_to_end(opened))
    assert [status for status, _, _ in answers] == [503, 503, 503, 200]
    for _, headers, problem in answers[:3]:
        assert (headers["retry-after"], problem["instance"]) == ("1", "/v1/echo")
        assert "connection" not in headers


def test_one_that_awaits_to_be_continued_is_closed_when_refused(address: int) -> None:
    sent = head(POST + "Authorization: shed\nContent-Length: 9\nExpect: 100-continue\n")
    status, headers, _ = last_answer(address, sent)
    assert (status, headers["connection"]) == (503, "close")


def test_whose_key_is_refused_is_closed_where_a_body_would_follow(address: int) -> None:
    unknown = POST + "Authorization: unknown\n"
    for sent in (
        head(unknown + "Content-Length: 99\n") + b"12345",
        head(unknown + "Transfer-Encoding: chunked\n") + b"5\r\n12345\r\n",
    ):
        check_problem(last_answer(address, sent), 401, "unauthorized")
    with connect(address) as opened:
        opened.sendall(head(unknown) + head(GET + "Connection: close\n"))
        assert [status for status, _, _ in answers_of(read_to_end(opened))] == [401, 200]


def test_what_the_connection_refuses_has_a_line_of_the_access_log(
    address: int, caplog: pytest.LogCaptureFixture
) -> None:
    """But for overload: what is shed must cost next to nothing, and is counted."""
    caplog.set_level(logging.INFO, "clm.access")
    last_answer(address, head(POST + "Authorization: shed\nExpect: 100-continue\n"))
    for sent, expected in (
        (b"rubbish of secrets\r\n\r\n", ("", 400, "malformed", "")),
        (head(GET + f"Secret: {'x' * HEAD_BYTES}\n"), ("", 431, "head_too_large", "")),
        (head("GET /v1/echo?secret HTTP/1.1\nHost: x\nAuthorization: unknown\n"
              "Connection: close\n"), ("GET", 401, "unauthorized", "")),
        (head(POST + "Authorization: over its rate\nConnection: close\n"),
         ("POST", 429, "rate_limited", "Xf3kP9aQ")),
    ):  # fmt: skip
        _, headers, _ = last_answer(address, sent)
        (record,) = (each for each in caplog.records if each.name == "clm.access")
        line = vars(record)
        told = [line.get(name, "") for name in ("method", "status", "code", "key_id")]
        assert tuple(told) == expected
        assert line["request_id"] == headers["x-request-id"]
        assert "secret" not in str(line).lower()
        caplog.clear()


def test_connections_are_bounded_and_idle_ones_make_room() -> None:
    with serving() as address, ExitStack() as stack:
        busy = [stack.enter_context(connect(address)) for _ in range(10)]
        for each in busy:
            each.sendall(head("GET /v1/block HTTP/1.1\nHost: x\n"))
        time.sleep(0.2)
        with connect(address) as refused:
            answer = answers_of(read_to_end(refused))[0]
        check_problem(answer, 503, "too_many_connections")
        assert answer[1]["retry-after"] == "1"
        busy.pop().close()
        time.sleep(0.1)
        idle = stack.enter_context(connect(address))
        idle.sendall(head("GET /livez HTTP/1.1\nHost: x\n"))
        assert idle.recv(12) == b"HTTP/1.1 200"
        assert last_answer(address, RELEASE)[0] == 200
        for each in busy:
            each.close()
