"""A TCP proxy on loopback that does to connections what networks and servers do to them.

Its faults may be changed at any time and from any thread, and hold for all connections through it:

- `heal()`: everything passes, as at the beginning.
- `delay(seconds)`: each piece passes later, by up to so much.
- `stall()`: nothing passes, and everything does once it ends: what TCP makes of a short outage.
- `hole()`: what is sent is taken and lost, and so is the end of a connection: nobody is told.
- `half_open(lost)`: the same in one direction.
- `cut()`: all connections are reset at once; `cut_pieces(share)`: each piece may be the last.
- `refuse()`: all are reset and none is taken, as by a server that is down, until `heal()`.

What it does by chance follows from its seed and the order of what passes.
"""

import asyncio
import random
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["to_server", "to_client"]
BOTH: frozenset[Direction] = frozenset(("to_server", "to_client"))
_PIECE = 65_536


@dataclass(frozen=True)
class _Fault:
    lost: frozenset[Direction] = frozenset()
    delay: float = 0.0
    cut_share: float = 0.0
    stalled: bool = False
    refused: bool = False


@dataclass(eq=False)
class _Link:
    """The two sides of one connection."""

    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    half_gone: bool = False
    """Whether one side has left without the other being told."""

    def reset(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class ChaosProxy:
    """One proxy; run it with `opened()`, or with `in_thread()` beside whatever is tested."""

    def __init__(self, host: str, port: int, seed: int = 0) -> None:
        """Listen at once; whoever comes is served as soon as the loop at hand runs."""
        self.taken = 0
        """Connections taken so far."""
        self._target = host, port
        self._chance = random.Random(seed)
        self._fault = _Fault()
        self._changed = asyncio.Event()
        self._links: set[_Link] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self.port = 0
        """Where it listens; the same after connections were refused."""
        self._listen()

    def heal(self) -> None:
        self._be(_Fault())

    def delay(self, seconds: float) -> None:
        self._be(_Fault(delay=seconds))

    def stall(self) -> None:
        self._be(_Fault(stalled=True))

    def hole(self) -> None:
        self._be(_Fault(lost=BOTH))

    def half_open(self, lost: Direction) -> None:
        self._be(_Fault(lost=frozenset((lost,))))

    def cut_pieces(self, share: float) -> None:
        self._be(_Fault(cut_share=share))

    def refuse(self) -> None:
        self._be(_Fault(refused=True))

    def cut(self) -> None:
        self._run(self._reset_all)

    async def close(self) -> None:
        """Reset what is open, and take no more."""
        self._end()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(self._accepting, *self._serving, return_exceptions=True)

    def _be(self, fault: _Fault) -> None:
        self._run(lambda: self._become(fault))

    def _run(self, change: Callable[[], None]) -> None:
        """Make a change on the loop of the proxy, before this returns."""
        try:
            own = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            own = False
        if own:
            change()
            return
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (change(), done.set()))
        assert done.wait(10)

    def _become(self, fault: _Fault) -> None:
        was_lost, self._fault = self._fault.lost, fault
        self._changed.set()
        self._changed = asyncio.Event()
        if fault.refused:
            self._end()
        elif self._socket is None:
            self._listen()
        if was_lost and not fault.lost:  # now they are told
            for link in self._links:
                if link.half_gone:
                    link.reset()

    def _reset_all(self) -> None:
        for link in self._links:
            link.reset()

    def _listen(self) -> None:
        self._socket: socket.socket | None = socket.create_server(
            ("127.0.0.1", self.port), backlog=1000
        )
        self.port = self._socket.getsockname()[1]
        self._accepting = self._loop.create_task(self._accept(self._socket))

    def _end(self) -> None:
        self._reset_all()
        self._accepting.cancel()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _accept(self, listening: socket.socket) -> None:
        listening.setblocking(False)
        while True:
            taken, _ = await self._loop.sock_accept(listening)
            self.taken += 1
            task = self._loop.create_task(self._serve(taken))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def _serve(self, taken: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=taken)
        link = _Link([writer])
        self._links.add(link)
        try:
            if self._fault.lost == BOTH:
                await self._swallow(reader)
                return
            there, back = await asyncio.open_connection(*self._target)
            link.writers.append(back)
            await asyncio.gather(
                self._pump("to_server", link, reader, back),
                self._pump("to_client", link, there, writer),
            )
        except OSError:
            pass
        finally:
            link.reset()
            self._links.discard(link)

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        """Lose what is said on a connection that was begun in a hole, until the hole is over."""
        losing = self._loop.create_task(self._lose(reader))
        try:
            while self._fault.lost == BOTH:
                await self._changed.wait()
        finally:
            losing.cancel()

    async def _lose(self, reader: asyncio.StreamReader) -> None:
        while await _read(reader):
            pass

    async def _pump(
        self,
        direction: Direction,
        link: _Link,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        while True:
            piece = await _read(reader)
            while self._fault.stalled:
                await self._changed.wait()
            fault = self._fault
            if direction in fault.lost:
                if piece:
                    continue
                link.half_gone = True
                return
            if fault.delay:
                await asyncio.sleep(self._chance.uniform(0, fault.delay))
            cut = fault.cut_share and self._chance.random() < fault.cut_share
            if not piece or cut or writer.transport.is_closing():
                link.reset()
                return
            writer.write(piece)
            await writer.drain()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Return what comes next, nothing at the end of whatever kind."""
    try:
        return await reader.read(_PIECE)
    except ConnectionError:
        return b""


@asynccontextmanager
async def opened(host: str, port: int, seed: int = 0) -> AsyncIterator[ChaosProxy]:
    """Run a proxy on the event loop at hand."""
    proxy = ChaosProxy(host, port, seed)
    try:
        yield proxy
    finally:
        await proxy.close()


@contextmanager
def in_thread(host: str, port: int, seed: int = 0) -> Iterator[ChaosProxy]:
    """Run a proxy on an event loop of its own, which nothing else keeps busy."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def made() -> ChaosProxy:
        return ChaosProxy(host, port, seed)

    proxy = asyncio.run_coroutine_threadsafe(made(), loop).result(10)
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(proxy.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
