"""A calendar with seasons: how fast time runs in each month of the year.

A season has twelve factors, January first, that add up to 12. A day of a month counts as many
*seasonal days* as its factor says: of a month in which customers buy twice as often as in the mean
of the year, a day is two. Whoever counts silences, ages and horizons in seasonal days meets the
customers of one rate all year round.

The *clock* of a day is the number of seasonal days from the beginning of 1970 to the beginning of
that day, in units of 1/10,000: whole numbers, so that nothing rounds and every reader agrees. It
rises with each day, and `days_after` undoes it. Before 1800 and from 2400 on, a day is a day.

References
----------
Cinlar (1975), Introduction to Stochastic Processes, chapter 4 (a Poisson process of a rate that
varies is one of a constant rate in operational time).
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

MONTHS: Final = 12
UNITS: Final = 10_000
"""Units of the clock in a seasonal day; factors have as many decimals."""
LEAST: Final = 0.01
"""The least factor of a month: a clock that stands still has no inverse."""

_FIRST_MONTH, _LAST_MONTH = (1800 - 1970) * MONTHS, (2400 - 1970) * MONTHS
_LOOKED_UP = (2070 - 1970) * MONTHS
"""The months from 1970 on whose days are looked up in a table; all others are searched for."""
_BUCKET = 2**11
"""Units of the clock: fewer than any month has, and a power of two, so that dividing is exact."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class _Table(NamedTuple):
    """The clock on each day from 1970 on, the months from then, and the month of each bucket.

    A bucket begins in its month, and ends in that or the next.
    """

    clock: Ints
    months: "_Months"
    month: Ints


class _Months(NamedTuple):
    """The months known, by their first days, the clock on these, and how fast it runs from there.

    The first stands for all time before, the last for all after.
    """

    day: Ints
    clock: Ints
    speed: Ints


@dataclass(frozen=True, slots=True)
class Season:
    """Twelve factors, not all alike, in 1/10,000; `of` makes one."""

    factors_in_units: tuple[int, ...]

    def __post_init__(self) -> None:
        """Raise ValueError unless there are twelve, none too small, adding up to 12."""
        if fault := _fault(self.factors_in_units):
            raise ValueError(fault)

    @classmethod
    def of(cls, factors: Sequence[float] | None) -> "Season | None":
        """Return the season of factors with four decimals; None where all months are alike.

        Raises
        ------
        ValueError
            Unless there are twelve of at least `LEAST` that add up to 12.
        """
        if factors is None:
            return None
        found = cls(tuple(round(factor * UNITS) for factor in factors))
        return None if found.is_flat else found

    @classmethod
    def nearest(cls, factors: ArrayLike) -> "Season | None":
        """Return the season nearest to any positive factors, scaled to add up to 12."""
        given = np.asarray(factors, dtype=np.float64)
        given = np.maximum(given * (MONTHS / given.sum()), 2 * LEAST)
        units = np.rint(given * (MONTHS / given.sum()) * UNITS).astype(np.int64)
        units[int(np.argmax(units))] += MONTHS * UNITS - int(units.sum())
        found = cls(tuple(units.tolist()))
        return None if found.is_flat else found

    @property
    def factors(self) -> tuple[float, ...]:
        """The factors of January to December."""
        return tuple(each / UNITS for each in self.factors_in_units)

    @property
    def is_flat(self) -> bool:
        return len(set(self.factors_in_units)) == 1

    @property
    def most(self) -> float:
        """The largest factor."""
        return max(self.factors_in_units) / UNITS

    def clock(self, day: ArrayLike) -> Ints:
        """Return the clock at the beginning of whole days since 1970-01-01, of any shape."""
        days = np.asarray(day, dtype=np.int64)
        table = _table(self).clock
        # A negative day is a large number without a sign.
        if days.view(np.uint64).max(initial=0) < table.size:
            looked_up: Ints = table[days]
            return looked_up
        at, months = _place(_months(self).day, _months(self), days)
        found: Ints = months.clock[at] + (days - months.day[at]) * months.speed[at]
        return found

    def days_after(self, day: ArrayLike, seasonal_days: ArrayLike) -> Floats:
        """Return how many days after a day so many seasonal days, at least 0, are over."""
        first, units = np.asarray(day, dtype=np.int64), np.asarray(seasonal_days) * float(UNITS)
        clock = self.clock(first)
        at, months = _month_of(self, clock + units)
        # Small numbers are added: nothing is lost beside a clock that has run for years.
        passed = units + (clock - months.clock[at])
        found: Floats = months.day[at] - first + passed / months.speed[at]
        return found

    def between(self, first: ArrayLike, last: ArrayLike) -> Floats:
        """Return the seasonal days from one day to another."""
        found: Floats = (self.clock(last) - self.clock(first)) / UNITS
        return found

    def clock_of_one(self, day: int) -> int:
        """Return the clock of one day, bit for bit as `clock` does, for whoever has but one."""
        months = _listed(self)
        at = max(bisect_right(months[0], day) - 1, 0)
        return months[1][at] + (day - months[0][at]) * months[2][at]

    def days_after_one(self, day: int, seasonal_days: float) -> float:
        """Return `days_after` of one day, bit for bit."""
        days, clocks, speeds = _listed(self)
        clock, units = self.clock_of_one(day), seasonal_days * float(UNITS)
        at = max(bisect_right(clocks, clock + units) - 1, 0)
        return days[at] - day + (units + (clock - clocks[at])) / speeds[at]


def _fault(units: tuple[int, ...]) -> str:
    if len(units) != MONTHS:
        return f"there are {len(units)} factors, one is needed for each of {MONTHS} months"
    if min(units) < LEAST * UNITS:
        return f"each factor must be at least {LEAST}"
    if sum(units) != MONTHS * UNITS:
        return f"the factors add up to {sum(units) / UNITS:g}, not to {MONTHS}"
    return ""


@lru_cache(maxsize=256)
def _months(season: Season) -> _Months:
    month = np.arange(_FIRST_MONTH, _LAST_MONTH + 1)
    day = month.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    speed = np.asarray(season.factors_in_units, dtype=np.int64)[month % MONTHS]
    clock = np.r_[0, np.cumsum(np.diff(day) * speed[:-1])]
    clock -= clock[-_FIRST_MONTH]
    # A day before all months, from which on a day is a day, and one after them.
    day = np.r_[day[0] - 1, day]
    clock = np.r_[clock[0] - UNITS, clock]
    speed = np.r_[UNITS, speed[:-1], UNITS]
    return _Months(day, clock, speed)


@lru_cache(maxsize=8)
def _table(season: Season) -> _Table:
    known = _months(season)
    first = 1 - _FIRST_MONTH
    months = _Months(*(column[first : first + _LOOKED_UP + 1] for column in known))
    lengths = np.diff(months.day)
    clock = np.r_[0, np.cumsum(np.repeat(months.speed[:-1], lengths))]
    begins = -(-months.clock // _BUCKET)
    return _Table(clock, months, np.repeat(np.arange(_LOOKED_UP), np.diff(begins)))


def _month_of(season: Season, clock: Floats) -> tuple[Ints, _Months]:
    """Return in which of some months each time by the clock lies."""
    table = _table(season)
    low, high = clock.min(initial=0.0), clock.max(initial=0.0)
    if low < 0 or high >= _BUCKET * table.month.size:
        return _place(_months(season).clock, _months(season), clock)
    at = table.month[(clock / _BUCKET).astype(np.int64)]
    return at + (clock >= table.months.clock[at + 1]), table.months


@lru_cache(maxsize=64)
def _listed(season: Season) -> tuple[list[int], list[int], list[int]]:
    months = _months(season)
    return months.day.tolist(), months.clock.tolist(), months.speed.tolist()


def _place(borders: Ints, months: _Months, asked: NDArray[Any]) -> tuple[Ints, _Months]:
    """Return in which of some months, ascending, each asked time lies; few are looked at."""
    if not asked.size:
        return np.zeros(asked.shape, np.int64), months
    ends = np.searchsorted(borders, [asked.min(), asked.max()], side="right")
    low, high = max(int(ends[0]) - 1, 0), int(ends[1])
    seen = _Months(*(column[low : high + 1] for column in months))
    at = np.searchsorted(borders[low + 1 : high], asked, side="right")
    return at, seen
