"""Columns into binary COPY: what is never NULL and of one width is one stretch of each row.

Every other value is put where the lengths of those before it say, all of one length at once.
"""

import struct
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from app.binary_copy.layout import (
    FIXED,
    HEADER,
    OID_OF_TEXT,
    TEXTS,
    TRAILER,
    Array,
    Column,
    Kind,
    everywhere,
    sized,
)

PIECE_ROWS = 8192
_DIGITS = 5  # to the base 10,000, the last one behind the point: as many as 64 bits need
_NEGATIVE = 0x4000
_JSONB = "\x01"
"""The version of what is sent of a document, before its text."""


class _Texts(NamedTuple):
    """Texts in UTF-8, one behind the other."""

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, values: Sequence[str]) -> "_Texts":
        data = np.frombuffer("\0".join((*values, "")).encode(), np.uint8)
        ends = np.flatnonzero(data == 0)
        if len(ends) != len(values):
            raise ValueError("a text holds NUL")
        starts = np.append(0, ends + 1)[:-1]
        return cls(data, starts, ends - starts)

    @classmethod
    def of_lists(cls, values: Sequence[Sequence[str]]) -> "_Texts":
        """Return one-dimensional arrays as they are sent; an empty one has no dimension."""
        sent = [_list(each) for each in values]
        sizes = np.array([len(each) for each in sent])
        return cls(np.frombuffer(b"".join(sent), np.uint8), sizes.cumsum() - sizes, sizes)


def _list(texts: Sequence[str]) -> bytes:
    """Return dimensions, whether NULL is among them, the kind; length and first place; texts."""
    head = struct.pack(">iii", min(len(texts), 1), 0, OID_OF_TEXT)
    if not texts:
        return head
    encoded = [text.encode() for text in texts]
    parts = [struct.pack(">i", len(each)) + each for each in encoded]
    return head + struct.pack(">ii", len(texts), 1) + b"".join(parts)


class _Source:
    """A column made ready."""

    def __init__(self, name: str, column: Column) -> None:
        self.name, self.kind = name, column.kind
        self.values: Any = column.values
        self._codes = None if column.codes is None else np.asarray(column.codes)
        if self.kind == "jsonb":
            self.values = [_JSONB + text for text in cast("Sequence[str]", column.values)]
        if self.kind not in TEXTS:
            self.values = np.asarray(self.values)
            self.sent = _sent(self.kind)
        elif self.kind == "text[]":
            self._table = _Texts.of_lists(cast("Sequence[Sequence[str]]", column.values))
        elif self._codes is not None:
            self._table = _Texts.of(self.values)
        self.rows = len(self.values if self._codes is None else self._codes)
        null = np.zeros(self.rows, bool)
        if column.null is not None:
            null |= np.asarray(column.null)
        if self._codes is not None:
            null |= self._codes < 0
        self._null = null if null.any() else None
        self.solid = self.kind not in TEXTS and self._null is None

    def fixed(self, rows: slice) -> Array:
        return _encoded(self.kind, self.values[rows])

    def loose(self, rows: slice) -> tuple[Array, Iterator[tuple[Array, Array]]]:
        """Return the length of each value, -1 for NULL, and the bytes of some at a time."""
        null = False if self._null is None else self._null[rows]
        if self.kind not in TEXTS:
            there = np.flatnonzero(~null)
            sent = _encoded(self.kind, self.values[rows][there])
            width = self.sent.itemsize
            return np.where(null, -1, width), iter([(there, sent.view(f"V{width}").ravel())])
        if self._codes is None:
            data, starts, sizes = _Texts.of(self.values[rows])
        else:
            codes = self._codes[rows]
            data, starts, sizes = self._table
            starts, sizes = starts[codes], sizes[codes]
        sizes = np.where(null, -1, sizes)
        return sizes, _by_size(data, starts, sizes)


def _by_size(data: Array, starts: Array, sizes: Array) -> Iterator[tuple[Array, Array]]:
    for size in np.unique(sizes[sizes > 0]):
        same = np.flatnonzero(sizes == size)
        yield same, everywhere(data, size)[starts[same]]


class Writer:
    def __init__(self, columns: Mapping[str, Column]) -> None:
        sources = [_Source(name, column) for name, column in columns.items()]
        self.rows = sources[0].rows
        if any(each.rows != self.rows for each in sources):
            raise ValueError("the columns are of different lengths")
        self._solid = [each for each in sources if each.solid]
        self._loose = [each for each in sources if not each.solid]
        self.names = [each.name for each in (*self._solid, *self._loose)]
        sent = sized([each.sent for each in self._solid])
        self._stretch = np.empty(min(self.rows, PIECE_ROWS), np.dtype([("fields", ">i2"), *sent]))
        self._stretch["fields"] = len(sources)
        for i, each in enumerate(self._solid):
            self._stretch[f"size{i}"] = each.sent.itemsize

    async def stream(self) -> AsyncIterator[Any]:
        yield HEADER
        for begin in range(0, self.rows, PIECE_ROWS):
            yield self._piece(slice(begin, min(begin + PIECE_ROWS, self.rows)))
        yield TRAILER

    def _piece(self, rows: slice) -> bytes | memoryview:
        stretch = self._stretch[: rows.stop - rows.start]
        for i, each in enumerate(self._solid):
            stretch[f"value{i}"] = each.fixed(rows)
        if not self._loose:
            return stretch.tobytes()
        loose = [each.loose(rows) for each in self._loose]
        whole = np.full(len(stretch), stretch.itemsize + 4 * len(loose))
        for sizes, _ in loose:
            whole += np.maximum(sizes, 0)
        ends = whole.cumsum()
        out = np.empty(ends[-1], np.uint8)
        at = ends - whole
        everywhere(out, stretch.itemsize)[at] = stretch.view(f"V{stretch.itemsize}")
        at += stretch.itemsize
        for sizes, groups in loose:
            everywhere(out, 4)[at] = sizes.astype(">i4").view("V4")
            at += 4
            for which, values in groups:
                everywhere(out, values.itemsize)[at[which]] = values
            at += np.maximum(sizes, 0)
        return out.data


def _sent(kind: Kind) -> np.dtype[Any]:
    """Return the layout of a value; that of a numeric is its header and a few digits."""
    return np.dtype((">i2", 4 + _DIGITS) if kind == "numeric" else FIXED[kind].sent)


def _encoded(kind: Kind, values: Array) -> Array:
    fixed = FIXED[kind]
    sent = np.dtype(fixed.sent)
    if sent.kind != "i":
        return values.astype(sent, casting="same_kind")
    info = np.iinfo(sent)
    low, high = info.min + fixed.epoch, info.max + fixed.epoch
    if values.size and not low <= int(values.min()) <= int(values.max()) <= high:
        raise OverflowError(f"a value is outside {kind}")
    values = values.astype(np.int64, casting="same_kind")
    return _numeric(values) if kind == "numeric" else (values - fixed.epoch).astype(sent)


def _numeric(units: NDArray[np.int64]) -> Array:
    """Return count of digits, weight, sign, scale, digits; the server drops needless zeros."""
    words = np.empty((len(units), 4 + _DIGITS), ">i2")
    words[:, 0], words[:, 1], words[:, 3] = _DIGITS, _DIGITS - 2, 4
    words[:, 2] = (units < 0) * _NEGATIVE
    rest = np.abs(units).view(np.uint64)  # right for the lowest too
    for i in range(_DIGITS):
        above = rest // 10_000
        words[:, -1 - i] = rest - above * 10_000
        rest = above
    return words
