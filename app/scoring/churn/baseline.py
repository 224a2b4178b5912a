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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numpy as np

from app.scoring.churn import design
from app.scoring.churn.design import Scales
from app.scoring.numerics.array_types import FloatArray

Function: TypeAlias = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]

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
    """What of a `ChurnRisk` counts here."""

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
        return _soft_clipped(_LogOdds(fitted, x, t_x, T).at(horizon))

    return of


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
        columns = design.baseline(total, x, t_x, T, fitted.scales)
        for name, column in zip(design.BASELINE, columns, strict=True):
            weight = fitted.weights.get(name, 0.0)
            if weight and name != "process":
                total = total + weight * column
        self._rest = total

    def at(self, horizon: float) -> FloatArray:
        """Return the log-odds by the calibrations on the way from the window to a horizon."""
        start = HorizonCalibration(self._window, 0.0, 1.0)
        longer = horizon > self._window
        calibrations = [
            calibration
            for calibration in self._fitted.calibrations
            if (calibration.horizon > self._window) == longer
        ]
        if not self._window or horizon == self._window or not calibrations:
            return self.extrapolated(horizon)
        calibrations.sort(key=lambda calibration: calibration.horizon, reverse=not longer)
        fold = np.minimum if longer else np.maximum
        last, value = start, self._calibrated(start)
        for calibration in calibrations:
            further = fold(value, self._calibrated(calibration))
            if (calibration.horizon > horizon) if longer else (calibration.horizon < horizon):
                share = math.log(horizon / last.horizon) / math.log(
                    calibration.horizon / last.horizon
                )
                return (1 - share) * value + share * further
            last, value = calibration, further
        return fold(value, self._beyond(last, horizon))

    def extrapolated(self, to: float) -> FloatArray:
        """Return ``K`` of the module."""
        trust, window = self._trust, self._window
        if not window:
            return self._rest + trust * self._process(to)
        # Gathered: beta_p g_w + s (g_h - g_w) = s g_h + (beta_p - s) g_w.
        step = min(trust, 1.0)
        total = self._rest + step * self._process(to) + (1 - step) * self._shift(window, to)
        return total + (trust - 1) * self._process(window) if trust > 1 else total

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
            self._odds[horizon] = design.process_log_odds(
                self._fitted.process, *self._history, horizon
            )
        return self._odds[horizon]

    def _shift(self, start: float, to: float) -> float:
        """Return by how much the log-odds of the anchor change."""
        if start == to:
            return 0.0
        x, t_x, T = (np.asarray(number) for number in self._fitted.anchor)
        later, earlier = (
            float(design.process_log_odds(self._fitted.process, x, t_x, T, days))
            for days in (to, start)
        )
        return later - earlier


def _soft_clipped(log_odds: FloatArray) -> FloatArray:
    size = np.abs(log_odds)
    near: FloatArray = _FAR + np.log1p(np.maximum(size - _FAR, 0.0))
    return np.where(size > _FAR, np.copysign(near, log_odds), log_odds)
