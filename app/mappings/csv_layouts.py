"""The delimiter and the header of a CSV, by its first lines."""

import re
from collections import Counter
from typing import Final

from app.mappings import spreadsheets
from app.mappings.csv_rows import CsvRows, fields_of, is_delimiter_line
from app.mappings.document import MOST_TITLE_LINES, FileForm
from app.mappings.faults import UnreadableFile
from app.mappings.layouts import SAMPLE_ROWS, Layout, refuse_too_many
from app.mappings.rows import LIMITS, Row
from app.mappings.text_lines import TextLines

DELIMITERS: Final = (",", ";", "\t", "|", " ")
_DATA: Final = re.compile(r"[-+]?[\d.,' ]*\d[\d.,' ]*%?|\d{4}-\d\d-\d\d.*|\S+@\S+\.\S+")
"""What names no column: a number, a day, an e-mail address."""


def csv_layout(text: str, said: FileForm, *, whole: bool) -> Layout:
    """Return how CSV is laid out, by its beginning or the whole of it.

    Raises
    ------
    UnreadableFile
        missing_header, double_header, title_lines, too_many_columns,
        wrong_delimiter.
    """
    lines = TextLines(LIMITS.line).feed(text, final=whole) or [text]
    told = lines[0][4] if is_delimiter_line(lines[0]) else None
    lines = lines[1:] if told else lines
    title, lines = lines[: said.skip_lines or 0], lines[said.skip_lines or 0 :]
    if not "".join(lines).strip():
        raise UnreadableFile("empty", "the file holds nothing below its title")
    widths = {each: _widths(lines, each) for each in DELIMITERS}
    # Blanks part texts of all kinds: only where nothing else parts them, and all lines alike.
    best = max(DELIMITERS[:-1], key=lambda each: (widths[each][1], widths[each][0]))
    if widths[best][1] == 0 and widths[" "][1] >= min(len(lines), 200) - 1:
        best = " "
    delimiter = said.delimiter or told or (best if widths[best][0] > 1 else ",")
    if delimiter not in widths:
        raise UnreadableFile(
            "wrong_delimiter", "fields must be parted by one of , ; tab | and blank"
        )
    if widths[delimiter][0] == 1 < widths[best][0] and widths[best][1] > 1:
        raise UnreadableFile(
            "wrong_delimiter",
            f"lines are not parted by {delimiter!r}",
            f"{best!r} parts them into {widths[best][0]} fields",
        )
    if said.skip_lines is None and said.columns is None:
        _refuse_title(lines, delimiter)
    first: list[str] = next(iter(fields_of(lines, delimiter)), [])
    columns, has_header, notes = _header(first, said.columns)
    rows = CsvRows(columns, delimiter, LIMITS, header=has_header, skip=0)
    found = rows.feed("".join(lines), final=whole)
    read = [[str(each) for each in row.fields] for row in found if isinstance(row, Row)]
    # The header comes again where files were put together.
    sample = [fields for fields in read if fields != first][:SAMPLE_ROWS]
    if not sample:
        notes += ("there is no row that has a field for each column",)
    notes += tuple(spreadsheets.notes(columns, sample))
    return Layout(
        "csv",
        columns,
        tuple(map(tuple, sample)),
        delimiter=delimiter,
        has_header=has_header,
        notes=notes,
        title="".join(title),
    )


def _refuse_title(lines: list[str], delimiter: str) -> None:
    """Refuse a file whose header seems to stand below a title: somebody has to say so.

    A title is a line or a few with a cell or two, or none, above lines with many.
    """
    filled = [sum(map(bool, map(str.strip, cells))) for cells in _parted(lines, delimiter)]
    usual, alike = Counter(filled[1:]).most_common(1)[0] if len(filled) > 1 else (1, 0)
    most = max(filled)
    if alike < 2 and len(filled) < 4:
        usual = most
    if usual < 3 or filled[0] * 2 > min(usual, 5):
        return
    place = next(n for n, number in enumerate(filled) if number * 2 > usual)
    names = _parted(lines[place : place + 1], delimiter)[0]
    if place <= MOST_TITLE_LINES and not any(map(_DATA.fullmatch, filter(None, names))):
        raise UnreadableFile(
            "title_lines",
            f"the header seems to stand in line {place + 1}, below a title",
            f"say `skip_lines`: {place} if it does, 0 if it does not",
            place,
        )


def _parted(lines: list[str], delimiter: str) -> list[list[str]]:
    return [next(iter(fields_of([line], delimiter)), []) for line in lines[:200]]


def _widths(lines: list[str], delimiter: str) -> tuple[int, int]:
    """Return into how many fields the first line is parted, and how many lines have as many.

    Where the first is a title, those that are usual below it.
    """
    counts = [len(fields) for fields in fields_of(lines[:200], delimiter) if fields]
    width = counts[0] if counts else 1
    if width == 1 and len(counts) > 2:
        width = Counter(counts).most_common(1)[0][0]
    return width, 0 if width == 1 else Counter(counts)[width]


def _header(
    first: list[str], said: list[str] | None
) -> tuple[tuple[str, ...], bool, tuple[str, ...]]:
    """Return the columns, whether the first line names them, and what was seen of it."""
    refuse_too_many(first)
    names = [name.strip() for name in first]
    if any("\0" in name for name in names):
        raise UnreadableFile(
            "binary", "the header holds the character NUL", "export the file as UTF-8 or UTF-16"
        )
    if said is not None:
        if len(said) != len(names):
            detail = f"{len(said)} columns are named, and the first line has {len(names)} fields"
            raise UnreadableFile("missing_header", detail)
        return tuple(said), names == said, ()
    filled = [name for name in names if name]
    if not filled or any(_DATA.fullmatch(name) for name in filled):
        raise UnreadableFile(
            "missing_header",
            "the first line names no columns: it looks like data",
            "name them in `file.columns`",
        )
    twice = sorted(name for name, times in Counter(filled).items() if times > 1)
    if twice:
        raise UnreadableFile(
            "double_header",
            f"more than one column is called {', '.join(map(repr, twice[:5]))}",
            "rename them, or name all columns in `file.columns`",
        )
    notes = (
        ("columns without a name are called by their place",) if len(filled) < len(names) else ()
    )
    return tuple(name or f"column_{n}" for n, name in enumerate(names, 1)), True, notes
