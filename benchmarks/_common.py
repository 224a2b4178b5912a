"""What the benchmarks share: a real service on a database of its own, and honest timing."""

import asyncio
import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx

from app import embedded


@dataclass(frozen=True)
class Service:
    """A running `clm serve`: where it answers, a key, and its database."""

    url: str
    key: str
    dsn: str
    pid: int

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_service(**settings: str) -> Iterator[Service]:
    """Run the service as its users do, without a worker, in a folder that is removed after."""
    with tempfile.TemporaryDirectory(prefix="clm-bench-") as folder:
        Path(folder).chmod(0o755)
        port = free_port()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CLM_")},
            "CLM_DATA_DIR": folder,
            "CLM_PORT": str(port),
            "CLM_LOG_LEVEL": "WARNING",
            **settings,
        }
        clm = [sys.executable, "-m", "app.cli"]
        process = subprocess.Popen([*clm, "serve", "--no-worker"], env=environment)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, process)
            create = [*clm, "keys", "create", "--name", "bench", "--scopes", "admin"]
            made = subprocess.run(create, env=environment, check=True, capture_output=True)
            dsn = embedded.running(Path(folder))
            assert dsn is not None
            dsn = dsn.replace("+asyncpg", "")
            yield Service(url, made.stdout.decode().strip(), dsn, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        if process.poll() is not None:
            raise RuntimeError("the service ended before it was ready")
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        time.sleep(0.25)
    raise RuntimeError("the service did not get ready")


async def timed(what: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await what()
    return time.perf_counter() - started


async def paired(
    ours: Callable[[int], Awaitable[object]],
    theirs: Callable[[int], Awaitable[object]],
    rounds: int,
) -> tuple[float, float, float]:
    """Time two things in turn, so that both see the same machine; medians, and median ratio."""
    pairs = []
    for turn in range(rounds):
        mine = await timed(lambda turn=turn: ours(turn))
        pairs.append((mine, await timed(lambda turn=turn: theirs(turn))))
    mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    return mine, other, statistics.median(a / b for a, b in pairs)


def run(main: Callable[[Service, asyncpg.Connection, httpx.AsyncClient], Awaitable[None]]) -> None:
    """Run a benchmark against a service of its own."""

    async def inner(service: Service) -> None:
        connection = await asyncpg.connect(service.dsn)
        async with httpx.AsyncClient(
            base_url=service.url, headers=service.headers, timeout=120
        ) as client:
            await main(service, connection, client)
        await connection.close()

    with running_service() as service:
        asyncio.run(inner(service))
