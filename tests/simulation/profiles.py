"""Profiles as they are posted, and what becomes of one when another is merged into it."""

import json
from datetime import datetime
from typing import Any

from app.schemas.common.types import format_instant


def as_json(profile: dict[str, Any]) -> str:
    return json.dumps(
        {name: format_instant(value) if isinstance(value, datetime) else value
         for name, value in profile.items()},
        default=str,
    )  # fmt: skip


def merged(profile: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return a profile with what is given on top; of attributes, one by one and deep."""
    found = {**profile, **given}
    found["attributes"] = _deep(profile.get("attributes", {}), given["attributes"])
    return found


def _deep(before: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    found = dict(before)
    for name, value in given.items():
        inner = found.get(name)
        both = isinstance(value, dict) and isinstance(inner, dict)
        found[name] = _deep(inner, value) if both else value
    return found
