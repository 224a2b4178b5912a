"""The worker process that `clm serve` keeps beside the API."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

CLM = (sys.executable, "-P", "-m", "clm_service")
"""This program, wherever it is installed and whatever the folder at hand holds."""
STOP_SECONDS = 30
AGAIN_SECONDS = 1.0

logger = logging.getLogger("clm.children")


class _Keeper:
    """Starts the worker again whenever it ends, until told to stop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def keep(self) -> None:
        while True:
            with self._lock:
                if self._stopping.is_set():
                    return
                self._process = process = self._start()
            status = process.wait()
            if self._stopping.is_set():
                return
            logger.error("the worker ended and is started again", extra={"status": status})
            self._stopping.wait(AGAIN_SECONDS)

    def _start(self) -> subprocess.Popen[bytes]:
        # It holds the other end of its standard input, so that it ends if this process is killed.
        return subprocess.Popen(
            [*CLM, "worker", "--until-eof"],
            env={**os.environ, "CLM_DATABASE_URL": self._url},
            stdin=subprocess.PIPE,
            process_group=0,
        )

    def stop(self) -> None:
        with self._lock:
            self._stopping.set()
            process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


@contextlib.contextmanager
def worker_beside(url: str) -> Iterator[None]:
    """Run `clm worker` on a database while the body runs."""
    keeper = _Keeper(url)
    threading.Thread(target=keeper.keep, name="worker-keeper", daemon=True).start()
    try:
        yield
    finally:
        keeper.stop()
