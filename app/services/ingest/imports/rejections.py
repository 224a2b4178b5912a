"""The rows of a file that were refused, in a file of its own shape, to be mended and sent again."""

import csv
import io
import json
from collections.abc import AsyncGenerator, Callable, Sequence

from sqlalchemy import select

from app.errors import MissingScope, NotFound
from app.models import ImportRejection
from app.postgres.db import AnyRow, AnySelect, Database, ReadSession
from app.schemas.common import personal
from app.services.ingest.imports import imports
from app.services.ingest.imports.orders import HEADER

ADDED = ("clm_line", "clm_field", "clm_reason")
"""What is added to each row; mappings do not look at it."""
_PAGE = 1_000
_BOMS = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}


async def open_lines(
    database: Database, session: ReadSession, import_id: str
) -> tuple[AsyncGenerator[bytes], str, str]:
    """Return the file in pieces, its media type, and the name to save it by."""
    row = await imports.get(session, import_id)
    if row.layout is None:
        raise NotFound(f"Import {import_id!r} has not arrived yet.")
    if not personal.is_shown():
        raise MissingScope(
            f"Rows are shown as they were sent: that needs the scope {personal.READ_PII}.",
            missing_scope=personal.READ_PII,
        )
    head = row.layout.get(HEADER, "")
    is_csv = row.layout["form"] == "csv"
    encoding = row.layout["encoding"]
    delimiter = row.layout["delimiter"] or ","
    written = _csv_row(delimiter) if is_csv else _json_row
    first = _header(head, delimiter) if is_csv else ""
    lines = _lines(database, import_id, first, encoding, written)
    ending, form = ("csv", "text/csv") if is_csv else ("ndjson", "application/x-ndjson")
    return lines, f"{form}; charset={encoding}", f"{import_id}-rejected.{ending}"


async def _lines(
    database: Database,
    import_id: str,
    first: str,
    encoding: str,
    written: Callable[[AnyRow], str],
) -> AsyncGenerator[bytes]:
    """Yield the file page by page: a connection is held for no longer than a page takes."""
    yield _BOMS.get(encoding, b"") + first.encode(encoding, "replace")
    after = -1
    while True:
        async with database.reads() as session:
            page = (await session.execute(_page(import_id, after))).all()
        if page:
            after = page[-1].line
            yield "".join(map(written, page)).encode(encoding, "replace")
        if len(page) < _PAGE:
            return


def _page(import_id: str, after: int) -> AnySelect:
    columns = (
        ImportRejection.line,
        ImportRejection.field,
        ImportRejection.code,
        ImportRejection.detail,
        ImportRejection.raw,
    )
    return (
        select(*columns)
        .where(ImportRejection.import_id == import_id, ImportRejection.line > after)
        .order_by(ImportRejection.line)
        .limit(_PAGE)
    )


def _header(head: str, delimiter: str) -> str:
    """Return the header with the names of what is added; of a file without one there is none."""
    return head.rstrip("\r\n") + delimiter + _joined(ADDED, delimiter) if head else ""


def _csv_row(delimiter: str) -> Callable[[AnyRow], str]:
    def written(row: AnyRow) -> str:
        raw: str = row.raw.decode("utf-8").rstrip("\r\n")
        return raw + delimiter + _joined(_added(row), delimiter)

    return written


def _json_row(row: AnyRow) -> str:
    raw = row.raw.decode("utf-8").strip()
    added = dict(zip(ADDED, _added(row), strict=True))
    try:
        known = json.loads(raw)
    except ValueError:
        known = None
    told = {**known, **added} if isinstance(known, dict) else {"clm_raw": raw, **added}
    return json.dumps(told, ensure_ascii=False) + "\n"


def _added(row: AnyRow) -> tuple[str, str, str]:
    return str(row.line), row.field or "", f"{row.code}: {row.detail}"


def _joined(values: Sequence[str], delimiter: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerow(values)
    return out.getvalue()
