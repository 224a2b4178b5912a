r"""Churn risk: the log-odds of no purchase in a horizon, as a sum of reasons.

.. math:: \eta_h = K_h(x, t_x, T) + \sum_j \beta_j f_j

with ``K`` what rests on purchases, age and silence, a model of purchases (the *process*) first of
all: `app.scoring.churn.baseline` says how it is extrapolated from the label window to any horizon;
and ``f`` the features of one cause each, which weigh the same at every horizon. Risk never rises
with the horizon. A process model by itself, recalibrated or not, has no such features.

`reasons` splits the difference to a reference customer by cause. Purchases (``x``), age (``T``)
and silence (the share ``q = (T - t_x) / T`` of the age) act together; all other causes add up.
`app.scoring.churn.shapley` splits so that a reason raises the risk only where taking its cause
away, as `without` does, lowers it; what none of the three does by itself is a reason of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

import numpy as np

from app.scoring.churn import design
from app.scoring.churn.baseline import Function, HorizonCalibration, at_horizons, baseline
from app.scoring.churn.design import CAUSES, FEATURES, Scales
from app.scoring.churn.parts import Part
from app.scoring.churn.shapley import MixedHistories, Reasons, shares, silent_share
from app.scoring.histories.features import Features
from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray
from app.scoring.purchases.registry import MODELS
from app.scoring.regression.recalibration import Platt, sigmoid

__all__ = ["CAUSES", "FEATURES", "ChurnRisk", "HorizonCalibration", "Reasons"]

FORMAT: Final = 1

_ROUNDING = 1e-12  # a smaller part has no sign to speak of


@dataclass(frozen=True, kw_only=True, eq=False)
class ChurnRisk:
    """A fitted churn risk; see the module.

    Attributes
    ----------
    kind : str
        ``landmark``, or the kind of the process where nothing else has weight.
    status : str
        ``ok``; ``insufficient_history``: too little to learn or to judge from;
        ``weakly_identified``: nothing told customers apart.
    process_kind : str
        In `registry.MODELS`.
    process : PurchaseModel
        Fitted, its unit the day.
    scales : Scales
    intercept : float
    weights : dict
        By the names of `FEATURES`; those missing are 0.
    label_window : int
        Days in which outcomes were watched; 0 if none were.
    anchor : tuple of float
        ``x, t_x, T`` of an average customer.
    reference : tuple of float
        ``x, t_x, T`` of the customer that reasons compare with; all else unknown.
    calibrations : tuple of HorizonCalibration
        Of the horizons other than the label window that outcomes were watched over.
    parts : tuple of Part
        What an average was made of, before any line; not stored.
    """

    kind: str
    process_kind: str
    process: Any
    scales: Scales
    intercept: float = 0.0
    weights: dict[str, float] = field(default_factory=lambda: {"process": 1.0})
    label_window: int
    anchor: tuple[float, float, float]
    reference: tuple[float, float, float]
    status: str = "ok"
    calibrations: tuple[HorizonCalibration, ...] = ()
    parts: tuple[Part, ...] = ()

    def is_extrapolated(self, horizon: float) -> bool:
        """Return whether outcomes over a horizon were not watched."""
        watched = {self.label_window, *(calibration.horizon for calibration in self.calibrations)}
        return self.label_window > 0 and horizon not in watched

    def additive(self, features: Features) -> FloatArray:
        """Return the part of the log-odds that is the same at every horizon, shape (n,)."""
        return _sum(np.zeros(len(features)), self._additive(features))

    def log_odds(self, features: Features, *, horizon: float) -> FloatArray:
        """Return the log-odds of no purchase in the horizon.

        Parameters
        ----------
        features : Histories
            Of n customers.
        horizon : float
            Days ahead, positive.

        Returns
        -------
        FloatArray
            Finite, shape (n,).

        Raises
        ------
        ValueError
            If a history is not possible, or the horizon not positive.
        """
        history = features.x, features.t_x, features.T
        return self.log_odds_of(history, features, horizons=(horizon,))[0]

    def log_odds_of(
        self,
        history: tuple[FloatArray, FloatArray, FloatArray],
        features: Features,
        *,
        horizons: Sequence[float],
    ) -> list[FloatArray]:
        """Return the log-odds of no purchase of other histories, all else being the customer's own.

        Parameters
        ----------
        history : tuple of FloatArray
            ``x, t_x, T`` in days, shape (n,) each, or (k, n) for k histories of each customer.
        features : Features
            Of n customers, for the causes that add up.
        horizons : sequence of float
            Days ahead, positive; several at once cost hardly more than one.

        Returns
        -------
        list of FloatArray
            For each horizon, finite, of the shape of the histories.

        Raises
        ------
        ValueError
            As for `log_odds`.
        """
        days = [validation.positive_number("horizon", horizon) for horizon in horizons]
        additive = self._additive(features)
        return [_sum(found, additive) for found in at_horizons(self, *history, days)]

    def probability(self, features: Features, *, horizon: float) -> FloatArray:
        """Return the probability of no purchase in the horizon; see `log_odds`."""
        return sigmoid(self.log_odds(features, horizon=horizon))

    def reasons(
        self, features: Features, *, horizon: float, total: FloatArray | None = None
    ) -> Reasons:
        """Return what each cause adds to the log-odds.

        Arguments and errors as for `log_odds`; whoever has its answer gives it as ``total``.
        """
        if total is None:
            total = self.log_odds(features, horizon=horizon)
        own = features.x, features.t_x, features.T
        base = _base(self, validation.positive_number("horizon", horizon))
        shared = shares(self._baseline(horizon), own, self.reference, base)
        parts = {cause: np.zeros(len(features)) for cause in CAUSES}
        parts |= zip((*design.BASELINE_CAUSES, design.TOGETHER), shared, strict=True)
        for cause, part in self._additive(features):
            parts[cause] = parts[cause] + part
        for cause, part in parts.items():
            parts[cause] = np.where(np.abs(part) < _ROUNDING, 0.0, part)
        return Reasons(base, parts, total)

    def without(self, features: Features, cause: str, *, horizon: float) -> FloatArray:
        """Return the log-odds with one cause as the reference has it, all else the customer's own.

        Arguments as for `log_odds`; how a history is altered, `shapley.MixedHistories` says.

        Raises
        ------
        ValueError
            As for `log_odds`, or if there is no such cause.
        """
        if cause not in CAUSES:
            message = f"cause must be one of {', '.join(CAUSES)}"
            raise ValueError(message)
        own = tuple(cause not in (name, design.TOGETHER) for name in design.BASELINE_CAUSES)
        mixed = MixedHistories((features.x, features.t_x, features.T), self.reference)
        kept = [(name, part) for name, part in self._additive(features) if name != cause]
        return _sum(self._baseline(horizon)(*mixed.at(own)), kept)

    def recalibrated(self, calibration: Platt) -> ChurnRisk:
        """Return the risk with a line on its log-odds taken into the weights; see `Platt`."""
        weak = calibration.status == "weakly_identified"
        return replace(
            self,
            intercept=calibration.intercept + calibration.slope * self.intercept,
            weights={name: calibration.slope * weight for name, weight in self.weights.items()},
            status=calibration.status if weak else self.status,
        )

    def reference_silence(self, age: float) -> float:
        """Return the days of silence that a customer of an age is compared with.

        That is the reference's share of the age: a silence is worth what it is of the age.

        Parameters
        ----------
        age : float
            ``T`` in days.
        """
        return silent_share(self.reference) * age

    def compared_with(self, reference: tuple[float, float, float]) -> ChurnRisk:
        """Return the risk with another reference customer, ``(x, t_x, T)``, for its reasons.

        Raises
        ------
        ValueError
            If the history is not possible.
        """
        return replace(self, reference=_triple(validation.history(*reference)))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON, from which `from_dict` makes the same scores."""
        return {
            "format": FORMAT,
            "kind": self.kind,
            "status": self.status,
            "process": {"kind": self.process_kind, "parameters": self.process.params},
            "scales": asdict(self.scales),
            "intercept": self.intercept,
            "weights": self.weights,
            "label_window": self.label_window,
            "anchor": list(self.anchor),
            "reference": list(self.reference),
            "calibrations": [asdict(calibration) for calibration in self.calibrations],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> ChurnRisk:
        """Return the risk that `as_dict` described.

        Raises
        ------
        ValueError
            If the format is another, or a feature or kind of process is not known.
        """
        process = stored["process"]
        unknown = set(stored["weights"]) - set(FEATURES)
        if stored["format"] != FORMAT or process["kind"] not in MODELS or unknown:
            message = f"this is no churn risk of format {FORMAT}"
            raise ValueError(message)
        return cls(
            kind=stored["kind"],
            status=stored["status"],
            process_kind=process["kind"],
            process=MODELS[process["kind"]].build(**process["parameters"]),
            scales=Scales(**stored["scales"]),
            intercept=stored["intercept"],
            weights=dict(stored["weights"]),
            label_window=stored["label_window"],
            anchor=_triple(stored["anchor"]),
            reference=_triple(stored["reference"]),
            calibrations=tuple(
                HorizonCalibration(**calibration) for calibration in stored.get("calibrations", ())
            ),
        )

    def _baseline(self, horizon: float) -> Function:
        """Return the function from ``x, t_x, T`` to their part of the log-odds."""
        return baseline(self, validation.positive_number("horizon", horizon))

    def _additive(self, features: Features) -> list[tuple[str, FloatArray]]:
        """Return cause and part of each single feature that has weight."""
        return [
            (name, self.weights[name] * feature(features, self.scales))
            for name, feature in design.ADDITIVE.items()
            if self.weights.get(name, 0.0)
        ]


@lru_cache(maxsize=64)  # every customer of a model is compared with the same one
def _base(risk: ChurnRisk, horizon: float) -> float:
    """Return the log-odds of the reference customer."""
    x, t_x, T = (np.array([number]) for number in risk.reference)
    return float(baseline(risk, horizon)(x, t_x, T)[0])


def _sum(total: FloatArray, additive: list[tuple[str, FloatArray]]) -> FloatArray:
    """Return the log-odds, always added in one order: equal customers score alike to the bit."""
    for _, part in additive:
        total = total + part
    return total


def _triple(numbers: Any) -> tuple[float, float, float]:
    x, t_x, T = (float(number) for number in numbers)
    return x, t_x, T
