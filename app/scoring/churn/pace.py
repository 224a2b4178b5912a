r"""How fast customers buy of late, beside what a model of purchases expects of them.

Windows as long as the horizon tell the level of risk late: what happened since the last of them
began is known only at its end. Parts of a window, a third of one each, tell it up to the last day:

.. math:: c = \log(-\log \text{share}) - \log(-\log \text{expected})

is the logarithm of how much faster customers came back in a part than the process expects, and is
the same for a part as for a window where the pace keeps. What the next one will be is forecast as
the levels of windows are (`app.scoring.regression.level_forecast`), the season of the year
included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np

from app.scoring.churn import design, observation
from app.scoring.histories.features import Facts, Features, features_at
from app.scoring.numerics.array_types import FloatArray
from app.scoring.regression.level_forecast import forecast
from app.scoring.regression.recalibration import sigmoid
from app.seasons import Season

CUSTOMERS: Final = 10_000  # drawn: a share is known to a hundredth by them
MOST: Final = 60  # parts
SHORTEST: Final = 7  # days: weeks have days that differ
LEAST: Final = 3  # parts
ANY_PACE: Final = 1.0  # in logarithms, that all parts may be off by

_RARE: Final = 1e-4


@dataclass(frozen=True, eq=False)
class _Part:
    """Who was known at the start of a part, and the share of them that did not buy in it."""

    day: int
    history: tuple[FloatArray, FloatArray, FloatArray]
    share: float


@dataclass(frozen=True, eq=False)
class Pace:
    """The parts of windows of a history, up to its last day.

    Attributes
    ----------
    facts : Facts
    as_of, window : int
        The last day, and the length of every window.
    season : Season or None
        In which a part is asked for as many days as it has seasonal ones.
    """

    facts: Facts
    as_of: int
    window: int
    season: Season | None = None
    _found: dict[tuple[int, int], float | None] = field(init=False, default_factory=dict)

    @property
    def days(self) -> int:
        """Return the length of a part."""
        return max(math.ceil(self.window / 3), min(SHORTEST, self.window))

    def share(self, process: Any, known: Features, day: int) -> float | None:
        """Return the share of customers to be expected without a purchase in the next window.

        Parameters
        ----------
        process : PurchaseModel
            Fitted to facts up to ``day``.
        known : Features
            Of the customers, at the day.
        day : int
            Nothing after it is looked at.

        Returns
        -------
        float or None
            In (0, 1); None where fewer than `LEAST` parts tell the pace.
        """
        key = day, id(process)
        if key not in self._found:
            self._found[key] = self._share(process, known, day)
        return self._found[key]

    def _share(self, process: Any, known: Features, day: int) -> float | None:
        parts = [part for part in self._parts if part.day + self.days <= day]
        if len(parts) < LEAST or process.status == "fallback":
            return None
        n = np.array([part.history[0].size for part in parts], dtype=np.float64)
        share = np.array([part.share for part in parts])
        told = np.array([self._told(process, part.history, part.day, self.days) for part in parts])
        variance = (1 - share) / (share * (n + 1) * np.log(share) ** 2)
        starts = np.array([part.day for part in parts], dtype=np.float64)
        pace = _log_hazard(share) - _log_hazard(told)
        ahead = forecast(pace, variance, starts, float(day), shared=ANY_PACE)
        own = known.x, known.t_x, known.T
        expected = _log_hazard(np.array(self._told(process, own, day, self.window)))
        return float(np.clip(np.exp(-np.exp(expected + ahead)), _RARE, 1 - _RARE))

    def _told(
        self, process: Any, history: tuple[FloatArray, FloatArray, FloatArray], day: int, days: int
    ) -> float:
        """Return the share without a purchase in the days after a day, by the process."""
        ahead = days if self.season is None else float(self.season.between(day, day + days))
        found = float(sigmoid(design.process_log_odds(process, *history, ahead)).mean())
        return min(max(found, _RARE), 1 - _RARE)

    @cached_property
    def _parts(self) -> list[_Part]:
        """The parts, end to end, the latest first; each has half a window of history before it."""
        some = observation.sampled(self.facts, self.as_of, 0, most=CUSTOMERS)
        earliest = int(np.min(some.day, initial=self.as_of)) + math.ceil(self.window / 2)
        starts = range(self.as_of - self.days, earliest - 1, -self.days)
        parts = []
        for day in starts[:MOST]:
            who, known = features_at(some, as_of=day)
            if who.size:
                left = float(observation.churned(some, who, day, self.days).sum())
                parts.append(
                    _Part(day, (known.x, known.t_x, known.T), (left + 0.5) / (who.size + 1))
                )
        return parts


def _log_hazard(share: FloatArray) -> FloatArray:
    found: FloatArray = np.log(-np.log(share))
    return found
