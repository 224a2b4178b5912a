"""Migrate a million rows while callers go on, beside a reader that holds its lock for seconds.

The revisions are those that expand a schema as `docs/releases.md` has it: columns, a constraint
that is validated later, a concurrent index, a table. After them the same index and constraint, made
plainly: what the rules are for.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import asyncpg

from app.models import Base
from app.postgres.embedded import EmbeddedPostgres
from benchmarks.callers import Balancer, Callers
from benchmarks.rolling import SETTLED_SECONDS, serving
from tests import releases
from tests.prepared import reachable_folder
from tests.releases import EXPANSION, Release

CALLERS = 8
HELD_SECONDS = 3.0
PLAIN = """
    op.execute("ALTER TABLE transactions ADD CONSTRAINT ck_plainly CHECK (amount <> 1234567)")
    op.create_index("ix_plainly", "transactions", ["customer_id", "received_at", "amount"])
"""


async def fill(connection: asyncpg.Connection, rows: int) -> None:
    """Copy the one fact there is until there are so many, of a tenth as many customers."""
    whose = {"customer_id": "'m' || n"}
    facts = {"customer_id": f"'m' || n % {rows // 10}", "transaction_id": "'t' || n"}
    for table, every, named in (
        ("customers", 10, whose),
        ("purchase_summaries", 10, whose),
        ("transactions", 1, facts),
    ):
        names = [column.name for column in Base.metadata.tables[table].columns]
        values = ", ".join(named.get(name, f"one.{name}") for name in names)
        await connection.execute(
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {values}"
            f" FROM (SELECT * FROM {table} LIMIT 1) one, generate_series(0, {rows // every - 1}) n"
        )
    await connection.execute("VACUUM ANALYZE")


async def hold(connection: asyncpg.Connection) -> None:
    """Read in a transaction that lasts."""
    async with connection.transaction():
        await connection.fetchval("SELECT 1 FROM transactions LIMIT 1")
        await asyncio.sleep(HELD_SECONDS)


async def main(url: str, rows: int, before: Release, after: Release, plain: Release) -> None:
    assert before.run("migrate", CLM_DATABASE_URL=url).returncode == 0
    made = before.run("keys", "create", "--name", "b", "--scopes", "admin", CLM_DATABASE_URL=url)
    balancer = Balancer(made.stdout.strip())
    callers = Callers(balancer, writes=1)
    connection = await asyncpg.connect(url)
    watching = asyncio.create_task(balancer.watch())
    async with serving(before, url, balancer) as address:
        seed = {
            "customer_id": "seed",
            "transaction_id": "seed",
            "occurred_at": "2026-01-31T12:00:00Z",
            "amount": {"amount": "12.50"},
        }
        told = await balancer.send("POST", "/v1/transactions", seed, {})
        assert told is None, told
        await fill(connection, rows)
        watching.cancel()
        callers.phase = "before"
        async with callers.calling(CALLERS):
            await asyncio.sleep(SETTLED_SECONDS)
            for phase, release in (("expanding", after), ("plainly", plain)):
                callers.phase = phase
                started = time.perf_counter()
                holding = asyncio.create_task(hold(connection))
                done = await asyncio.to_thread(release.run, "migrate", CLM_DATABASE_URL=url)
                assert done.returncode == 0, done.stderr
                print(f"{phase}: migrated in {time.perf_counter() - started:.1f} s")
                await holding
            assert balancer.is_ready(address)
        ending = asyncio.create_task(balancer.watch())
    ending.cancel()
    callers.report()
    stored = await connection.fetchval("SELECT count(*) FROM transactions") - rows - 1
    print(f"acknowledged {len(callers.acknowledged)}, stored {stored}")
    await connection.close()


if __name__ == "__main__":
    given = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as code, reachable_folder() as folder:
        made = [releases.this(Path(code) / "before")]
        for name, revisions in (("after", EXPANSION), ("plain", EXPANSION | {"plain": PLAIN})):
            made.append(releases.after(Path(code) / name, revisions))
        with EmbeddedPostgres.start(folder / "data") as server:
            asyncio.run(main(server.url.replace("+asyncpg", ""), given, *made))
