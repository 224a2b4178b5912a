"""A deployment of two APIs and two workers on a PostgreSQL of its own, with a proxy before each."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx
from sqlalchemy.engine import make_url

from app.postgres.embedded import EmbeddedPostgres
from tests import chaos_proxy
from tests.chaos_proxy import ChaosProxy
from tests.faults.chaos.disk import Disk
from tests.faults.chaos.processes import Process
from tests.prepared import ENVIRONMENT, copy_of, reachable_folder
from tests.service import free_port, make_key

MEGABYTES = 400
APIS = WORKERS = 2


class Deployment:
    """All that runs, and what can be done to it."""

    def __init__(self, stack: ExitStack, folder: Path, ahead: Sequence[timedelta], seed: int, *,
                 prepared: Path, namespace: bool) -> None:  # fmt: skip
        self.disk = Disk(folder / "disk", MEGABYTES, namespace=namespace)
        stack.callback(self.disk.close)
        self.log = folder / "log"
        data = copy_of(prepared, self.disk.folder / "data")
        self._data = data
        self.postgres = stack.enter_context(EmbeddedPostgres.start(data))
        self.postgres.keep(lambda: None)
        self.dsn = self.postgres.url.replace("+asyncpg", "")
        self.key = ""
        self._server = make_url(self.postgres.url)
        self.ports = [free_port() for _ in range(APIS)]
        self.before_apis = [self._proxy(stack, port, seed) for port in self.ports]
        self.before_database = [
            self._proxy(stack, self._server.port or 0, seed + each)
            for each in range(APIS + WORKERS)
        ]
        words = [
            *(("serve", "--no-worker", "--port", str(port)) for port in self.ports),
            *(("worker",) for _ in range(WORKERS)),
        ]
        names = [f"api-{each}" for each in range(APIS)] + [f"worker-{each}" for each in range(WORKERS)]  # fmt: skip  # noqa: E501
        self.processes = [
            Process(name, each, self._environment(proxy), shifted, self.log)
            for name, each, proxy, shifted in zip(
                names, words, self.before_database, ahead, strict=True
            )
        ]

    def _proxy(self, stack: ExitStack, port: int, seed: int) -> ChaosProxy:
        return stack.enter_context(chaos_proxy.in_thread("127.0.0.1", port, seed))

    def _environment(self, proxy: ChaosProxy) -> dict[str, str]:
        url = self._server.set(port=proxy.port).render_as_string(hide_password=False)
        return ENVIRONMENT | {
            "CLM_DATABASE_URL": url,
            "CLM_SCORING_EVERY": "off",
            "CLM_WAIT_SECONDS": "5",
            "CLM_LOG_LEVEL": "ERROR",
        }

    @property
    def apis(self) -> list[Process]:
        return self.processes[:APIS]

    @property
    def workers(self) -> list[Process]:
        return self.processes[APIS:]

    @property
    def urls(self) -> list[str]:
        """Where callers find the APIs: at their proxies."""
        return [f"http://127.0.0.1:{each.port}" for each in self.before_apis]

    def postmaster(self) -> int:
        """Return the server's process, as it says itself."""
        return int((self._data / "postgres/postmaster.pid").read_text().split()[0])

    def heal(self) -> list[str]:
        """End all faults, start what was killed; return what had ended without that."""
        ended = [each.name for each in self.processes if each.has_ended]
        self.disk.free()
        for proxy in (*self.before_apis, *self.before_database):
            proxy.heal()
        for each in self.processes:
            each.signal(signal.SIGCONT)
            each.start()
        return ended

    async def seconds_until_ready(self, patience: float) -> float:
        """Wait until all APIs are ready, and return how long that took."""
        started = time.monotonic()
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=5) as client:  # no TLS
            for url in self.urls:
                while True:
                    with contextlib.suppress(httpx.HTTPError):
                        if (await client.get(f"{url}/readyz")).status_code == 200:
                            break
                    if time.monotonic() - started > patience:
                        return time.monotonic() - started
                    await asyncio.sleep(0.05)
        return time.monotonic() - started

    async def connect(self) -> asyncpg.Connection:
        """Ask the database itself, not through a proxy; it may be starting just now."""
        async with asyncio.timeout(60):
            while True:
                try:
                    return await asyncpg.connect(self.dsn, timeout=10)
                except (OSError, asyncpg.PostgresError):
                    await asyncio.sleep(0.1)

    async def make_key(self) -> None:
        """Make the key that all callers show."""
        self.key = await make_key(self.postgres.url, "chaos")

    def end(self) -> list[str]:
        """End APIs and workers in order; return those that did not end by themselves."""
        return [each.name for each in self.processes if not each.stop()]


@asynccontextmanager
async def deployed(
    ahead: Sequence[timedelta], seed: int, *, prepared: Path, namespace: bool
) -> AsyncIterator[Deployment]:
    """Run a deployment, whose clocks are so far ahead, in a folder that is removed after."""
    with reachable_folder() as folder, ExitStack() as stack:
        made = Deployment(stack, folder, ahead, seed, prepared=prepared, namespace=namespace)
        stack.callback(made.end)
        await made.make_key()
        for each in made.processes:
            each.start()
        yield made
