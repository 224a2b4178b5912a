"""What `clm serve` owes when its PostgreSQL is killed: it comes back, and all is there."""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import asyncpg
import httpx

from tests.faults.conftest import Faults
from tests.faults.test_faults import item
from tests.prepared import ENVIRONMENT
from tests.service import Service, running_service

PATIENCE = 120.0


def postmaster(service: Service) -> int:
    """Return the server's process, as it says itself."""
    return int((service.data / "postgres/postmaster.pid").read_text().split()[0])


def backends(parent: int) -> list[int]:
    """Return the children of a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


class Writers:
    """Callers who write one fact after the other, and know which were acknowledged."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.stopping = False
        self.acknowledged: set[str] = set()
        self.refused: Counter[str] = Counter()

    async def write(self, name: str) -> None:
        number = 0
        while not self.stopping:
            number += 1
            fact = item(f"d-{name}", f"{name}-{number}")
            answer = await self._client.post("/v1/transactions", json=fact)
            if answer.status_code == 503:
                assert answer.headers["content-type"] == "application/problem+json"
                assert int(answer.headers["retry-after"]) > 0
                self.refused[answer.json()["code"]] += 1
                await asyncio.sleep(0.02)
            else:
                assert answer.status_code == 201, answer.text
                self.acknowledged.add(fact["transaction_id"])

    async def until(self, *, refused: int = 0, acknowledged: int = 0) -> None:
        """Wait for so many answers of either kind more."""
        refused += self.refused.total()
        acknowledged += len(self.acknowledged)
        async with asyncio.timeout(PATIENCE):
            while self.refused.total() < refused or len(self.acknowledged) < acknowledged:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def stored(service: Service) -> Counter[str]:
    connection = await asyncpg.connect(service.dsn)
    rows = await connection.fetch(
        "SELECT transaction_id FROM transactions WHERE customer_id LIKE 'd-%'"
    )
    await connection.close()
    return Counter(row["transaction_id"] for row in rows)


async def test_a_database_that_is_killed_comes_back_with_all_that_was_acknowledged(
    prepared: Path, faults: Faults
) -> None:
    with running_service(prepared=prepared, worker=True, **ENVIRONMENT) as service:
        async with httpx.AsyncClient(
            base_url=service.url, headers=service.headers, timeout=PATIENCE
        ) as client:
            writers = Writers(client)
            writing = [asyncio.create_task(writers.write(str(name))) for name in range(3)]
            killed = set()
            for turn in range(faults.kills_of_database):
                await writers.until(acknowledged=20)
                victim = postmaster(service)
                killed.add(victim)
                for pid in (victim, *(backends(victim) if turn % 2 else ())):
                    os.kill(pid, signal.SIGKILL)
                await writers.until(refused=1)
                assert (await client.get("/livez")).status_code == 200
                await writers.until(acknowledged=20)
            writers.stopping = True
            await asyncio.gather(*writing)
            assert (await client.get("/readyz")).status_code == 200
            assert len(killed) == faults.kills_of_database
            assert set(writers.refused) == {"database_unavailable"}
            found = await stored(service)
            assert writers.acknowledged <= set(found)
            assert set(found.values()) == {1}
            # The worker is there, too, and what was derived is what follows from the facts.
            rebuild = (await client.post("/v1/rebuilds", json={})).json()
            async with asyncio.timeout(PATIENCE):
                while rebuild["state"] in ("pending", "running"):
                    await asyncio.sleep(0.1)
                    rebuild = (await client.get(f"/v1/operations/{rebuild['id']}")).json()
            assert rebuild["state"] == "succeeded", rebuild
            assert rebuild["result"]["differing"] == 0
