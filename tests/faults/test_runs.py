"""What a scoring run owes when its workers are killed."""

import asyncio
import contextlib
import multiprocessing
import random
from collections.abc import Iterator

import asyncpg
import httpx

from tests.faults import small_worker
from tests.faults.conftest import Faults
from tests.service import Service

CUSTOMERS, EARLY = 600, 40
# Processes begin as copies of one that has imported everything.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.faults.small_worker"])


@contextlib.contextmanager
def worker_of(service: Service) -> Iterator[None]:
    """Run a worker, and kill it."""
    url = service.dsn.replace("postgresql:", "postgresql+asyncpg:")
    worker = _PROCESSES.Process(target=small_worker.work, args=(url,))
    worker.start()
    try:
        yield
    finally:
        worker.kill()  # SIGKILL
        worker.join(10)


async def fill(client: httpx.AsyncClient, numbers: range) -> None:
    """Write customers of whom many have been silent for long, so that there are transitions."""
    chance = random.Random(3)
    batch = [
        {
            "customer_id": f"r-{number:05}",
            "transaction_id": str(fact),
            "occurred_at": f"2025-{1 + chance.randrange(12):02}-{1 + chance.randrange(28):02}"
            "T12:00:00Z",
            "amount": {"amount": f"{5 + chance.randrange(50)}.00"},
        }
        for number in numbers
        for fact in range(1 + number % 3)
    ]
    for begin in range(0, len(batch), 1000):
        body = {"items": batch[begin : begin + 1000]}
        (await client.post("/v1/transactions/bulk", json=body)).raise_for_status()


async def finished(client: httpx.AsyncClient, operation_id: str) -> bool:
    operation = (await client.get(f"/v1/operations/{operation_id}")).json()
    assert operation["state"] in ("pending", "running", "succeeded"), operation
    return bool(operation["state"] == "succeeded")


async def whole_runs_seen(
    client: httpx.AsyncClient, sizes: set[int], stop: asyncio.Event
) -> set[int]:
    """Read the published run again and again: it is there for everybody, or not at all."""
    seen = set()
    while True:
        last = stop.is_set()
        answer = await client.get("/v1/scores", headers={"Accept": "application/x-ndjson"})
        lines = answer.text.splitlines()
        assert len(lines) in sizes
        runs = {line.split('"run_id" : ')[1].split(",")[0] for line in lines}
        assert len(runs) <= 1
        seen |= {int(run) for run in runs}
        if last:
            return seen
        await asyncio.sleep(0.1)


async def amid_part(connection: asyncpg.Connection, more: int) -> None:
    """Wait until workers have begun so many parts more, or there are none left to begin."""
    begun = "SELECT sum(attempt), bool_and(state = 'done') FROM operation_parts"
    first, _ = await connection.fetchrow(begun)
    while True:
        now, none_left = await connection.fetchrow(begun)
        if none_left or now >= first + more:
            return
        await asyncio.sleep(0.002)


async def run(
    service: Service, client: httpx.AsyncClient, kills: int, chance: random.Random
) -> int:
    """Do a run whose worker is killed again and again; return how often that was amid it."""
    operation = (await client.post("/v1/scoring-runs", json={})).json()
    connection = await asyncpg.connect(service.dsn)
    amid = 0
    for _ in range(kills):
        with worker_of(service):
            await amid_part(connection, chance.randint(1, 3))
            await asyncio.sleep(chance.uniform(0, 0.03))
        amid += not await finished(client, operation["id"])
    await connection.close()
    with worker_of(service):
        for _ in range(1200):
            if await finished(client, operation["id"]):
                return amid
            await asyncio.sleep(0.1)
    raise AssertionError("the run does not end")


async def test_a_run_whose_worker_is_killed_often_is_whole_and_scores_each_once(
    service: Service, faults: Faults
) -> None:
    async with httpx.AsyncClient(
        base_url=service.url, headers=service.headers, timeout=60
    ) as client:
        connection = await asyncpg.connect(service.dsn)
        sizes, stop = {0}, asyncio.Event()
        reader = asyncio.create_task(whole_runs_seen(client, sizes, stop))

        async def filled(numbers: range) -> int:
            await fill(client, numbers)
            # Those of the tests before this one, on the same service, are scored as well.
            found: int = await connection.fetchval("SELECT count(*) FROM customers")
            sizes.add(found)
            return found

        due = [await filled(range(EARLY))]
        # A run that is seen until the next one is whole; that one has most of the transitions.
        await run(service, client, 0, random.Random(5))
        customers = await filled(range(EARLY, CUSTOMERS))
        assert customers >= CUSTOMERS
        for number in range(faults.killed_runs):
            due.append(customers)
            amid = await run(service, client, faults.kills_in_run, random.Random(5 + number))
            assert amid == faults.kills_in_run
        stop.set()
        seen = await reader
    run_ids = [row[0] for row in await connection.fetch("SELECT run_id FROM runs ORDER BY 1")]
    scored = [
        await connection.fetchrow(
            f"SELECT {run_id} AS run_id, count(*), count(DISTINCT customer_id)"
            f" FROM runs.scores_{run_id}"
        )
        for run_id in run_ids
    ]
    tried = await connection.fetchval("SELECT count(*) FROM operation_parts WHERE attempt > 1")
    twice = await connection.fetchval(
        "SELECT count(*) FROM (SELECT FROM stage_transitions WHERE voided_at IS NULL"
        " GROUP BY customer_id, effective_at, to_stage HAVING count(*) > 1) twice"
    )
    moved = await connection.fetchval(
        "SELECT count(*) FROM stage_transitions WHERE to_stage = 'churned'"
    )
    await connection.close()
    assert [tuple(row)[1:] for row in scored] == [(number, number) for number in due]
    assert seen == {row["run_id"] for row in scored}
    assert tried > 0
    assert (twice, moved > CUSTOMERS / 4) == (0, True)
