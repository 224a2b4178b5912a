"""Five times as many requests as a service can answer, by callers who give up after two seconds.

Reads of customers and stages, and writes of single purchases. The peak is what a closed loop of
sixteen connections gets; then five times as many requests a second begin, each on a connection that
is free or new, whether the service answers or not. Told are the answers in time beside the peak,
how soon refusals came and whether they said when to come again, and the memory of the process.
`--before FOLDER` asks another tree, too.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import business, load

CUSTOMERS, CONNECTIONS, TIMES = 500, 16, 5
PATIENCE_SECONDS = 2.0
MOST_CONNECTIONS = 3_000
TICK = 0.005


@dataclass(frozen=True)
class Storm:
    """What is asked: a closed loop without a rate, else so many a second."""

    port: int
    key: str
    seconds: float
    rate: float | None = None
    begin: int = 0


@dataclass
class Told:
    """What came of it."""

    statuses: Counter[str] = field(default_factory=Counter)
    refusals: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    without_retry_after: int = 0
    seconds: float = 0.0


def request(number: int, storm: Storm) -> bytes:
    """Return one of the requests that callers mix."""
    who = business.name(number * 7 % CUSTOMERS)
    head = f"HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {storm.key}\r\n"
    if number % 10:
        path = f"/v1/customers/{who}{'/stage' if number % 2 else ''}"
        return f"GET {path} {head}\r\n".encode()
    body = json.dumps(
        {
            "customer_id": who,
            "transaction_id": f"o{storm.begin + number}",
            "occurred_at": "2026-01-31T12:00:00Z",
            "amount": {"amount": "12.50"},
        }
    )
    return f"POST /v1/transactions {head}content-length: {len(body)}\r\n\r\n{body}".encode()


class Caller(asyncio.Protocol):
    """A connection: one request at a time, which is given up when it takes too long."""

    def __init__(self, crowd: "Crowd") -> None:
        self._crowd, self._data = crowd, b""
        self.transport: Any = None
        self.since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self, content: bytes, since: float) -> None:
        self.since = since
        self.transport.write(content)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, blank, rest = self._data.partition(b"\r\n\r\n")
        if not blank:
            return
        lower = head.lower()
        at = lower.find(b"content-length: ")
        size = int(lower[at + 16 :].split(b"\r", 1)[0]) if at >= 0 else 0
        if len(rest) >= size:
            self._data = b""
            self._crowd.answered(self, head, lower)

    def connection_lost(self, _: Exception | None) -> None:
        if self.since is not None:
            self.since = None
            self._crowd.told.statuses["cut"] += 1
        self._crowd.open -= 1


class Crowd:
    """All callers."""

    def __init__(self, storm: Storm) -> None:
        self.storm, self.told, self.open = storm, Told(), 0
        self._numbers = itertools.count(1)
        self._free: list[Caller] = []
        self._asked: deque[tuple[Caller, float]] = deque()
        self._over = False

    async def all(self) -> Told:
        started = time.perf_counter()
        end = started + self.storm.seconds
        if self.storm.rate is None:
            for _ in range(CONNECTIONS):
                await self._begin(started)
            await asyncio.sleep(self.storm.seconds)
        else:
            await self._keep_beginning(started, end, self.storm.rate)
        self._over = True
        self.told.seconds = time.perf_counter() - started
        await asyncio.sleep(PATIENCE_SECONDS if self.storm.rate else 0)
        self._give_up()
        return self.told

    async def _keep_beginning(self, started: float, end: float, rate: float) -> None:
        begun = 0
        opening: set[asyncio.Task[None]] = set()
        while (now := time.perf_counter()) < end:
            for _ in range(int((now - started) * rate) - begun):
                begun += 1
                if self._free:
                    self._send(self._free.pop(), now)
                elif self.open < MOST_CONNECTIONS:
                    task = asyncio.create_task(self._begin(now))
                    opening.add(task)
                    task.add_done_callback(opening.discard)
                else:
                    self.told.statuses["not begun"] += 1
            self._give_up()
            await asyncio.sleep(TICK)

    async def _begin(self, since: float) -> None:
        self.open += 1
        loop = asyncio.get_running_loop()
        try:
            made = loop.create_connection(lambda: Caller(self), "127.0.0.1", self.storm.port)
            _, caller = await asyncio.wait_for(made, PATIENCE_SECONDS)
        except (OSError, TimeoutError):
            self.open -= 1
            self.told.statuses["no connection"] += 1
            return
        self._send(caller, since)

    def _send(self, caller: Caller, since: float) -> None:
        if caller.transport.is_closing():
            self.told.statuses["cut"] += 1
            return
        self._asked.append((caller, since))
        caller.send(request(next(self._numbers), self.storm), since)

    def _give_up(self) -> None:
        now = time.perf_counter()
        while self._asked and now - self._asked[0][1] >= PATIENCE_SECONDS:
            caller, since = self._asked.popleft()
            if caller.since == since:
                caller.since = None
                self.told.statuses["given up"] += 1
                caller.transport.abort()

    def answered(self, caller: Caller, head: bytes, lower: bytes) -> None:
        now = time.perf_counter()
        if caller.since is None:
            return
        took, caller.since = now - caller.since, None
        status = head[9:12].decode()
        self.told.statuses[status] += 1
        if status[0] == "2":
            self.told.answers.append(took)
        else:
            self.told.refusals.append(took)
            self.told.without_retry_after += b"retry-after: " not in lower
        if b"connection: close" in lower:
            caller.transport.close()
        elif self.storm.rate is None and not self._over:
            self._send(caller, now)
        else:
            self._free.append(caller)


def storm(given: Storm) -> Told:
    """Ask from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.overload", "--ask", json.dumps(asdict(given))]
    done = subprocess.run(command, capture_output=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return Told(**{**told, "statuses": Counter(told["statuses"])})


def memory(pid: int, name: str = "VmRSS") -> float:
    """Return the megabytes that a process holds, or has held at most."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def good(told: Told) -> float:
    return sum(n for status, n in told.statuses.items() if status[0] == "2") / told.seconds


def quantiles(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return "none"
    cuts = statistics.quantiles(seconds, n=100)
    return f"p50 {cuts[49] * 1e3:.0f}, p99 {cuts[98] * 1e3:.0f}, worst {max(seconds) * 1e3:.0f} ms"


def measure(name: str, tree: Path | None, seconds: float) -> str:
    with business.service(tree, CLM_LOG_LEVEL="ERROR") as (service, client):
        business.tell(client, business.purchases(CUSTOMERS))
        port = client.base_url.port
        assert port is not None
        storm(Storm(port, service.key, 2.0, begin=1_000_000))  # warms up
        held, started = memory(service.pid), load.processor(service.pid)
        calm = storm(Storm(port, service.key, 5.0, begin=2_000_000))
        peak, between = good(calm), load.processor(service.pid)
        told = storm(Storm(port, service.key, seconds, TIMES * peak, begin=3_000_000))
        spent, before = load.processor(service.pid) - between, between - started
        lines = client.get("/metrics").text.splitlines()
        reasons = [line for line in lines if line.startswith("clm_refusals_total")]
        after = good(storm(Storm(port, service.key, 3.0, begin=4_000_000)))
        print(f"{name}: peak {peak:.0f} a second; at {TIMES} times of it {good(told):.0f}, "
              f"answers {quantiles(told.answers)}; refusals {quantiles(told.refusals)}, "
              f"{told.without_retry_after} without Retry-After; {dict(told.statuses)}; "
              f"{' '.join(reasons)}; "
              f"memory {held:.0f} MB before, {memory(service.pid, 'VmHWM'):.0f} at most; "
              f"peak again {after:.0f}; of a second of the processor "
              f"{good(calm) * calm.seconds / before:.0f} answers at the peak, "
              f"{good(told) * told.seconds / spent:.0f} in the storm", flush=True)  # fmt: skip
        return f"{name}: goodput at {TIMES} times peak: {good(told) / peak:.2f} x peak"


def main(seconds: float, before: Path | None) -> None:
    trees = {"this": None} | ({"before": before} if before is not None else {})
    print("\n".join([measure(name, tree, seconds) for name, tree in trees.items()][::-1]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--before", type=Path, help="folder of another tree")
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ask:
        found = uvloop.run(Crowd(Storm(**json.loads(given.ask))).all())
        print(json.dumps(vars(found)))
    else:
        main(given.seconds, given.before)
