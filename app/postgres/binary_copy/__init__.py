"""Big columns between PostgreSQL and numpy by binary COPY, with no object for each number.

On the numpy side a date is the days since 1970, an instant the microseconds since 1970, and a
`numeric` of 4 decimals the count of its ten thousandths. Infinite dates and instants are not used.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from app.postgres.binary_copy.layout import Block, Column, Field, Kind
from app.postgres.binary_copy.reader import BLOCK_BYTES, Reader
from app.postgres.binary_copy.writer import Writer
from app.postgres.db import ReadSession, WriteSession, driver_of, timed

__all__ = ["BLOCK_BYTES", "Block", "Column", "Field", "Kind", "read", "write"]

_OUT_OF_RANGE = "22003"


async def read(
    session: ReadSession,
    query: str,
    args: Sequence[object],
    fields: Sequence[Field],
    take: Callable[[Block], Awaitable[None]],
    *,
    order_by: str | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> None:
    """Hand the answer of a query to `take`, block after block; the connection is busy meanwhile.

    It comes in the order of the column `order_by`: an order inside of the query may be dropped.
    After a failure the rest is read and dropped: when the last `output` fails, the driver waits
    for ever for the cancellation of a COPY that is already over.
    """
    reader = Reader(fields, block_bytes)
    failure: Exception | None = None

    async def output(chunk: bytes) -> None:
        nonlocal failure
        if failure is None:
            try:
                if block := reader.feed(chunk):
                    await take(block)
            except Exception as error:  # noqa: BLE001  # raised below
                failure = error

    driver = await driver_of(session)
    try:
        await driver.copy_from_query(
            reader.sql(query, order_by), *args, output=output, format="binary"
        )
    except Exception as error:
        if getattr(error, "sqlstate", None) == _OUT_OF_RANGE:
            raise OverflowError("a number is outside the type that it is read as") from error
        raise
    if failure is not None:
        raise failure
    if block := reader.finish():
        await take(block)


async def write(
    session: WriteSession, table: str, columns: Mapping[str, Column], *, schema: str | None = None
) -> None:
    """Append rows, inside the session's transaction."""
    writer = Writer(columns)
    if writer.rows:
        driver = await driver_of(session)
        await timed(
            driver.copy_to_table(
                table,
                source=writer.stream(),
                columns=writer.names,
                format="binary",
                schema_name=schema,
            )
        )
