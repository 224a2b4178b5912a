"""`GET /v1/customers/{id}/scores` beside a bare FastAPI route that does one fetchrow."""

import asyncio
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
from fastapi import FastAPI

from benchmarks import common

CUSTOMERS, FACTS = 500, 8
REQUESTS, CONCURRENT, ROUNDS = 600, 16, 7


def bare_app(dsn: str) -> FastAPI:
    """The least that could answer anything about a customer."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.pool = await asyncpg.create_pool(dsn, min_size=10, max_size=10)
        yield
        await app.state.pool.close()

    app = FastAPI(lifespan=lifespan)

    @app.get("/customers/{customer_id}/summary")
    async def summary(customer_id: str) -> dict[str, object]:
        query = "SELECT * FROM purchase_summaries WHERE customer_id = $1"
        return dict(await app.state.pool.fetchrow(query, customer_id))

    return app


def serve_bare(dsn: str, port: int) -> None:
    import uvicorn  # noqa: PLC0415

    uvicorn.run(bare_app(dsn), port=port, log_level="warning", access_log=False)


async def rate(client: httpx.AsyncClient, path: str) -> float:
    """Return requests per second."""
    queue = iter(range(REQUESTS))

    async def work() -> None:
        for number in queue:
            answer = await client.get(path.format(number % CUSTOMERS))
            assert answer.status_code == 200, answer.text

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(CONCURRENT)))
    return REQUESTS / (time.perf_counter() - started)


async def fill(client: httpx.AsyncClient) -> None:
    now = datetime.now(UTC)
    batch = [
        {
            "customer_id": f"c-{number}",
            "transaction_id": str(fact),
            "occurred_at": (now - timedelta(days=1 + (number * 7 + fact * 31) % 300)).isoformat(),
            "amount": {"amount": f"{5 + (number + fact) % 50}.00"},
        }
        for number in range(CUSTOMERS)
        for fact in range(1 + number % FACTS)
    ]
    for start in range(0, len(batch), 1000):
        body = {"items": batch[start : start + 1000]}
        (await client.post("/v1/transactions/bulk", json=body)).raise_for_status()


async def fit(service: common.Service, client: httpx.AsyncClient) -> None:
    """Fit a model with a worker that is stopped again before anything is timed."""
    operation = (await client.post("/v1/models", json={"activate": True})).json()
    worker = subprocess.Popen(
        [sys.executable, "-c", "import sys; from app.config import Settings; from app.worker import"
         " work; work(Settings(scoring_every=None), sys.argv[1], until_eof=True)",
         service.dsn.replace("postgresql:", "postgresql+asyncpg:")],
        stdin=subprocess.PIPE,
    )  # fmt: skip
    while operation["state"] not in ("succeeded", "failed"):
        await asyncio.sleep(0.5)
        operation = (await client.get(f"/v1/operations/{operation['id']}")).json()
    assert operation["state"] == "succeeded", operation
    assert worker.stdin is not None
    worker.stdin.close()
    worker.wait(30)


async def main(
    service: common.Service, connection: asyncpg.Connection, client: httpx.AsyncClient
) -> None:
    del connection
    await fill(client)
    await fit(service, client)
    port = common.free_port()
    bare = subprocess.Popen([sys.executable, "-m", "benchmarks.scores", service.dsn, str(port)])
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as other:
            for _ in range(120):
                with contextlib.suppress(httpx.HTTPError):
                    await other.get("/customers/c-0/summary")
                    break
                await asyncio.sleep(0.25)
            pairs = [
                (
                    await rate(client, "/v1/customers/c-{}/scores"),
                    await rate(other, "/customers/c-{}/summary"),
                )
                for _ in range(ROUNDS)
            ]
    finally:
        bare.terminate()
        bare.wait(10)
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"score cards: {ours:.0f} a second; bare route with one fetchrow: {theirs:.0f}")
    print(f"GET scores: {ratio:.2f} x the requests of a bare route")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve_bare(sys.argv[1], int(sys.argv[2]))
    else:
        common.run(main)
