"""A million rows between PostgreSQL and numpy beside COPY itself, and beside rows of objects."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.postgres import binary_copy
from app.postgres.binary_copy import Block, Column, Field
from app.postgres.binary_copy.reader import Reader
from app.postgres.binary_copy.writer import Writer
from app.postgres.db import Database, ReadSession, WriteSession, copy_rows, create_engine
from app.postgres.embedded import EmbeddedPostgres
from benchmarks import common

ROWS, ROUNDS = 1_000_000, 3
NO_LIMIT = {"statement_timeout": "0"}
KINDS: dict[str, Any] = {
    "id": "text",
    **{f"i{n}": "int4" for n in range(8)},
    **{f"n{n}": "numeric" for n in range(6)},
    **{f"d{n}": "date" for n in range(3)},
    **{f"f{n}": "float8" for n in range(2)},
    "t": "timestamptz",
}
FIELDS = [
    Field(name, kind, fill=None if kind == "text" else 0) for name, kind in KINDS.items()
]  # fmt: skip
MOST = {"int4": 1000, "numeric": 10**8, "date": 20_000, "float8": 100, "timestamptz": 10**15}


def columns() -> dict[str, Column]:
    """Return columns, of which one of each kind is now and then NULL."""
    rng = np.random.default_rng(7)
    made = {"id": Column("text", [f"customer-{number}" for number in range(ROWS)])}
    for name, kind in KINDS.items():
        if kind != "text":
            null = rng.random(ROWS) < 0.1 if name.endswith("0") else None
            made[name] = Column(kind, rng.integers(0, MOST[kind], ROWS), null)
    return made


async def ignored(_: object) -> None:
    pass


async def thrown_away(session: AsyncSession, sql: str) -> None:
    raw = await (await session.connection()).get_raw_connection()
    await raw.driver_connection.copy_from_query(sql, output=ignored, format="binary")


async def read(session: AsyncSession) -> None:
    rows = 0

    async def take(block: Block) -> None:
        nonlocal rows
        rows += block.rows

    await binary_copy.read(ReadSession(session), "TABLE given", [], FIELDS, take)
    assert rows == ROWS


async def read_rows(session: AsyncSession) -> None:
    rows = 0
    async for part in (await session.stream(text("TABLE given"))).yield_per(5000).partitions():
        rows += len(part)
    assert rows == ROWS


async def write_bytes(session: AsyncSession, names: list[str], pieces: list[bytes]) -> None:
    async def source() -> Any:
        for piece in pieces:
            yield piece

    await session.execute(text("SELECT 1"))
    raw = await (await session.connection()).get_raw_connection()
    await raw.driver_connection.copy_to_table(
        "taken", source=source(), columns=names, format="binary"
    )


class Contest:
    """Sessions on one database; what is written is rolled back."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def reading(self, what: Callable[[AsyncSession], Awaitable[None]]) -> None:
        async with self.database.writes() as session:  # a cursor needs a transaction
            await session.execute(text("SELECT 1"))
            await what(session)

    async def writing(self, what: Callable[[WriteSession], Awaitable[None]]) -> None:
        async with self.database.writes() as session:
            await what(WriteSession(ReadSession(session)))

    async def read(self, name: str, theirs: Callable[[AsyncSession], Awaitable[None]]) -> str:
        return await compare("read", name, lambda _: self.reading(read),
                             lambda _: self.reading(theirs))  # fmt: skip

    async def write(
        self, name: str, given: dict[str, Column], theirs: Callable[[WriteSession], Awaitable[None]]
    ) -> str:
        def ours(session: WriteSession) -> Awaitable[None]:
            return binary_copy.write(session, "taken", given)

        return await compare("write", name, lambda _: self.writing(ours),
                             lambda _: self.writing(theirs))  # fmt: skip


async def compare(what: str, name: str, ours: Any, theirs: Any) -> str:
    mine, other, ratio = await common.paired(ours, theirs, ROUNDS)
    print(f"{what}: {mine:.2f} s, {name} {other:.2f} s", flush=True)
    return f"{what} {ROWS:,} rows of {len(KINDS)} columns: {ratio:.2f} x {name}"


async def main(url: str) -> None:
    database = Database.on(create_engine(url, server_settings=NO_LIMIT))
    given = columns()
    async with database.writes() as session:
        types = ", ".join(f"{n} {'numeric(18, 4)' if k == 'numeric' else k}"
                          for n, k in KINDS.items())  # fmt: skip
        for table in ("given", "taken"):
            await session.execute(text(f"CREATE UNLOGGED TABLE {table} ({types})"))
        await binary_copy.write(WriteSession(ReadSession(session)), "given", given)
        await session.commit()
        stored = (await session.execute(text("TABLE given"))).all()
    contest = Contest(database)
    sql = Reader(FIELDS, 1).sql("TABLE given")
    writer = Writer(given)
    pieces = [bytes(piece) async for piece in writer.stream()]
    name = "the same COPY thrown away"
    ratios = [await contest.read(name, lambda session: thrown_away(session, sql))]
    name = "COPY of the stored types thrown away"
    ratios += [await contest.read(name, lambda session: thrown_away(session, "TABLE given"))]
    ratios += [await contest.read("SQLAlchemy rows", read_rows)]
    name = "COPY of bytes made before"
    ratios += [await contest.write(name, given, lambda s: write_bytes(s, writer.names, pieces))]
    records = [tuple(row) for row in stored]
    name = "copy_records_to_table of objects made before"
    ratios += [
        await contest.write(name, given, lambda s: copy_rows(s, "taken", list(KINDS), records))
    ]
    await database.close()
    print("\n".join(ratios))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="clm-bench-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres.start(Path(folder), throwaway=True) as server:
            asyncio.run(main(server.url))
