"""A worker whose database goes away: it waits, says so once, and goes on when it is back."""

import asyncio
import contextlib
import logging
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy.engine import make_url

from app import worker as workers
from app.config import Settings
from app.postgres.db import Database, create_engine
from app.postgres.limits import PART
from app.worker import Worker
from tests.database import Clock


class Wire:
    """A connection to a server that can be cut, and laid again."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def lay(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far, back = await asyncio.open_connection(*self._target)
        self._ends |= {writer, back}
        await asyncio.gather(_pass_on(reader, back), _pass_on(far, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    writer.close()


async def state(client: httpx.AsyncClient, path: str) -> str:
    return str((await client.get(path)).json()["state"])


async def test_a_worker_waits_for_its_database_says_so_once_and_goes_on(
    own_client: httpx.AsyncClient,
    own_url: str,
    clock: Clock,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "IDLE_SECONDS", 0.02)
    monkeypatch.setattr(workers, "LONGEST_PAUSE_SECONDS", 0.2)
    caplog.set_level(logging.WARNING, "clm.worker")
    clock.now = datetime.now(UTC)
    url = make_url(own_url)
    wire = Wire(url.host or "127.0.0.1", url.port or 5432)
    await wire.lay()
    through = url.set(host="127.0.0.1", port=wire.port).render_as_string(hide_password=False)
    database = Database.on(create_engine(through, pool_size=3, limits=PART))
    worker = Worker(database, settings)
    running = asyncio.create_task(worker.run())

    async def ended() -> None:
        path = (await own_client.post("/v1/backtests", json={})).headers["location"]
        async with asyncio.timeout(20):
            while await state(own_client, path) != "succeeded":  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    await ended()
    for _ in range(2):
        caplog.clear()
        await wire.cut()
        async with asyncio.timeout(20):
            while not caplog.records:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)  # in which it tries again, and again
        assert [record.message for record in caplog.records] == ["database away"]
        await wire.lay()
        await ended()
        assert [record.message for record in caplog.records] == ["database away", "working again"]
    worker.stop()
    await running
    await database.close()
    await wire.cut()
