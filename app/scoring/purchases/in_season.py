"""A model of purchases that was fitted in seasonal time, asked in days of the calendar.

All who are asked of stand at one day. Ages, times of purchases and horizons are turned into
seasonal days here, and nowhere else (`app.seasons`): so many as the clock has run by. What is
discounted is discounted by the calendar, day by day, from what is expected within a few times
ahead: to some 2e-4 of the sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray
from app.scoring.purchases.purchase_model import PurchaseModel
from app.seasons import UNITS, Season

_WHOLE: Final = 1e-6
"""So near to a whole number of days, a time in weeks is one."""
_SOON: Final = 30.0
"""Days within which expected purchases bend most."""
_KNOTS: Final = 4
_MUCH: Final = 0.15
"""Of a discount of less in all, one knot less tells as much."""
_KEPT: Final = 32
_SHORT: Final = 1e-9
_LEAST_LOG: Final = -700.0  # e to this is still a number


_Times: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]
_Asked: TypeAlias = tuple[tuple[ArrayLike, ArrayLike, ArrayLike], _Times]


@dataclass(frozen=True, eq=False)
class InSeason:
    """A fitted model, in seasonal time, as of one day.

    Attributes
    ----------
    model : PurchaseModel
        Fitted to seasonal days, in units of ``unit`` of them.
    season : Season
    day : int
        The day that histories end on, since 1970-01-01.
    unit : float
        Days in a unit of time, of what goes in as of what the model was fitted to.
    """

    model: PurchaseModel
    season: Season
    day: int
    unit: float = 1.0
    _clock: dict[int, FloatArray] = field(default_factory=dict, repr=False)
    _asked: list[_Asked] = field(default_factory=list, repr=False)
    """The arrays that were asked for last, mostly asked for again; nobody writes to them."""
    _reaches: dict[float, float] = field(default_factory=dict, repr=False)
    _weights: dict[tuple[float, float], tuple[FloatArray, FloatArray]] = field(
        default_factory=dict, repr=False
    )

    @property
    def params(self) -> dict[str, float]:
        """The parameters of the model by name."""
        return self.model.params

    def times(self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> _Times:
        """Return histories as the model sees them: in units of seasonal days.

        Raises
        ------
        ValueError
            If a history is not possible.
        """
        for given, known in self._asked:
            if given[0] is x and given[1] is t_x and given[2] is T:
                return known
        x_, t_, T_ = validation.history(x, t_x, T)
        age, silence = self._elapsed(T_), self._elapsed(T_ - t_)
        # What is too short to show beside the age is some time still.
        found = x_, np.maximum(age - silence, np.minimum(t_, _SHORT * age)), age
        if all(isinstance(each, np.ndarray) for each in (x, t_x, T)):
            self._asked[:] = [((x, t_x, T), found)]
        return found

    def ahead(self, horizon: ArrayLike) -> FloatArray:
        """Return in units of seasonal days how far a horizon reaches.

        Raises
        ------
        ValueError
            If a horizon is negative or not finite.
        """
        days = _whole(validation.non_negative("horizon", horizon) * self.unit)
        return self._run(days, 1) / self.unit

    def seasonal_days(self, days: float) -> float:
        """Return how many seasonal days there are in so many days ahead, remembered."""
        found = self._reaches.get(days)
        if found is None:
            if len(self._reaches) >= _KEPT:
                self._reaches.clear()
            found = self._reaches[days] = float(self._run(_whole(np.asarray(days)), 1))
        return found

    def p_alive(self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> FloatArray:
        """Return `PurchaseModel.p_alive` of histories in units of days."""
        return self.model.p_alive(*self.times(x, t_x, T))

    def silence_if_active(self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> FloatArray:
        """Return `PurchaseModel.silence_if_active` of histories in units of days."""
        return self.model.silence_if_active(*self.times(x, t_x, T))

    def expected_purchases(
        self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
    ) -> FloatArray:
        """Return `PurchaseModel.expected_purchases` of histories in units of days."""
        return self.model.expected_purchases(*self.times(x, t_x, T), horizon=self.ahead(horizon))

    def purchases_if_any(
        self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
    ) -> FloatArray:
        """Return `PurchaseModel.purchases_if_any` of histories in units of days."""
        return self.model.purchases_if_any(*self.times(x, t_x, T), horizon=self.ahead(horizon))

    def p_no_purchase(
        self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
    ) -> FloatArray:
        """Return `PurchaseModel.p_no_purchase` of histories in units of days."""
        return self.model.p_no_purchase(*self.times(x, t_x, T), horizon=self.ahead(horizon))

    def no_purchase_log_odds(
        self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, *, horizon: ArrayLike
    ) -> FloatArray:
        """Return `PurchaseModel.no_purchase_log_odds` of histories in units of days."""
        return self.model.no_purchase_log_odds(*self.times(x, t_x, T), horizon=self.ahead(horizon))

    def discounted_if_any(
        self,
        x: ArrayLike,
        t_x: ArrayLike,
        T: ArrayLike,
        *,
        annual_discount: float,
        periods_per_year: float,
        horizon: float,
    ) -> FloatArray:
        """Return `PurchaseModel.discounted_if_any` of histories in units of days.

        Discounted by the calendar; see the module.
        """
        history = self.times(x, t_x, T)
        rate = validation.discount_rate(annual_discount, periods_per_year)
        end = validation.non_negative_number("horizon", horizon)
        if rate == 0 or end == 0:
            return self.model.purchases_if_any(*history, horizon=self.ahead(end))
        reaches, worth = self._discounting(end * self.unit, rate / self.unit)
        total: FloatArray = np.zeros(history[0].shape)
        for reach, weight in zip(reaches / self.unit, worth.tolist(), strict=True):
            total += weight * self.model._expected_alive(*history, reach)  # noqa: SLF001  # one room
        last = np.asarray(reaches[-1] / self.unit)
        any_at_all = self.model._log_any_alive(*history, last)  # noqa: SLF001  # one room
        soonest = math.exp(-rate * end)
        return np.maximum(total / np.exp(np.maximum(any_at_all, _LEAST_LOG)), soonest)

    def _discounting(self, days: float, rate: float) -> tuple[FloatArray, FloatArray]:
        """Return seasonal days ahead, and weights of what is expected within each of them.

        Their sum is what is expected day by day, each day discounted by the calendar: between the
        knots the expectation is a polynomial in the logarithm of the time.
        """
        known = self._weights.get((days, rate))
        if known is not None:
            return known
        n = _KNOTS if rate * days > _MUCH else _KNOTS - 1
        until = np.append(np.arange(math.ceil(days)), days)
        passed = self._run(until, 1)
        place = np.log1p(passed / _SOON)
        knots = place[-1] * (1 - np.cos(np.pi * np.arange(n + 1) / n)) / 2
        discount = np.exp(-rate * (until[1:] + until[:-1]) / 2)
        worth = np.empty(n)
        for at in range(1, n + 1):
            others = np.delete(knots, at)
            basis = np.prod((place[:, None] - others) / (knots[at] - others), axis=1)
            worth[at - 1] = np.diff(basis) @ discount
        if len(self._weights) >= _KEPT:
            self._weights.clear()
        found = self._weights[days, rate] = _SOON * np.expm1(knots[1:]), worth
        return found

    def _elapsed(self, ages: FloatArray) -> FloatArray:
        """Return in units of seasonal days how long ago was what was so many units ago."""
        return self._run(_whole(ages * self.unit), -1) / self.unit

    def _run(self, days: FloatArray, sign: int) -> FloatArray:
        """Return how far the clock runs in so many days from `day` on, or before it."""
        days = np.asarray(days)
        whole = days.astype(np.int64)
        most = int(whole.max(initial=0)) + 2
        known = self._clock.get(sign)
        if known is None or known.size < most:
            since = np.arange(max(most, 512))
            known = np.abs(self.season.clock(self.day + sign * since) - self.season.clock(self.day))
            known = self._clock[sign] = known / UNITS
        part = days - whole
        found: FloatArray = known[whole]
        if part.any():
            found = found + part * (known[whole + 1] - found)
        return found


def _whole(days: FloatArray) -> FloatArray:
    nearest = np.rint(days)
    near = (nearest > 0) & (np.abs(days - nearest) < _WHOLE)
    found: FloatArray = np.where(near, nearest, days)
    return found
