"""Who waits in the guard, for what, and who does not, called with bare ASGI channels."""

import asyncio
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from app.config import Settings
from app.edge.guard import Guard

LARGE = 300_000
SETTINGS: dict[str, Any] = {
    "pool_size": 3,
    "admission_limit": 9,
    "body_limit": 1_000_000,
    "wait_seconds": 5,
}


class Caller:
    """One request, whose messages arrive when the test says so."""

    def __init__(self, path: str, length: int = 0) -> None:
        headers = [(b"content-length", str(length).encode())]
        self.scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        self.arriving: asyncio.Queue[Message] = asyncio.Queue()
        self.read = False
        self.sent: list[Message] = []
        if not length:
            self.arrive()

    def arrive(self) -> None:
        self.arriving.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    def leave(self) -> None:
        self.arriving.put_nowait({"type": "http.disconnect"})

    async def receive(self) -> Message:
        self.read = True
        return await self.arriving.get()

    async def send(self, message: Message) -> None:
        self.sent.append(message)


class World:
    """A guard with one slot, in front of an application that waits until it is let go."""

    def __init__(self) -> None:
        settings = Settings(**SETTINGS)
        self.guard = Guard(self.app, settings=settings)
        self.go = asyncio.Event()
        self.ran: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def app(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.ran.append(scope["path"])
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def call(self, caller: Caller) -> Caller:
        task = asyncio.create_task(self.guard(caller.scope, caller.receive, caller.send))
        self.tasks.append(task)
        await asyncio.sleep(0.01)
        return caller

    async def end(self) -> None:
        self.go.set()
        await asyncio.gather(*self.tasks)


def test_waiter_who_left_does_not_run() -> None:
    async def test() -> None:
        world = World()
        await world.call(Caller("/v1/first"))
        gone = await world.call(Caller("/v1/gone"))
        gone.leave()
        await world.call(Caller("/v1/last"))
        await world.end()
        assert world.ran == ["/v1/first", "/v1/last"]
        assert gone.sent == []

    asyncio.run(test())


def test_cancelled_waiter_keeps_no_slot() -> None:
    async def test() -> None:
        world = World()
        await world.call(Caller("/v1/first"))
        await world.call(Caller("/v1/cancelled"))
        world.tasks.pop().cancel()
        await world.call(Caller("/v1/last"))
        await world.end()
        assert world.ran == ["/v1/first", "/v1/last"]

    asyncio.run(test())


def test_bodies_on_their_way_are_neither_in_flight_nor_in_the_way() -> None:
    async def test() -> None:
        world = World()
        world.go.set()
        slow = [await world.call(Caller("/v1/slow", LARGE)) for _ in range(20)]
        assert all(each.read for each in slow)
        await world.call(Caller("/v1/small"))
        assert world.ran == ["/v1/small"]
        for each in slow:
            each.arrive()
        await world.end()
        assert world.ran == ["/v1/small", *["/v1/slow"] * 20]

    asyncio.run(test())
