"""What is kept of a row as attributes, within what the doors take."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from app.mappings.bad import Bad
from app.mappings.fields import Make
from app.mappings.rows import Problem

_MOST_BYTES: Final = 16_384
_MOST_LEVELS: Final = 5
_SURELY_FITS: Final = 2_000
"""Characters that are fewer bytes than are taken, however they are written."""


def attributes_of(
    fields: Any, makes: Iterable[tuple[str, Make]], warnings: list[Problem]
) -> dict[str, Any]:
    """Return attributes by name; what cannot be read or kept is left out with a warning."""
    found: dict[str, Any] = {}
    length = 0
    for name, make in makes:
        try:
            value = make(fields)
        except Bad as bad:
            warnings.append(Problem(bad.column or name, bad.code, bad.detail))
            continue
        if value is None:
            continue
        found[name] = value
        length += len(name) + (len(value) if type(value) is str else _SURELY_FITS)
    if length > _SURELY_FITS:
        warnings += _shorten(found)
    return found


def _shorten(found: dict[str, Any]) -> Iterator[Problem]:
    """Leave out what is too deep, and the longest until the others fit."""
    for name in [name for name, value in found.items() if _levels(value) >= _MOST_LEVELS]:
        del found[name]
        yield Problem(name, "out_of_range", f"it has more than {_MOST_LEVELS} levels")
    sizes = {name: _size(name) + _size(value) for name, value in found.items()}
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if _size(found) <= _MOST_BYTES:
            return
        del found[name]
        yield Problem(name, "out_of_range", f"attributes have at most {_MOST_BYTES:,} bytes")


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


def _levels(value: Any) -> int:
    """Return how deep lists and objects are in each other, as far as it matters."""
    level, below = 0, [value]
    while below and level <= _MOST_LEVELS:
        nested = [each for each in below if isinstance(each, (dict, list))]
        if not nested:
            return level
        level += 1
        below = [
            deep for each in nested for deep in (each.values() if isinstance(each, dict) else each)
        ]
    return level
