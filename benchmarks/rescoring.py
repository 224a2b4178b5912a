"""A full scoring run from database to database by the real worker. `--customers N`, `--quick`.

By a process of purchases alone, and by a learnt churn risk. Beside it: COPY of the columns that
decide out, and of the same rows into a bare table, and then its indexes; the same job as a script
of pandas and lifetimes (`.venv-bench`); two workers; and the latency of single score cards while a
run is under way.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import asyncpg
import httpx
import numpy as np
from sqlalchemy import text

from app.postgres.db import Database, ReadSession, WriteSession, create_engine
from app.schemas.models.models import RunRequest
from app.scoring.churn import landmark
from app.scoring.histories.features import Facts
from app.services.operations import operations
from app.services.runs import runs
from benchmarks import business, load, million
from tests.kept import store_model
from tests.service import Service, running_service

PEER = Path(__file__).with_name("rescoring_peer.py")
PEER_PYTHON = Path(__file__).parents[1] / ".venv-bench" / "bin" / "python"
PEER_CUSTOMERS = 100_000
MODEL, LEARNT = "model_of_benchmark", "model_with_learnt_risk"
LEARNT_FROM = 8_000  # customers
READ = (
    "SELECT c.customer_id, c.stage, s.* FROM customers c"
    " LEFT JOIN purchase_summaries s USING (customer_id) ORDER BY 1"
)
READ_BY_PEER = (
    "SELECT customer_id, purchase_days, first_purchase_on, last_purchase_on, revenue,"
    " revenue AS purchase_value, first_day_value FROM customers LEFT JOIN purchase_summaries"
    " USING (customer_id) ORDER BY 1"
)


class Peak:
    """The most memory that a process has held."""

    def __init__(self, pid: int) -> None:
        self.megabytes, self._status = 0.0, Path(f"/proc/{pid}/status")

    def look(self) -> None:
        for line in self._status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM"):
                self.megabytes = int(line.split()[1]) / 1024


async def run(database: Database, service: Service, count: int, model: str) -> tuple[float, float]:
    """Return the seconds of a run by some workers, and the memory of the largest."""
    with business.workers(service, count) as started:
        peaks = [Peak(pid) for pid in started]
        await asyncio.sleep(6)  # until they have begun to ask for work
        before = sum(load.processor(pid) for pid in started)
        async with database.writes() as session, session.begin():
            writing, now = WriteSession(ReadSession(session)), datetime.now(UTC)
            asked = RunRequest(model_id=model)
            operation = await runs.submit(writing, million.HERE, asked, now=now, by="benchmark")
        while True:
            await asyncio.sleep(0.1)
            for peak in peaks:
                peak.look()
            async with database.reads() as session:
                row = await operations.get(ReadSession(session), operation["id"])
            if row.state == "failed":
                raise RuntimeError(row.error)
            if row.state == "succeeded":
                seconds = (row.finished_at - row.started_at).total_seconds()
                spent = sum(load.processor(pid) for pid in started) - before
                print(f"{count} x {model}: {seconds:.1f} s, "
                      f"{spent:.1f} s of the workers' processor; load {os.getloadavg()[0]:.1f}",
                      flush=True)  # fmt: skip
                return seconds, max(peak.megabytes for peak in peaks)


async def copied(dsn: str) -> tuple[float, float, float]:
    """Return the seconds of COPY of what a run reads, into a bare table, and of its indexes."""
    connection = await asyncpg.connect(dsn)
    run_id = await connection.fetchval("SELECT max(run_id) FROM runs")
    own = await connection.fetchval("SELECT to_regclass($1)::text", f"runs.scores_{run_id}")
    table = own or "public.scores"
    latest = f"SELECT * FROM {table}" + ("" if own else f" WHERE run_id = {run_id}")
    indexes = await connection.fetch(
        "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = $1::text::regclass",
        table,
    )
    await connection.execute(f"CREATE TABLE taken (LIKE {table})")
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
    await connection.copy_from_query(latest, output=keep, format="binary")
    started = time.perf_counter()
    await connection.copy_to_table("taken", source=source(), format="binary")
    written = time.perf_counter() - started
    started = time.perf_counter()
    for number, (made,) in enumerate(indexes):
        _, _, rest = made.partition(" USING ")
        unique = "UNIQUE " if " UNIQUE " in made else ""
        await connection.execute(f"CREATE {unique}INDEX taken_{number} ON taken USING {rest}")
    indexed = time.perf_counter() - started
    await connection.execute("DROP TABLE taken")
    await connection.close()
    return read, written, indexed


def learnt_risk() -> dict[str, Any]:
    """Return a churn risk learnt from customers like those of the business."""
    known = business.purchases(LEARNT_FROM)
    at = [datetime.fromisoformat(item["occurred_at"]) for item in known]
    day = np.array([each.toordinal() for each in at])
    facts = Facts(
        customer=np.array([int(item["customer_id"][2:]) for item in known]),
        day=day,
        amount=np.array([float(item["amount"]["amount"]) for item in known]),
    )
    return landmark.fit(facts, as_of=int(day.max()), horizon=90).as_dict()


async def store_models(database: Database) -> None:
    async with database.writes() as session, session.begin():
        await store_model(WriteSession(ReadSession(session)), LEARNT)
        await session.execute(
            text(
                "UPDATE models SET document = jsonb_set(document, '{risk}', CAST(:risk AS jsonb))"
            ),
            {"risk": json.dumps(learnt_risk())},
        )
        await store_model(WriteSession(ReadSession(session)), MODEL)


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


async def main(asked: argparse.Namespace, service: Service) -> None:
    now, customers = million.instant(), asked.customers
    url = service.dsn.replace("postgresql:", "postgresql+asyncpg:")
    database = Database.on(create_engine(url, server_settings=million.NO_LIMIT))
    started = time.perf_counter()
    await million.fill(database, customers, now)
    await store_models(database)
    print(f"{customers:,} customers made in {time.perf_counter() - started:.0f} s", flush=True)
    seconds: dict[str, list[float]] = {}
    for _ in range(asked.rounds):
        for model in (MODEL, LEARNT):
            took, megabytes = await run(database, service, 1, model)
            seconds.setdefault(model, []).append(took)
    copies = [await copied(service.dsn) for _ in range(asked.rounds)]
    read, written, indexed = (statistics.median(each) for each in zip(*copies, strict=True))
    print(f"at most {megabytes:.0f} MB; COPY out {read:.1f} s, into a bare table {written:.1f} s, "
          f"its indexes {indexed:.1f} s", flush=True)  # fmt: skip
    one = {name: statistics.median(took) for name, took in seconds.items()}
    ratios = []
    if not asked.quick:
        two, _ = await run(database, service, 2, MODEL)
        ratios.append(f"two workers: {one[MODEL] / two:.2f} x as fast as one")
        with Caller(service, customers) as idle:
            await asyncio.sleep(min(one[MODEL], 10))
        with Caller(service, customers) as busy:
            await run(database, service, 1, MODEL)
        print(f"score card p99: idle {idle.p99():.1f} ms, during a run {busy.p99():.1f} ms "
              f"({len(busy.seconds)} calls)", flush=True)  # fmt: skip
        ratios.append(f"p99 of score cards during a run: {busy.p99() / idle.p99():.1f} x idle")
        if (peer := await by_peer(service.dsn, customers)) is not None:
            print(f"pandas and lifetimes: {peer:.1f} s, by what {PEER_CUSTOMERS:,} customers took")
            ratios.append(f"rescoring: {peer / one[MODEL]:.1f} x as fast as pandas and lifetimes")
    await database.close()
    print("\n".join(ratios))
    for name, took in one.items():
        ratio = took / (read + written + indexed)
        print(f"rescoring {customers:,} by {name}: {ratio:.2f} x COPY out, into a bare table, and "
              "its indexes")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one worker beside COPY alone")
    given = parser.parse_args()
    with running_service() as running:
        asyncio.run(main(given, running))
