"""Callers who would take the service away, with a key or without, and others meanwhile."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.service import Service, running_service

SOCKETS = 300
"""More than the requests that may be in flight, and three times as many as a line has places."""


@pytest.fixture(scope="module")
def busy(prepared: Path) -> Iterator[Service]:
    """A service with the bounds that it has by default."""
    with running_service(prepared=prepared) as service:
        yield service


class Raw:
    """A connection, and what came on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def answer(self) -> tuple[int, dict[str, Any]]:
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(lines.partition("content-length: ")[2].split()[0])
        content = json.loads(await self._reader.readexactly(size))
        assert int(lines.split()[1]) != 503 or "retry-after: " in lines
        return int(lines.split()[1]), content

    @property
    def silent(self) -> bool:
        return not self._reader._buffer  # type: ignore[attr-defined]

    def close(self) -> None:
        self._writer.close()


@contextlib.asynccontextmanager
async def sending(service: Service, requests: list[bytes]) -> AsyncIterator[list[Raw]]:
    """Open a connection for each of the requests, and send it."""
    port = int(service.url.rpartition(":")[2])
    opened: list[Raw] = []
    try:
        for request in requests:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            opened.append(Raw(reader, writer))
        yield opened
    finally:
        for each in opened:
            each.close()


def request(path: str, key: str | None, method: str = "GET", more: str = "") -> bytes:
    authorization = "" if key is None else f"Authorization: Bearer {key}\r\n"
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{authorization}{more}\r\n".encode()


def begun(key: str | None) -> bytes:
    """A head and the beginning of a body."""
    return request("/v1/transactions", key, "POST", "Content-Length: 99\r\n") + b'{"ite'


async def ask(service: Service, path: str = "/v1/info") -> int:
    async with sending(service, [request(path, service.key)]) as (opened,):
        return (await opened.answer())[0]


async def test_bodies_that_never_end_keep_nobody_out_and_without_a_key_are_not_read(
    busy: Service,
) -> None:
    async with sending(busy, [begun(None)] * SOCKETS + [begun(busy.key)] * SOCKETS) as opened:
        told = [await each.answer() for each in opened[:SOCKETS]]
        assert {(status, content["code"]) for status, content in told} == {(401, "unauthorized")}
        assert [await ask(busy) for _ in range(10)] == [200] * 10
        assert all(each.silent for each in opened[SOCKETS:])  # their time is not over


async def test_a_storm_of_unknown_keys_keeps_nobody_out(busy: Service) -> None:
    invented = [f"clm_{number:08}_{'x' * 32}" for number in range(SOCKETS)]
    async with sending(busy, [request("/v1/info", key) for key in invented]) as opened:
        served = [await ask(busy) for _ in range(10)]
        told = Counter([(await each.answer())[0] for each in opened])
    assert served == [200] * 10
    assert set(told) <= {401, 503}
    assert told[401]


async def test_a_locked_table_makes_nobody_wait_who_does_not_need_it(busy: Service) -> None:
    assert await ask(busy) == 200
    owner = await asyncpg.connect(busy.dsn)
    try:
        async with owner.transaction():
            await owner.execute("LOCK TABLE customers IN ACCESS EXCLUSIVE MODE")
            locked = [request(f"/v1/customers/c{number}", busy.key) for number in range(40)]
            async with sending(busy, locked) as opened:
                answers = [asyncio.create_task(each.answer()) for each in opened]
                served = [await ask(busy, "/v1/policies") for _ in range(10)]
                told = [task.result()[1]["code"] for task in answers if task.done()]
                for task in answers:
                    task.cancel()
    finally:
        await owner.close()
    assert served == [200] * 10
    # Whoever needs the table still waits for it, or for a slot, or was told that he waits in vain.
    assert set(told) <= {"overloaded"}


async def test_more_than_can_be_done_in_time_is_refused_and_not_waited_for(busy: Service) -> None:
    owner = await asyncpg.connect(busy.dsn)
    try:
        async with owner.transaction():
            await owner.execute("LOCK TABLE customers IN ACCESS EXCLUSIVE MODE")
            waiting = [request(f"/v1/customers/c{number}", busy.key) for number in range(SOCKETS)]
            async with sending(busy, waiting) as opened:
                # All but those in a slot are told, while the table is locked.
                tasks = [asyncio.create_task(each.answer()) for each in opened]
                told = []
                for finished in asyncio.as_completed(tasks):
                    told.append(await finished)
                    if len(told) == SOCKETS - 8:
                        break
                for task in tasks:
                    task.cancel()
    finally:
        await owner.close()
    refused = Counter((status, content["code"]) for status, content in told)
    assert refused[503, "overloaded"] >= SOCKETS - 16
    for _ in range(
        50
    ):  # those who had a slot give it back at the latest when the lock is waited for
        if await ask(busy, "/v1/customers?limit=1") == 200:
            break
        await asyncio.sleep(0.1)
    assert await ask(busy, "/v1/customers?limit=1") == 200
