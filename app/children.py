"""The processes that `clm serve` keeps: the worker beside the API, and those of the API itself."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from app.telemetry import metrics

CLM = (sys.executable, "-P", "-m", "clm_service")
"""This program, wherever it is installed and whatever the folder at hand holds."""
STOP_SECONDS = 30
AGAIN_SECONDS, AGAIN_SECONDS_MOST = 1.0, 30.0
LASTING_SECONDS = 60.0
"""How long one must have run for its end to count as the first of a row."""

logger = logging.getLogger("clm.children")


class _Keeper:
    """Starts a process again whenever it ends, later each time, until told to stop."""

    def __init__(
        self,
        name: str,
        words: tuple[str, ...],
        environment: Mapping[str, str],
        *,
        listening: Sequence[socket.socket] = (),
        ended: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._name = name
        self._words = words
        self._environment = environment
        self._listening = listening
        self._ended = ended
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        threading.Thread(target=self._keep, name=f"{name}-keeper", daemon=True).start()

    def _keep(self) -> None:
        pause = AGAIN_SECONDS
        while True:
            with self._lock:
                if self._stopping.is_set():
                    return
                self._process = process = self._start()
            started = time.monotonic()
            status = process.wait()
            self._ended(process.pid)
            if self._stopping.is_set():
                return
            lasted = time.monotonic() - started >= LASTING_SECONDS
            pause = AGAIN_SECONDS if lasted else min(2 * pause, AGAIN_SECONDS_MOST)
            logger.error("the %s ended and is started again", self._name, extra={"status": status})
            self._stopping.wait(pause / 2)

    def _start(self) -> subprocess.Popen[bytes]:
        # It holds the other end of its standard input, so that it ends if this process is killed.
        return subprocess.Popen(
            [*CLM, *self._words, "--until-eof"],
            env={**os.environ, **self._environment},
            stdin=subprocess.PIPE,
            process_group=0,
            pass_fds=[each.fileno() for each in self._listening],
        )

    def tell(self) -> None:
        """Ask the process to end, and start none again."""
        with self._lock:
            self._stopping.set()
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> None:
        """Wait until the process has ended; end it if it takes longer."""
        if self._process is None:
            return
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()


@contextlib.contextmanager
def worker_beside(url: str) -> Iterator[None]:
    """Run `clm worker` on a database while the body runs."""
    keeper = _Keeper("worker", ("worker",), {"CLM_DATABASE_URL": url})
    try:
        yield
    finally:
        keeper.tell()
        keeper.wait(STOP_SECONDS)


@contextlib.contextmanager
def apis(
    url: str, listening: Sequence[socket.socket], processes: int, stop_seconds: float
) -> Iterator[None]:
    """Run processes of the API that take their connections from the same sockets.

    What waits at a socket when one of them dies is taken by another. Their metrics are counted
    together in a folder, so that it does not matter which of them is asked.
    """
    sockets = [word for each in listening for word in ("--listening", str(each.fileno()))]
    words = ("serve", "--no-worker", "--processes", "1", *sockets)
    with tempfile.TemporaryDirectory(prefix="clm-metrics-") as folder:
        keepers = [
            _Keeper(
                f"API process {number}",
                words,
                {
                    "CLM_DATABASE_URL": url,
                    "CLM_SIBLINGS": os.environ.get("CLM_SIBLINGS", str(processes)),
                    metrics.SHARED_FOLDER: folder,
                },
                listening=listening,
                ended=lambda pid: metrics.forget(pid, folder),
            )
            for number in range(1, processes + 1)
        ]
        try:
            yield
        finally:
            for keeper in keepers:
                keeper.tell()
            for keeper in keepers:
                keeper.wait(stop_seconds)
