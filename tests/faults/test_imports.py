"""What an import owes when its workers are killed: each line once, and totals that say so."""

import asyncio
import json
import random
from collections import Counter
from decimal import Decimal

import asyncpg
import httpx

from tests.api.test_imports import HEADER, MAPPING
from tests.faults.conftest import Faults
from tests.faults.test_runs import finished, worker_of
from tests.service import Service

LINES = 4_000


def orders(chance: random.Random) -> tuple[str, Counter[str], Decimal]:
    """Return a file, how many of its rows come to what, and the money of its purchases."""
    rows, counted, money = [], Counter[str](), Decimal(0)
    for number in range(LINES):
        fate = chance.choices(["mapped", "rejected", "left_out"], [90, 5, 5])[0]
        counted[fate] += 1
        amount = Decimal(chance.randrange(1, 9_999)) / 100
        money += amount if fate == "mapped" else 0
        day = f"2025-{1 + chance.randrange(12):02}-{1 + chance.randrange(28):02}"
        rows.append(
            f"K-{number},k-{chance.randrange(300):04},{day} 12:00,"
            f"{'?' if fate == 'rejected' else amount},{'test' if fate == 'left_out' else 'paid'}\n"
        )
    return HEADER + "".join(rows), counted, money


async def read_on(connection: asyncpg.Connection, import_id: str, more: int) -> None:
    """Wait until workers have committed so many rows more."""
    asked = "SELECT CAST(tally ->> 'rows' AS int) FROM imports WHERE import_id = $1"
    first = await connection.fetchval(asked, import_id)
    for _ in range(20_000):
        if await connection.fetchval(asked, import_id) >= first + more:
            return
        await asyncio.sleep(0.002)
    raise AssertionError("the import does not come further")


async def until(client: httpx.AsyncClient, operation_id: str) -> None:
    for _ in range(2_000):
        if await finished(client, operation_id):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the operation does not end")


async def test_an_import_whose_worker_is_killed_often_writes_each_line_once(
    service: Service, faults: Faults
) -> None:
    chance = random.Random(7)
    content, counted, money = orders(chance)
    connection = await asyncpg.connect(service.dsn)
    async with httpx.AsyncClient(
        base_url=service.url, headers=service.headers, timeout=60
    ) as client:
        (await client.put("/v1/mappings/killed", json={"document": MAPPING})).raise_for_status()
        sent = await client.post(
            "/v1/imports", params={"mapping": "killed", "source": "killed"}, content=content
        )
        import_id = sent.json()["id"]
        for _ in range(faults.kills_in_run):
            with worker_of(service):
                await read_on(connection, import_id, 200)
                await asyncio.sleep(chance.uniform(0, 0.05))
            assert not await finished(client, import_id)
        with worker_of(service):
            await until(client, import_id)
            totals = (await client.get(f"/v1/imports/{import_id}")).json()["totals"]
            rebuild = (await client.post("/v1/rebuilds", json={})).json()
            await until(client, rebuild["id"])
        found = (await client.get(f"/v1/operations/{rebuild['id']}")).json()
        refused = (await client.get(f"/v1/imports/{import_id}/rejected")).text
    stored = await connection.fetchrow(
        "SELECT count(*), sum(amount) FROM transactions WHERE source = 'killed'"
    )
    await connection.close()
    assert tuple(stored) == (counted["mapped"], money)
    assert {fate: totals[f"{fate}_rows"] for fate in counted} == counted
    assert totals["facts"]["transactions"]["created"] == counted["mapped"], json.dumps(totals)
    assert totals["money"][0]["purchased"]["amount"] == str(money)
    assert len(refused.splitlines()) == counted["rejected"] + 1
    assert found["result"]["differing"] == 0
