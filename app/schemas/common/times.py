"""Times as exports have them: with an offset, or on the clocks of a zone that is stated beside.

A day alone means its beginning. A local time that comes twice, when clocks go back, means the
earlier; one that clocks skip is moved forward by what they skip.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.schemas.common.types import FIRST_YEAR, LAST_YEAR, RANGE, RFC3339, to_utc

_LOCAL = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?)?"
_LOCAL_TIME = re.compile(_LOCAL)


def _check_form(value: object) -> object:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not (RFC3339.fullmatch(value) or _LOCAL_TIME.fullmatch(value)):
        raise PydanticCustomError(
            "timestamp",
            "must be an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z, or beside a "
            "`time_zone` a time or a day of it, such as 2026-01-31 12:00:00 or 2026-01-31",
        )
    return value


def _check_range(value: datetime) -> datetime:
    if value.tzinfo is not None:
        return to_utc(value)
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise PydanticCustomError("timestamp", RANGE)
    return value


_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "pattern": f"^{_LOCAL}$"},
    ]
}
FactTime = Annotated[
    datetime,
    BeforeValidator(_check_form),
    AfterValidator(_check_range),
    WithJsonSchema(_SCHEMA),
]
"""An instant in UTC, or a datetime without zone that `in_zone` makes one of."""


def in_zone(local: datetime, time_zone: str) -> datetime | None:
    """Return the instant of a time on the clocks of a zone, None where it leaves the calendar."""
    at = local.replace(tzinfo=ZoneInfo(time_zone), fold=0).astimezone(UTC)
    return at if FIRST_YEAR <= at.year <= LAST_YEAR else None
