"""Learning the season of a business from its log, and a model of purchases in seasonal time.

What a model without season expects in each month of the past is held against the purchases made
(`month_factors`); then the model is fitted anew in seasonal time, and its months compared again,
for factors change what it learns of ages and silences. In less than `LEAST_DAYS` hardly a month is
seen twice, and what comes again cannot be told from what happened once: there is no season then,
nor where it is less likely than none.

References
----------
Fader and Hardie (2001), Forecasting Repeat Sales at CDNOW, Interfaces 31(3): actual over expected
repeat purchases by time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.histories.purchase_days import in_parts
from app.scoring.numerics.array_types import FloatArray, IntArray
from app.scoring.purchases import month_factors
from app.scoring.purchases.month_factors import MONTHS, MonthFactors
from app.scoring.purchases.purchase_model import PurchaseModel
from app.scoring.purchases.registry import Kind
from app.seasons import UNITS, Season

LEAST_DAYS: Final = 500
MOST_MONTHS: Final = 120
"""Months at most that are looked at, the last ones."""
LEAST_MONTHS: Final = 16
"""Months that are told anything of: who began years before all others makes no long history."""
DAYS_OF_MONTH: Final = 365.25 / MONTHS
LIKELY: Final = 0.5
ROUNDS: Final = 3
_WHOLE: Final = 15  # days of the first and the last month: of fewer, counts tell little
_AGES: Final = 800
"""Ages at which expected purchases are computed; between them they lie on straight lines."""

_SPREAD: Final = 1.281551565545  # of a normal distribution, 80 % lie within as many deviations

Status: TypeAlias = Literal["seasonal", "no_season", "too_little_history"]
Log: TypeAlias = tuple[ArrayLike, ArrayLike, ArrayLike]


@dataclass(frozen=True, eq=False)
class LearntSeason:
    """What was learnt.

    Attributes
    ----------
    status : str
        ``seasonal``; ``no_season``: the months differ by no more than chance;
        ``too_little_history``.
    season : Season or None
        None unless there is one.
    history_days : int
        From the first purchase day on.
    months : MonthFactors or None
        What is known of each month; None where nothing was looked at.
    model : PurchaseModel or None
        The model fitted in seasonal time, in its unit of time; None without a season.
    """

    status: Status
    season: Season | None
    history_days: int
    months: MonthFactors | None
    model: PurchaseModel | None

    def as_dict(self) -> dict[str, Any]:
        """Return what is told of it, fit for JSON; of each month what its factor may be, 80 %."""
        found = self.months
        return {
            "status": self.status,
            "history_days": self.history_days,
            "support": None if found is None else found.support,
            "months": None if found is None else _told(found, self.season),
        }


def _told(found: MonthFactors, season: Season | None) -> list[dict[str, Any]]:
    factors = np.ones(MONTHS) if season is None else np.array(season.factors)
    reach = np.exp(_SPREAD * found.error)
    columns = factors, factors / reach, factors * reach, found.years
    return [
        {"factor": factor, "low": low, "high": high, "years": years}
        for factor, low, high, years in zip(*(each.tolist() for each in columns), strict=True)
    ]


@dataclass(frozen=True, eq=False)
class _Histories:
    """Customers by their first and last purchase days, and repeat purchase days by day."""

    x: IntArray
    first_day: IntArray
    last_day: IntArray
    sum_log_gaps: FloatArray
    began: int
    repeats: IntArray
    """How many repeat purchase days fall on each day from `began` on."""

    @classmethod
    def of(cls, log: Log, as_of: int, season: Season | None) -> _Histories:
        """Read a log; gaps are in seasonal days where there is a season."""
        customer, day, amount = log
        began = int(np.min(np.asarray(day), initial=as_of))
        repeats = np.zeros(max(as_of - began + 1, 1), dtype=np.int64)
        parts = []
        for seen in in_parts(customer, day, amount, as_of=as_of):
            days, start = seen.day, seen.start
            n = np.diff(start, append=days.size)
            repeats += np.bincount(days - began, minlength=repeats.size)
            first = days[start]
            repeats -= np.bincount(first - began, minlength=repeats.size)
            clock = days if season is None else season.clock(days) / UNITS
            gap = np.diff(clock, prepend=clock[:1]).astype(np.float64)
            gap[start] = 1.0
            logs = np.add.reduceat(np.log(gap), start) if n.size else np.zeros(0)
            parts.append((n - 1, first, days[start + n - 1], logs))
        x, first_day, last_day, logs = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        return cls(x, first_day, last_day, logs, began, repeats)


def learn(log: Log, kind: Kind, *, as_of: int, unit: float = 1.0) -> LearntSeason:
    """Return the season of a log, and a model of a kind in it.

    Parameters
    ----------
    log : tuple of array_like
        Customer, day since 1970-01-01, and amount, as `purchase_summary.summarise` takes them.
    kind : Kind
        Of the model of purchases.
    as_of : int
        The last day that counts.
    unit : float
        Days in a unit of time of the model.

    Raises
    ------
    ValueError
        As for `purchase_summary.summarise`.
    """
    began = int(np.min(np.asarray(log[1]), initial=as_of))
    if as_of - began < LEAST_DAYS:
        return LearntSeason("too_little_history", None, as_of - began, None, None)
    seen = _Histories.of(log, as_of, None)
    season: Season | None = None
    found = month_factors.fit([], [], [])
    for _ in range(ROUNDS):
        model = _fitted(kind, seen, as_of, season, 1.0)
        found = _factors(seen, as_of, season, model.expected_purchases_new)
        if found.years.sum() < LEAST_MONTHS:
            told = round(found.years.sum() * DAYS_OF_MONTH)
            return LearntSeason("too_little_history", None, told, None, None)
        season = None if found.support < LIKELY else Season.nearest(np.exp(found.log_factor))
        if season is None:
            return LearntSeason("no_season", None, as_of - began, found, None)
        if kind.needs_gaps:
            seen = _Histories.of(log, as_of, season)
    in_season = _fitted(kind, seen, as_of, season, unit)
    return LearntSeason("seasonal", season, as_of - began, found, in_season)


def _fitted(
    kind: Kind, seen: _Histories, as_of: int, season: Season | None, unit: float
) -> PurchaseModel:
    """Return a model of everybody, in seasonal time where there is a season."""
    first, last = _clock(season, seen.first_day), _clock(season, seen.last_day)
    now = _clock(season, np.array(as_of))
    return kind.fit(
        seen.x,
        (last - first) / unit,
        (now - first) / unit,
        sum_log_gaps=seen.sum_log_gaps - seen.x * np.log(unit),
    )


def _clock(season: Season | None, day: IntArray) -> FloatArray:
    return day.astype(np.float64) if season is None else season.clock(day) / UNITS


def _factors(
    seen: _Histories,
    as_of: int,
    season: Season | None,
    expected_by: Callable[[FloatArray], FloatArray],
) -> MonthFactors:
    """Return the factors that repeat purchases by month support, over those of a model."""
    first, last = (np.datetime64(day, "D").astype("datetime64[M]") for day in (seen.began, as_of))
    month = np.arange(max(first, last - (MOST_MONTHS - 1)), last + 1)
    starts = month.astype("datetime64[D]").astype(np.int64)
    edges = np.clip(np.append(starts, as_of + 1), seen.began, None)
    upto = np.append(0, np.cumsum(seen.repeats))
    actual = np.diff(upto[edges - seen.began])
    expected = np.diff(_expected_until(seen, edges - 1, season, expected_by))
    whole = np.diff(edges) >= _WHOLE
    of_year = month.astype(np.int64) % MONTHS
    if season is not None:  # as it would be were all months alike
        expected = expected / np.array(season.factors)[of_year]
    return month_factors.fit(actual[whole], expected[whole], of_year[whole])


def _expected_until(
    seen: _Histories,
    days: IntArray,
    season: Season | None,
    expected_by: Callable[[FloatArray], FloatArray],
) -> FloatArray:
    """Return the repeat purchases that a model expects of everybody up to the end of days."""
    began, customers = np.unique(seen.first_day, return_counts=True)
    age = np.maximum(_clock(season, days) - _clock(season, began)[:, None], 0.0)
    # Closer where customers are young: there they come fast, and fewer and fewer of them.
    knots = age.max() * np.linspace(0, 1, _AGES) ** 2
    found: FloatArray = customers @ np.interp(age, knots, expected_by(knots))
    return found
