"""Upgrade a service while callers go on: migrate, then replace each process of the API in turn.

Two processes of the release before, one database, a round-robin that asks `/readyz`. The next
release migrates under writes; then each process gets SIGTERM, says that it is not ready, ends what
is in flight, and one of the next release takes its place. Nothing may fail but a connect, which the
round-robin tries elsewhere; and what was acknowledged is stored.
"""

import asyncio
import contextlib
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg

from app.postgres.embedded import EmbeddedPostgres
from benchmarks.callers import Balancer, Callers
from tests import releases
from tests.prepared import reachable_folder
from tests.releases import EXPANSION, Release
from tests.service import free_port

CALLERS = 8
SETTLED_SECONDS = 4.0


@contextlib.asynccontextmanager
async def serving(release: Release, url: str, balancer: Balancer) -> AsyncIterator[str]:
    """Run an API; at the end drain it, and wait until it has ended."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    words = ("serve", "--no-worker", "--port", str(port))
    settings = {"CLM_DATABASE_URL": url, "CLM_DRAIN_SECONDS": "2", "CLM_LOG_LEVEL": "ERROR"}
    process = release.start(*words, **settings)
    balancer.add(address)
    try:
        await balancer.until(address, ready=True)
        yield address
    finally:
        await drained(process, address, balancer)


async def drained(process: "subprocess.Popen[bytes]", address: str, balancer: Balancer) -> None:
    started = time.perf_counter()
    process.terminate()
    await balancer.until(address, ready=False)
    unready = time.perf_counter() - started
    status = await asyncio.to_thread(process.wait, 40)
    balancer.remove(address)
    print(
        f"drained: not ready after {unready:.2f} s, ended after"
        f" {time.perf_counter() - started:.2f} s with status {status}"
    )


async def main(url: str, before: Release, after: Release) -> None:
    done = before.run("migrate", CLM_DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    made = before.run("keys", "create", "--name", "b", "--scopes", "admin", CLM_DATABASE_URL=url)
    balancer = Balancer(made.stdout.strip())
    callers = Callers(balancer)
    watching = asyncio.create_task(balancer.watch())
    async with contextlib.AsyncExitStack() as last:
        first, second = contextlib.AsyncExitStack(), contextlib.AsyncExitStack()
        for each in (first, second):
            await each.enter_async_context(serving(before, url, balancer))
        watching.cancel()
        callers.phase = "before"
        async with callers.calling(CALLERS):
            await asyncio.sleep(SETTLED_SECONDS)
            callers.phase = "migration"
            done = await asyncio.to_thread(after.run, "migrate", CLM_DATABASE_URL=url)
            assert done.returncode == 0, done.stderr
            for number, each in (("first", first), ("second", second)):
                callers.phase = f"{number} replaced"
                await each.aclose()
                await last.enter_async_context(serving(after, url, balancer))
            callers.phase = "after"
            await asyncio.sleep(SETTLED_SECONDS)
        ending = asyncio.create_task(balancer.watch())
        await last.aclose()
        ending.cancel()
    callers.report()
    connection = await asyncpg.connect(url)
    stored = {row[0] for row in await connection.fetch("SELECT transaction_id FROM transactions")}
    await connection.close()
    lost = callers.acknowledged - stored
    print(f"acknowledged {len(callers.acknowledged)}, lost {len(lost)}")


if __name__ == "__main__":
    print(f"from {releases.previous_tag() or 'this code, as nothing is tagged yet'}")
    with tempfile.TemporaryDirectory() as code, reachable_folder() as folder:
        (Path(code) / "before").mkdir()
        old = releases.previous(Path(code) / "before")
        new = releases.after(Path(code) / "after", EXPANSION)
        with EmbeddedPostgres.start(folder / "data") as server:
            asyncio.run(main(server.url.replace("+asyncpg", ""), old, new))
