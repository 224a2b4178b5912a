"""What `app.postgres.binary_copy` transitions is what asyncpg itself reads and writes."""

import dataclasses
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.postgres import binary_copy
from app.postgres.binary_copy import Block, Column, Field, writer
from app.postgres.binary_copy import reader as reader_module
from app.postgres.binary_copy.reader import Reader
from app.postgres.binary_copy.writer import Writer
from app.postgres.db import Database, WriteSession, copy_rows
from tests.database import writing

TYPES = {
    "small": "int2", "middle": "int4", "big": "int8", "real": "float8", "flag": "bool",
    "day": "date", "moment": "timestamptz", "money": "numeric(30, 4)", "id": "text", "note": "text",
}  # fmt: skip
NAMES = list(TYPES)
FILLS: dict[str, Any] = {
    "small": -1, "middle": -1, "big": -(2**63), "real": float("nan"), "flag": True, "day": -1,
    "moment": -(2**60), "money": 2**63 - 1, "id": None, "note": "it's \\ none",
}  # fmt: skip
FIELDS = [
    Field(name, kind.split("(")[0], FILLS[name], (name != "id" and f"no {name}") or None)
    for name, kind in TYPES.items()
]
EPOCH, DAY_0 = datetime(1970, 1, 1, tzinfo=UTC), date(1970, 1, 1)
MICROSECOND = timedelta(microseconds=1)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=128)
UNITS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-20_000, 20_000),
    st.builds(lambda sign, power, more: sign * 10**power + more,
              st.sampled_from([-1, 1]), st.integers(0, 18), st.integers(-1, 1)),
)  # fmt: skip
ROWS = st.lists(
    st.tuples(
        *map(
            st.none().__or__,
            (
                st.integers(-(2**15), 2**15 - 1),
                st.integers(-(2**31), 2**31 - 1),
                st.integers(-(2**63), 2**63 - 1),
                st.floats(allow_nan=False),
                st.booleans(),
                # The driver takes the first and the last for infinity.
                st.dates(date(1, 1, 2), date(9999, 12, 30)),
                st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
                UNITS.map(lambda units: Decimal(units).scaleb(-4)),
            ),
        ),
        texts.filter(bool),
        st.none() | texts,
    ),
    max_size=12,
)
QUICK = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def to_numpy(value: Any) -> Any:
    match value:
        case datetime():
            return (value - EPOCH) // MICROSECOND
        case date():
            return (value - DAY_0).days
        case Decimal():
            return int(value.scaleb(4))
    return value


def columns_of(rows: list[tuple[Any, ...]]) -> dict[str, Column]:
    """Return all columns, last first; what stands for NULL does not matter."""
    columns = {}
    for field, values in reversed(list(zip(FIELDS, zip(*rows, strict=True), strict=False))):
        null = np.array([value is None for value in values])
        blank = {"text": "?", "float8": 0.5, "bool": False}.get(field.kind, 7)
        given = [blank if value is None else to_numpy(value) for value in values]
        columns[field.name] = Column(field.kind, given, null)
    return columns


class Taken:
    """The blocks of an answer, and then their rows with None for NULL."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []

    async def __call__(self, block: Block) -> None:
        assert block.rows > 0
        self.blocks.append(block)

    def rows(self, fields: list[Field] = FIELDS) -> list[tuple[Any, ...]]:
        found = []
        for block in self.blocks:
            columns = []
            for field in fields:
                values = block.texts.get(field.name) or block.arrays[field.name].tolist()
                null = block.arrays[field.mask] if field.mask else [False] * block.rows
                assert len(values) == len(null) == block.rows
                for value, empty in zip(values, null, strict=True):
                    same = value == field.fill or value != value  # noqa: PLR0124  # NaN
                    assert same or not empty
                columns.append([None if e else v for v, e in zip(values, null, strict=True)])
            found += zip(*columns, strict=True)
        return found


@pytest.fixture
async def tables(session: WriteSession) -> WriteSession:
    """Two empty tables of every kind: `ours` and `theirs`."""
    columns = ", ".join(f"{name} {kind}" for name, kind in TYPES.items())
    for table in ("ours", "theirs"):
        await session.execute(text(f"CREATE TEMPORARY TABLE {table} ({columns}) ON COMMIT DROP"))
    return session


async def empty(session: WriteSession) -> None:
    await session.execute(text("TRUNCATE ours, theirs"))


async def count(session: WriteSession, sql: str) -> int:
    return (await session.execute(text(sql))).scalar_one()


@pytest.fixture(params=[0, 100], ids=["columns", "one_by_one"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write few rows as many, and then as few."""
    monkeypatch.setattr(writer, "FEW_ROWS", request.param)


@QUICK
@given(rows=ROWS, piece=st.integers(1, 5))
@pytest.mark.usefixtures("either_way")
async def test_writes_what_the_driver_writes(
    tables: WriteSession, monkeypatch: pytest.MonkeyPatch, rows: list[Any], piece: int
) -> None:
    monkeypatch.setattr(writer, "PIECE_ROWS", piece)
    await empty(tables)
    await copy_rows(tables, "theirs", NAMES, rows)
    await binary_copy.write(tables, "ours", columns_of(rows) or columns_of_none())
    stored = await tables.execute(text(f"SELECT {', '.join(NAMES)} FROM ours"))
    assert [tuple(row) for row in stored] == rows
    for pair in ("ours", "theirs"), ("theirs", "ours"):
        assert not await count(
            tables, "SELECT count(*) FROM (SELECT * FROM {} EXCEPT ALL SELECT * FROM {})"
            .format(*pair)
        )  # fmt: skip
    bits = "numeric_send(money) || pg_column_size(money)::text::bytea || float8send(real)"
    assert not await count(
        tables, f"SELECT count(*) FROM (SELECT {bits}, hash_numeric(money) FROM ours"
        f" EXCEPT SELECT {bits}, hash_numeric(money) FROM theirs)"
    )  # fmt: skip


def columns_of_none() -> dict[str, Column]:
    return {field.name: Column(field.kind, []) for field in FIELDS}


@QUICK
@given(
    lists=st.lists(st.lists(texts, max_size=4), min_size=1, max_size=5),
    chosen=st.lists(st.integers(-1, 4), min_size=1, max_size=20),
)
@pytest.mark.usefixtures("either_way")
async def test_writes_lists_of_texts(
    tables: WriteSession, lists: list[list[str]], chosen: list[int]
) -> None:
    await tables.execute(text("CREATE TEMPORARY TABLE IF NOT EXISTS lists (n int4, a text[])"))
    await tables.execute(text("TRUNCATE lists"))
    codes = np.minimum(chosen, len(lists) - 1)
    columns = {
        "n": Column("int4", np.arange(len(codes))),
        "a": Column("text[]", lists, codes=codes),
    }
    await binary_copy.write(tables, "lists", columns)
    stored = await tables.execute(text("SELECT a FROM lists ORDER BY n"))
    assert [row.a for row in stored] == [lists[c] if c >= 0 else None for c in codes.tolist()]


@QUICK
@given(rows=ROWS, block_bytes=st.integers(1, 3000))
async def test_reads_what_the_driver_reads(
    tables: WriteSession, rows: list[Any], block_bytes: int
) -> None:
    await empty(tables)
    await copy_rows(tables, "theirs", NAMES, rows)
    taken = Taken()
    await binary_copy.read(
        tables, "SELECT * FROM theirs WHERE id <> $1", [""], FIELDS, taken, block_bytes=block_bytes
    )
    assert taken.rows() == [tuple(map(to_numpy, row)) for row in rows]


@QUICK
@given(
    rows=ROWS,
    wanted=st.sampled_from([NAMES, ["id"], ["id", "note"], NAMES[:8], ["flag"]]),
    places=st.lists(st.floats(0, 1), max_size=20).map(sorted),
    block_bytes=st.integers(1, 500),
)
async def test_blocks_and_chunks_may_end_anywhere(
    tables: WriteSession, rows: list[Any], wanted: list[str], places: list[float], block_bytes: int
) -> None:
    fields = [field for field in FIELDS if field.name in wanted]
    await empty(tables)
    await copy_rows(tables, "theirs", NAMES, rows)
    stream = await copied(tables, Reader(fields, 1).sql("SELECT * FROM theirs"))
    cuts = [int(place * len(stream)) for place in places]
    reader, taken = Reader(fields, block_bytes), Taken()
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        if block := reader.feed(stream[begin:end]):
            await taken(block)
    if block := reader.finish():
        await taken(block)
    at = [NAMES.index(name) for name in wanted]
    assert taken.rows(fields) == [tuple(to_numpy(row[i]) for i in at) for row in rows]


LETTERS = st.sampled_from(["c", "-", "7", "é", "客"])
ALIKE = st.lists(st.tuples(st.text(LETTERS, max_size=6), st.integers(1, 40)), max_size=8).map(
    lambda runs: [text for text, times in runs for _ in range(times)]
)


@settings(max_examples=60, deadline=None)
@given(ids=ALIKE, cuts=st.lists(st.floats(0, 1), max_size=8).map(sorted), after=st.integers(1, 9))
async def test_rows_whose_texts_are_of_one_length_are_read_like_any(
    ids: list[str], cuts: list[float], after: int
) -> None:
    fields = [Field("number", "int4"), Field("id", "text")]
    numbers = list(range(len(ids)))
    columns = {"number": Column("int4", numbers), "id": Column("text", ids)}
    stream = b"".join([bytes(piece) async for piece in Writer(columns).stream()])
    bounds = [int(cut * len(stream)) for cut in cuts]
    for rows_before in (after, len(ids) + 1):  # the second one reads row by row
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reader_module, "_ALIKE", rows_before)
            reader, taken = Reader(fields, 1), Taken()
            for begin, end in zip([0, *bounds], [*bounds, len(stream)], strict=True):
                if block := reader.feed(stream[begin:end]):
                    await taken(block)
            if block := reader.finish():
                await taken(block)
        assert taken.rows(fields) == list(zip(numbers, ids, strict=True))


async def copied(session: WriteSession, sql: str) -> bytes:
    chunks = []

    async def output(chunk: bytes) -> None:
        chunks.append(chunk)

    raw = await (await session.connection()).get_raw_connection()
    await raw.driver_connection.copy_from_query(sql, output=output, format="binary")
    return b"".join(chunks)


async def test_many_rows_come_in_bounded_blocks(tables: WriteSession) -> None:
    many = 30_000
    ids = [f"顾客-{number}" for number in range(many)]
    columns = {
        "id": Column("text", ids),
        "note": Column("text", ["new", "客", ""], codes=np.arange(many) % 4 - 1),
        "big": Column("int8", np.arange(many)),
        "day": Column("date", np.broadcast_to(-1, many)),
        "flag": Column("bool", np.ones(many, bool), np.arange(many) % 2 == 0),
    }
    await binary_copy.write(tables, "ours", columns)
    taken = Taken()
    fields = [Field("big", "int8"), Field("day", "date"), Field("flag", "bool", fill=False),
              Field("note", "text", "none"), Field("id", "text")]  # fmt: skip
    await binary_copy.read(tables, "TABLE ours", [], fields, taken, block_bytes=100_000)
    sizes = [block.rows for block in taken.blocks]
    assert len(sizes) > 3
    assert max(sizes) < 10_000  # a chunk of up to 256 KiB may come on top
    notes = ["none", "new", "客", ""]
    expected = [(i, -1, i % 2 == 1, notes[i % 4], each) for i, each in enumerate(ids)]
    for got, wanted in zip(taken.rows(fields), expected, strict=True):
        assert got == wanted


@pytest.mark.parametrize("kind", ["small", "day", "money", "flag", "note"])
@pytest.mark.parametrize("block_bytes", [1, 1_000_000])
async def test_null_without_a_fill_is_refused(
    tables: WriteSession, kind: str, block_bytes: int
) -> None:
    rows = [(1, 2, 3, 4.0, True, DAY_0, EPOCH, Decimal(5), "a", "b")] * 9
    nothing = tuple(None if name == kind else v for name, v in zip(NAMES, rows[0], strict=True))
    await copy_rows(tables, "theirs", NAMES, [*rows, nothing])
    strict = [dataclasses.replace(field, fill=None, mask=None) for field in FIELDS]
    for more in ([], rows):
        await copy_rows(tables, "theirs", NAMES, more)
        with pytest.raises(ValueError, match="NULL"):
            await binary_copy.read(
                tables, "TABLE theirs", [], strict, Taken(), block_bytes=block_bytes
            )


@pytest.mark.parametrize(
    ("kind", "sql"),
    [("numeric", "922337203685477.5808"), ("numeric", "-922337203685477.5809"),
     ("int4", "2147483648")],
)  # fmt: skip
async def test_numbers_too_large_to_read(session: WriteSession, kind: Any, sql: str) -> None:
    with pytest.raises(OverflowError):
        await binary_copy.read(session, f"SELECT {sql} AS a", [], [Field("a", kind)], Taken())


@pytest.mark.parametrize(
    ("column", "error"),
    [
        (Column("int2", [0, 2**15]), OverflowError),
        (Column("int8", np.array([2**63], np.uint64)), OverflowError),
        (Column("date", [-(2**31)]), OverflowError),
        (Column("timestamptz", [-(2**63)]), OverflowError),
        (Column("int4", [0.5]), TypeError),
        (Column("bool", [2]), TypeError),
        (Column("text", ["a\0b"]), ValueError),
        (Column("text", ["a"], codes=[1]), IndexError),
    ],
)
@pytest.mark.usefixtures("either_way")
async def test_values_that_cannot_be_written(
    tables: WriteSession, column: Column, error: type[Exception]
) -> None:
    name = next(field.name for field in FIELDS if field.kind == column.kind)
    with pytest.raises(error):
        await binary_copy.write(tables, "ours", {name: column})


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="lengths"):
        writer.Writer({"a": Column("int2", [1]), "b": Column("int2", [1, 2])})


@pytest.mark.parametrize("many", [1, 100_000])
async def test_a_failing_taker_leaves_the_connection_usable(
    own_database: Database, many: int
) -> None:
    async def fail(block: Block) -> None:
        raise LookupError

    query = f"SELECT generate_series(1, {many}) AS a"
    async with own_database.reads() as session:
        for _ in range(3):
            with pytest.raises(LookupError):
                await binary_copy.read(
                    writing(session), query, [], [Field("a", "int4")], fail, block_bytes=1
                )
        assert await count(writing(session), "SELECT 1") == 1


async def test_written_rows_are_part_of_the_transaction(own_database: Database) -> None:
    async with own_database.writes() as session:
        await session.execute(text("CREATE TABLE written (a int4)"))
        await session.commit()
    for end, expected in ("rollback", 0), ("commit", 2):
        async with own_database.writes() as session:
            await binary_copy.write(writing(session), "written", {"a": Column("int4", [1, 2])})
            await getattr(session, end)()
        async with own_database.reads() as session:
            assert await count(writing(session), "SELECT count(*) FROM written") == expected


DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=10).filter(
    lambda number: abs(number) < 10**10
)


@QUICK
@given(
    rows=st.lists(
        st.tuples(
            st.binary(min_size=16, max_size=16),
            st.none() | st.dictionaries(texts, texts | st.floats(-9, 9) | st.booleans()),
            st.none() | DECIMALS,
        ),
        min_size=1,
        max_size=12,
    )
)
@pytest.mark.usefixtures("either_way")
async def test_writes_digests_json_and_decimals(
    tables: WriteSession, rows: list[tuple[bytes, Any, Decimal | None]]
) -> None:
    await tables.execute(
        text(
            "CREATE TEMPORARY TABLE IF NOT EXISTS rare"
            " (n int4, digest bytea, free jsonb, rate numeric(20, 10))"
        )
    )
    await tables.execute(text("TRUNCATE rare"))
    digests, free, rates = zip(*rows, strict=True)
    said = [json.dumps(value) for value in free if value is not None]
    known = np.array([value is not None for value in free])
    columns = {
        "n": Column("int4", np.arange(len(rows))),
        "digest": Column("bytea", np.frombuffer(b"".join(digests), "V16")),
        "free": Column("jsonb", said or ["0"], codes=np.where(known, known.cumsum() - 1, -1)),
        "rate": Column(
            "decimal", [rate or Decimal(0) for rate in rates], [rate is None for rate in rates]
        ),
    }
    await binary_copy.write(tables, "rare", columns)
    stored = await tables.execute(text("SELECT digest, free, rate FROM rare ORDER BY n"))
    assert [tuple(row) for row in stored] == rows


async def test_rows_come_in_the_order_that_is_asked_for(tables: WriteSession) -> None:
    await empty(tables)
    ids = ["b", "Ä", "a", "B", "_"]
    await copy_rows(tables, "theirs", NAMES, [(*[None] * 8, each, None) for each in ids])
    taken = Taken()
    query = 'SELECT id COLLATE "C" AS id FROM theirs'
    await binary_copy.read(tables, query, [], [Field("id", "text")], taken, order_by="id")
    assert [block_id for block in taken.blocks for block_id in block.texts["id"]] == sorted(ids)
