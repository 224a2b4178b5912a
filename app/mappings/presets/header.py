"""The columns of a file, as presets look for them."""

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Final

from app.mappings.detection import Detected

Said = dict[str, Any]
"""A part of the document of a mapping."""


_UNIT: Final = re.compile(r"[(（\[][^()（）\[\]]*[)）\]]\s*$")


def folded(name: str) -> str:
    """Return a name as names are compared: without capitals, blanks and signs."""
    return re.sub(r"[\W_]+", "", name).casefold()


class Header:
    """The columns of one file. Objects of JSON leave out what is blank, so that any may come."""

    def __init__(self, detected: Detected) -> None:
        self.detected = detected
        self._is_open = detected.form != "csv"
        self._names = {name.strip().casefold(): name for name in detected.columns}

    @cached_property
    def folded(self) -> dict[str, str]:
        """Columns by their names as they are compared, the first of each.

        What stands in brackets behind a name is its unit, unless the whole is a name.
        """
        columns = self.detected.columns[::-1]
        return {folded(_UNIT.sub("", name)): name for name in columns} | {
            folded(name): name for name in columns
        }

    def find(self, *names: str) -> str | None:
        """Return the first of these columns that there is."""
        for name in names:
            found = self._names.get(name.strip().casefold())
            if found is not None:
                return found
        return names[0] if self._is_open and names else None

    def has(self, name: str) -> bool:
        """Say whether a column was seen."""
        return name.strip().casefold() in self._names

    def all(self, *names: str) -> list[str]:
        """Return those of these columns that there are, each once."""
        if self._is_open:
            return list(names)
        found = (self._names.get(name.strip().casefold()) for name in names)
        return list(dict.fromkeys(name for name in found if name is not None))

    def value(self, *names: str, **options: Any) -> Said | None:
        """Return the value of the first of these columns that is not blank; None without any."""
        found = self.all(*names)
        if not found:
            return None
        source: Said = {"column": found[0]} if len(found) == 1 else {"columns": found}
        return {**source, **options}

    def join(self, *names: str, **options: Any) -> Said | None:
        """Return the texts of these columns beside each other; None without any."""
        found = self.all(*names)
        return {"join": found, **options} if found else None

    def values(self, *names: str, most: int = 20) -> tuple[str, ...]:
        """Return what stands in the first of these columns, in the first rows, oftenest first."""
        for name in names:
            column = self._names.get(name.strip().casefold())
            if column is not None:
                place = self.detected.columns.index(column)
                texts = [row[place].strip() for row in self.detected.sample]
                seen = dict.fromkeys(text for text in texts if text)
                return tuple(sorted(seen, key=lambda each: -texts.count(each)))[:most]
        return ()


def known(**fields: Said | None) -> Said:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def first_of(*values: Said | None) -> Said | None:
    """Return the first of these that is not blank, each read as it says."""
    found = [value for value in values if value is not None]
    if len(found) < 2:
        return found[0] if found else None
    return {"first_of": found}


def constant(value: Any) -> Said:
    """Return the same for every row."""
    return {"constant": value}


def filters(*found: tuple[str, Said | None]) -> list[Said]:
    """Return filters; those without a condition are none."""
    return [{"code": code, "when": when} for code, when in found if when is not None]


def among(column: str | None, texts: Iterable[str]) -> Said | None:
    """Return the condition that a column, if there is one, is one of these texts."""
    said = list(texts)
    return None if column is None or not said else {"column": column, "in": said}


def none_of(column: str | None, texts: Sequence[str]) -> Said | None:
    """Return the condition that a column, if there is one, is none of these texts."""
    return None if column is None or not texts else {"column": column, "not_in": list(texts)}


def starts(column: str | None, texts: Sequence[str]) -> Said | None:
    """Return the condition that a column, if there is one, begins with one of these texts."""
    return None if column is None or not texts else {"column": column, "starts_with": list(texts)}


def either(*conditions: Said | None) -> Said | None:
    """Return the condition that one of these holds."""
    found = [condition for condition in conditions if condition is not None]
    return None if not found else found[0] if len(found) == 1 else {"any": found}
