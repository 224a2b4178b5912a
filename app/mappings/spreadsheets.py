"""What spreadsheets do to values when they save them, as far as it can be seen."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

ROUNDED: Final = re.compile(r"\d([.,]\d+)?[eE]\+\d{1,3}", re.ASCII)
"""A number of which a spreadsheet has kept a few digits."""
_DIGITS: Final = 15
"""Digits of a number that spreadsheets keep; the others become zeros."""
_CUT: Final = re.compile(rf"[1-9]\d{{{_DIGITS - 1}}}0+", re.ASCII)
_GUARDED: Final = re.compile(r"'[\d=+@-].*|=\".*\"")


def notes(columns: Sequence[str], sample: Sequence[Sequence[str]]) -> Iterator[str]:
    """Give in words what spreadsheets have done to the values of columns."""
    for name, values in zip(columns, zip(*sample, strict=True), strict=False):
        texts = {text for each in values if (text := each.strip())}
        if any(map(ROUNDED.fullmatch, texts)):
            yield (
                f"{name[:80]!r} has numbers that a spreadsheet has rounded, such as 1.23E+15: as "
                "ids their rows are refused; export the column as text"
            )
        longest = {text for text in texts if text.isdecimal() and len(text) > _DIGITS}
        if len(longest) > 1 and all(map(_CUT.fullmatch, longest)):
            yield (
                f"all long numbers of {name[:80]!r} end with zeros behind their {_DIGITS}th digit: "
                "a spreadsheet seems to have cut them, so that several may have become one"
            )
        if any(map(_GUARDED.fullmatch, texts)):
            yield f"{name[:80]!r} has values guarded for spreadsheets, which are read without"
