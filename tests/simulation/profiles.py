"""Profiles as they are posted, and what is said with one."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.schemas.common.types import format_instant
from tests import slow_profile
from tests.slow_profile import Said

READ = {"Germany": "DE", "中国": "CN"}
"""Names of countries, and the codes that are kept."""


def as_json(profile: dict[str, Any]) -> str:
    return json.dumps(
        {name: format_instant(value) if isinstance(value, datetime) else value
         for name, value in profile.items()},
        default=str,
    )  # fmt: skip


def news(
    said: Sequence[Said], given: dict[str, Any], since: datetime | None, known: datetime,
    source: str, *, whole: bool,
) -> Said | None:  # fmt: skip
    """Return what is kept of a profile that was given, or None: what holds already is no news."""
    if given.get("country") in READ:
        given = {**given, "country": READ[given["country"]]}
    before = slow_profile.held(said, known if since is None else since)
    inside = given.get("attributes", {})
    cells = {name: each for name, each in given.items() if name != "attributes"}
    cells |= {f"attributes.{key}": each for key, each in inside.items()}
    if whole:
        left = {cell: each for cell, each in cells.items() if each is not None}
        cells = {**dict.fromkeys(before), **left}
        for cell in before.keys() - left.keys():
            cells[cell] = None
    else:
        cells = {cell: _deep(before.get(cell), each) for cell, each in cells.items()}
    if since is not None:
        before = {}
        for each in said:
            if (each.since, each.source) == (since, source):
                before |= each.values
    values = {
        cell: each for cell, each in cells.items()
        if (since is not None and cell not in before) or _text(each) != _text(before.get(cell))
    }  # fmt: skip
    if whole and since is not None:  # what is absent was not said, but where it takes away
        at = slow_profile.held(said, since)
        values = {c: v for c, v in values.items() if v is not None or c in at}
    return Said(values, since, known, source) if values else None


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _deep(before: Any, given: Any) -> Any:
    """Return a value with a merge patch applied, as RFC 7396 has it."""
    if not isinstance(given, dict):
        return given
    found = dict(before) if isinstance(before, dict) else {}
    for name, value in given.items():
        found[name] = _deep(found.get(name), value)
    return found
