"""What more data costs: the last tenth of many facts beside the first, and pages of long lists.

Facts come by bulk over HTTP, each customer's in order of time, of a thousand customers drawn at
random a bulk. Then the list of churn risks of some customers is held against that of many, written
by COPY and scored by a run, page by page in an open loop; the plans are shown.
"""

import argparse
import asyncio
import os
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import numpy as np
from sqlalchemy import event

from app.config import Settings
from app.db import Database, ReadSession, WriteSession, create_engine
from app.main import create_app
from benchmarks import business, load, million
from benchmarks.reads import PAGE, pages
from tests.kept import store_model
from tests.service import Service

BULK, PARTS = 1000, 10
FEW = 10_000
RATE, SECONDS, ROUNDS = 10.0, 5.0, 5


def facts(client: httpx.Client, service: Service, wanted: int, each: int) -> str:
    """Tell facts, `each` of them to a customer in the end; return last tenth to first."""
    rng = np.random.default_rng(3)
    customers = max(wanted // each, BULK)
    told = np.zeros(customers, np.int64)
    start = datetime(2022, 1, 1, 12, tzinfo=UTC)
    spent: list[list[tuple[float, float]]] = [[] for _ in range(PARTS)]
    bulks = wanted // BULK
    for number in range(bulks):
        chosen = np.sort(rng.choice(customers, BULK, replace=False))
        items = [
            {
                "customer_id": business.name(customer),
                "transaction_id": str(told[customer]),
                "occurred_at": (start + timedelta(days=number * 1500 / bulks)).isoformat(),
                "amount": {"amount": f"{10 + customer % 90}.50"},
            }
            for customer in chosen.tolist()
        ]
        told[chosen] += 1
        begun, started = load.processor(service.pid), time.perf_counter()
        business.tell(client, items)
        seconds = time.perf_counter() - started
        spent[number * PARTS // bulks].append((seconds, load.processor(service.pid) - begun))
    for part, turns in enumerate(spent, start=1):
        seconds, processor = (
            statistics.median(column) * 1e3 for column in zip(*turns, strict=True)
        )
        print(f"facts, tenth {part}: {seconds:.1f} ms a bulk, {processor:.1f} ms of the API's "
              f"processor; load {os.getloadavg()[0]:.1f}", flush=True)  # fmt: skip
    first, last = (statistics.median(turn[0] for turn in spent[part]) for part in (0, -1))
    return f"last tenth of {wanted:,} facts: {last / first:.2f} x the first"


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
        print(f"{customers:,} customers, {PAGE}: p99 {statistics.median(found):.1f} ms at {RATE:g} "
              f"a second; load {os.getloadavg()[0]:.1f}")  # fmt: skip
        for line in asyncio.run(plans(service)):
            print(f"    {line[:120]}")
    return statistics.median(found)


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
