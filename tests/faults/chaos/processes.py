"""The processes of a deployment: those that `clm serve` and `clm worker` are, as children.

Each begins as a copy of one that has imported everything, and runs the command itself, with a clock
of its own; of a worker leases and parts are so small that faults of seconds fall amid them.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import app.cli.commands
import app.main
import app.worker
from app.services.operations import parts
from app.services.policy_changes import previews, taking_effect
from app.services.rebuilds import rebuilds
from app.services.runs import runs
from tests.faults.chaos import clocks

LEASE_SECONDS = 3.0
_END_SECONDS = 20.0
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload([__name__])


def _run(words: Sequence[str], environment: Mapping[str, str], ahead: timedelta, log: Path) -> None:
    """Be `clm` with these words, until it ends or whoever started it is gone."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    os.setsid()  # what is typed at the terminal is for the one who runs all this
    for name in [name for name in os.environ if name.startswith("CLM_")]:
        del os.environ[name]
    os.environ |= environment
    parts.LEASE = timedelta(seconds=LEASE_SECONDS)
    app.worker.IDLE_SECONDS = 0.1
    runs.SCORE_PART, runs.TRANSITIONS_AT_ONCE = 40, 15
    rebuilds.DERIVE_PART, previews.COMPARE_PART, taking_effect.APPLY_PART = 40, 40, 20
    clocks.shift(ahead)
    sys.argv = ["clm", *words]
    app.cli.commands.app()


class Process:
    """One API or worker, which is started again as often as it is killed."""

    def __init__(
        self, name: str, words: Sequence[str], environment: Mapping[str, str], ahead: timedelta,
        log: Path,
    ) -> None:  # fmt: skip
        self.name = name
        self._arguments = words, dict(environment), ahead, log
        self._process: ForkServerProcess | None = None
        self._killed = False

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    @property
    def has_ended(self) -> bool:
        """Whether it is gone without having been killed."""
        return self._process is not None and not self._killed and not self.alive

    @property
    def pid(self) -> int:
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    def start(self) -> None:
        if not self.alive:
            self._killed = False
            self._process = _SERVER.Process(target=_run, args=self._arguments, name=self.name)
            self._process.start()

    def kill(self) -> None:
        """Kill it with SIGKILL, and wait until it is gone."""
        self._killed = True
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.join(_END_SECONDS)

    def signal(self, number: signal.Signals) -> None:
        if self.alive:
            os.kill(self.pid, number)

    def stop(self) -> bool:
        """End it as an operator does; True if it ended by itself."""
        if self._process is None:
            return True
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        self._process.join(_END_SECONDS)
        orderly = not self.alive
        self.kill()
        return orderly
