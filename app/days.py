"""Days and instants in the deployment's business zone.

A day is an integer (days since 1970-01-01), an instant in columns is an integer (microseconds
since the epoch); at the edges they are `date` and an aware `datetime`.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MICROSECOND = timedelta(microseconds=1)
_MICROS_A_DAY = 86_400_000_000
_CHANGES = 2**62


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


@lru_cache(65_536)
def _shift(zone: ZoneInfo, utc_day: int) -> int:
    """Return by how many microseconds clocks of a zone are ahead all of a day of UTC.

    On a few days they change. No zone has ever moved its clocks and moved them back within a day.
    """
    first = from_micros(utc_day * _MICROS_A_DAY).astimezone(zone).utcoffset()
    last = from_micros((utc_day + 1) * _MICROS_A_DAY).astimezone(zone).utcoffset()
    assert first is not None
    return first // _MICROSECOND if first == last else _CHANGES


@dataclass(frozen=True)
class Calendar:
    """What a day is in one zone."""

    zone: ZoneInfo

    def day_of(self, at: datetime) -> int:
        """Return the day on which an instant falls."""
        return to_day(at.astimezone(self.zone).date())

    def days_of(self, micros: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the days on which instants fall; cost follows the distinct days."""
        utc_days = micros // _MICROS_A_DAY
        distinct, place = np.unique(utc_days, return_inverse=True)
        shifts = np.array([_shift(self.zone, day) for day in distinct.tolist()], dtype=np.int64)
        days: NDArray[np.int64] = (micros + shifts[place]) // _MICROS_A_DAY
        for row in np.flatnonzero(shifts[place] == _CHANGES).tolist():
            days[row] = self.day_of(from_micros(micros[row]))
        return days

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
        starts = [_start(self.zone, day) for day in distinct.tolist()]
        return np.array(starts, dtype=np.int64)[place.reshape(days.shape)]


@lru_cache(maxsize=100_000)
def _start(zone: ZoneInfo, day: int) -> int:
    """Return the first instant of a day; a zone has some ten thousand that are asked for."""
    return to_micros(Calendar(zone).start_of(day))


@dataclass(frozen=True)
class AsOf:
    """The instant an answer is true for, and its day; `is_now` where nobody asked for another."""

    at: datetime
    day: int
    is_now: bool = field(default=False, compare=False)

    @property
    def micros(self) -> int:
        return to_micros(self.at)
