"""A full scoring run from database to database by the real worker. `--customers N`, `--quick`.

Beside it: COPY of the same rows out and in again, the same job as a script of pandas and lifetimes
(`.venv-bench`), and the latency of single score cards while a run is under way.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

import asyncpg
import httpx
import numpy as np
from sqlalchemy import text

from app.db import Database, ReadSession, WriteSession, create_engine
from app.models.scoring import SCORE_INDEXES, score_index, scores_name
from app.schemas.models.models import RunRequest
from app.services.operations import operations
from app.services.runs import runs
from benchmarks import million
from tests.kept import store_model
from tests.service import Service, running_service

PEER = Path(__file__).with_name("rescoring_peer.py")
PEER_PYTHON = Path(__file__).parents[1] / ".venv-bench" / "bin" / "python"
PEER_CUSTOMERS = 100_000
MODEL = "model_of_benchmark"
READ = (
    "SELECT c.customer_id, c.stage, s.* FROM customers c"
    " LEFT JOIN purchase_summaries s USING (customer_id) ORDER BY 1"
)
READ_BY_PEER = (
    "SELECT customer_id, purchase_days, first_purchase_on, last_purchase_on, revenue,"
    " purchase_value, first_day_value FROM customers LEFT JOIN purchase_summaries"
    " USING (customer_id) ORDER BY 1"
)
WORKER = (
    "import sys; from app.config import Settings; from app.worker import work;"
    " work(Settings(scoring_every=None, log_level='ERROR'), sys.argv[1], until_eof=True)"
)


class Peak:
    """The most memory that a process has held."""

    def __init__(self, pid: int) -> None:
        self.megabytes, self._status = 0.0, Path(f"/proc/{pid}/status")

    def look(self) -> None:
        for line in self._status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM"):
                self.megabytes = int(line.split()[1]) / 1024


@contextmanager
def workers(service: Service, count: int) -> Iterator[list[Peak]]:
    url = service.dsn.replace("postgresql:", "postgresql+asyncpg:")
    started = [
        subprocess.Popen([sys.executable, "-c", WORKER, url], stdin=subprocess.PIPE)
        for _ in range(count)
    ]
    try:
        yield [Peak(each.pid) for each in started]
    finally:
        for each in started:
            assert each.stdin is not None
            each.stdin.close()
            each.wait(60)


async def run(database: Database, service: Service, count: int) -> tuple[float, float]:
    """Return the seconds of a run by some workers, and the memory of the largest."""
    with workers(service, count) as peaks:
        await asyncio.sleep(6)  # until they have begun to ask for work
        async with database.writes() as session, session.begin():
            writing, now = WriteSession(ReadSession(session)), datetime.now(UTC)
            asked = RunRequest(model_id=MODEL)
            operation = await runs.submit(writing, million.HERE, asked, now=now, by="benchmark")
        while True:
            await asyncio.sleep(0.2)
            for peak in peaks:
                peak.look()
            async with database.reads() as session:
                row = await operations.get(ReadSession(session), operation["id"])
            if row.state == "failed":
                raise RuntimeError(row.error)
            if row.state == "succeeded":
                seconds = (row.finished_at - row.started_at).total_seconds()
                return seconds, max(peak.megabytes for peak in peaks)


async def copied(database: Database, dsn: str) -> tuple[float, float]:
    """Return the seconds of COPY of what a run reads, and of what it writes, with its indexes."""
    connection = await asyncpg.connect(dsn)
    async with database.writes() as session, session.begin():
        latest = await session.scalar(text("SELECT max(run_id) FROM runs"))
        await session.execute(text(f"CREATE TABLE taken (LIKE {scores_name(latest)})"))
    pieces: list[bytes] = []

    async def keep(piece: bytes) -> None:
        pieces.append(bytes(piece))

    async def ignore(_: object) -> None:
        pass

    async def source() -> Any:
        for piece in pieces:
            yield piece

    started = time.perf_counter()
    await connection.copy_from_query(READ, output=ignore, format="binary")
    read = time.perf_counter() - started
    every = f"SELECT * FROM {scores_name(latest)}"  # a number of ours
    await connection.copy_from_query(every, output=keep, format="binary")
    started = time.perf_counter()
    await connection.copy_to_table("taken", source=source(), format="binary")
    for name in SCORE_INDEXES:
        statement = score_index(latest, name).replace(scores_name(latest), "taken")
        await connection.execute(statement)
    written = time.perf_counter() - started
    await connection.execute("DROP TABLE taken")
    await connection.close()
    return read, written


class Caller:
    """Asks for score cards, one after the other, on a thread of its own."""

    def __init__(self, service: Service, customers: int) -> None:
        self._service, self._customers = service, customers
        self._stop, self.seconds = threading.Event(), list[float]()
        self._thread = threading.Thread(target=self._call)

    def _call(self) -> None:
        chance = np.random.default_rng(5)
        with httpx.Client(base_url=self._service.url, headers=self._service.headers) as client:
            while not self._stop.is_set():
                (each,) = million.customer_ids(int(chance.integers(self._customers)), 1)
                started = time.perf_counter()
                client.get(f"/v1/customers/{each}/scores").raise_for_status()
                self.seconds.append(time.perf_counter() - started)
                self._stop.wait(0.01)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def p99(self) -> float:
        return statistics.quantiles(self.seconds[5:], n=100)[98] * 1000


async def by_peer(dsn: str, customers: int) -> float | None:
    """Return the seconds of the script for everybody, from those for some; by COPY in and out."""
    if not PEER_PYTHON.exists():
        return None
    some = min(customers, PEER_CUSTOMERS)
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "CREATE TEMP TABLE peer (customer_id text, p_alive float8, expected float8,"
        " clv numeric(30, 4), r int, f int, m int, tier text)"
    )
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.csv", Path(folder) / "target.csv"
        started = time.perf_counter()
        await connection.copy_from_query(
            f"{READ_BY_PEER} LIMIT {some}", output=source, format="csv", header=True
        )
        seconds = time.perf_counter() - started
        done = await asyncio.to_thread(
            subprocess.run,
            [PEER_PYTHON, "-W", "ignore", PEER, source, target],
            capture_output=True,
            check=True,
        )
        seconds += float(json.loads(done.stdout)["seconds"])
        started = time.perf_counter()
        await connection.copy_to_table("peer", source=target, format="csv", header=True)
        seconds += time.perf_counter() - started
    await connection.close()
    return seconds * customers / some


async def main(service: Service, *, customers: int, quick: bool) -> None:
    now = million.instant()
    url = service.dsn.replace("postgresql:", "postgresql+asyncpg:")
    database = Database.on(create_engine(url, server_settings=million.NO_LIMIT))
    started = time.perf_counter()
    await million.fill(database, customers, now)
    async with database.writes() as session, session.begin():
        await store_model(WriteSession(ReadSession(session)), MODEL)
    print(f"{customers:,} customers made in {time.perf_counter() - started:.0f} s; "
          f"load {os.getloadavg()[0]:.1f}", flush=True)  # fmt: skip
    seconds, megabytes = await run(database, service, 1)
    print(f"run by one worker: {seconds:.1f} s, at most {megabytes:.0f} MB", flush=True)
    read, written = await copied(database, service.dsn)
    print(f"COPY out {read:.1f} s, COPY in {written:.1f} s", flush=True)
    ratios = []
    if not quick:
        two, _ = await run(database, service, 2)
        print(f"run by two workers: {two:.1f} s", flush=True)
        ratios.append(f"two workers: {seconds / two:.2f} x as fast as one")
        with Caller(service, customers) as idle:
            await asyncio.sleep(min(seconds, 10))
        with Caller(service, customers) as busy:
            await run(database, service, 1)
        print(f"score card p99: idle {idle.p99():.1f} ms, during a run {busy.p99():.1f} ms "
              f"({len(busy.seconds)} calls)", flush=True)  # fmt: skip
        ratios.append(f"p99 of score cards during a run: {busy.p99() / idle.p99():.1f} x idle")
        if (peer := await by_peer(service.dsn, customers)) is not None:
            print(f"pandas and lifetimes: {peer:.1f} s, by what {PEER_CUSTOMERS:,} customers took")
            ratios.append(f"rescoring: {peer / seconds:.1f} x as fast as pandas and lifetimes")
    await database.close()
    print("\n".join(ratios))
    print(f"rescoring {customers:,}: {seconds / (read + written):.2f} x COPY out and in")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="one worker beside COPY alone")
    asked = parser.parse_args()
    with running_service() as service:
        asyncio.run(partial(main, service, customers=asked.customers, quick=asked.quick)())
