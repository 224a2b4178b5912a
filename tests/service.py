"""A real `clm serve` on an embedded database of its own, for tests and benchmarks of the whole."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from app.children import CLM
from app.postgres import embedded
from app.postgres.db import Database, ReadSession, WriteSession, create_engine
from app.services.access import keys
from tests.prepared import ENVIRONMENT, copy_of, reachable_folder


@dataclass(frozen=True)
class Service:
    """A running `clm serve`: where it answers, a key, and its database."""

    url: str
    key: str
    dsn: str
    pid: int
    data: Path

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_service(
    *, worker: bool = False, prepared: Path | None = None, **settings: str
) -> Iterator[Service]:
    """Run the service as its users do, in a folder that is removed after."""
    with reachable_folder() as folder:
        data = folder / "data"
        if prepared is not None:
            copy_of(prepared, data)
            settings = ENVIRONMENT | settings
        port = free_port()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CLM_")},
            "CLM_DATA_DIR": str(data),
            "CLM_PORT": str(port),
            "CLM_LOG_LEVEL": "WARNING",
            **settings,
        }
        serve = [*CLM, "serve", *([] if worker else ["--no-worker"])]
        process = subprocess.Popen(serve, env=environment)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(url, process)
            database = embedded.running(data)
            assert database is not None
            key = _key(database, environment, of_this_code=prepared is not None)
            yield Service(url, key, database.replace("+asyncpg", ""), process.pid, data)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


async def make_key(url: str, name: str) -> str:
    """Make a key on a database of this code: to start the command would take seconds."""
    database = Database.on(create_engine(url, pool_size=1))
    async with database.writes() as session, session.begin():
        writing = WriteSession(ReadSession(session))
        key = await keys.create(writing, name, ("admin",), now=datetime.now(UTC))
    await database.close()
    return key


def _key(url: str, environment: dict[str, str], *, of_this_code: bool) -> str:
    if of_this_code:
        with ThreadPoolExecutor(1) as elsewhere:  # whoever asks may be in an event loop
            return elsewhere.submit(asyncio.run, make_key(url, "tests")).result()
    create = [*CLM, "keys", "create", "--name", "bench", "--scopes", "admin"]
    made = subprocess.run(create, env=environment, check=True, capture_output=True)
    return made.stdout.decode().strip()


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    # To make a client that could verify certificates takes longer than all of its questions.
    with httpx.Client(trust_env=False, verify=False) as client:
        for _ in range(600):
            if process.poll() is not None:
                raise RuntimeError("the service ended before it was ready")
            with contextlib.suppress(httpx.HTTPError):
                if client.get(f"{url}/readyz").status_code == 200:
                    return
            time.sleep(0.1)
    raise RuntimeError("the service did not get ready")
