"""What a text of JSON is: an object a line, or an answer with a list in it."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from app.mappings.document import FileForm
from app.mappings.faults import UnreadableFile
from app.mappings.json_answers import AnswerRows, lists_at
from app.mappings.json_rows import DECODER, NdjsonRows
from app.mappings.layouts import SAMPLE_ROWS, Layout, refuse_too_many
from app.mappings.rows import LIMITS, Row
from app.mappings.texts import text_of

_ANSWERS: Final = ("/data/dataList", "/data", "/results", "/records", "/value", "/items", "/orders",
                   "/customers", "/contacts", "")  # fmt: skip
"""Where lists stand in the answers that are known."""
_PAGED: Final = ("/data/dataList",)
"""Where one stands even if several answers follow each other."""
_CELLS: Final = 200_000
"""Texts of a sample: objects may have other keys each, and a sample has all for each of them."""


def json_layout(text: str, said: FileForm) -> Layout:
    """Return how a text of JSON is laid out.

    Raises
    ------
    UnreadableFile
        json, error_answer, too_many_columns.
    """
    _refuse_error(text)
    if said.form == "ndjson" or (said.form is None and said.list_at is None and _is_lined(text)):
        rows = list(_first(NdjsonRows(LIMITS, skip=0), text))
        if rows:
            return _layout("ndjson", None, rows)
    places = _ANSWERS if said.list_at is None else (said.list_at,)
    for place in lists_at(text, places):
        found = AnswerRows(place, LIMITS, skip=0)
        rows = list(_first(found, text))
        if rows or found.lists:
            return _layout("json", place, rows)
    raise UnreadableFile(
        "json", "there is no list of objects", "say where it is with `file.list_at`"
    )


def _is_lined(text: str) -> bool:
    """Say whether the first line is an object of its own, and no answer."""
    first = text.lstrip().split("\n", 1)[0]
    with suppress(ValueError, RecursionError):
        value = DECODER.decode(first)
        return isinstance(value, dict) and not any(_is_list(value, each) for each in _lists(text))
    return False


def _lists(text: str) -> tuple[str, ...]:
    return _ANSWERS[:-1] if "\n" not in text.strip() else _PAGED


def _is_list(value: Any, pointer: str) -> bool:
    for key in pointer.split("/")[1:]:
        value = value.get(key) if isinstance(value, dict) else None
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _first(rows: NdjsonRows | AnswerRows, text: str) -> Iterator[Row]:
    # What is cut off at the end of the first bytes is no fault.
    with suppress(UnreadableFile):
        for row in rows.feed(text):
            if isinstance(row, Row):
                yield row
            if rows.rows >= SAMPLE_ROWS:
                return
        if isinstance(rows, NdjsonRows):
            yield from (row for row in rows.feed("", final=True) if isinstance(row, Row))


def _layout(form: Any, list_at: str | None, rows: list[Row]) -> Layout:
    columns: dict[str, None] = {}
    for row in rows:
        for key, value in _object(row).items():
            columns[key] = None
            if isinstance(value, dict):
                columns.update(dict.fromkeys(f"{key}.{below}" for below in value))
        refuse_too_many(list(columns))
    sample = tuple(
        tuple(text_of(row.fields, each) for each in columns)
        for row in rows[: _CELLS // max(len(columns), 1)]
    )
    notes = () if rows else ("the list is empty",)
    return Layout(form, tuple(columns), sample, list_at=list_at, notes=notes)


def _object(row: Row) -> dict[str, Any]:
    return dict(row.fields) if isinstance(row.fields, Mapping) else {}


def _refuse_error(text: str) -> None:
    """Refuse an answer that tells why it has no list."""
    answer = None
    with suppress(ValueError, RecursionError):
        answer = DECODER.decode(text)
    if isinstance(answer, dict) and answer.get("errorCode") not in (None, 0, "0"):
        said = str(answer.get("errorMessage") or answer["errorCode"])[:200]
        raise UnreadableFile("error_answer", f"the answer reports an error: {said}")
