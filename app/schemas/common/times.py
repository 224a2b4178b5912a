"""Times as exports have them: with an offset, or on the clocks of a zone that is stated beside.

A day alone means its beginning. A local time that comes twice, when clocks go back, means the
earlier; one that clocks skip is moved forward by what they skip.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import ValidatorFunctionWrapHandler, WithJsonSchema, WrapValidator
from pydantic_core import PydanticCustomError

from app.schemas.common.types import FIRST_YEAR, LAST_YEAR, RANGE, RFC3339, to_utc

_LOCAL = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?)?"
_LOCAL_TIME = re.compile(_LOCAL)
# Well within the years that are known, and read by the standard library as by pydantic.
_USUAL = re.compile(
    r"(19[1-9]\d|20\d\d|21[0-8]\d)-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6})?(Z|[+-]\d\d:[0-5]\d)",
    re.ASCII,
)


def _read(value: object, parse: ValidatorFunctionWrapHandler) -> datetime:
    if type(value) is str and _USUAL.fullmatch(value):
        try:
            at = datetime.fromisoformat(value)
            return at if at.tzinfo is UTC else at.astimezone(UTC)
        except ValueError:
            pass  # a day that its month has not: told below
    _check_form(value)
    return _check_range(parse(value))


def _check_form(value: object) -> None:
    if isinstance(value, datetime):
        return
    if not isinstance(value, str) or not (RFC3339.fullmatch(value) or _LOCAL_TIME.fullmatch(value)):
        raise PydanticCustomError(
            "timestamp",
            "must be an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z, or beside a "
            "`time_zone` a time or a day of it, such as 2026-01-31 12:00:00 or 2026-01-31",
        )


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
    WrapValidator(_read),
    WithJsonSchema(_SCHEMA),
]
"""An instant in UTC, or a datetime without zone that `in_zone` makes one of."""


def in_zone(local: datetime, time_zone: str) -> datetime | None:
    """Return the instant of a time on the clocks of a zone, None where it leaves the calendar."""
    at = local.replace(tzinfo=ZoneInfo(time_zone), fold=0).astimezone(UTC)
    return at if FIRST_YEAR <= at.year <= LAST_YEAR else None
