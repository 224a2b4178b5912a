"""Reading `as_of`: an instant, or a day that means its end in the deployment's zone."""

from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from app.days import AsOf, to_day
from app.deployment import Deployment
from app.errors import FieldError, ValidationFailed
from app.schemas.types import Day, Timestamp

_DAY: TypeAdapter[Day] = TypeAdapter(Day)
_INSTANT: TypeAdapter[datetime] = TypeAdapter(Timestamp)


def parse(
    text: str | None, here: Deployment, now: datetime, *, pointer: str = "query:as_of"
) -> AsOf:
    """Return the asked instant, by default now; what lies after today cannot be known."""
    if text is None:
        return here.as_of(now)
    try:
        if len(text) == len("2026-01-31"):
            day = to_day(_DAY.validate_python(text))
            as_of = AsOf(here.calendar.end_of(day), day)
        else:
            as_of = here.as_of(_INSTANT.validate_python(text))
    except ValidationError:
        raise _refused(pointer, "must be an RFC 3339 time with an offset, or a day") from None
    if as_of.day > here.calendar.day_of(now):
        raise _refused(pointer, "must not lie after today")
    return as_of


def _refused(pointer: str, detail: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError(pointer, "as_of", detail)])
