"""Rows of a file, and what is wrong with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

Fields = Sequence[str] | Mapping[str, Any]
"""Values of a row: of CSV one for each column in order, of JSON by name."""


class Row(NamedTuple):
    """One record of a file."""

    row: int
    """Its number among the records, from 1; the header is none. What a resumed import counts."""
    line: int
    """The line of the file that it begins on, from 1. Of a JSON answer, the same as `row`."""
    raw: str
    """The record as it was written, with its line end: what goes to the file of refusals."""
    fields: Fields


class Problem(NamedTuple):
    """Why a row is rejected, or what of it was left out."""

    column: str | None
    """The column it is about; None if it is about the whole row."""
    code: str
    """One of `faults.ROW_CODES`."""
    detail: str
    """The same in words, without the value: those are personal data."""


class BadRow(NamedTuple):
    """A record that could not be read."""

    row: int
    line: int
    raw: str
    """As it was written; cut where it is longer than a line may be."""
    problem: Problem
    short: Sequence[str] | None = None
    """Of CSV: its fields, if they are too few and nothing else is wrong with it."""


@dataclass(frozen=True)
class Limits:
    """What a reader holds at once, and where it stops."""

    field: int = 65_536
    """Characters of a field; a longer one rejects its row."""
    line: int = 1_048_576
    """Characters of a record, with the line breaks in its quotes; a longer one is rejected."""
    ratio: int = 250
    """How many times its compressed size a file may have, once past `free` bytes."""
    free: int = 64 * 1024 * 1024
    """Bytes up to which the ratio is not looked at."""
    total: int | None = None
    """Bytes of the whole file once inflated; None: no bound."""


LIMITS: Final = Limits()
