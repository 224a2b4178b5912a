"""All for whom a rule holds, a line each: found and told by pieces, by id.

A piece is read when the one before has been taken, so that nothing waits in memory for a slow
reader. Each is of the same instant; what is written meanwhile may be in it.
"""

import csv
import io
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final

from app.deployment import Deployment
from app.errors import FieldError, ValidationFailed
from app.postgres.db import Database, ReadSession
from app.schemas.common import personal
from app.schemas.common.encoding import to_json
from app.schemas.common.types import format_instant
from app.schemas.queries import CustomerQuery
from app.services.common import as_of as as_ofs
from app.services.common.copied_lines import Form
from app.services.runs import queries, query_columns, query_pages
from app.services.runs.query_answers import items_of, rows_of
from app.services.runs.query_pages import Place
from app.services.runs.query_prepared import Prepared, prepare
from app.services.runs.query_rules import May

PIECE = 1_000
_OF_PAGES: Final = ("limit", "cursor", "sort", "count")
_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?[0-9]+([.][0-9]+)?")


async def open_lines(
    database: Database,
    session: ReadSession,
    deployment: Deployment,
    asked: CustomerQuery,
    form: Form,
    *,
    secret: bytes,
    now: datetime,
    may: May,
) -> tuple[AsyncGenerator[bytes], dict[str, str]]:
    """Return the lines and what headers say of all; nobody is looked for before they are read."""
    faults = [
        FieldError(f"/{name}", "not_with_stream", "is for pages: ask for application/json")
        for name in _OF_PAGES
        if name in asked.model_fields_set
    ]
    if faults:
        raise ValidationFailed(errors=faults)
    as_of = as_ofs.parse(asked.as_of, deployment, now, pointer="/as_of")
    query = await prepare(session, deployment, asked, secret=secret, as_of=as_of, may=may)
    of_all = {"CLM-As-Of": format_instant(as_of.at)}
    if query.question.run_id is not None:
        of_all["CLM-Run-Id"] = str(query.question.run_id)
    lines = _lines(database, deployment, query, form, shows_names=personal.is_shown())
    return lines, of_all


async def _lines(
    database: Database, deployment: Deployment, query: Prepared, form: Form, *, shows_names: bool
) -> AsyncGenerator[bytes]:
    keys = [term.key for term in query.shown]
    if form == "text/csv":
        yield row(["customer_id", "name", *keys])
    async with database.reads() as opened:
        session = ReadSession(opened)
        async for ids in _found(session, deployment, query):
            items = await items_of(session, deployment, query, ids)
            if not shows_names:
                items = [{**item, "name": None} for item in items]
            if form == "text/csv":
                yield b"".join(row(_cells(item, keys)) for item in items)
            else:
                yield b"".join(to_json(item) + b"\n" for item in items)


async def _found(
    session: ReadSession, deployment: Deployment, query: Prepared
) -> AsyncIterator[list[str]]:
    """Yield the ids of those for whom the rule holds, piece by piece."""
    question, order = query.question, query.order
    doubted = await queries.doubts(session, deployment, question, money=False)
    after = ""
    while doubted is None:
        up_to = await query_columns.end_of(session, after, PIECE)
        found = await query_columns.of_range(
            session, deployment, question, after=after, up_to=up_to
        )
        if len(found):
            yield found.customer_ids
        if up_to is None:
            return
        after = up_to
    evaluated = rows_of(
        query, await query_columns.of_customers(session, deployment, question, (), doubted)
    )
    place = Place()
    while True:
        rows = evaluated + await query_pages.stored(
            session, deployment, question, order, place, PIECE, doubted
        )
        rows = query_pages.in_order(rows, order, place, PIECE)
        if rows:
            yield [row[1] for row in rows]
        if len(rows) < PIECE:
            return
        place = Place((rows[-1][1],))


def _cells(item: dict[str, Any], keys: Sequence[str]) -> list[str]:
    return [cell(item["customer_id"]), cell(item["name"]),
            *(cell(item["values"].get(key)) for key in keys)]  # fmt: skip


def cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        value = value["amount"]
    if isinstance(value, list):
        value = " ".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    # Have spreadsheets show a text rather than reckon it; numbers stay as they are.
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def row(cells: Sequence[str]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue().encode()
