"""Lines that the database itself writes, for answers of everything.

One COPY sees one snapshot. An answer that breaks off was not whole: the connection closes early.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import NotFound
from app.postgres.db import Database, limit
from app.postgres.limits import EXPORT
from app.postgres.sqlstates import is_missing_table

Form = Literal["application/json", "application/x-ndjson", "text/csv"]
FORMS: tuple[Form, ...] = ("application/json", "application/x-ndjson", "text/csv")
_WAITING = 4
"""Pieces that wait for a slow reader; then the database waits."""
# In JSON no control character stands as it is, so that nothing is quoted.
_LINES = {"format": "csv", "delimiter": "\x02", "quote": "\x01"}
_FORMULA = r"('=', '+', '-', '@', E'\t', E'\r', E'\n', '＝', '＋', '－', '＠')"
_NUMBER = r"'^[+-]?[0-9]+([.][0-9]+)?$'"


def form_of(accept: str | None) -> Form:
    """Return the form that a caller prefers; JSON where there is no telling."""
    best: tuple[float, Form] = (0.0, "application/json")
    for each in (accept or "").lower().split(","):
        name, *parameters = (part.strip() for part in each.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                with contextlib.suppress(ValueError):
                    weight = float(parameter[2:])
        for form in FORMS:
            if name == form and weight > best[0]:
                best = weight, form
    return best[1]


def no_formula(value: str) -> str:
    """Have spreadsheets show a text rather than reckon it; numbers stay as they are."""
    return (
        f"CASE WHEN left({value}, 1) IN {_FORMULA} AND {value} !~ {_NUMBER} THEN chr(39) || {value}"
        f" ELSE {value} END"
    )


async def copied(
    database: Database, form: Form, statement: str, arguments: list[Any]
) -> AsyncGenerator[bytes]:
    """Yield the lines as the database writes them, on a connection of their own.

    A reader who goes away ends the statement, by the end of its connection.
    """
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
    gone = False

    async def take(piece: bytes) -> None:
        if not gone:
            await pieces.put(bytes(piece))

    async with database.engine.connect() as connection:
        # In order, so that the first lines come at once and none waits for a sort.
        await connection.execute(text("SET TRANSACTION READ ONLY"))
        await connection.execute(text("SET LOCAL enable_sort = off"))
        await limit(connection, EXPORT)
        driver: Any = (await connection.get_raw_connection()).driver_connection
        options = {"format": "csv", "header": True} if form == "text/csv" else _LINES

        async def copy() -> None:
            try:
                await driver.copy_from_query(
                    statement, *arguments, output=take, timeout=EXPORT.command, **options
                )
            except Exception as error:
                if is_missing_table(error):
                    raise NotFound("The run is no longer kept.") from None
                raise
            finally:
                if not gone:
                    await pieces.put(None)

        copying = asyncio.create_task(copy())
        try:
            while (piece := await pieces.get()) is not None:
                yield piece.replace(b"\n", b"\r\n") if form == "text/csv" else piece
            await copying
        finally:
            if not copying.done():
                gone = True
                while not pieces.empty():
                    pieces.get_nowait()
                await _break_off(connection, driver, copying)


async def _break_off(connection: AsyncConnection, driver: Any, copying: asyncio.Task[None]) -> None:
    """End a statement by the end of its connection."""
    driver.terminate()
    await asyncio.wait([copying], timeout=5)
    if copying.done() and not copying.cancelled():
        copying.exception()  # that the connection ended is no news
    with contextlib.suppress(Exception):
        await connection.invalidate()
