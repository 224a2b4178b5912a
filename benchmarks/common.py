"""What the benchmarks share: a real service on a database of its own, and honest timing."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import asyncpg
import httpx

from tests.service import Service, free_port, running_service

__all__ = ["Service", "free_port", "paired", "run", "timed"]


async def timed(what: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await what()
    return time.perf_counter() - started


async def paired(
    ours: Callable[[int], Awaitable[object]],
    theirs: Callable[[int], Awaitable[object]],
    rounds: int,
) -> tuple[float, float, float]:
    """Time two things in turn, so that both see the same machine; medians, and median ratio."""
    pairs = []
    for turn in range(rounds):
        mine = await timed(lambda turn=turn: ours(turn))
        pairs.append((mine, await timed(lambda turn=turn: theirs(turn))))
    mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    return mine, other, statistics.median(a / b for a, b in pairs)


def run(main: Callable[[Service, asyncpg.Connection, httpx.AsyncClient], Awaitable[None]]) -> None:
    """Run a benchmark against a service of its own."""

    async def inner(service: Service) -> None:
        connection = await asyncpg.connect(service.dsn)
        async with httpx.AsyncClient(
            base_url=service.url, headers=service.headers, timeout=120
        ) as client:
            await main(service, connection, client)
        await connection.close()

    with running_service() as service:
        asyncio.run(inner(service))
