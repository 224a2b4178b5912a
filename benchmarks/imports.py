"""A file of orders taken in, beside plain COPY of the rows that came of it into the same tables.

In the order of time, as systems export it, or customer by customer. Memory of API and worker, CPU
of them and the database, and the time of the last hundred thousand rows beside the first, are told
as well; everything derived is derived anew at the end, and has to be the same. With `--compare` the
same rows go through the door of bulks into another database: all that is stored has to be equal.
"""

import argparse
import asyncio
import contextlib
import csv
import io
import json
import os
import random
import time
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from tests.service import Service, running_service

TABLES = ("customers", "transactions", "purchase_summaries", "stage_transitions")
HEADER = "order_id,customer_id,order_date,amount\n"
STEP = 100_000
BATCH = 1_000
WRITTEN = ("received_at", "recorded_at", "created_at", "updated_at", "transition_id", "version",
           "stage_version")  # fmt: skip
"""What tells when and how often something was written."""
QUERY = {"preset": "orders", "parameters": '{"time_zone":"UTC"}'}


def rows(number: int, *, by_customer: bool = False) -> str:
    """Return a file, in the order of time or of customers, who buy ten times each."""
    chance = random.Random(5)
    buyers = max(number // 10, 1)
    made = [
        f"O-{row},c-{chance.randrange(buyers):07},{2015 + row * 10 // number}-"
        f"{1 + row * 120 // number % 12:02}-{1 + chance.randrange(28):02},"
        f"{chance.randrange(500, 9_999) / 100}\n"
        for row in range(number)
    ]
    if by_customer:
        made.sort(key=lambda row: row.split(",")[1])
    return HEADER + "".join(made)


def as_lines(content: str) -> str:
    """Return a file as objects of JSON, one a line."""
    return "".join(f"{json.dumps(row)}\n" for row in csv.DictReader(io.StringIO(content)))


def peak(pid: int) -> int:
    """Return the most memory a process has had, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def processor(pid: int) -> float:
    """Return the seconds of CPU that a process has had, and its children that have ended."""
    told = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, told[11:15])) / os.sysconf("SC_CLK_TCK")


def database(service: Service) -> float:
    """Return the seconds of CPU of the server and its processes."""
    postmaster = next(service.data.rglob("postmaster.pid")).read_text().split()[0]
    seconds = processor(int(postmaster))
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"PPid:\t{postmaster}\n" in (folder / "status").read_text():
                seconds += processor(int(folder.name))
    return seconds


def worker_of(service: Service) -> int:
    """Return the process of the worker, which the service has started."""
    for folder in Path("/proc").glob("[0-9]*"):
        words = (folder / "cmdline").read_bytes().split(b"\0")
        if b"worker" in words and f"PPid:\t{service.pid}\n" in (folder / "status").read_text():
            return int(folder.name)
    raise RuntimeError("no worker")


def follow(client: httpx.Client, import_id: str) -> tuple[float, list[float]]:
    """Wait for an import; return its seconds, and when each further step of rows had been read."""
    begun, steps = time.perf_counter(), [0.0]
    while True:
        found = client.get(f"/v1/imports/{import_id}").json()
        passed = time.perf_counter() - begun
        while found["totals"]["rows"] >= len(steps) * STEP:
            steps.append(passed)
        if found["state"] not in ("pending", "running"):
            assert found["state"] == "succeeded", found
            return passed, steps
        time.sleep(0.25)  # each question costs what some rows do


async def copied(dsn: str) -> float:
    """Return the seconds that COPY takes for the rows of all tables, with their indexes."""
    connection = await asyncpg.connect(dsn)
    seconds = 0.0
    for table in TABLES:
        held = io.BytesIO()
        await connection.copy_from_table(table, output=held, format="binary")
        await connection.execute(f"CREATE TABLE copy_of_{table} (LIKE {table} INCLUDING ALL)")
        held.seek(0)
        begun = time.perf_counter()
        await connection.copy_to_table(f"copy_of_{table}", source=held, format="binary")
        seconds += time.perf_counter() - begun
    await connection.close()
    return seconds


def rebuild(client: httpx.Client) -> dict[str, Any]:
    operation = client.post("/v1/rebuilds", json={}).json()
    while operation["state"] in ("pending", "running"):
        time.sleep(0.5)
        operation = client.get(f"/v1/operations/{operation['id']}").json()
    result: dict[str, Any] = operation["result"]
    return result


async def digest(dsn: str) -> dict[str, tuple[int, int]]:
    """Return by table how many rows it has, and what stands for all of them in any order."""
    connection = await asyncpg.connect(dsn)
    found = {}
    for table in TABLES:
        row = "CAST(to_jsonb(t) - CAST($1 AS text[]) AS text)"
        asked = f"SELECT count(*), sum(hashtextextended({row}, 0)) FROM {table} t"
        if table == "stage_transitions":
            asked += " WHERE voided_at IS NULL"
        found[table] = tuple(await connection.fetchrow(asked, WRITTEN))
    await connection.close()
    return found


def by_bulk(content: str) -> tuple[float, dict[str, tuple[int, int]]]:
    """Send the rows of a file in batches; return the seconds of CPU, and the digest."""
    with (
        running_service(worker=False, CLM_SCORING_EVERY="off") as service,
        httpx.Client(base_url=service.url, headers=service.headers, timeout=600) as client,
    ):
        before = processor(service.pid) + database(service)
        lines = list(csv.DictReader(io.StringIO(content)))
        for start in range(0, len(lines), BATCH):
            items = [
                {
                    "transaction_id": line["order_id"],
                    "customer_id": line["customer_id"],
                    "occurred_at": f"{line['order_date']}T00:00:00Z",
                    "amount": {"amount": line["amount"]},
                }
                for line in lines[start : start + BATCH]
            ]
            client.post("/v1/transactions/bulk", json={"items": items}).raise_for_status()
        spent = processor(service.pid) + database(service) - before
        return spent, asyncio.run(digest(service.dsn))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--by-customer", action="store_true")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--ndjson", action="store_true")
    asked = parser.parse_args()
    number: int = asked.rows
    content = rows(number, by_customer=asked.by_customer)
    with (
        running_service(worker=True, CLM_SCORING_EVERY="off") as service,
        httpx.Client(base_url=service.url, headers=service.headers, timeout=600) as client,
    ):
        before = (processor(service.pid), processor(worker_of(service)), database(service))
        begun = time.perf_counter()
        body = as_lines(content) if asked.ndjson else content
        sent = client.post("/v1/imports", params=QUERY, content=body.encode())
        assert sent.status_code == 202, sent.text
        uploaded = time.perf_counter() - begun
        seconds, steps = follow(client, sent.json()["id"])
        spent = (processor(service.pid), processor(worker_of(service)), database(service))
        memory = peak(service.pid), peak(worker_of(service))
        kept = asyncio.run(digest(service.dsn))
        plain = asyncio.run(copied(service.dsn))
        found = rebuild(client)
    assert found["differing"] == 0, found
    total = uploaded + seconds
    print(f"{number:,} rows of {len(content):,} bytes: sent in {uploaded:.1f} s, in {total:.1f} s")
    told = ", ".join(
        f"{who} {end - start:.1f} s"
        for who, start, end in zip(("API", "worker", "database"), before, spent, strict=True)
    )
    print(f"CPU: {told}; load {os.getloadavg()[0]:.1f}")
    print(f"memory at most: API {memory[0]} MB, worker {memory[1]} MB")
    if len(steps) > 2:
        last = (steps[-1] - steps[-2]) / (steps[1] - steps[0])
        print(f"last {STEP:,} rows: {last:.2f} x the first")
    print(f"rows a second: {number / total:,.0f}, {plain / total:.3f} of COPY")
    if asked.compare:
        seconds, others = by_bulk(content)
        assert kept == others, (kept, others)
        print(f"by bulk: CPU {seconds:.1f} s, and all rows are equal: {kept}")


if __name__ == "__main__":
    main()
