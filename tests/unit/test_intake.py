"""Bodies at, above and beyond their limits of size, time and encoding."""

import asyncio

import pytest
from starlette.types import Message, Receive

from app.errors import PayloadTooLarge, RequestTimeout, UnsupportedMediaType
from app.intake import ClientLeftError, check_headers, discard, has_left, read_body, replay

LIMIT = 100


def channel(*messages: Message) -> Receive:
    """Return a receive channel that gives the messages, then nothing for ever."""
    left = list(messages)

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


def part(size: int, *, more: bool) -> Message:
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


GONE: Message = {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ({}, 0),
        ({"content-length": "100"}, 100),
        ({"content-length": "abc"}, 0),
        ({"transfer-encoding": "chunked"}, LIMIT),
        ({"content-encoding": "Identity", "content-length": "5"}, 5),
    ],
)
def test_headers_accepted(headers: dict[str, str], length: int) -> None:
    assert check_headers(headers, LIMIT) == length


def test_headers_refused() -> None:
    with pytest.raises(PayloadTooLarge):
        check_headers({"content-length": "101"}, LIMIT)
    for encoding in ("gzip", "br", "identity, gzip"):
        with pytest.raises(UnsupportedMediaType):
            check_headers({"content-encoding": encoding}, LIMIT)


def test_body_up_to_the_limit() -> None:
    receive = channel(part(60, more=True), part(40, more=False))
    assert asyncio.run(read_body(receive, LIMIT, 1)) == b"x" * LIMIT


@pytest.mark.parametrize(
    ("receive", "error"),
    [
        (channel(part(60, more=True), part(41, more=True)), PayloadTooLarge),
        (channel(part(60, more=True)), RequestTimeout),
        (channel(part(60, more=True), GONE), ClientLeftError),
    ],
)
def test_body_refused(receive: Receive, error: type[Exception]) -> None:
    with pytest.raises(error):
        asyncio.run(read_body(receive, LIMIT, 0.05))


def test_replay_gives_the_body_then_what_follows() -> None:
    async def test() -> None:
        receive = replay(b"abc", channel(GONE))
        assert await receive() == {"type": "http.request", "body": b"abc", "more_body": False}
        assert await receive() == GONE

    asyncio.run(test())


def test_has_left() -> None:
    assert asyncio.run(has_left(channel(GONE)))
    assert not asyncio.run(has_left(channel()))


@pytest.mark.parametrize("messages", [(), (part(9, more=True), part(9, more=False)), (GONE,)])
def test_discard_ends(messages: tuple[Message, ...]) -> None:
    asyncio.run(discard(channel(*messages), 0.05))
