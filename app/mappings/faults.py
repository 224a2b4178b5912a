"""What is wrong with a file or a mapping, each with a code to branch on."""

from collections.abc import Sequence
from typing import Final, NamedTuple


class Fault(NamedTuple):
    """One fault of a mapping: where (a JSON pointer into the document), and what."""

    pointer: str
    code: str
    detail: str


class InvalidMapping(ValueError):
    """A document that is no mapping, or names columns that the file has not."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults))
        self.faults = tuple(faults)


FILE_CODES: Final = {
    "empty": "the file holds nothing",
    "binary": "the file is no text: a spreadsheet, an archive or the like",
    "compression": "the compressed data are damaged",
    "truncated": "the compressed file ends before its end",
    "decompression_bomb": "the file inflates to more than is allowed",
    "missing_header": "the first line names no columns",
    "double_header": "two columns have one name",
    "too_many_columns": "it has more columns than a file may have",
    "title_lines": "the header seems to stand further down, below a title",
    "wrong_delimiter": "the lines are not parted by what was said",
    "json": "the file is no JSON, or no list of objects is in it",
    "error_answer": "the file is an answer that reports an error",
    "report_export": "the layout looks like one that is known, and is another",
}
"""Why a file as a whole cannot be read on."""


class UnreadableFile(ValueError):
    """A file that cannot be read, or not further. What was read before stays true."""

    def __init__(
        self, code: str, detail: str, hint: str | None = None, title_lines: int = 0
    ) -> None:
        super().__init__(detail if hint is None else f"{detail}; {hint}")
        self.code = code
        """One of `FILE_CODES`."""
        self.detail = detail
        self.hint = hint
        """What to do about it."""
        self.title_lines = title_lines
        """Of `title_lines`: how many lines stand above what seems to be the header."""


ROW_CODES: Final = {
    "ragged": "it has more or fewer fields than there are columns",
    "field_too_long": "a field is longer than 65,536 characters",
    "line_too_long": "it is longer than 1,048,576 characters; a quote may not be closed",
    "nul": "it holds the character NUL",
    "undecodable": "it holds bytes that are none of the encoding",
    "not_an_object": "it is no JSON object",
    "json": "it is no JSON",
    "blank": "a field that is needed is blank",
    "not_a_number": "it is no number, written as the mapping says",
    "not_money": "it is no amount of money, written as the mapping says",
    "negative": "it is negative where it must not be",
    "not_a_time": "it is no time, or a day that does not exist",
    "ambiguous_time": "clocks showed this local time twice",
    "skipped_time": "clocks never showed this local time",
    "in_future": "it lies ahead",
    "out_of_range": "it is beyond what can be stored",
    "not_a_boolean": "it is neither true nor false",
    "unknown_value": "it is no value that the mapping knows",
    "other_currency": "it bears the sign of another currency than the mapping says",
    "unknown_currency": "it is no currency code of ISO 4217",
    "too_precise": "it has more decimals than can be stored",
    "identifier": "it cannot be an id",
    "digits_lost": "it is an id that a spreadsheet has rounded, such as 1.23E+15",
    "formula": "it is a formula of a spreadsheet, not its value",
    "order_too_large": "an order has more lines than are held",
    "conflicting_lines": "lines of one order contradict each other",
}
"""Why a row is rejected, or a field of it left out."""
