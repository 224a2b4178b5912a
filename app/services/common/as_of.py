"""Reading `as_of`: an instant, or a day that means its end in the deployment's zone."""

from dataclasses import replace
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from app.days import AsOf, to_day
from app.deployment import Deployment
from app.errors import FieldError, ValidationFailed
from app.schemas.common.types import RANGE, Day, Timestamp

_DAY: TypeAdapter[Day] = TypeAdapter(Day)
_INSTANT: TypeAdapter[datetime] = TypeAdapter(Timestamp)


def parse(
    text: str | None, deployment: Deployment, now: datetime, *, pointer: str = "query:as_of"
) -> AsOf:
    """Return the asked instant, by default now; what lies after today cannot be known."""
    if text is None:
        return replace(deployment.as_of(now), is_now=True)
    as_of = _read(text, deployment, pointer)
    if as_of.day > deployment.calendar.day_of(now):
        raise _refused(pointer, "must not lie after today")
    return as_of


def span(
    since: str | None, until: str | None, deployment: Deployment
) -> tuple[AsOf | None, AsOf | None]:
    """Return the bounds of a list in time; a day is meant from its beginning to its end."""
    first = beginning(since, deployment, "query:since")
    last = None if until is None else _read(until, deployment, "query:until")
    return first, last


def beginning(text: str | None, deployment: Deployment, pointer: str) -> AsOf | None:
    """Return a bound from below; a day means its beginning."""
    return None if text is None else _read(text, deployment, pointer, begins=True)


def day(text: str, pointer: str) -> int:
    """Return the number of a day."""
    try:
        return to_day(_DAY.validate_python(text))
    except ValidationError:
        raise _refused(pointer, f"must be a day such as 2026-01-31; it {RANGE}") from None


def _read(text: str, deployment: Deployment, pointer: str, *, begins: bool = False) -> AsOf:
    try:
        if len(text) == len("2026-01-31"):
            day = to_day(_DAY.validate_python(text))
            edge = deployment.calendar.start_of if begins else deployment.calendar.end_of
            return AsOf(edge(day), day)
        return deployment.as_of(_INSTANT.validate_python(text))
    except ValidationError:
        detail = f"must be an RFC 3339 time with an offset, or a day; it {RANGE}"
        raise _refused(pointer, detail) from None


def _refused(pointer: str, detail: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError(pointer, "as_of", detail)])
