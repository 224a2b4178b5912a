"""Scores of one table for all runs go to one for each, and back; a run being made begins again."""

from typing import Any

from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.models.scoring import SCORE_INDEXES, scores_of
from app.postgres import schema
from app.services.runs import score_tables
from tests.database import writing

BEFORE, AFTER = "0013", "0014"
COLUMNS = "customer_id, stage, revenue, probability, value_to_save, call_reasons, last_purchase_on"


async def _move(engine: AsyncEngine, revision: str) -> None:
    def move(connection: Connection) -> None:
        configuration = schema.config()
        configuration.attributes["connection"] = connection
        (command.downgrade if revision == BEFORE else command.upgrade)(configuration, revision)

    async with engine.connect() as connection:
        await connection.run_sync(move)
        await connection.commit()


async def _rows(engine: AsyncEngine, query: str) -> list[tuple[Any, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


async def _two_runs(engine: AsyncEngine) -> None:
    """Write a published run of three customers, and one that is being made, with one row."""
    async with engine.begin() as connection:
        for name, state, published in (("a", "succeeded", "now()"), ("b", "running", "NULL")):
            await connection.execute(
                text(
                    "INSERT INTO operations (operation_id, kind, state, request, context, done,"
                    f" total, created_at) VALUES ('{name}', 'scoring_run', '{state}', '{{}}',"
                    " '{\"run_id\": 2}', 3, 9, now())"
                )
            )
            await connection.execute(
                text(
                    "INSERT INTO runs (operation_id, model_id, policy_version, as_of, created_at,"
                    f" published_at) VALUES ('{name}', 'm', 1, now(), now(), {published})"
                )
            )
        await connection.execute(
            text(
                "INSERT INTO operation_parts (operation_id, task, arguments, state, attempt)"
                " SELECT 'b', 'score', '{}', 'pending', 0 FROM generate_series(1, 6)"
            )
        )
        await connection.execute(
            text(
                "INSERT INTO scores (customer_id, run_id, stage, status, purchase_days, revenue,"
                " last_purchase_on, probability, value_to_save, call_reasons)"
                " SELECT 'c' || n, run, 'active', 'ok', n, n + 0.5, '2026-01-31', 1.0 / n, 9 - n,"
                " CASE n WHEN 1 THEN '{overdue}'::text[] ELSE '{}' END"
                " FROM (VALUES (1, 1), (2, 1), (3, 1), (1, 2)) AS of_run (n, run)"
            )
        )


async def test_scores_go_to_the_table_of_their_run_and_back(engine: AsyncEngine) -> None:
    await _move(engine, BEFORE)
    await _two_runs(engine)
    before = await _rows(engine, f"SELECT {COLUMNS} FROM scores WHERE run_id = 1 ORDER BY 1")
    assert len(before) == 3
    await _move(engine, AFTER)
    assert await _rows(engine, f"SELECT {COLUMNS} FROM runs.scores_1 ORDER BY 1") == before
    assert await _rows(engine, "SELECT DISTINCT explanation FROM runs.scores_1") == [(None,)]
    assert await _rows(engine, "SELECT run_id FROM runs") == [(1,)]
    await _move(engine, BEFORE)
    query = f"SELECT {COLUMNS} FROM scores ORDER BY run_id, customer_id"
    assert await _rows(engine, query) == before
    await _move(engine, "head")
    assert await _rows(engine, f"SELECT {COLUMNS} FROM runs.scores_1 ORDER BY 1") == before


async def test_a_run_that_is_being_made_begins_again(engine: AsyncEngine) -> None:
    await _move(engine, BEFORE)
    await _two_runs(engine)
    await _move(engine, AFTER)
    assert await _rows(engine, "SELECT task, state FROM operation_parts") == [
        ("scoring_run", "pending")
    ]
    query = "SELECT state, done, total, context FROM operations WHERE operation_id = 'b'"
    assert await _rows(engine, query) == [("pending", 0, 1, {})]
    assert await _rows(engine, "SELECT tablename FROM pg_tables WHERE schemaname = 'runs'") == [
        ("scores_1",)
    ]


SHAPE = (
    "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute"
    " WHERE attrelid = 'runs.scores_{0}'::regclass AND attnum > 0 ORDER BY attname"
)
INDEXES = "SELECT replace(indexdef, '_{0}', '') FROM pg_indexes WHERE tablename = 'scores_{0}'"


async def test_a_table_that_was_moved_is_like_one_that_a_run_makes(engine: AsyncEngine) -> None:
    await _move(engine, BEFORE)
    await _two_runs(engine)
    await _move(engine, "head")
    async with engine.begin() as connection:
        session = writing(connection)  # type: ignore[arg-type]  # it executes alike
        await score_tables.create(session, 7)
        for name in SCORE_INDEXES:
            await score_tables.index(session, 7, name)
    for query in (SHAPE, INDEXES):
        moved, made = [sorted(await _rows(engine, query.format(run))) for run in (1, 7)]
        assert moved == made
        assert len(moved) >= len(SCORE_INDEXES)
    assert len(await _rows(engine, SHAPE.format(7))) == len(scores_of(7).c)
