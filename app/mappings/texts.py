"""The texts that stand in the fields of rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.mappings.json_rows import JsonNumber

Getter = Callable[[Any], str]
"""Returns the text of a column of a row, without outer blanks; empty where there is none."""


def as_text(value: Any) -> str:
    """Return what is written for a value of JSON; empty for null, lists and objects."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, JsonNumber):
        return value.text
    return str(value) if isinstance(value, int) else ""


def value_of(fields: Mapping[str, Any], column: str) -> Any:
    """Return a value of an object, `owner.name` from within another one."""
    value: Any = fields
    if column in fields:
        return fields[column]
    for key in column.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def text_of(fields: Any, column: str) -> str:
    """Return the text of a value of an object; of a list the texts of its items."""
    value = value_of(fields, column)
    if isinstance(value, list):
        return ";".join(filter(None, map(as_text, value)))
    return as_text(value)


def texts_of(fields: Sequence[str]) -> list[str]:
    """Return the texts of a row of CSV."""
    return [text.strip() for text in fields]
