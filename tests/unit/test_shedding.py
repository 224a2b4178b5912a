"""What is refused without being parsed, and what is not touched."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from app.edge.admission import Admission, Ticket
from app.edge.shedding import Shedding
from app.errors import Overloaded

PLAIN = b"GET /v1/customers/c1?limit=2 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n\r\n"


def remembered(authorization: str) -> Any:
    return SimpleNamespace(key_id="k") if authorization == "Bearer good" else None


async def overloaded(operation: str) -> Shedding:
    """Return what sheds for a line that is full of one operation."""
    admission = Admission(1, 3, 60)
    tasks = [
        asyncio.create_task(admission.enter(Ticket("k", operation, short=True))) for _ in range(4)
    ]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(0)
    assert admission.overloaded
    shedding = Shedding(admission, lambda: SimpleNamespace(remembered=remembered))  # type: ignore[arg-type,return-value]
    for task in tasks:
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return shedding


def answer(data: bytes, operation: str = "GET customers") -> bytes | None:
    async def ask() -> bytes | None:
        shedding = await overloaded(operation)
        return shedding.answer(data, [(b"date", b"today")])

    return asyncio.run(ask())


def test_the_answer_is_the_problem_that_is_sent_otherwise() -> None:
    for _ in range(2):
        told = answer(PLAIN)
        assert told is not None
        lines, _, body = told.decode().partition("\r\n\r\n")
        first, *fields = lines.split("\r\n")
        headers = dict(field.split(": ", 1) for field in fields)
        assert first == "HTTP/1.1 503 Service Unavailable"
        assert headers["content-type"] == "application/problem+json"
        assert (headers["retry-after"], headers["date"]) == ("1", "today")
        assert int(headers["content-length"]) == len(body)
        problem = json.loads(body)
        expected = Overloaded().problem(
            instance="/v1/customers/c1", request_id=headers["x-request-id"]
        )
        assert problem == expected


WRITE = (
    b"PUT /v1/customers/c1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
    b"Authorization: Bearer good\r\n\r\n{}"
)


def test_a_write_that_arrived_whole_is_refused_too() -> None:
    told = answer(WRITE, "PUT customers")
    assert told is not None
    assert told.startswith(b"HTTP/1.1 503 ")
    assert answer(WRITE, "GET customers") is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\r\n\r\n{}", b"\r\n\r\n{"),
        (b"\r\n\r\n{}", b"\r\n\r\n{}P"),
        (b"Length: 2", b"Length: 02"),
        (b"Length: 2", b"Length: +2"),
        (b"Length: 2\r\n", b"Length: 2\r\nContent-Length: 2\r\n"),
        (b"Content-Length: 2\r\n", b""),
        (b"PUT", b"put"),
    ],
)
def test_a_write_that_is_not_whole_is_left_to_be_read(old: bytes, new: bytes) -> None:
    assert answer(WRITE.replace(old, new), "PUT customers") is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"GET", b"POST"),
        (b"GET", b"HEAD"),
        (b"/v1/", b"/v2/"),
        (b"/v1/customers/c1", b"/v1/info"),  # of which nothing waits
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"/c1", b'/"c1'),
        (b"/c1", b"/\xc3\xa9"),
        (b"Host: x\r\n", b""),
        (b"Host: x\r\n", b"Host: x\r\nContent-Length: 3\r\n"),
        (b"Host: x\r\n", b"Host: x\r\nTransfer-Encoding: chunked\r\n"),
        (b"Host: x\r\n", b"Host: x\r\nconnection: Close\r\n"),
        (b"Host: x\r\n", b"Host: x\r\nAuthorization: Bearer good\r\n"),
        (b"Host: x\r\n", b"Host: x\nA: b\r\n"),
        (b"Bearer good", b"Bearer bad"),
        (b"Authorization: Bearer good\r\n", b""),
        (b"\r\n\r\n", b"\r\n\r\nGET /v1/customers HTTP/1.1\r\n\r\n"),
        (b"\r\n\r\n", b"\r\n"),
    ],
)
def test_what_is_not_exactly_that_is_left_to_be_read(old: bytes, new: bytes) -> None:
    assert answer(PLAIN.replace(old, new)) is None
