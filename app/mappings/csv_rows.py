"""Lines of text as records of CSV."""

import csv
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

from app.mappings.rows import BadRow, Limits, Problem, Row
from app.mappings.text_lines import TextLines

_RECOVERIES: Final = 1_000
"""How often what follows a quote that is never closed is read anew."""
_UNBOUNDED: Final = 2**30
"""The library's own bound of a field: lines are bounded before it sees them."""


class _NeedMore(Exception):
    """The record goes on past what is there."""


def _more() -> Iterator[str]:
    yield from ()
    raise _NeedMore


class _BlankReader:
    """Parts lines at blanks, any number of them, as `csv.reader` parts them at a delimiter."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.line_num = 0

    def __iter__(self) -> Iterator[list[str]]:
        for line in self._lines:
            self.line_num += 1
            yield line.split()


def fields_of(lines: Iterable[str], delimiter: str) -> Any:
    """Return what parts lines into fields, and knows in `line_num` how many it has taken."""
    return _BlankReader(lines) if delimiter == " " else csv.reader(lines, delimiter=delimiter)


class CsvRows:
    """Parses CSV that comes in blocks of text, cut anywhere."""

    def __init__(
        self,
        columns: Sequence[str],
        delimiter: str,
        limits: Limits,
        *,
        header: bool,
        skip: int,
        titles: int = 0,
    ) -> None:
        csv.field_size_limit(_UNBOUNDED)
        self.rows = 0
        self._columns, self._delimiter, self._limits = columns, delimiter, limits
        self._header, self._skip = header, skip
        self._lines = TextLines(limits.line)
        self._line = 1
        self._held: list[str] = []
        self._recoveries = 0
        self._begun = False
        self._titles = titles

    def feed(self, text: str, *, final: bool = False) -> Iterator[Row | BadRow]:
        """Return the records that end in a block."""
        lines = self._lines.feed(text, final=final)
        if lines and not self._begun:
            self._begun = True
            if is_delimiter_line(lines[0]):
                self._line += 1
                del lines[0]
        if self._titles and lines:
            passed = min(self._titles, len(lines))
            self._titles, self._line = self._titles - passed, self._line + passed
            del lines[:passed]
        lines, self._held = self._held + lines, []
        while lines:
            lines = yield from self._records(lines)
            if not lines or (not final and sum(map(len, lines)) <= self._limits.line):
                break
            # A quote is not closed within what is held: what it may have swallowed is read anew.
            self._recoveries += 1
            stop = 1 if self._recoveries <= _RECOVERIES else len(lines)
            yield from self._refuse("".join(lines[:stop]), self._line, "ragged", _UNCLOSED)
            self._line += stop
            lines = lines[stop:]
        self._held = lines

    def _records(self, lines: list[str]) -> Generator[Row | BadRow, None, list[str]]:
        """Parse lines, and return those of a record that goes on past them."""
        odd = any("\0" in line or "\ufffd" in line for line in lines)
        width, longest, skip = len(self._columns), self._limits.field, self._skip
        begin, start = self._line, 0
        reader = fields_of(chain(lines, _more()), self._delimiter)
        try:
            for fields in reader:
                line, stop = begin + start, reader.line_num
                raw = lines[start] if stop == start + 1 else "".join(lines[start:stop])
                start = stop
                self._line = begin + start
                if len(fields) == width and len(raw) <= longest and not odd and not self._header:
                    self.rows += 1
                    if self.rows > skip:
                        yield Row(self.rows, line, raw, fields)
                elif raw.strip():
                    yield from self._examine(fields, raw, line)
        except _NeedMore:
            pass
        return lines[start:]

    def _examine(self, fields: list[str], raw: str, line: int) -> Iterator[Row | BadRow]:
        """Give what is the header, too long, or odd in another way."""
        if self._header:
            self._header = False
        elif len(raw) > self._limits.line:
            detail = f"it is longer than {self._limits.line:,} characters"
            yield from self._refuse(raw[: self._limits.line] + "\n", line, "line_too_long", detail)
        elif len(fields) != len(self._columns):
            detail = f"it has {len(fields)} fields, and there are {len(self._columns)} columns"
            short = fields if len(fields) < len(self._columns) else None
            yield from self._refuse(raw, line, "ragged", detail, short=short)
        else:
            found = fault_of(raw, zip(self._columns, fields, strict=True), self._limits)
            if found is not None:
                yield from self._refuse(raw, line, found.code, found.detail, found.column)
            else:
                self.rows += 1
                if self.rows > self._skip:
                    yield Row(self.rows, line, raw, fields)

    def _refuse(
        self,
        raw: str,
        line: int,
        code: str,
        detail: str,
        column: str | None = None,
        short: list[str] | None = None,
    ) -> Iterator[BadRow]:
        self.rows += 1
        if self.rows > self._skip:
            yield BadRow(self.rows, line, raw, Problem(column, code, detail), short)


UNDECODABLE: Final = "it holds bytes that are none of the encoding, which a mapping may name"
_UNCLOSED: Final = "a quote in it is not closed within what a record may hold"


def is_delimiter_line(line: str) -> bool:
    """Say whether a first line is none but `sep=;`, which spreadsheets write for themselves."""
    return line.startswith("sep=") and len(line.rstrip("\r\n")) == 5


def fault_of(raw: str, named: Iterator[tuple[str, str]], limits: Limits) -> Problem | None:
    """Return what is wrong with a record that has all its fields."""
    for column, value in named:
        if len(value) > limits.field:
            detail = f"it is longer than {limits.field:,} characters"
            return Problem(column, "field_too_long", detail)
        if "\0" in value:
            return Problem(column, "nul", "it holds the character NUL")
        if "\ufffd" in value:
            return Problem(column, "undecodable", UNDECODABLE)
    return Problem(None, "nul", "it holds the character NUL") if "\0" in raw else None
