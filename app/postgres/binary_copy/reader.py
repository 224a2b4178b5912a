"""Binary COPY into columns: the server is asked for fixed widths first, then for texts.

So where a row begins follows from the texts before it, and everything else of a block is moved
at once.
"""

import struct
from collections.abc import Sequence

import numpy as np

from app.money import UNITS
from app.postgres.binary_copy.layout import (
    FIXED,
    HEADER,
    TRAILER,
    Array,
    Block,
    Field,
    everywhere,
    sized,
)

BLOCK_BYTES = 8_000_000
_ALIKE = 16  # rows in a row whose text is of one length, before more of them are looked for
_BEYOND = bytes(4)  # behind the data, so that a length may be read there
_UNREADABLE = "the stream breaks off, or a field without a fill is NULL"


class Reader:
    def __init__(self, fields: Sequence[Field], block_bytes: int) -> None:
        self._texts = [each for each in fields if each.kind == "text"]
        self._fixed = [each for each in fields if each.kind != "text"]
        self._masked = [each for each in fields if each.mask]
        sent = [FIXED[each.kind].sent for each in self._fixed] + ["?"] * len(self._masked)
        self._row = np.dtype([("fields", ">i2"), *sized(sent)])
        self._count = len(sent) + len(self._texts)
        self._block_bytes = block_bytes
        self._chunks: list[bytes] = []
        self._pending = 0
        self._header = len(HEADER)

    def sql(self, query: str, order_by: str | None = None) -> str:
        columns = [_expression(each) for each in self._fixed]
        columns += [f"{_quoted(each.name)} IS NULL" for each in self._masked]
        columns += [_expression(each) for each in self._texts]
        order = "" if order_by is None else f" ORDER BY asked.{_quoted(order_by)}"
        return f"SELECT {', '.join(columns)} FROM ({query}) AS asked{order}"  # noqa: S608  # ours

    def feed(self, chunk: bytes) -> Block | None:
        self._chunks.append(chunk)
        self._pending += len(chunk)
        return self._cut() if self._pending >= self._block_bytes else None

    def finish(self) -> Block | None:
        block = self._cut()
        if self._chunks != [TRAILER]:
            raise ValueError(_UNREADABLE)
        return block

    def _cut(self) -> Block | None:
        """Return the rows that are complete, and keep the rest."""
        data = b"".join((*self._chunks, _BEYOND))
        if len(data) < self._header + len(_BEYOND):
            return None
        try:
            starts, found, end = self._walk(data, self._header)
        except UnicodeDecodeError:  # what follows NULL was taken for a text
            raise ValueError(_UNREADABLE) from None
        self._chunks, self._header = [data[end : -len(_BEYOND)]], 0
        self._pending = len(self._chunks[0])
        if not starts:
            return None
        begun = everywhere(data, self._row.itemsize)[starts].view(self._row)
        self._check(begun)
        rows = len(found) // len(self._texts) if self._texts else len(starts)
        texts = {each.name: found[i :: len(self._texts)] for i, each in enumerate(self._texts)}
        return Block(rows, self._arrays(begun[:rows]), texts) if rows else None

    def _walk(self, data: bytes, at: int) -> tuple[list[int], list[str], int]:
        """Return where rows begin, also the incomplete last one, their texts, and the end."""
        texts, fixed = range(len(self._texts)), self._row.itemsize
        size_at = struct.Struct(">I").unpack_from
        starts: list[int] = []
        found: list[str] = []
        end, limit = at, len(data) - len(_BEYOND)
        last = limit - fixed - 4 * len(texts)
        alike = before = size = 0
        while at <= last:
            if alike >= _ALIKE:
                some = self._alike(data, at, before, limit)
                starts += range(at, at + len(some) * (fixed + 4 + before), fixed + 4 + before)
                found += some
                end = at = at + len(some) * (fixed + 4 + before)
                alike = 0
                continue
            starts.append(at)
            at += fixed
            for _ in texts:
                (size,) = size_at(data, at)
                at += 4
                if at + size > limit:
                    if size > 0x7FFFFFFF:
                        raise ValueError(_UNREADABLE)
                    return starts, found[: (len(starts) - 1) * len(texts)], end
                found.append(data[at : at + size].decode())
                at += size
            alike = alike + 1 if size == before and len(texts) == 1 else 0
            before = size
            end = at
        return starts, found, end

    def _alike(self, data: bytes, at: int, size: int, limit: int) -> list[str]:
        """Return the texts of the rows from an offset on whose one text is of a size, in a row.

        Ids are mostly of one length, so that many rows are found at once.
        """
        fixed = self._row.itemsize
        stride = fixed + 4 + size
        rows = (limit - at) // stride
        if not rows or not size:
            return []
        other = np.ndarray((rows,), ">u4", data, at + fixed, (stride,)) != size
        # Where one is of another size, those behind it do not begin where they were looked for.
        rows = int(other.argmax()) if other.any() else rows
        same = np.ndarray((rows,), f"V{size}", data, at + fixed + 4, (stride,)).tobytes()
        if same.isascii():
            # Each byte as a character of numpy, which holds no NUL at an end: no text has one.
            characters = np.frombuffer(same, np.uint8).astype(np.uint32)
            listed: list[str] = characters.view(f"U{size}").tolist()
            return listed
        return [same[start : start + size].decode() for start in range(0, len(same), size)]

    def _check(self, rows: Array) -> None:
        """Refuse NULL, whose length is another, before what follows it is taken for a row."""
        right = (rows["fields"] == self._count).all()
        for name in (self._row.names or ())[1::2]:
            width = self._row[name.replace("size", "value")].itemsize
            right = right and (rows[name] == width).all()
        if not right:
            raise ValueError(_UNREADABLE)

    def _arrays(self, rows: Array) -> dict[str, Array]:
        arrays = {}
        for i, each in enumerate(self._fixed):
            kind, sent = FIXED[each.kind], rows[f"value{i}"]
            values = arrays[each.name] = sent.astype(kind.kept)
            if kind.epoch:
                values += kind.epoch
                if each.fill is not None:
                    values[sent == np.iinfo(kind.sent).min] = each.fill
        for i, each in enumerate(self._masked, len(self._fixed)):
            arrays[str(each.mask)] = rows[f"value{i}"].astype(bool)
        return arrays


def _quoted(name: str, mark: str = '"') -> str:
    return mark + name.replace(mark, mark * 2) + mark


def _expression(field: Field) -> str:
    """Return what the server is asked for; minus infinity stands for a date that is NULL."""
    kind = FIXED.get(field.kind)
    sql = kind.sql if kind else "text"
    name = _quoted(field.name)
    value = f"({name}::numeric * {UNITS})::int8" if field.kind == "numeric" else f"{name}::{sql}"
    if field.fill is None:
        return value
    fill = "-infinity" if kind and kind.epoch else str(field.fill)
    return f"coalesce({value}, {_quoted(fill, chr(39))}::{sql})"
