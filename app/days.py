"""Days and instants in the deployment's business zone.

A day is an integer (days since 1970-01-01), an instant in columns is an integer (microseconds
since the epoch); at the edges they are `date` and an aware `datetime`.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MICROSECOND = timedelta(microseconds=1)


def to_micros(at: datetime) -> int:
    """Return the microseconds since the epoch of an aware datetime."""
    return (at - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the instant in UTC."""
    return EPOCH + timedelta(microseconds=int(micros))


def to_day(on: date) -> int:
    """Return the day number of a date."""
    return on.toordinal() - _EPOCH_ORDINAL


def from_day(day: int) -> date:
    """Return the date of a day number."""
    return date.fromordinal(int(day) + _EPOCH_ORDINAL)


@dataclass(frozen=True)
class Calendar:
    """What a day is in one zone."""

    zone: ZoneInfo

    def day_of(self, at: datetime) -> int:
        """Return the day on which an instant falls."""
        return to_day(at.astimezone(self.zone).date())

    def start_of(self, day: int) -> datetime:
        """Return the first instant of a day, in UTC."""
        on = from_day(day)
        return datetime(on.year, on.month, on.day, tzinfo=self.zone).astimezone(UTC)

    def end_of(self, day: int) -> datetime:
        """Return the last instant of a day, in UTC."""
        return self.start_of(day + 1) - _MICROSECOND

    def starts(self, days: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the first instants of days, in microseconds; cost follows the distinct days."""
        distinct, place = np.unique(days, return_inverse=True)
        starts = [_start(self, day) for day in distinct.tolist()]
        return np.array(starts, dtype=np.int64)[place.reshape(days.shape)]


@lru_cache(maxsize=100_000)
def _start(calendar: Calendar, day: int) -> int:
    """Return the first instant of a day; a zone has some ten thousand that are asked for."""
    return to_micros(calendar.start_of(day))


@dataclass(frozen=True)
class AsOf:
    """The instant an answer is true for, and its day."""

    at: datetime
    day: int

    @property
    def micros(self) -> int:
        return to_micros(self.at)
