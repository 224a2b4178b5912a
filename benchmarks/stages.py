"""The stages of everybody, evaluated anew, beside COPY of the columns that decide them.

A million customers already summarised: no stage changes, then one in fifty does. `--customers N`.
"""

import argparse
import resource
import tempfile
import time
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import text

from app.postgres.db import Database, ReadSession, WriteSession
from app.postgres.embedded import EmbeddedPostgres
from app.services.common import deployment_settings
from app.services.customer_base import populations
from app.services.operations.parts import Part
from app.services.runs import runs
from app.services.stages import due_transitions
from benchmarks import million

ROUNDS, ONE_IN = 3, 50
COLUMNS = (
    "SELECT c.customer_id, c.stage, facts, purchase_days, life_purchase_days, lives,"
    " policy_version, first_purchase_on, last_purchase_on, life_started_on, facts_until,"
    " next_fact_at FROM customers c LEFT JOIN purchase_summaries s"
    " ON s.customer_id = c.customer_id AND s.customer_id > $1 AND s.customer_id <= $2"
)
Range = tuple[str, str]


async def ignored(_: object) -> None:
    pass


async def thrown_away(database: Database, ranges: list[Range]) -> float:
    """Read the columns in the same ranges, and do nothing with them."""
    async with database.writes() as session:
        await session.execute(text("SELECT 1"))
        raw = await (await session.connection()).get_raw_connection()
        started = time.perf_counter()
        for after, up_to in ranges:
            query = f"{COLUMNS} WHERE c.customer_id > $1 AND c.customer_id <= $2 ORDER BY 1"
            await raw.driver_connection.copy_from_query(
                query, after, up_to, output=ignored, format="binary"
            )
        return time.perf_counter() - started


async def evaluated(database: Database, ranges: list[Range], now: datetime) -> tuple[float, int]:
    async with database.reads() as session:
        reading, moved = ReadSession(session), 0
        started = time.perf_counter()
        for after, up_to in ranges:
            moved += len(
                await due_transitions.due(reading, million.HERE, now, after=after, up_to=up_to)
            )
        return time.perf_counter() - started, moved


async def recorded(database: Database, ranges: list[Range], now: datetime) -> float:
    """Do the parts of a run that record transitions, each committed."""
    started = time.perf_counter()
    for number, (after, up_to) in enumerate(ranges):
        part = Part(number, 1, "transition", {"after": after, "up_to": up_to}, "", runs.RUN, {}, {})
        async with database.writes() as session, session.begin():
            await runs.transition_part(WriteSession(ReadSession(session)), million.HERE, part, now)
    return time.perf_counter() - started


async def looked_at_until(database: Database, at: datetime) -> None:
    async with database.writes() as session, session.begin():
        await deployment_settings.put(
            WriteSession(ReadSession(session)), deployment_settings.RECORDED_UNTIL, at.isoformat()
        )


async def main(database: Database, *, customers: int) -> None:
    now = million.instant()
    started = time.perf_counter()
    await million.fill(database, customers, now, movers=ONE_IN)
    print(f"{customers:,} customers made in {time.perf_counter() - started:.0f} s", flush=True)
    async with database.reads() as session:
        ranges = await populations.boundaries(ReadSession(session), runs.SCORE_PART)
    await looked_at_until(database, now - timedelta(days=1))
    turns = []
    for _ in range(ROUNDS):
        copied = await thrown_away(database, ranges)
        seconds, found = await evaluated(database, ranges, now)
        assert found == 0
        turns.append((seconds / copied, seconds, copied))
    ratio, seconds, copied = sorted(turns)[ROUNDS // 2]
    print(f"COPY out, thrown away: {copied:.2f} s; evaluation, nobody moving: {seconds:.2f} s")
    tomorrow = now + timedelta(days=1)
    _, movers = await evaluated(database, ranges, tomorrow)
    moving = await recorded(database, ranges, tomorrow)
    await looked_at_until(database, tomorrow)
    _, left = await evaluated(database, ranges, tomorrow)
    print(f"evaluation, and {movers - left:,} of {movers:,} transitions recorded: {moving:.2f} s")
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most")
    print(f"1 in {ONE_IN} moving: {moving / copied:.1f} x COPY of the columns that decide")
    print(f"nobody moving: {ratio:.2f} x COPY of the columns that decide")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--customers", type=int, default=1_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clm-bench-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres.start(Path(folder), throwaway=True) as server:
            million.on_database(server.url, partial(main, customers=asked.customers))
