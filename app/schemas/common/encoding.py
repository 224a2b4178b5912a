"""Answers of many rows, straight to JSON: as their schemas write them, without checking each value.

What a service answers of what it has stored itself needs no second look, and a page of fifty rows
costs more to check than to read. Tests hold what is written here against the schemas.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from app.schemas.common.types import format_amount, format_instant


def to_json(answer: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """Return an answer as JSON; a number that is not finite is a fault of ours."""
    return _ENCODER.encode(answer).encode()


def _special(value: object) -> str:
    if isinstance(value, Decimal):
        return format_amount(value)
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not JSON")


_ENCODER = json.JSONEncoder(
    ensure_ascii=False,
    check_circular=False,
    allow_nan=False,
    separators=(",", ":"),
    default=_special,
)
