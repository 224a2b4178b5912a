"""Reads the body of a request within its limits of size, time and encoding."""

import asyncio
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from starlette.types import Message, Receive

from app.errors import (
    FieldError,
    MalformedRequest,
    Overloaded,
    PayloadTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)
from app.telemetry import metrics

_GZIP = ("gzip", "x-gzip")
_PLAIN = ("", "identity")
_WITH_GZIP_HEADER = 16 + zlib.MAX_WBITS
_SHORT = 4_096
_PIECE = 65_536
_MEMBERS = 1_000


class ClientLeftError(Exception):
    """The caller closed the connection before its request could run."""


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The limit is {limit} bytes: send what it holds in several requests")


def check_headers(headers: Mapping[str, str], limit: int) -> int:
    """Refuse a body that its headers already exclude; return the bytes to expect at most."""
    if _encoding(headers) not in (*_PLAIN, *_GZIP):
        raise UnsupportedMediaType(
            "Send the body as it is, or with Content-Encoding: gzip",
            headers={"Accept-Encoding": "gzip"},
        )
    if "transfer-encoding" in headers:
        return limit
    declared = headers.get("content-length", "0")
    length = int(declared) if declared.isdecimal() else 0
    if length > limit:
        raise _too_large(limit)
    return length


def _encoding(headers: Mapping[str, str]) -> str:
    return headers.get("content-encoding", "").strip().lower()


async def decoded(body: bytes, headers: Mapping[str, str], limit: int) -> bytes:
    """Return a body as it was before its Content-Encoding, of `limit` bytes at most."""
    if not body or _encoding(headers) in _PLAIN:
        return body
    if len(body) <= _SHORT:
        return _decompress(body, limit)
    return await asyncio.to_thread(_decompress, body, limit)


def _decompress(body: bytes, limit: int) -> bytes:
    """Unpack the members of a gzip file, and stop where they become too large."""
    parts: list[bytes] = []
    member, members, place, left = zlib.decompressobj(_WITH_GZIP_HEADER), 1, 0, limit
    while place < len(body):
        if member.eof:
            member, members = zlib.decompressobj(_WITH_GZIP_HEADER), members + 1
        # Piece by piece: each member copies what follows it in what it was given.
        piece = body[place : place + _PIECE]
        try:
            parts.append(member.decompress(piece, left + 1))
        except zlib.error:
            raise _corrupt() from None
        left -= len(parts[-1])
        if left < 0:
            raise _too_large(limit)
        place += len(piece) - len(member.unused_data)
        if members > _MEMBERS:
            raise _corrupt()
    if not member.eof:
        raise _corrupt()
    return b"".join(parts)


def _corrupt() -> MalformedRequest:
    fault = FieldError("header:Content-Encoding", "gzip", "the body is not whole, valid gzip")
    return MalformedRequest("The body is not gzip, as its Content-Encoding says", errors=[fault])


class BodyMemory:
    """Bytes of bodies that a process holds at once: bounded for all, and for each key.

    They are counted as they arrive, so that who sends slowly takes what has come and no more.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._of: dict[str, int] = {}

    @contextmanager
    def holding(self, key: str, announced: int) -> Iterator[Callable[[int], None]]:
        """Yield what each piece of a body is counted with; refuse one there is no room for."""
        self._refuse_above(key, announced)
        size = 0

        def count(more: int) -> None:
            nonlocal size
            self._refuse_above(key, more)
            size += more
            self._held += more
            self._of[key] = self._of.get(key, 0) + more

        try:
            yield count
        finally:
            self._held -= size
            if key in self._of:
                self._of[key] -= size
                if not self._of[key]:
                    del self._of[key]

    def _refuse_above(self, key: str, more: int) -> None:
        if self._held + more > self._most or self._of.get(key, 0) + more > self._most // 2:
            metrics.count_refusal("body_memory")
            raise Overloaded("As many bodies as there is room for are on their way")


def _uncounted(_: int) -> None:
    """Count nothing."""


async def _collect(receive: Receive, limit: int, count: Callable[[int], None]) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise _too_large(limit)
        count(len(chunks[-1]))
        if not message.get("more_body", False):
            return b"".join(chunks)


async def read_body(
    receive: Receive, limit: int, seconds: float, count: Callable[[int], None] = _uncounted
) -> bytes:
    """Return the whole body, of `limit` bytes at most, which must arrive within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            return await _collect(receive, limit, count)
    except TimeoutError:
        raise RequestTimeout(f"The body must arrive within {seconds:g} seconds") from None


async def read_nothing(receive: Receive, limit: int) -> bytes:
    """Return the body of a request whose head announced none, without the cost of a timer."""
    return await _collect(receive, limit, _uncounted)


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a receive channel that gives the body read before, then what follows it."""
    message: Message | None = {"type": "http.request", "body": body, "more_body": False}

    async def replayed() -> Message:
        nonlocal message
        if message is None:
            return await receive()
        first, message = message, None
        return first

    return replayed


async def has_left(receive: Receive) -> bool:
    """Say whether the caller is gone; its body was read, so nothing else can arrive."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            message = await receive()
            return bool(message["type"] == "http.disconnect")
    return False


async def discard(receive: Receive, seconds: float) -> None:
    """Read what still arrives of a body, for a while."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await receive()).get("more_body", False):
                pass
