"""How long an inactivity a life allows before it ends.

This is the one place where days of silence are counted by a season: what a limit allows is told in
days of the calendar, so that whoever compares a silence with it needs to know of no season.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from app.lifecycle.dated import Bools, Floats, Ints
from app.seasons import UNITS, Season

_NEAR = 1e-7
"""So near to a half day or a whole one, a limit is that: no rounding decides who exceeds it."""


@dataclass(frozen=True, slots=True)
class InactivityLimit:
    """Days of silence that end a life: max(floor, min(multiple * gap, gap + margin)).

    `gap` is the customer's own mean gap between the purchase days of the current life;
    with one purchase day in it there is none, and the floor alone holds. With a season, all of
    these are seasonal days, counted from the last purchase day on.
    """

    floor_days: float
    gap_multiple: float
    gap_margin_days: float
    season: Season | None = None

    @property
    def least_days(self) -> float:
        """No limit is less than this."""
        least = self.floor_days
        return least if self.season is None else least / self.season.most * (1 - 1e-6)

    def may_end(self, former: Ints, day: Ints) -> Bools:
        """Say of silences between two days which may end a life; no other one does."""
        long: Bools = day - former > self.least_days
        if self.season is not None:
            rows = np.flatnonzero(long)
            least = self.floor_days * (1 - 1e-6) - _NEAR * self.season.most
            long[rows] = self.season.between(former[rows], day[rows]) >= least
        return long

    def after(self, start_day: int, last_day: int, purchase_days: int) -> float:
        """Return the limit of a life of so many purchase days, the first and the last given."""
        season = self.season
        if season is None:
            return self._allowed(last_day - start_day, purchase_days)
        span = (season.clock_of_one(last_day) - season.clock_of_one(start_day)) / UNITS
        days = season.days_after_one(last_day, self._allowed(span, purchase_days))
        return round(days * 2) / 2 if abs(days * 2 - round(days * 2)) < _NEAR else days

    def _allowed(self, span: float, purchase_days: int) -> float:
        if purchase_days < 2:
            return self.floor_days
        gap = span / (purchase_days - 1)
        return max(self.floor_days, min(self.gap_multiple * gap, gap + self.gap_margin_days))

    def after_each(self, start_day: Ints, last_day: Ints, purchase_days: Ints) -> Floats:
        """Return `after` of each, bit for bit."""
        season, gaps = self.season, purchase_days - 1
        span = last_day - start_day if season is None else season.between(start_day, last_day)
        gap = span / np.maximum(gaps, 1)
        own = np.minimum(self.gap_multiple * gap, gap + self.gap_margin_days)
        allowed = np.where(gaps > 0, np.maximum(self.floor_days, own), self.floor_days)
        if season is None:
            return allowed
        days = season.days_after(last_day, allowed)
        halves = np.rint(days * 2)
        return np.where(np.abs(days * 2 - halves) < _NEAR, halves / 2, days)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, with the factors of a season if there is one."""
        found = asdict(self)
        if self.season is None:
            del found["season"]
        else:
            found["season"] = list(self.season.factors)
        return found
