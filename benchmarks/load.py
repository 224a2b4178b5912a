"""A generator of load that is not the bottleneck: bare sockets, requests made beforehand.

It runs as a process of its own. `limit` measures what it can do at most, against a server that
answers each request with the same bytes. Closed loop it keeps some connections busy; open loop
requests begin at given times, and one that finds no connection free waits for it: its latency
counts from when it was to begin. `wrk` makes the closed loop where it is on the PATH or named by
the environment variable WRK.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from tests.service import free_port

STILL = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
WRK = os.environ.get("WRK") or shutil.which("wrk")
TURNS = """
local paths, made, last = {%s}, {}, 0
init = function() for i, path in ipairs(paths) do made[i] = wrk.format("GET", path) end end
request = function() last = last %% #made + 1; return made[last] end
"""  # for wrk
_STATUS, _LENGTH, _BLANK = b"HTTP/1.1 2", b"content-length: ", b"\r\n\r\n"


@dataclass(frozen=True)
class Load:
    """What is asked of a server: GET of paths in turn, over some connections for some seconds.

    With a rate, that many requests begin each second, however long answers take.
    """

    port: int
    paths: list[str]
    headers: dict[str, str]
    connections: int = 16
    seconds: float = 5.0
    rate: float | None = None


@dataclass(frozen=True)
class Answered:
    """How many answers came, in which time; latencies in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    worst: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def ask(load: Load) -> Answered:
    """Put load on a server, and return what came of it; whatever is not 2xx is refused."""
    return _by_wrk(load, WRK) if WRK and load.rate is None else _by_ourselves(load)


def limit(connections: int = 16, seconds: float = 3.0) -> Answered:
    """Return what the generator does against a server that does nothing."""
    with _process("still", str(port := free_port())):
        return ask(Load(port, ["/"], {}, connections, seconds))


def processor(pid: int, *, database: bool = False) -> float:
    """Return the processor seconds of a process and its own: without its database, or of that."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            head, _, rest = stat.read_text(encoding="utf-8").rpartition(")")
            number, _, name = head.partition(" (")
            fields = rest.split()
            parents[int(number)] = int(fields[1])
            if (name == "postgres") is database:
                # Of the database also what those have taken that have ended: it starts many.
                ticks[int(number)] = sum(map(int, fields[11 : 15 if database else 13]))

    def own(each: int) -> bool:
        return each == pid or (each in parents and own(parents[each]))

    return sum(n for each, n in ticks.items() if own(each)) / os.sysconf("SC_CLK_TCK")


def _by_ourselves(load: Load) -> Answered:
    command = [sys.executable, "-m", "benchmarks.load", "ask"]
    given = json.dumps(asdict(load)).encode()
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return Answered(**json.loads(done.stdout))


def _by_wrk(load: Load, wrk: str) -> Answered:
    headers = [part for name, value in load.headers.items() for part in ("-H", f"{name}: {value}")]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(TURNS % ", ".join(map(json.dumps, load.paths)))
        script.flush()
        told = subprocess.run(
            [wrk, "-t1", f"-c{load.connections}", f"-d{max(round(load.seconds), 1)}s", "--latency",
             "-s", script.name, *headers, f"http://127.0.0.1:{load.port}"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    if "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(told)
    found = re.search(r"(\d+) requests in ([\d.]+)(m?s)", told)
    assert found, told
    seconds = float(found[2]) * (1e-3 if found[3] == "ms" else 1)
    told_of = r"Latency(?:\s+[\d.]+(?:us|ms|s)){2}|50%|99%"
    worst, p50, p99 = (
        float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]
        for number, unit in re.findall(rf"(?:{told_of})\s+([\d.]+)(us|ms|s)", told)
    )
    return Answered(int(found[1]), seconds, p50, p99, worst)


@contextlib.contextmanager
def _process(*arguments: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.load", *arguments])
    try:
        time.sleep(1.5)
        yield
    finally:
        process.terminate()
        process.wait(10)


class _Client(asyncio.Protocol):
    """One connection: a request, its answer, and then whatever `free` gives it."""

    def __init__(self, asking: "_Asking") -> None:
        self._asking, self._data, self.begun = asking, b"", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]

    def send(self, request: bytes, begun: float) -> None:
        self.begun = begun
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        data = self._data = self._data + data if self._data else data
        head = data.find(_BLANK)
        if head < 0:
            return
        at = data.find(_LENGTH, 0, head)
        if at < 0:
            self._asking.fail(data)
            return
        size = int(data[at + len(_LENGTH) : data.find(b"\r", at)])
        if len(data) < head + len(_BLANK) + size:
            return
        if not data.startswith(_STATUS):
            self._asking.fail(data)
            return
        self._data = b""
        self._asking.answered(self)

    def connection_lost(self, _: Exception | None) -> None:
        self._asking.fail(b"the connection was closed")


class _Asking:
    """All connections, and what is left to be asked."""

    def __init__(self, load: Load) -> None:
        headers = "".join(f"{name}: {value}\r\n" for name, value in load.headers.items())
        self._requests = [
            f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n".encode()
            for path in load.paths
        ]
        self._load, self._next = load, 0
        self._latencies: list[float] = []
        self._idle: deque[_Client] = deque()
        self._waiting: deque[float] = deque()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._over = False

    async def all(self) -> Answered:
        loop, load = asyncio.get_running_loop(), self._load
        clients = [
            (await loop.create_connection(lambda: _Client(self), "127.0.0.1", load.port))[1]
            for _ in range(load.connections)
        ]
        started = time.perf_counter()
        if load.rate is None:
            for client in clients:
                self._send(client, time.perf_counter())
        else:
            self._idle.extend(clients)
            self._schedule(started)
        await asyncio.wait([self._failed], timeout=load.seconds)
        self._over = True
        if self._failed.done():
            self._failed.result()
        cuts = statistics.quantiles(self._latencies, n=100)
        seconds = time.perf_counter() - started
        worst = max(self._latencies)
        return Answered(len(self._latencies), seconds, cuts[49] * 1e3, cuts[98] * 1e3, worst * 1e3)

    def _schedule(self, due: float) -> None:
        """Begin all requests that are due, and come back for the next."""
        assert self._load.rate is not None
        while due <= time.perf_counter():
            if self._idle:
                self._send(self._idle.popleft(), due)
            else:
                self._waiting.append(due)
            due += 1 / self._load.rate
        if not self._over:
            loop = asyncio.get_running_loop()
            loop.call_later(max(due - time.perf_counter(), 0), self._schedule, due)

    def _send(self, client: _Client, begun: float) -> None:
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        client.send(request, begun)

    def answered(self, client: _Client) -> None:
        if self._over:
            return
        now = time.perf_counter()
        self._latencies.append(now - client.begun)
        if self._load.rate is None:
            self._send(client, now)
        elif self._waiting:
            self._send(client, self._waiting.popleft())
        else:
            self._idle.append(client)

    def fail(self, answer: bytes) -> None:
        if not self._over and not self._failed.done():
            self._failed.set_exception(RuntimeError(answer[:1000].decode(errors="replace")))


class _Still(asyncio.Protocol):
    """The server that does nothing; a request is one piece."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._transport.write(STILL * data.count(_BLANK))


async def _be_still(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Still, "127.0.0.1", port)
    await server.serve_forever()


async def _answer(load: Load) -> None:
    print(json.dumps(asdict(await _Asking(load).all())))


if __name__ == "__main__":
    if sys.argv[1] == "still":
        uvloop.run(_be_still(int(sys.argv[2])))
    else:
        uvloop.run(_answer(Load(**json.loads(sys.stdin.read()))))
