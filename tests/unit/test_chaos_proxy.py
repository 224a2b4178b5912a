"""The proxy that other tests rest on: each of its faults is what it says."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.chaos_proxy import ChaosProxy, in_thread, opened

SOON = 0.05


@pytest.fixture
async def echo() -> AsyncIterator[tuple[str, int]]:
    """A server that says back what it is told."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(1000):
                writer.write(piece)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()
    server.close()


@pytest.fixture
async def proxy(echo: tuple[str, int]) -> AsyncIterator[ChaosProxy]:
    async with opened(*echo) as proxy:
        yield proxy


class Caller:
    """One connection through a proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def says(self, words: bytes) -> bytes | None:
        """Return what comes back, nothing for the end, None for silence."""
        self.writer.write(words)
        return await self.hears()

    async def hears(self) -> bytes | None:
        try:
            async with asyncio.timeout(SOON):
                return await self.reader.read(1000)
        except TimeoutError:
            return None
        except ConnectionError:
            return b""


Call = Callable[[], Awaitable[Caller]]


@pytest.fixture
async def call(proxy: ChaosProxy) -> AsyncIterator[Call]:
    """Connect through the proxy; what is left of it is closed after."""
    callers: list[Caller] = []

    async def one() -> Caller:
        callers.append(Caller(*await asyncio.open_connection("127.0.0.1", proxy.port)))
        return callers[-1]

    yield one
    for caller in callers:
        caller.writer.close()
        with contextlib.suppress(OSError):
            await caller.writer.wait_closed()


async def test_all_passes_until_it_is_told_otherwise_and_after(
    proxy: ChaosProxy, call: Call
) -> None:
    caller = await call()
    assert await caller.says(b"one") == b"one"
    proxy.delay(0.001)
    assert await caller.says(b"two") == b"two"
    proxy.heal()
    assert await caller.says(b"three") == b"three"
    assert proxy.taken == 1


async def test_what_is_said_into_a_hole_is_lost_and_the_connection_is_not(
    proxy: ChaosProxy, call: Call
) -> None:
    caller = await call()
    assert await caller.says(b"here") == b"here"
    proxy.hole()
    assert await caller.says(b"lost") is None
    proxy.heal()
    assert await caller.says(b"heard") == b"heard"


async def test_who_comes_into_a_hole_is_taken_hears_nothing_and_is_reset_after(
    proxy: ChaosProxy, call: Call
) -> None:
    proxy.hole()
    caller = await call()
    assert await caller.says(b"lost") is None
    proxy.heal()
    assert await caller.hears() == b""


async def test_that_a_side_leaves_in_a_hole_is_told_after_it(proxy: ChaosProxy, call: Call) -> None:
    staying, leaving = await call(), await call()
    assert await leaving.says(b"here") == b"here"
    proxy.hole()
    leaving.writer.transport.abort()
    await asyncio.sleep(SOON)
    assert len(proxy._links) == 2  # the server has both
    proxy.heal()
    await asyncio.sleep(SOON)
    assert len(proxy._links) == 1
    assert await staying.says(b"here") == b"here"


async def test_a_half_open_connection_loses_one_direction(proxy: ChaosProxy, call: Call) -> None:
    caller = await call()
    assert await caller.says(b"here") == b"here"
    proxy.half_open("to_client")
    assert await caller.says(b"done, not told") is None
    proxy.heal()
    assert await caller.says(b"heard") == b"heard"


async def test_a_stall_delivers_late_and_loses_nothing(proxy: ChaosProxy, call: Call) -> None:
    caller = await call()
    assert await caller.says(b"here") == b"here"
    proxy.stall()
    assert await caller.says(b"late") is None
    proxy.heal()
    assert await caller.hears() == b"late"


async def test_a_cut_resets_all_and_others_may_come(proxy: ChaosProxy, call: Call) -> None:
    caller = await call()
    assert await caller.says(b"here") == b"here"
    proxy.cut()
    assert await caller.hears() == b""
    assert await (await call()).says(b"again") == b"again"
    proxy.cut_pieces(1)
    assert await (await call()).says(b"never") == b""


async def test_one_that_refuses_is_not_there_and_comes_back_on_its_port(
    proxy: ChaosProxy, call: Call
) -> None:
    caller, port = await call(), proxy.port
    assert await caller.says(b"here") == b"here"
    proxy.refuse()
    assert await caller.hears() == b""
    with pytest.raises(ConnectionRefusedError):
        await call()
    proxy.heal()
    assert proxy.port == port
    assert await (await call()).says(b"back") == b"back"


def test_it_runs_beside_what_has_no_event_loop() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        in_thread(*server.getsockname()) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port)) as caller,
    ):
        taken, _ = server.accept()
        with taken:
            taken.sendall(b"hello")
            assert caller.recv(100) == b"hello"
            proxy.cut()
            assert taken.recv(100) == b""
