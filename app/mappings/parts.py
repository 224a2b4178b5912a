"""The several things that stand in one row, or in the rows of one order."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from app.mappings.document import Parts
from app.mappings.sources import Columns, Part, with_part
from app.mappings.texts import as_text, value_of

_NAME_AHEAD: Final = r"(?=\s{0,9}\w{1,99}:)"
"""Bounded, as it is looked for behind every separator, whatever that is."""
Each = Callable[[Sequence[Any]], Iterator[Any]]
"""Returns rows as they are seen from each part in the rows of an order."""


def compile_parts(parts: Parts, columns: Columns, pointer: str) -> Each:
    """Return what finds the parts."""
    if parts.rows:
        return lambda rows: (
            with_part(fields, {"number": str(n)}) for n, fields in enumerate(rows, 1)
        )
    if parts.list is not None:
        return _of_list(parts.list, columns, pointer)
    names: list[str] = []
    for n, pattern in enumerate(parts.columns or ()):
        found = columns.matching(pattern)
        if not found and "*" not in pattern:
            columns.getter(pattern, f"{pointer}/columns/{n}")
        names += found
    getters = [columns.getter(name, f"{pointer}/columns") for name in names]

    def each(rows: Sequence[Any]) -> Iterator[Any]:
        cells = (cell for get in getters if (cell := get(rows[0])))
        texts = (text for cell in cells for text in _split(cell, parts))
        for n, text in enumerate(texts, 1):
            part = _pairs(text, parts.pairs) if parts.pairs else {}
            yield with_part(rows[0], {"": text, "number": str(n), **part})

    return each


def _of_list(name: str, columns: Columns, pointer: str) -> Each:
    column = columns.named(name)
    if column is None or not columns.is_json:
        columns.fault(f"{pointer}/list", "unknown_column", f"there is no list {name[:100]!r}")
        return lambda _: iter(())
    columns.used.add(column.split(".", 1)[0])

    def each(rows: Sequence[Any]) -> Iterator[Any]:
        found = value_of(rows[0], column)
        objects = [value for value in found or () if isinstance(value, dict)]
        for n, value in enumerate(objects, 1):
            yield with_part(rows[0], {**_flat(value), "number": str(n)})

    return each if column else lambda _: iter(())


def _flat(value: dict[str, Any]) -> Part:
    part: Part = {}
    for key, each in value.items():
        if isinstance(each, dict):
            part.update({f"{key}.{below}": as_text(deep) for below, deep in each.items()})
        else:
            part[key] = as_text(each)
    return part


def _split(cell: str, parts: Parts) -> list[str]:
    if parts.split is None:
        return [cell]
    ahead = _NAME_AHEAD if parts.pairs else ""
    found = re.split(re.escape(parts.split) + ahead, cell)
    return [text for each in found if (text := each.strip())]


def _pairs(text: str, separator: str) -> Part:
    """Read `name:value` pairs; what parts them may itself stand in a value."""
    part: Part = {}
    for pair in re.split(re.escape(separator) + _NAME_AHEAD, text):
        name, _, value = pair.partition(":")
        part[name.strip()] = value.strip()
    return part
