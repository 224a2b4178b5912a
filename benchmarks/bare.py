"""The least that could answer anything about a customer: a FastAPI route with one `fetchrow`.

Under uvicorn, as the service is, but without its bounds; as a process of its own.
"""

import contextlib
import gc
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator

import asyncpg
import httpx
import uvicorn
from fastapi import FastAPI

from tests.service import free_port

PATH = "/customers/{}"
QUERY = "SELECT * FROM purchase_summaries WHERE customer_id = $1"


def bare_app(dsn: str) -> FastAPI:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.pool = await asyncpg.create_pool(dsn, min_size=10, max_size=10)
        yield
        await app.state.pool.close()

    app = FastAPI(lifespan=lifespan)

    @app.get(PATH.format("{customer_id}"))
    async def get_customer(customer_id: str) -> dict[str, object]:
        return dict(await app.state.pool.fetchrow(QUERY, customer_id))

    return app


@contextlib.contextmanager
def running(dsn: str, customer_id: str) -> Iterator[tuple[int, int]]:
    """Run the route; yield its port and process once it answers."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.bare", dsn, str(port)])
    try:
        for _ in range(240):
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"http://127.0.0.1:{port}{PATH.format(customer_id)}").raise_for_status()
                break
            time.sleep(0.25)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    app = bare_app(sys.argv[1])
    gc.collect()
    gc.freeze()
    uvicorn.run(app, port=int(sys.argv[2]), log_config=None, access_log=False, ws="none")
