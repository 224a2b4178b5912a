"""Bodies at, above and beyond their limits of size, time and encoding."""

import asyncio
import gzip
import zlib

import pytest
from starlette.types import Message, Receive

from app.edge.intake import (
    BodyMemory,
    ClientLeftError,
    check_headers,
    decoded,
    discard,
    has_left,
    read_body,
    replay,
)
from app.errors import (
    MalformedRequest,
    Overloaded,
    PayloadTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)

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
        ({"content-encoding": " GZip ", "content-length": "5"}, 5),
    ],
)
def test_headers_accepted(headers: dict[str, str], length: int) -> None:
    assert check_headers(headers, LIMIT) == length


def test_headers_refused() -> None:
    with pytest.raises(PayloadTooLarge):
        check_headers({"content-length": "101"}, LIMIT)
    for encoding in ("deflate", "br", "identity, gzip", "gzip, gzip"):
        with pytest.raises(UnsupportedMediaType) as refused:
            check_headers({"content-encoding": encoding}, LIMIT)
        assert refused.value.headers == {"Accept-Encoding": "gzip"}


def unpacked(body: bytes, limit: int = LIMIT) -> bytes:
    return asyncio.run(decoded(body, {"content-encoding": "gzip"}, limit))


@pytest.mark.parametrize("size", [0, 1, LIMIT, 300_000])
def test_a_packed_body_is_unpacked_within_the_limit(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    packed = gzip.compress(body[:size])
    assert unpacked(packed, size) == body[:size]
    if size:
        with pytest.raises(PayloadTooLarge):
            unpacked(packed, size - 1)
        halves = gzip.compress(body[: size // 2]) + gzip.compress(body[size // 2 : size])
        assert unpacked(halves, size) == body[:size]
        with pytest.raises(PayloadTooLarge):
            unpacked(halves, size - 1)


def test_an_absent_or_plain_body_is_left_alone() -> None:
    assert unpacked(b"") == b""
    assert asyncio.run(decoded(b"x", {}, LIMIT)) == b"x"


def test_a_bomb_is_too_large_long_before_it_is_unpacked() -> None:
    bomb = gzip.compress(bytes(200_000_000), 9)
    with pytest.raises(PayloadTooLarge):
        unpacked(bomb, 1_000_000)


def test_what_is_no_whole_gzip_is_malformed() -> None:
    packed = gzip.compress(b"x" * 50)
    flipped = packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:]  # its checksum
    members = gzip.compress(b"") * 2_000
    for body in (b"{}", packed[:-1], packed[:12], packed + b"{}", flipped, packed + b"\x00" * 8,
                 zlib.compress(b"x"), packed[1:], members):  # fmt: skip
        with pytest.raises(MalformedRequest) as refused:
            unpacked(body)
        assert [each.pointer for each in refused.value.errors] == ["header:Content-Encoding"]


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


def test_memory_for_bodies_is_bounded_for_each_key_and_for_all() -> None:
    memory = BodyMemory(100)
    with memory.holding("a", 50) as count:
        count(30)
        with pytest.raises(Overloaded):
            count(21)  # half of it is left to others
        with memory.holding("b", 50) as other:
            other(50)
            with pytest.raises(Overloaded), memory.holding("c", 21):
                pass
            with pytest.raises(Overloaded), memory.holding("b", 1):
                pass
            count(20)
    with memory.holding("a", 50) as count:
        count(50)
