"""Text as JSON objects: one a line, or those of the list in an answer."""

import json
import re
from collections.abc import Iterator
from math import isinf
from typing import Any, Final, NoReturn, Self

from app.mappings.rows import BadRow, Limits, Problem, Row
from app.mappings.text_lines import TextLines


class JsonNumber(float):
    """A number with a fraction or an exponent, which remembers how it was written."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number.text = text
        return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


DECODER: Final = json.JSONDecoder(parse_float=JsonNumber, parse_constant=_no_constant)
_SUSPECT: Final = re.compile(
    "\0|\ufffd|\\\\u(?:0000|[dD][89a-fA-F])|[0-9][eE][+]?[0-9]{3}|[0-9]{309}"
)
_SURROGATE: Final = re.compile("[\ud800-\udfff\ufffd]")


class ObjectRows:
    """Numbers records, and leaves out those that are skipped."""

    def __init__(self, limits: Limits, skip: int) -> None:
        self.rows = 0
        self._limits, self._skip = limits, skip

    def _row(self, raw: str, line: int | None = None) -> Iterator[Row | BadRow]:
        """Give the object that a text is."""
        try:
            value = DECODER.decode(raw)
        except (ValueError, RecursionError):
            yield from self._refuse(raw, line, "json", "it is no JSON")
        else:
            yield from self._object(raw, value, line)

    def _object(self, raw: str, value: Any, line: int | None = None) -> Iterator[Row | BadRow]:
        if not isinstance(value, dict):
            yield from self._refuse(raw, line, "not_an_object", "it is no JSON object")
            return
        if len(raw) > self._limits.field or _SUSPECT.search(raw):
            for column, code, detail in self._faults(value):
                yield from self._refuse(raw, line, code, detail, column)
                return
        self.rows += 1
        if self.rows > self._skip:
            yield Row(self.rows, line or self.rows, raw, value)

    def _faults(self, value: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
        for column, each in value.items():
            texts = [column, *_texts_in(each)]
            if sum(map(len, texts)) > self._limits.field:
                detail = f"it is longer than {self._limits.field:,} characters"
                yield column, "field_too_long", detail
            if any("\0" in text for text in texts):
                yield column, "nul", "it holds the character NUL"
            if any(_SURROGATE.search(text) for text in texts):
                yield column, "undecodable", "it holds bytes that are none of the encoding"
            if any(map(isinf, _numbers_in(each))):
                yield column, "out_of_range", "it holds a number that is too large"

    def _refuse(
        self, raw: str, line: int | None, code: str, detail: str, column: str | None = None
    ) -> Iterator[BadRow]:
        self.rows += 1
        if self.rows > self._skip:
            yield BadRow(self.rows, line or self.rows, raw, Problem(column, code, detail))


def _texts_in(value: Any) -> Iterator[str]:
    """Give the texts in a value, however deep."""
    return (each for each in _all_in(value) if isinstance(each, str))


def _numbers_in(value: Any) -> Iterator[float]:
    return (each for each in _all_in(value) if isinstance(each, float))


def _all_in(value: Any) -> Iterator[Any]:
    """Give all that is in a value, the keys of objects too."""
    left = [value]
    while left:
        each = left.pop()
        yield each
        if isinstance(each, dict):
            left += [*each, *each.values()]
        elif isinstance(each, list):
            left += each


class NdjsonRows(ObjectRows):
    """Parses an object a line; blank lines are none."""

    def __init__(self, limits: Limits, *, skip: int) -> None:
        super().__init__(limits, skip)
        self._lines = TextLines(limits.line)
        self._line = 0

    def feed(self, text: str, *, final: bool = False) -> Iterator[Row | BadRow]:
        """Return the objects that end in a block."""
        for raw in self._lines.feed(text, final=final):
            self._line += 1
            if len(raw) > self._limits.line:
                detail = f"it is longer than {self._limits.line:,} characters"
                cut = raw[: self._limits.line] + "\n"
                yield from self._refuse(cut, self._line, "line_too_long", detail)
            elif raw.strip():
                yield from self._row(raw, self._line)
