"""Columns into binary COPY: what is never NULL and of one width is one stretch of each row.

Every other value is put where the lengths of those before it say, all of one length at once.
"""

import struct
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.postgres.binary_copy.layout import (
    FIXED,
    HEADER,
    LOOSE,
    OID_OF_TEXT,
    TRAILER,
    Array,
    Column,
    Kind,
    everywhere,
    sized,
)

PIECE_ROWS = 8192
FEW_ROWS = 16
_DIGITS = 5  # to the base 10,000, the last one behind the point: as many as 64 bits need
_NEGATIVE = 0x4000
_PLACES = 12  # of a decimal
_SHORT, _SIZE = struct.Struct(">h"), struct.Struct(">i")


_Placed: TypeAlias = tuple[Array | slice, int, Array]
"""Some rows, how far behind the begin of their value bytes are put, and these."""


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
    def sent_as(cls, kind: Kind, values: Sequence[Any]) -> "_Texts":
        """Return values of one of the kinds of many lengths as they are sent."""
        if kind == "text":
            return cls.of(values)
        if kind == "jsonb":  # the version of its form goes before the text
            return cls.of([f"\1{each}" for each in values])
        sent = _list if kind == "text[]" else _decimal
        return cls.of_bytes([sent(each) for each in values])

    @classmethod
    def of_bytes(cls, values: Sequence[bytes]) -> "_Texts":
        sizes = np.array([len(each) for each in values])
        return cls(np.frombuffer(b"".join(values), np.uint8), sizes.cumsum() - sizes, sizes)


def _decimal(number: Decimal) -> bytes:
    """Return count of digits, weight, sign, scale, digits to the base 10,000."""
    digits = []
    rest = abs(int(number.scaleb(_PLACES)))
    while rest:
        rest, digit = divmod(rest, 10_000)
        digits.append(digit)
    weight = len(digits) - 1 - _PLACES // 4
    sign = _NEGATIVE if number < 0 else 0
    return struct.pack(f">hhHh{len(digits)}h", len(digits), weight, sign, _PLACES, *digits[::-1])


def _list(texts: Sequence[str]) -> bytes:
    """Return dimensions, whether NULL is among them, the kind; length and first place; texts.

    A list of none has no dimension.
    """
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
        if self.kind not in LOOSE:
            self.values = np.asarray(self.values)
            self.sent = _sent(self.kind, self.values)
        self.rows = len(self.values if self._codes is None else self._codes)
        null = np.zeros(self.rows, bool)
        if column.null is not None:
            null |= np.asarray(column.null)
        if self._codes is not None:
            null |= self._codes < 0
        self.null = null if null.any() else None

    @cached_property
    def _table(self) -> _Texts:
        """Return what codes choose among, each behind its length; NULL is the first."""
        data, starts, sizes = _Texts.sent_as(self.kind, self.values)
        raw = data.tobytes()
        choices = [
            _SIZE.pack(size) + raw[start : start + size]
            for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)
        ]
        return _Texts.of_bytes([_SIZE.pack(-1), *choices])

    def one_by_one(self, rows: slice) -> list[bytes | None]:
        """Return each value as it is sent, None for NULL."""
        some = range(*rows.indices(self.rows))
        there = [i for i in some if self.null is None or not self.null[i]]
        if self.kind in LOOSE:
            places = there if self._codes is None else self._codes[there]
            sent = iter([_sent_alone(self.kind, self.values[place]) for place in places])
        else:
            data, width = _encoded(self.kind, self.values[there]).tobytes(), self.sent.itemsize
            sent = iter([data[at : at + width] for at in range(0, len(data), width)])
        known = set(there)
        return [next(sent) if i in known else None for i in some]

    def fixed(self, rows: slice) -> Array:
        return _encoded(self.kind, self.values[rows])

    def loose(self, rows: slice) -> tuple[Array, Iterator[_Placed]]:
        """Return how many bytes each value takes with its length, and them, some at a time."""
        null = False if self.null is None else self.null[rows]
        if self._codes is None:
            data, starts, sizes = _Texts.sent_as(self.kind, self.values[rows])
            sizes = np.where(null, -1, sizes)
            heads = (slice(None), 0, sizes.astype(">i4").view("V4"))
            return 4 + np.maximum(sizes, 0), chain([heads], _by_size(data, starts, sizes, 4))
        data, starts, sizes = self._table
        codes = np.where(null, 0, self._codes[rows] + 1)
        sizes = sizes[codes]
        return sizes, _by_size(data, starts[codes], sizes, 0)


class _Sparse:
    """Columns of one width each that are NULL in the same rows: all there, or none of them."""

    def __init__(self, sources: Sequence[_Source]) -> None:
        self._sources = sources
        self._null = np.asarray(sources[0].null)
        self._kind = np.dtype(sized([each.sent for each in sources]))

    def loose(self, rows: slice) -> tuple[Array, Iterator[_Placed]]:
        null = self._null[rows]
        none, some = np.flatnonzero(null), np.flatnonzero(~null)
        stretch = np.empty(some.size, self._kind)
        for i, each in enumerate(self._sources):
            stretch[f"size{i}"] = each.sent.itemsize
            stretch[f"value{i}"] = _encoded(each.kind, each.values[rows][some])
        empty = _SIZE.pack(-1) * len(self._sources)
        blank = np.full(none.size, np.void(empty))
        sizes = np.where(null, len(empty), self._kind.itemsize)
        return sizes, iter([(none, 0, blank), (some, 0, stretch.view(f"V{self._kind.itemsize}"))])


def _by_size(data: Array, starts: Array, sizes: Array, behind: int) -> Iterator[_Placed]:
    lengths = np.bincount(np.maximum(sizes, 0)) if sizes.size else sizes
    for size in np.flatnonzero(lengths[1:]) + 1:
        same = np.flatnonzero(sizes == size)
        yield same, behind, everywhere(data, int(size))[starts[same]]


class Writer:
    def __init__(self, columns: Mapping[str, Column]) -> None:
        sources = [_Source(name, column) for name, column in columns.items()]
        self.rows = sources[0].rows
        if any(each.rows != self.rows for each in sources):
            raise ValueError("the columns are of different lengths")
        self._solid = [each for each in sources if each.kind not in LOOSE and each.null is None]
        alike: dict[bytes, list[_Source]] = {}
        for each in sources:
            if each.kind not in LOOSE and each.null is not None:
                alike.setdefault(np.packbits(each.null).tobytes(), []).append(each)
        texts = [each for each in sources if each.kind in LOOSE]
        self._loose: list[_Source | _Sparse] = [*map(_Sparse, alike.values()), *texts]
        self._columns = [*self._solid, *chain.from_iterable(alike.values()), *texts]
        self.names = [each.name for each in self._columns]

    @cached_property
    def _stretch(self) -> Array:
        """Return room for what is of one width in each row, with all lengths."""
        sent = sized([each.sent for each in self._solid])
        room = np.empty(min(self.rows, PIECE_ROWS), np.dtype([("fields", ">i2"), *sent]))
        room["fields"] = len(self.names)
        for i, each in enumerate(self._solid):
            room[f"size{i}"] = each.sent.itemsize
        return room

    async def stream(self) -> AsyncIterator[Any]:
        yield HEADER
        for begin in range(0, self.rows, PIECE_ROWS):
            yield self._piece(slice(begin, min(begin + PIECE_ROWS, self.rows)))
        yield TRAILER

    def _piece(self, rows: slice) -> bytes | memoryview:
        if rows.stop - rows.start <= FEW_ROWS:
            return self._one_by_one(rows)
        stretch = self._stretch[: rows.stop - rows.start]
        for i, each in enumerate(self._solid):
            stretch[f"value{i}"] = each.fixed(rows)
        if not self._loose:
            return stretch.tobytes()
        loose = [each.loose(rows) for each in self._loose]
        whole = np.full(len(stretch), stretch.itemsize)
        for sizes, _ in loose:
            whole += sizes
        ends = whole.cumsum()
        out = np.empty(ends[-1], np.uint8)
        at = np.append(0, ends[:-1])
        everywhere(out, stretch.itemsize)[at] = stretch.view(f"V{stretch.itemsize}")
        at += stretch.itemsize
        for sizes, groups in loose:
            for which, behind, values in groups:
                if values.size:  # else all may be shorter than one of them
                    everywhere(out, values.itemsize)[at[which] + behind] = values
            at += sizes
        return out.data

    def _one_by_one(self, rows: slice) -> bytes:
        """Return a few rows, for which moving columns costs more than it saves."""
        columns = [each.one_by_one(rows) for each in self._columns]
        parts = []
        for row in zip(*columns, strict=True):
            parts.append(_SHORT.pack(len(row)))
            for value in row:
                parts.append(_SIZE.pack(-1 if value is None else len(value)))
                parts.append(value or b"")
        return b"".join(parts)


def _sent_alone(kind: Kind, value: Any) -> bytes:
    """Return a value of one of the kinds of many lengths as it is sent."""
    if kind == "text[]":
        return _list(value)
    if kind == "decimal":
        return _decimal(value)
    if "\0" in value:
        raise ValueError("a text holds NUL")
    text: str = value
    return text.encode() if kind == "text" else b"\1" + text.encode()


def _sent(kind: Kind, values: Array) -> np.dtype[Any]:
    """Return the layout of a value; that of a numeric is its header and a few digits."""
    if kind == "bytea":
        return values.dtype
    return np.dtype((">i2", 4 + _DIGITS) if kind == "numeric" else FIXED[kind].sent)


def _encoded(kind: Kind, values: Array) -> Array:
    if kind == "bytea":
        return values
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
