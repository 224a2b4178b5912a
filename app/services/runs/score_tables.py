"""The table that a run writes: made empty, filled by parts, indexed, and then only read.

Nobody reads it before it is published, so that nothing waits for what is done to it. What drops it
again is `operations/housekeeping`. See `docs/decisions/0032`.
"""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.schema import CreateTable

from app.models.scoring import RUN_SCHEMA, SEARCHED, score_index, scores_name, scores_of
from app.postgres import binary_copy
from app.postgres.binary_copy import Column
from app.postgres.db import WriteSession

SORTING_MEMORY = "128MB"
"""For the keys of a million customers at once; more of them are sorted in pieces."""
LONGEST = "1h"
"""For an index of hundreds of millions of rows; other statements of workers have less."""


async def create(session: WriteSession, run_id: int) -> None:
    """Make the table of a run, without anything that is checked row by row."""
    await session.execute(CreateTable(scores_of(run_id)))


async def fill(session: WriteSession, run_id: int, columns: Mapping[str, Column]) -> None:
    """Append rows, in the transaction that says that they are there."""
    await binary_copy.write(session, scores_of(run_id).name, columns, schema=RUN_SCHEMA)


async def analyse(session: WriteSession, run_id: int) -> None:
    """Tell the planner what lists ask for; nothing else does before it is published."""
    await session.execute(text(f"ANALYZE {scores_name(run_id)} ({', '.join(SEARCHED)})"))


async def index(session: WriteSession, run_id: int, name: str) -> None:
    """Build one index; others may be built beside it."""
    await session.execute(text(f"SET LOCAL maintenance_work_mem = '{SORTING_MEMORY}'"))
    await session.execute(text(f"SET LOCAL statement_timeout = '{LONGEST}'"))
    await session.execute(text(score_index(run_id, name)))


async def release(session: WriteSession, run_id: int) -> None:
    """Hand the finished table to autovacuum, which would have stood in the way of indexes."""
    await session.execute(text(f"ALTER TABLE {scores_name(run_id)} RESET (autovacuum_enabled)"))
