"""Reads by the driver: what they see, what they hold, and what becomes of a connection."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest
from sqlalchemy import text

from app.models import Setting
from app.postgres.db import Database, ReadSession, fetch_row, fetch_rows
from app.postgres.sqlstates import from_database
from tests.database import writing

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PID = "SELECT pg_backend_pid()"
KEPT = "SELECT value FROM settings WHERE key = $1"


def busy(database: Database) -> int:
    return database.engine.sync_engine.pool.checkedout()  # type: ignore[attr-defined]


async def test_a_reader_holds_no_connection_between_two_statements(own_database: Database) -> None:
    async with own_database.reads() as session:
        for _ in range(3):
            rows = await fetch_rows(ReadSession(session), "SELECT $1::int, pg_sleep(0)", 7)
            assert [row[0] for row in rows] == [7]
            assert busy(own_database) == 0
        assert await fetch_row(ReadSession(session), "SELECT 1 WHERE false") is None
        assert busy(own_database) == 0


async def test_a_reader_that_has_a_connection_asks_on_it(own_database: Database) -> None:
    async with own_database.reads() as session:
        own = await session.scalar(text(PID))
        assert (await fetch_rows(ReadSession(session), PID))[0][0] == own
        assert busy(own_database) == 1
    assert busy(own_database) == 0


async def test_a_reader_never_sees_what_is_not_committed_and_a_writer_sees_its_own(
    own_database: Database,
) -> None:
    async with own_database.writes() as session, session.begin():
        writer = writing(session)
        session.add(Setting(key="reading", value={"a": 1}))  # held back until something is asked
        assert (await fetch_row(writer, KEPT, "reading"))["value"] == {"a": 1}  # type: ignore[index]
        async with own_database.reads() as other:
            assert await fetch_rows(ReadSession(other), KEPT, "reading") == []
        await session.rollback()
    async with own_database.reads() as other:
        assert await fetch_rows(ReadSession(other), KEPT, "reading") == []


async def test_what_a_writer_asks_first_is_inside_its_transaction(own_database: Database) -> None:
    insert = "INSERT INTO settings (key, value) VALUES ('reading', '1') RETURNING key"
    async with own_database.writes() as session:
        assert len(await fetch_rows(writing(session), insert)) == 1
        await session.rollback()
    async with own_database.reads() as other:
        assert await fetch_rows(ReadSession(other), KEPT, "reading") == []


@pytest.mark.parametrize(
    ("query", "status"), [("SELECT 1 / (SELECT 0)", 422), ("SELECT pg_sleep(9)", 503)]
)
async def test_a_failed_read_says_what_any_other_would_and_frees_its_connection(
    own_database: Database, query: str, status: int
) -> None:
    async with own_database.reads() as session:
        pid = (await fetch_row(ReadSession(session), PID))[0]  # type: ignore[index]
        await fetch_rows(
            ReadSession(session), "SELECT set_config('statement_timeout', '50', false)"
        )
        with pytest.raises(asyncpg.PostgresError) as failure:
            await fetch_rows(ReadSession(session), query)
        told = from_database(failure.value)
        assert told is not None
        assert told.status == status
        assert busy(own_database) == 0
        assert (await fetch_row(ReadSession(session), PID))[0] == pid  # type: ignore[index]


async def test_a_connection_lost_amid_a_read_is_told_and_the_next_read_gets_another(
    own_database: Database,
) -> None:
    async with own_database.reads() as session:
        pid = (await fetch_row(ReadSession(session), PID))[0]  # type: ignore[index]
        asking = asyncio.create_task(fetch_rows(ReadSession(session), "SELECT pg_sleep(20)"))
        await asyncio.sleep(0.1)
        async with own_database.reads() as other:
            await other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)) as failure:
            await asking
        told = from_database(failure.value)
        assert told is not None
        assert told.status == 503
        assert (await fetch_row(ReadSession(session), "SELECT 5"))[0] == 5  # type: ignore[index]
    assert busy(own_database) == 0


async def test_connections_that_the_server_ended_are_replaced_before_anybody_asks(
    own_database: Database,
) -> None:
    async with own_database.reads() as other:
        await other.scalar(text(PID))
        async with own_database.reads() as session:
            pid = await session.scalar(text(PID))
        await other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    await asyncio.sleep(0.1)
    for _ in range(3):
        async with own_database.reads() as session:
            assert (await fetch_row(ReadSession(session), "SELECT 5"))[0] == 5  # type: ignore[index]
            assert await session.scalar(text("SELECT 5")) == 5
    assert busy(own_database) == 0


async def test_a_read_that_is_given_up_leaves_no_answer_to_the_next(own_database: Database) -> None:
    async with own_database.reads() as session:
        reader = ReadSession(session)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await fetch_rows(reader, "SELECT 1, pg_sleep(20)")
            assert busy(own_database) == 0
            assert (await fetch_row(reader, "SELECT 2"))[0] == 2  # type: ignore[index]


async def test_more_readers_than_connections_all_get_their_own_answers(
    own_database: Database,
) -> None:
    async def ask(number: int) -> int:
        async with own_database.reads() as session:
            rows = await fetch_rows(ReadSession(session), "SELECT $1::int, pg_sleep(.002)", number)
        return int(rows[0][0])

    assert await asyncio.gather(*map(ask, range(200))) == list(range(200))
    assert busy(own_database) == 0
