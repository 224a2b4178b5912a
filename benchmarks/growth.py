"""What more data costs: bulks of facts beside many facts and beside few, and pages of long lists.

Facts come by bulk over HTTP, each customer's in order of time, and customers arrive as evenly as
they do; then all that is kept of each customer is copied to further ones. The list of churn risks
of some customers is held against that of many, written by COPY and scored by a run, page by page in
an open loop; the plans are shown.
"""

import argparse
import asyncio
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

import asyncpg
import httpx
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import event

from app.config import Settings
from app.main import create_app
from app.postgres.db import Database, ReadSession, WriteSession, create_engine
from benchmarks import business, load, million
from benchmarks.reads import PAGE, pages
from tests.kept import store_model
from tests.service import Service

BULK, ARRIVING, MEASURED, MULTIPLE = 1000, 50, 100, 50
FIRST = datetime(2022, 1, 1, 12, tzinfo=UTC)
FEW = 10_000
RATE, SECONDS, ROUNDS = 10.0, 5.0, 5


def facts(client: httpx.Client, service: Service, wanted: int, each: int) -> str:
    """Tell some of the facts, multiply what they have left, tell more; return after to before."""
    telling = Telling(client, service, wanted // MULTIPLE // each, wanted // MULTIPLE)
    telling.begin()
    before = telling.measured()
    asyncio.run(multiply(service.dsn))
    after = telling.measured(MULTIPLE)
    return (
        f"bulks at {wanted:,} facts: {after[0] / before[0]:.2f} x those at {telling.facts:,}, in"
        f" time of the processors {after[1:].sum() / before[1:].sum():.2f} x"
    )


@dataclass
class Telling:
    """Tells facts in order of time; customers arrive as evenly as facts do."""

    client: httpx.Client
    service: Service
    customers: int
    facts: int
    bulks: int = 0
    there: int = BULK
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))

    def begin(self) -> None:
        """Tell the first facts."""
        wanted = self.facts // BULK
        for number in range(1, wanted + 1):
            arriving = max(0, self.customers * number // wanted - self.there)
            self._tell(self._chosen(BULK - arriving, 1) + self._arriving(arriving))

    def measured(self, copies: int = 1) -> NDArray[np.float64]:
        """Tell more; return the median of the time of a bulk, and what it takes of processors."""
        turns = []
        for _ in range(MEASURED):
            items = self._chosen(BULK - ARRIVING, copies) + self._arriving(ARRIVING)
            begun = _processors(self.service), time.perf_counter()
            self._tell(items)
            seconds = time.perf_counter() - begun[1]
            after = zip(_processors(self.service), begun[0], strict=True)
            turns.append((seconds, *(now - then for now, then in after)))
        # Ticks of processors are coarse: their median would be one of two numbers.
        told = np.array([np.median([turn[0] for turn in turns]), *np.mean(turns, axis=0)[1:]])
        wall, api, database = 1e3 * told
        print(f"{self.facts * copies:,} facts: {wall:.1f} ms a bulk; processors: API {api:.1f} ms, "
              f"database {database:.1f}; load {os.getloadavg()[0]:.1f}", flush=True)  # fmt: skip
        return told

    def _chosen(self, n: int, copies: int) -> list[str]:
        known = self.customers if copies > 1 else self.there
        chosen = self.rng.choice(known * copies, n, replace=False).tolist()
        return [copied(business.name(each // copies), each % copies) for each in chosen]

    def _arriving(self, n: int) -> list[str]:
        self.there += n
        return [business.name(self.there - n + each) for each in range(n)]

    def _tell(self, customers: list[str]) -> None:
        at = (FIRST + timedelta(hours=self.bulks)).isoformat()
        amount = {"amount": f"{10 + self.bulks % 90}.50"}
        self.bulks += 1
        items = [
            {"customer_id": customer, "transaction_id": str(self.bulks), "occurred_at": at,
             "amount": amount}
            for customer in sorted(customers)
        ]  # fmt: skip
        business.tell(self.client, items)


def copied(customer: str, number: int) -> str:
    return f"{customer}-{number}" if number else customer


async def multiply(dsn: str) -> None:
    """Copy all that is kept of each customer to further ones."""
    connection = await asyncpg.connect(dsn, command_timeout=3600)
    columns = await connection.fetch(
        "SELECT table_name, column_name, data_type FROM information_schema.columns c"
        " JOIN information_schema.tables t USING (table_schema, table_name)"
        " WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND is_generated = 'NEVER'"
        " ORDER BY table_name <> 'customers', table_name, ordinal_position"
    )
    for table, grouped in groupby(columns, key=itemgetter("table_name")):
        names = [column["column_name"] for column in grouped]
        if "customer_id" not in names:
            continue
        told = [
            f"customer_id || '-' || k AS {name}" if name == "customer_id" else name
            for name in names
        ]
        await connection.execute(
            f"INSERT INTO {table} ({', '.join(names)}) OVERRIDING SYSTEM VALUE"
            f" SELECT {', '.join(told)} FROM {table}, generate_series(1, {MULTIPLE - 1}) k"
        )
        await connection.execute(f"VACUUM (ANALYZE) {table}")
    await connection.close()


def _processors(service: Service) -> tuple[float, ...]:
    return tuple(load.processor(service.pid, database=each) for each in (False, True))


async def score(service: Service, customers: int) -> None:
    """Write customers and a model, unless there are that many, and publish a run of them."""
    url = service.dsn.replace("postgresql:", "postgresql+asyncpg:")
    database = Database.on(create_engine(url, server_settings=million.NO_LIMIT))
    await million.fill(database, customers, million.instant())
    async with database.writes() as session, session.begin():
        await store_model(WriteSession(ReadSession(session)), "model_of_benchmark")
    await database.close()


def page(client: httpx.Client, service: Service) -> list[float]:
    asked = load.Load(client.base_url.port or 80, pages(client), service.headers, 4, SECONDS, RATE)
    return [load.ask(asked).p99 for _ in range(ROUNDS)]


async def plans(service: Service) -> list[str]:
    """Ask for a page in this process, and return the plans of its statements on scores."""
    asked: list[tuple[str, Any]] = []
    engine = create_engine(service.dsn.replace("postgresql:", "postgresql+asyncpg:"))

    @event.listens_for(engine.sync_engine, "connect")
    def _(connection: Any, _: object) -> None:
        connection.driver_connection.add_query_logger(
            lambda record: asked.append((record.query, record.args))
        )

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def _(_connection: Any, _cursor: object, query: str, given: Any, *_: object) -> None:
        asked.append((query, given))

    api = create_app(Settings(), Database.on(engine))
    async with (
        api.router.lifespan_context(api),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(api), base_url="http://here", headers=service.headers
        ) as client,
    ):
        (await client.get("/v1/churn-risks?limit=50")).raise_for_status()
    connection = await asyncpg.connect(service.dsn)
    found: list[str] = []
    for query, arguments in asked:
        if "scores" in query and "LIMIT" in query.upper():
            plan = await connection.fetch(f"EXPLAIN (ANALYZE) {query}", *arguments)
            found += ["", *(str(line[0]) for line in plan[:12])]
    await connection.close()
    return found


def listed(customers: int) -> float:
    """Return the p99 of a page, in milliseconds, where there are so many customers."""
    with business.service() as (service, client):
        asyncio.run(score(service, customers))
        with business.workers(service):
            business.done(client, "/v1/scoring-runs", {})
        found: Any = page(client, service)
        print(f"{customers:,} customers, {PAGE}: p99 {np.median(found):.1f} ms at {RATE:g} "
              f"a second; load {os.getloadavg()[0]:.1f}")  # fmt: skip
        for line in asyncio.run(plans(service)):
            print(f"    {line[:120]}")
    return float(np.median(found))


def main(wanted: int, each: int, customers: int) -> None:
    with business.service() as (service, client):
        lines = [facts(client, service, wanted, each)]
    few, many = listed(FEW), listed(customers)
    lines.append(f"{PAGE} of {customers:,}: p99 {many / few:.2f} x that of {FEW:,}")
    print("\n".join(lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facts", type=int, default=200_000)
    parser.add_argument("--each", type=int, default=20, help="facts of a customer in the end")
    parser.add_argument("--customers", type=int, default=300_000, help="of the long list")
    given = parser.parse_args()
    main(given.facts, given.each, given.customers)
