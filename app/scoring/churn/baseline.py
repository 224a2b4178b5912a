r"""The part of churn risk that rests on purchases, age and silence, at any horizon.

.. math:: K_h = \beta_0 + \beta_p \, g_w + \sum_j \beta_j f_j
          + s \, (g_h - g_w) + (1 - s) \, (\bar g_h - \bar g_w), \quad s = \min(\beta_p, 1)

is what was learnt in the label window ``w``, extrapolated to ``h`` by the process of the customer,
as far as it is trusted, and for the rest by that of the anchor, an average customer. A trust above
1, which recalibration in the window may bring, says nothing of other horizons and counts as 1.

Where the past holds outcomes over further horizons, each has a `HorizonCalibration`, a line
``C_i = a_i + b_i K_i`` with ``b_i > 0``. From ``w`` on, risk follows them: at longer horizons the
least of the lines so far, at shorter ones the largest, between two by the logarithm of the horizon,
and beyond the last one by ``s`` as above, of the line's own slope where that is less. So risk never
rises with the horizon, it is exactly what was learnt at ``w``, and it rises with the age and the
share of it that was silent wherever the process and the features do: lines rise, and so do the
least and the largest.

Log-odds beyond `_FAR` either way are compressed by a logarithm: no risk is 0 or 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final, Protocol, TypeAlias

import numpy as np

from app.scoring.churn import design
from app.scoring.churn.design import Scales
from app.scoring.histories import distinct
from app.scoring.numerics.array_types import FloatArray

Function: TypeAlias = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
Fold: TypeAlias = Callable[[FloatArray, FloatArray], FloatArray]

_FAR: Final = 25.0


@dataclass(frozen=True)
class HorizonCalibration:
    """What outcomes over a horizon made of the log-odds extrapolated to it.

    Attributes
    ----------
    horizon : int
        Days, positive.
    intercept, slope : float
        The slope is positive.
    """

    horizon: int
    intercept: float
    slope: float


class Fitted(Protocol):
    """What of a `ChurnRisk` counts here; each is like no other, as what is kept of it asks."""

    def __hash__(self) -> int: ...
    @property
    def process(self) -> Any: ...
    @property
    def scales(self) -> Scales: ...
    @property
    def intercept(self) -> float: ...
    @property
    def weights(self) -> Mapping[str, float]: ...
    @property
    def label_window(self) -> int: ...
    @property
    def anchor(self) -> tuple[float, float, float]: ...
    @property
    def calibrations(self) -> Sequence[HorizonCalibration]: ...


def baseline(fitted: Fitted, horizon: float) -> Function:
    """Return the function from ``x, t_x, T`` to their part of the log-odds at a horizon."""

    def of(x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        (found,) = at_horizons(fitted, x, t_x, T, (horizon,))
        return found

    return of


def at_horizons(
    fitted: Fitted, x: FloatArray, t_x: FloatArray, T: FloatArray, horizons: Sequence[float]
) -> list[FloatArray]:
    """Return the part of the log-odds of histories at each of some horizons, of their shape."""
    if np.ndim(x) > 1 and np.size(x) >= distinct.LEAST:
        each = [at_horizons(fitted, *one, horizons) for one in zip(x, t_x, T, strict=True)]
        return [np.stack(some) for some in zip(*each, strict=True)]
    alike = distinct.histories(x, t_x, T)
    if alike is not None:
        x, t_x, T = (column[alike.rows] for column in (x, t_x, T))
        return [found[alike.places] for found in at_horizons(fitted, x, t_x, T, horizons)]
    odds = _LogOdds(fitted, x, t_x, T)
    odds.ask_process({days for horizon in horizons for days in odds.days_needed(horizon)})
    return [_soft_clipped(odds.at(horizon)) for horizon in horizons]


def extrapolated(
    fitted: Fitted, x: FloatArray, t_x: FloatArray, T: FloatArray, to: float
) -> FloatArray:
    """Return ``K`` of the module at a horizon, uncalibrated."""
    return _LogOdds(fitted, x, t_x, T).extrapolated(to)


class _LogOdds:
    """The log-odds of some histories at any horizon; the process is asked once for each."""

    def __init__(self, fitted: Fitted, x: FloatArray, t_x: FloatArray, T: FloatArray) -> None:
        self._fitted = fitted
        self._history = x, t_x, T
        self._odds: dict[float, FloatArray] = {}
        self._trust = fitted.weights.get("process", 0.0)
        self._window = fitted.label_window
        total = np.full(np.shape(T), fitted.intercept)
        weighty = {
            name: weight
            for name in design.BASELINE
            if name != "process" and (weight := fitted.weights.get(name, 0.0))
        }
        columns = design.baseline(total, x, t_x, T, fitted.scales, weighty)
        for weight, column in zip(weighty.values(), columns, strict=True):
            total = total + weight * column
        self._rest = total

    def days_needed(self, horizon: float) -> set[float]:
        """Return the horizons that the process is asked for on the way to one."""
        lines = self._lines(horizon)
        if len(lines) == 1:
            return {horizon}
        days: set[float] = {line.horizon for line in lines}
        return days if _reaches(lines, horizon) else days | {horizon}

    def at(self, horizon: float) -> FloatArray:
        """Return the log-odds by the calibrations on the way from the window to a horizon."""
        lines = self._lines(horizon)
        if len(lines) == 1:
            return self.extrapolated(horizon)
        fold: Fold = np.minimum if horizon > self._window else np.maximum
        *_, before, value = accumulate(map(self._calibrated, lines), fold)
        if not _reaches(lines, horizon):
            return fold(value, self._beyond(lines[-1], horizon))
        start, end = (line.horizon for line in lines[-2:])
        share = math.log(horizon / start) / math.log(end / start)
        return (1 - share) * before + share * value

    def _lines(self, horizon: float) -> list[HorizonCalibration]:
        """Return the lines from the window to the first one at least as far as a horizon."""
        longer = horizon > self._window
        lines = [HorizonCalibration(self._window, 0.0, 1.0)]
        if not self._window or horizon == self._window:
            return lines
        for line in sorted(
            self._fitted.calibrations, key=lambda each: each.horizon, reverse=not longer
        ):
            if (line.horizon > self._window) == longer:
                lines.append(line)
                if _reaches(lines, horizon):
                    break
        return lines

    def extrapolated(self, to: float) -> FloatArray:
        """Return ``K`` of the module."""
        trust, window = self._trust, self._window
        if not window:
            return self._rest + trust * self._process(to)
        # Gathered: beta_p g_w + s (g_h - g_w) = s g_h + (beta_p - s) g_w.
        step = min(trust, 1.0)
        total = self._rest + step * self._process(to) + (1 - step) * self._shift(window, to)
        return total + (trust - 1) * self._process(window) if trust > 1 else total

    def ask_process(self, horizons: Collection[float]) -> None:
        """Ask the process for several horizons at once."""
        found = design.process_log_odds_at(self._fitted.process, *self._history, [*horizons])
        self._odds.update(zip(horizons, found, strict=True))

    def _calibrated(self, calibration: HorizonCalibration) -> FloatArray:
        return calibration.intercept + calibration.slope * self.extrapolated(calibration.horizon)

    def _beyond(self, calibration: HorizonCalibration, to: float) -> FloatArray:
        """Return the log-odds past the last line."""
        step = min(self._trust, 1.0) * min(calibration.slope, 1.0)
        own = self._process(to) - self._process(calibration.horizon)
        return (
            self._calibrated(calibration)
            + step * own
            + (1 - step) * self._shift(calibration.horizon, to)
        )

    def _process(self, horizon: float) -> FloatArray:
        if horizon not in self._odds:
            self.ask_process((horizon,))
        return self._odds[horizon]

    def _shift(self, start: float, to: float) -> float:
        """Return by how much the log-odds of the anchor change."""
        if start == to:
            return 0.0
        return _of_anchor(self._fitted, to) - _of_anchor(self._fitted, start)


@lru_cache(maxsize=256)  # every customer of a model asks for the same few
def _of_anchor(fitted: Fitted, horizon: float) -> float:
    """Return the log-odds of the anchor by the process."""
    x, t_x, T = (np.asarray(number) for number in fitted.anchor)
    return float(design.process_log_odds(fitted.process, x, t_x, T, horizon))


def _reaches(lines: Sequence[HorizonCalibration], horizon: float) -> bool:
    """Return whether the last line is at a horizon, or past it as seen from the first."""
    first, last = lines[0].horizon, lines[-1].horizon
    return last >= horizon if horizon > first else last <= horizon


def _soft_clipped(log_odds: FloatArray) -> FloatArray:
    size = np.abs(log_odds)
    near: FloatArray = _FAR + np.log1p(np.maximum(size - _FAR, 0.0))
    return np.where(size > _FAR, np.copysign(near, log_odds), log_odds)
