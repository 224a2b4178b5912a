"""What an import owes when processes are killed: each line once, and totals that say so."""

import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from app.demo import data
from tests.api.test_imports import HEADER, MAPPING
from tests.faults.chaos.deployment import Deployment, deployed
from tests.faults.conftest import Faults
from tests.faults.test_database_death import PATIENCE
from tests.faults.test_runs import finished, worker_of
from tests.service import Service

LINES = 2_500


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


LOG = data.read_log()[:3_500]
PARTED = {"preset": "orders", "parameters": '{"time_zone":"UTC"}', "source": "cdnow"}


def log_of_purchases() -> bytes:
    """Return half of the sample as a file; each row has an id of its own."""
    rows = [f"{row.number},{row.customer},{row.on},{row.amount}\n" for row in LOG]
    return ("order_id,customer_id,order_date,amount\n" + "".join(rows)).encode()


async def in_pieces(content: bytes, until: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    """Yield a file piece by piece; the second half when something has come to pass."""
    half = len(content) // 2
    yield content[:half]
    if until is not None:
        await until.wait()
    yield content[half:]


class Callers:
    """Who asks whichever API answers."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self.api = 0

    async def ask(self, method: str, path: str, **rest: Any) -> Any:
        """Ask one API after the other until there is an answer that is no refusal."""
        headers = {"Authorization": f"Bearer {self._deployment.key}"}
        async with asyncio.timeout(PATIENCE):
            while True:
                url = self._deployment.urls[self.api]
                async with httpx.AsyncClient(
                    base_url=url, headers=headers, timeout=PATIENCE
                ) as client:
                    try:
                        answer = await client.request(method, f"/v1{path}", **rest)
                    except httpx.TransportError:
                        answer = None
                if answer is not None and answer.status_code != 503:
                    answer.raise_for_status()
                    return answer.json()
                self.api = 1 - self.api
                await asyncio.sleep(0.1)

    async def until_done(self, operation: Any) -> Any:
        while operation["state"] in ("pending", "running"):
            await asyncio.sleep(0.05)
            operation = await self.ask("GET", f"/operations/{operation['id']}")
        assert operation["state"] == "succeeded", operation
        return operation


async def kill_amid_reading(deployment: Deployment, import_id: str) -> None:
    """Kill the worker that reads, the database, then an API, each amid the file."""
    for kill in ("worker", "database", "api", "worker"):
        connection = await deployment.connect()
        await read_on(connection, import_id, 400)
        await connection.close()
        if kill == "database":
            os.kill(deployment.postmaster(), signal.SIGKILL)
        else:
            for each in deployment.workers if kill == "worker" else deployment.apis[:1]:
                each.kill()
        assert deployment.heal() == []


async def test_a_file_survives_the_death_of_worker_database_and_api(prepared: Path) -> None:
    content = log_of_purchases()
    async with deployed([timedelta()] * 4, 1, prepared=prepared, namespace=False) as deployment:
        assert await deployment.seconds_until_ready(PATIENCE) < PATIENCE
        callers, dead = Callers(deployment), asyncio.Event()
        headers = {"Authorization": f"Bearer {deployment.key}"}
        async with httpx.AsyncClient(base_url=deployment.urls[0], headers=headers) as client:
            half = in_pieces(content, dead)
            sending = asyncio.create_task(client.post("/v1/imports", params=PARTED, content=half))
            connection = await deployment.connect()
            async with asyncio.timeout(PATIENCE):
                while not await connection.fetchval("SELECT count(*) FROM imports"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            deployment.apis[0].kill()
            dead.set()
            with pytest.raises(httpx.TransportError):
                await sending
        assert not await connection.fetchval("SELECT count(*) FROM transactions")
        await connection.close()
        operation = await callers.ask("POST", "/imports", params=PARTED, content=content)
        await kill_amid_reading(deployment, operation["id"])
        operation = await callers.until_done(operation)
        rebuild = await callers.until_done(await callers.ask("POST", "/rebuilds", json={}))
        connection = await deployment.connect()
        stored = await connection.fetch("SELECT customer_id, transaction_id FROM transactions")
        summaries = await connection.fetch(
            "SELECT customer_id, purchase_days, revenue FROM purchase_summaries"
        )
        await connection.close()
    assert Counter(map(tuple, stored)) == Counter((row.customer, str(row.number)) for row in LOG)
    days = Counter(customer for customer, _ in {(row.customer, row.on) for row in LOG})
    spent = dict.fromkeys(days, Decimal(0))
    for row in LOG:
        spent[row.customer] += Decimal(row.amount)
    assert {row[0]: (row[1], row[2]) for row in summaries} == {
        customer: (days[customer], spent[customer]) for customer in days
    }
    totals = operation["result"]
    assert (totals["rows"], totals["facts"]["transactions"]["created"]) == (len(LOG), len(LOG))
    assert totals["money"][0]["purchased"]["amount"] == str(sum(spent.values()))
    assert rebuild["result"]["differing"] == 0
