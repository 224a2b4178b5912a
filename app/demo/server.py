"""The service that the demo talks to: a `clm serve` of its own, and a key to it."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from app.children import CLM
from app.config import PREFIX, Settings
from app.demo.errors import DemoError
from app.postgres import embedded
from app.postgres.db import Database, ReadSession, WriteSession, create_engine
from app.schemas.keys import ADMIN, SCOPES
from app.services.access import keys

LOG = "clm.log"
_START_SECONDS = 240
_STOP_SECONDS = 120  # the API drains, the worker ends its part, the database its checkpoint


@dataclass(frozen=True, slots=True)
class Service:
    """A running service."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    def wait(self) -> None:
        """Return never, unless the service ends by itself, which is an error."""
        self.process.wait()
        raise DemoError(self._ended())

    def wait_until_ready(self) -> None:
        """Return when it answers that its database does."""
        deadline = time.monotonic() + _START_SECONDS
        with httpx.Client(base_url=self.url, trust_env=False) as client:
            while time.monotonic() < deadline:
                if self.process.poll() is not None:
                    raise DemoError(self._ended())
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/readyz").is_success:
                        return
                time.sleep(0.1)
        raise DemoError(f"the service is not ready after {_START_SECONDS} s; {self._log_says()}")

    def make_key(self) -> str:
        """Make a key as `clm keys create` does; it may do everything but administer."""
        url = embedded.running(self.folder)
        if url is None:
            raise DemoError(f"the database in {self.folder} does not answer; {self._log_says()}")
        return asyncio.run(make_key(url, "demo"))

    def _ended(self) -> str:
        return f"the service ended with status {self.process.returncode}; {self._log_says()}"

    def _log_says(self) -> str:
        log = self.folder / LOG
        lines = log.read_text(errors="replace").splitlines()[-8:] if log.exists() else []
        return "\n".join([f"the end of {log}:", *lines])


async def make_key(url: str, name: str) -> str:
    """Make a key on a database as `clm keys create` does; it may do everything but administer."""
    scopes = [scope for scope in SCOPES if scope != ADMIN]
    database = Database.on(create_engine(url, pool_size=1))
    try:
        async with database.writes() as session, session.begin():
            writing = WriteSession(ReadSession(session))
            return await keys.create(writing, name, scopes, now=datetime.now(UTC))
    finally:
        await database.close()


def serving(
    settings: Settings, folder: Path, lock: int, *, scheduled: bool
) -> contextlib.AbstractContextManager[Service]:
    """Run the service of the demo, which holds the lock of the folder until it has stopped."""
    port = choose_port(settings.host, settings.port)
    environment = _environment(settings, folder, port, scheduled=scheduled)
    return run(folder, settings.host, port, environment, (lock,))


@contextlib.contextmanager
def run(
    folder: Path,
    host: str,
    port: int,
    environment: Mapping[str, str],
    passed: Sequence[int] = (),
) -> Iterator[Service]:
    """Run a service; it stops its API, then its worker, then its database.

    It holds the other end of its standard input, so that it stops, too, if this process is killed.
    """
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(
            [*CLM, "serve", "--until-eof"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            process_group=0,
            pass_fds=passed,
        )
    try:
        yield Service(url_of(host, port), folder, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        if process.stdin is not None:
            process.stdin.close()


def _environment(settings: Settings, folder: Path, port: int, *, scheduled: bool) -> dict[str, str]:
    """Return the environment of the service: the demo is the same wherever it runs."""
    own = {
        "DATA_DIR": str(folder),
        "CURRENCY": settings.currency,
        "TIME_ZONE": settings.time_zone,
        "HOST": settings.host,
        "PORT": str(port),
        "LOG_LEVEL": settings.log_level,
        "CORS_ORIGINS": ",".join(settings.cors_origins),
        "SCORING_EVERY": "24h" if scheduled else "off",
    }
    rest = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return rest | {PREFIX + name: value for name, value in own.items()}


def choose_port(host: str, wanted: int) -> int:
    """Return the wanted port if it is free, else one that is."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in (wanted, 0):
        with (
            contextlib.suppress(OSError),
            socket.create_server((host, port), family=family) as probe,
        ):
            return int(probe.getsockname()[1])
    raise DemoError(f"cannot listen on {host}: choose another address with CLM_HOST")


def url_of(host: str, port: int) -> str:
    here = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}"
