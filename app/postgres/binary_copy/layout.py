"""What is moved, and how its bytes lie in a row of binary COPY."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Kind: TypeAlias = Literal[
    "int2", "int4", "int8", "float8", "bool", "date", "timestamptz", "numeric", "bytea", "text",
    "text[]", "jsonb", "decimal",
]  # fmt: skip
Array: TypeAlias = NDArray[Any]

LOOSE: tuple[Kind, ...] = ("text", "text[]", "jsonb", "decimal")
"""Kinds whose values are of many lengths."""
OID_OF_TEXT = 25
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"


class Fixed(NamedTuple):
    """A kind of one width: `sent` by the server, `kept` in numpy, `epoch` further in between."""

    sent: str
    kept: str
    sql: str
    epoch: int = 0


FIXED: Mapping[Kind, Fixed] = {
    "int2": Fixed(">i2", "i2", "int2"),
    "int4": Fixed(">i4", "i4", "int4"),
    "int8": Fixed(">i8", "i8", "int8"),
    "float8": Fixed(">f8", "f8", "float8"),
    "bool": Fixed("?", "?", "bool"),
    "date": Fixed(">i4", "i8", "date", 10_957),
    "timestamptz": Fixed(">i8", "i8", "timestamptz", 946_684_800_000_000),
    "numeric": Fixed(">i8", "i8", "int8"),
}


@dataclass(frozen=True)
class Field:
    """A column of a query; NULL becomes `fill`, and True in the array `mask`, or is refused."""

    name: str
    kind: Kind
    fill: float | str | None = None
    mask: str | None = None


@dataclass(frozen=True)
class Block:
    """Some rows of an answer, in its order."""

    rows: int
    arrays: Mapping[str, Array]
    texts: Mapping[str, list[str]]


@dataclass(frozen=True)
class Column:
    """Values for a column of a table; with `codes`, of which a negative is NULL, their choice.

    Lists of texts, of kind `text[]`, are always chosen among few; bytes, of kind `bytea`, are all
    of one length, the width of their numpy type. Nothing reads either, nor JSON (`jsonb`) as
    text, nor `decimal`: numbers with up to twelve decimals of which a count of ten thousandths
    is too coarse.
    """

    kind: Kind
    values: ArrayLike | Sequence[str] | Sequence[Sequence[str]] | Sequence[Decimal]
    null: ArrayLike | None = None
    codes: ArrayLike | None = None


def sized(sent: Sequence[Any]) -> list[tuple[str, Any]]:
    """Return the layout of values behind their lengths: `size0`, `value0`, `size1` and so on."""
    pairs = [((f"size{i}", ">i4"), (f"value{i}", each)) for i, each in enumerate(sent)]
    return [each for pair in pairs for each in pair]


def everywhere(data: Any, width: int) -> Array:
    """Return the `width` bytes from every offset, each a value that numpy moves as a whole."""
    return np.ndarray((len(data) - width + 1,), f"V{width}", data, strides=(1,))
