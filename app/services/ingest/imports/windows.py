"""Rows of a stretch of a file in the order of their customers, kept as they were written.

Files are in the order of time, so that the next row is another customer's. A write pays for each
customer that it touches about what a few facts cost: rows of one customer are written together.
Those of each stay in the order of the file, since later ones may say something else.
"""

import io
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np

from app.mappings.bad import Bad
from app.mappings.compiling import Plan
from app.mappings.csv_rows import fields_of
from app.mappings.json_rows import DECODER
from app.mappings.rows import BadRow, Row

ORDER = 2
"""Which way of cutting and ordering this is. Where a file is gone on with by another one, what is
written of its window is not known: raise it with any change of what follows."""
BYTES, ROWS, BAD_ROWS = 32_000_000, 1_000_000, 10_000
"""What a window holds at most."""


def share_of(size: int) -> int:
    """Return the bytes of each of as few windows as a file of some size takes, all alike.

    A window cut short by the end of the file would hold few rows of each customer, and its rows
    take twice the time of the others.
    """
    return -(-size // -(-size // BYTES)) if size else BYTES


@dataclass
class Window:
    """Some rows that follow each other, from the one behind `skip` on."""

    skip: int
    plan: Plan
    size: int
    """Bytes after which it is full."""
    is_closed: bool = False
    _raw: bytearray = field(default_factory=bytearray, repr=False)
    _ends: "array[int]" = field(default_factory=lambda: array("q", [0]), repr=False)
    _lines: "array[int]" = field(default_factory=lambda: array("q"), repr=False)
    _keys: "array[int]" = field(default_factory=lambda: array("I"), repr=False)
    _bad: dict[int, BadRow] = field(default_factory=dict, repr=False)
    _unended: int | None = None
    """The place of the last row of a file that has no line end."""
    _order: Any = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self._lines)

    def fill(self, rows: Iterator[Row | BadRow]) -> bool:
        """Keep rows as long as there is room; say whether there is none left."""
        assert self.plan.owner is not None
        owner, keep, ends = self.plan.owner, self._raw.extend, self._ends.append
        lines, keys, held = self._lines.append, self._keys.append, self._raw
        for row in rows:
            key = 0
            if isinstance(row, BadRow):
                self._bad[len(self)] = row
            else:
                raw = row.raw
                if raw[-1] not in "\n\r":
                    self._unended = len(self)
                    raw += "\n"
                keep(raw.encode("utf-8", "surrogatepass"))
                try:
                    customer_id = owner(row.fields)
                except Bad:
                    customer_id = None  # it is rejected when it is mapped
                key = 0 if customer_id is None else crc32(customer_id.encode())
            ends(len(held))
            lines(row.line)
            keys(key)
            if len(held) >= self.size or len(self) >= ROWS or len(self._bad) >= BAD_ROWS:
                return True
        return False

    def close(self) -> None:
        """Put the rows in order: there will be no more."""
        keys = np.frombuffer(self._keys, np.uintc)
        self._order = np.argsort(keys, kind="stable").astype(np.int32)
        self.is_closed = True

    def rows(self, first: int, last: int) -> Iterator[Row | BadRow]:
        """Return rows by their places in the order of customers."""
        places = self._order[first:last].tolist()
        whole = [place for place in places if place not in self._bad] if self._bad else places
        read = self._read(whole)
        for place in places:
            bad = self._bad.get(place)
            yield bad if bad is not None else next(read)

    def _read(self, places: list[int]) -> Iterator[Row]:
        """Read records anew; each was whole, and has its line end."""
        raws = [self._raw[self._ends[place] : self._ends[place + 1]] for place in places]
        texts = [raw.decode("utf-8", "surrogatepass") for raw in raws]
        read: Iterable[Any] = map(DECODER.decode, texts)
        if self.plan.detected.form == "csv":
            lines = io.StringIO("".join(texts), newline="")
            read = fields_of(lines, self.plan.detected.delimiter or ",")
        for place, raw, fields in zip(places, texts, read, strict=True):
            written = raw[:-1] if place == self._unended else raw
            yield Row(self.skip + place + 1, self._lines[place], written, fields)
