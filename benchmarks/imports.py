"""A file of orders taken in, beside plain COPY of the rows that came of it into the same tables.

In the order of time, as systems export it, or customer by customer. Memory of API and worker, CPU
of them and the database, and the time of each hundred thousand rows beside the first, are told as
well; everything derived is derived anew at the end, and has to be the same. With `--compare` the
same rows go through the door of bulks into another database: all that is stored has to be equal.
Files and tables are on disk, so that there may be any number of rows.

A row of a customer who is known costs more than one of a new one: with `--generations 3` customers
buy within a third of the file, and the last rows meet new ones as the first do.
"""

import argparse
import asyncio
import contextlib
import csv
import itertools
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from tests.customer_tables import TABLES, WRITTEN
from tests.service import Service, running_service

HEADER = "order_id,customer_id,order_date,amount\n"
STEP = 100_000
BATCH = 1_000
QUERY = {"preset": "orders", "parameters": '{"time_zone":"UTC"}'}


def rows(number: int, generations: int = 1) -> Iterator[str]:
    """Yield rows in the order of time, of customers who buy ten times each."""
    chance = random.Random(5)
    buyers = max(number // 10 // generations, 1)
    for row in range(number):
        customer = row * generations // number * buyers + chance.randrange(buyers)
        yield (
            f"O-{row},c-{customer:07},{2015 + row * 10 // number}-"
            f"{1 + row * 120 // number % 12:02}-{1 + chance.randrange(28):02},"
            f"{chance.randrange(500, 9_999) / 100}\n"
        )


def write(file: Path, asked: argparse.Namespace) -> None:
    """Write the rows to a file."""
    made = rows(asked.rows, asked.generations)
    if asked.by_customer:
        made = iter(sorted(made, key=lambda row: row.split(",")[1]))
    with file.open("w") as out:
        if asked.ndjson:
            read = csv.DictReader(itertools.chain([HEADER], made))
            out.writelines(f"{json.dumps(row)}\n" for row in read)
        else:
            out.writelines(itertools.chain([HEADER], made))


def items(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file as items of a bulk."""
    with file.open() as opened:
        for line in map(json.loads, opened) if file.suffix == ".ndjson" else csv.DictReader(opened):
            yield {
                "transaction_id": line["order_id"],
                "customer_id": line["customer_id"],
                "occurred_at": f"{line['order_date']}T00:00:00Z",
                "amount": {"amount": line["amount"]},
            }


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
    with tempfile.NamedTemporaryFile() as held:
        for table in TABLES:
            await connection.copy_from_table(table, output=held.name, format="binary")
            await connection.execute(f"CREATE TABLE copy_of_{table} (LIKE {table} INCLUDING ALL)")
            begun = time.perf_counter()
            await connection.copy_to_table(f"copy_of_{table}", source=held.name, format="binary")
            seconds += time.perf_counter() - begun
            await connection.execute(f"DROP TABLE copy_of_{table}")
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
        found[table] = tuple(await connection.fetchrow(asked, list(WRITTEN)))
    await connection.close()
    return found


def by_bulk(file: Path) -> tuple[float, float, dict[str, tuple[int, int]]]:
    """Send the rows of a file in batches; return seconds, those of CPU, and the digest."""
    with (
        running_service(worker=False, CLM_SCORING_EVERY="off") as service,
        httpx.Client(base_url=service.url, headers=service.headers, timeout=600) as client,
    ):
        begun, before = time.perf_counter(), processor(service.pid) + database(service)
        left = items(file)
        while batch := list(itertools.islice(left, BATCH)):
            client.post("/v1/transactions/bulk", json={"items": batch}).raise_for_status()
        passed = time.perf_counter() - begun
        spent = processor(service.pid) + database(service) - before
        return passed, spent, asyncio.run(digest(service.dsn))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--by-customer", action="store_true")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--ndjson", action="store_true")
    parser.add_argument("--generations", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"orders.{'ndjson' if asked.ndjson else 'csv'}")
        write(file, asked)
        kept = by_file(file, asked.rows)
        if asked.compare:
            seconds, spent, others = by_bulk(file)
            assert kept == others, (kept, others)
            print(f"by bulk: {seconds:.1f} s, CPU {spent:.1f} s, and all rows are equal: {kept}")


def by_file(file: Path, number: int) -> dict[str, tuple[int, int]]:
    """Have a file taken in, and tell of it; return the digest."""
    with (
        running_service(worker=True, CLM_SCORING_EVERY="off") as service,
        httpx.Client(base_url=service.url, headers=service.headers, timeout=600) as client,
        file.open("rb") as content,
    ):
        before = (processor(service.pid), processor(worker_of(service)), database(service))
        begun = time.perf_counter()
        sent = client.post("/v1/imports", params=QUERY, content=content)
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
    size = file.stat().st_size
    print(f"{number:,} rows of {size:,} bytes: sent in {uploaded:.1f} s, in {total:.1f} s")
    told = ", ".join(
        f"{who} {end - start:.1f} s"
        for who, start, end in zip(("API", "worker", "database"), before, spent, strict=True)
    )
    print(f"CPU: {told}; load {os.getloadavg()[0]:.1f}")
    print(f"memory at most: API {memory[0]} MB, worker {memory[1]} MB")
    took = [end - begin for begin, end in itertools.pairwise(steps)]
    if len(took) > 1:
        beside = " ".join(f"{each / took[0]:.2f}" for each in took)
        print(f"each {STEP:,} rows beside the first: {beside}")
    print(f"rows a second: {number / total:,.0f}, {plain / total:.3f} of COPY")
    return kept


if __name__ == "__main__":
    main()
