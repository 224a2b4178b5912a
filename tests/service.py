"""A real `clm serve` on an embedded database of its own, for tests and benchmarks of the whole."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.children import CLM
from app.postgres import embedded
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
            create = [*CLM, "keys", "create", "--name", "bench", "--scopes", "admin"]
            made = subprocess.run(create, env=environment, check=True, capture_output=True)
            dsn = embedded.running(data)
            assert dsn is not None
            dsn = dsn.replace("+asyncpg", "")
            yield Service(url, made.stdout.decode().strip(), dsn, process.pid, data)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


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
