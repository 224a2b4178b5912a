"""Pieces of bytes as numbered rows, in flat memory."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Protocol

from app.mappings.compression import Inflater
from app.mappings.csv_rows import CsvRows
from app.mappings.detection import Detected
from app.mappings.encodings import Decoder
from app.mappings.faults import UnreadableFile
from app.mappings.json_answers import AnswerRows
from app.mappings.json_rows import NdjsonRows
from app.mappings.rows import LIMITS, BadRow, Limits, Row
from app.mappings.text_lines import lines_of


class _Rows(Protocol):
    """What parses one form of text."""

    rows: int

    def feed(self, text: str, *, final: bool = False) -> Iterator[Row | BadRow]: ...


class Reader:
    """Reads one file that comes in pieces, cut anywhere.

    `for row in reader.feed(piece)` for each piece, then `for row in reader.finish()`. Both are
    lazy: go through all of it before the next piece.
    """

    def __init__(self, detected: Detected, *, skip: int = 0, limits: Limits = LIMITS) -> None:
        """Begin after the first `skip` rows, which are parsed and not given."""
        self._inflater = Inflater(detected.compression, limits)
        self._decoder = Decoder(detected.encoding)
        self._rows = _rows(detected, skip, limits)

    @property
    def bytes_in(self) -> int:
        """Bytes handed in: what a progress is measured by."""
        return self._inflater.bytes_in

    @property
    def rows(self) -> int:
        """Number of the last row, skipped ones counted."""
        return self._rows.rows

    def feed(self, piece: bytes) -> Iterator[Row | BadRow]:
        """Return the rows that end in this piece.

        Raises
        ------
        UnreadableFile
            compression, decompression_bomb, json. Rows given before are true.
        """
        for block in self._inflater.feed(piece):
            yield from self._rows.feed(self._decoder.decode(block))

    def finish(self) -> Iterator[Row | BadRow]:
        """Return the last rows.

        Raises
        ------
        UnreadableFile
            truncated, after the rows that were whole; json.
        """
        try:
            self._inflater.finish()
        except UnreadableFile:
            # The last line may have lost its end: what is there of it is not to be believed.
            yield from self._rows.feed("")
            raise
        yield from self._rows.feed(self._decoder.decode(b"", final=True), final=True)


def _rows(detected: Detected, skip: int, limits: Limits) -> _Rows:
    if detected.form == "ndjson":
        return NdjsonRows(limits, skip=skip)
    if detected.form == "json":
        return AnswerRows(detected.list_at or "", limits, skip=skip)
    delimiter, header = detected.delimiter or ",", detected.has_header
    titles = len(lines_of(detected.title))
    return CsvRows(detected.columns, delimiter, limits, header=header, skip=skip, titles=titles)


def read(
    pieces: Iterable[bytes], detected: Detected, *, skip: int = 0, limits: Limits = LIMITS
) -> Iterator[Row | BadRow]:
    """Return the rows of a file: `feed` for each piece, then `finish`."""
    reader = Reader(detected, skip=skip, limits=limits)
    for piece in pieces:
        yield from reader.feed(piece)
    yield from reader.finish()


def refusals_header(detected: Detected) -> str:
    """Return what a file of refused rows begins with, before the `raw` of each.

    The header of a CSV, and what stands above it; nothing for NDJSON, and for a JSON answer, of
    which refused objects are written one a line: the same mapping reads that.
    """
    if detected.form != "csv" or not detected.has_header:
        return detected.title
    header = io.StringIO()
    header.write(detected.title)
    csv.writer(header, delimiter=detected.delimiter or ",").writerow(detected.columns)
    return header.getvalue()
