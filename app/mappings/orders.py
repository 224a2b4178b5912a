"""Rows that make one order together, held until it is whole."""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from app.mappings.bad import Bad
from app.mappings.document import MOST_ROWS
from app.mappings.rows import BadRow, Row
from app.mappings.texts import Getter

MOST_CHARACTERS = 32_000_000
"""What is held of one order, and of all that are open."""
_UNREAD: Final = 1_000
_LOOKED_AT: Final = 4_096
_PARTED: Final = re.compile(r"[,;:|\t\r\n\"{}\[\]]+")
Key = tuple[str, ...]
Closed = tuple[Sequence[Row], Bad | None]


class _Order:
    __slots__ = ("bad", "first", "rows", "size")

    def __init__(self, first: int) -> None:
        self.first = first
        self.rows: list[Row] = []
        self.size = 0
        self.bad: Bad | None = None


class Orders:
    """The orders that are open.

    Without a window only one is: the rows of an order follow each other. With one, an order closes
    `within` rows of the file after its first row, so that orders close in the order they began.
    """

    def __init__(self, by: Sequence[Getter], within: int | None) -> None:
        self._by, self._within = by, within
        self._open: dict[Key, _Order] = {}
        self._held = 0
        self._ids: dict[str, Key] = {}
        """Of those that are open, by what tells orders apart first."""
        self._unread: deque[tuple[int, set[str]]] = deque(maxlen=_UNREAD)
        """Rows that could not be read, which may be of an order that is open or comes next."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not self._open and not self._unread

    def doubt(self, row: BadRow) -> None:
        """Take note of a row that could not be read: the orders that it names are not whole."""
        words = _words(row.raw)
        self._unread.append((row.row, words))
        for word in words & self._ids.keys():
            order = self._open[self._ids[word]]
            order.bad = order.bad or _not_whole()

    def key_of(self, row: Row) -> Key:
        """Return the key of the order of a row."""
        key = tuple([get(row.fields) for get in self._by])
        if not all(key):
            raise Bad("blank", "what tells orders apart is blank")
        return key

    def close_before(self, row: Row, key: Key) -> Iterator[Closed]:
        """Give the orders that are whole when a row comes."""
        if self._within is None:
            if key not in self._open:
                yield from self.close()
            return
        oldest = row.row - self._within
        while self._unread and self._unread[0][0] <= oldest:
            self._unread.popleft()
        while self._open:
            first = next(iter(self._open))
            if self._open[first].first > oldest and self._held <= MOST_CHARACTERS:
                return
            yield from self._close(first)

    def close(self) -> Iterator[Closed]:
        """Give all orders that are open, in the order they began."""
        while self._open:
            yield from self._close(next(iter(self._open)))

    def _close(self, key: Key) -> Iterator[Closed]:
        order = self._open.pop(key)
        if self._ids.get(key[0]) == key:
            del self._ids[key[0]]
        self._held -= order.size
        if order.rows:
            yield order.rows, order.bad

    def add(self, row: Row, key: Key) -> tuple[tuple[Row, ...], Bad] | None:
        """Hold a row; return rows and reason if the order has grown too large."""
        order = self._open.get(key)
        if order is None:
            order = self._open[key] = _Order(row.row)
            self._ids[key[0]] = key
            if any(key[0] in words for _, words in self._unread):
                order.bad = _not_whole()
        elif self._within is None and self._unread:
            # It stands between rows of the order, whatever it names.
            order.bad = order.bad or _not_whole()
        if self._within is None:
            self._unread.clear()
        order.rows.append(row)
        order.size += len(row.raw)
        self._held += len(row.raw)
        if order.bad is not None and order.bad.code == "order_too_large":
            return self._refused(order, order.bad)
        if len(order.rows) > MOST_ROWS or order.size > MOST_CHARACTERS:
            order.bad = Bad("order_too_large", f"an order has at most {MOST_ROWS} rows")
            return self._refused(order, order.bad)
        return None

    def _refused(self, order: _Order, bad: Bad) -> tuple[tuple[Row, ...], Bad]:
        rows, order.rows = tuple(order.rows), []
        self._held -= order.size
        order.size = 0
        return rows, bad


def _words(raw: str) -> set[str]:
    """Return what may be a field of a row that could not be read."""
    return {word.strip() for word in _PARTED.split(raw[:_LOOKED_AT])}


def _not_whole() -> Bad:
    return Bad("conflicting_lines", "a row that seems to be of the order could not be read")
