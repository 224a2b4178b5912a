"""What a report is asked: a period of days, how to part it, and the instant that it is true for."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

from app.days import AsOf, from_day, from_micros, to_day
from app.deployment import Deployment
from app.errors import FieldError, ValidationFailed
from app.postgres.db import ReadSession
from app.services.common import as_of as as_ofs
from app.services.common import deployment_settings
from app.services.common.deployment_settings import Pointers
from app.services.policies import policies
from app.services.policies.policies import PolicyTimeline

MOST_DAYS = 3_653
"""Ten years."""
USUAL_DAYS = 365


@dataclass(frozen=True, slots=True)
class Question:
    """A report is of the days `first` to `last`, by all that happened up to `as_of`."""

    by: str
    first: int
    last: int
    as_of: AsOf
    deployment: Deployment
    timeline: PolicyTimeline
    pointers: Pointers

    @property
    def first_on(self) -> date:
        return from_day(self.first)

    @property
    def last_on(self) -> date:
        return from_day(self.last)

    @property
    def until_on(self) -> date:
        return from_day(self.as_of.day)

    @property
    def begins_at(self) -> datetime:
        return self.deployment.calendar.start_of(self.first)

    @property
    def first_ends_at(self) -> datetime:
        """The end of the first of two days that are compared."""
        return min(self.deployment.calendar.end_of(self.first), self.as_of.at)

    @property
    def ends_at(self) -> datetime:
        return min(self.deployment.calendar.end_of(self.last), self.as_of.at)

    def day_starts(self, last: int) -> list[datetime]:
        """Return the beginnings of the days from the first one on: the zone is known here alone."""
        starts = self.deployment.calendar.starts(np.arange(self.first, last + 1))
        return [from_micros(at) for at in starts.tolist()]

    def months(self) -> list[tuple[str, datetime]]:
        """Return the months of the period, each with the instant at which it begins in it."""
        calendar, days = self.deployment.calendar, range(self.first, self.last + 1)
        begin = [day for day in days if day == self.first or from_day(day).day == 1]
        return [(month_of(from_day(day)), calendar.start_of(day)) for day in begin]

    def is_over(self, month: str) -> bool:
        """Whether all of a month lies before `as_of`."""
        year, number = map(int, month.split("-"))
        following = month_of_number(year * 12 + number)
        after = to_day(date.fromisoformat(f"{following}-01"))
        return self.deployment.calendar.end_of(after - 1) <= self.as_of.at


def month_of(on: date) -> str:
    return f"{on.year:04}-{on.month:02}"


async def read(
    session: ReadSession,
    deployment: Deployment,
    ways: Collection[str],
    *,
    since: str | None,
    until: str | None,
    by: str | None,
    as_of: AsOf,
) -> Question:
    """Return what is asked; refuse a way to part that there is not, and bad periods."""
    chosen = next(iter(ways)) if by is None else by
    if chosen not in ways:
        raise refused("by", "unknown_value", f"must be one of {', '.join(ways)}")
    last = as_of.day if until is None else as_ofs.day(until, "query:to")
    if last > as_of.day:
        raise refused("to", "after_as_of", "must not lie after `as_of`, nor after today")
    first = last - USUAL_DAYS + 1 if since is None else as_ofs.day(since, "query:from")
    if first > last:
        raise refused("from", "after_to", "must not lie after `to`")
    if last - first >= MOST_DAYS:
        raise refused("from", "too_long", "must lie within ten years (3,653 days) before `to`")
    pointers = await deployment_settings.pointers(session)
    timeline = await policies.timeline(session, pointers.timeline)
    return Question(chosen, first, last, as_of, deployment, timeline, pointers)


def refused(name: str, code: str, detail: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError(f"query:{name}", code, detail)])


def month_of_number(number: int) -> str:
    """Return a month that is told as a number: twelve times the year, and those before it."""
    year, month = divmod(number, 12)
    return f"{year:04}-{month + 1:02}"
