"""Churn risk learnt from a business's own past, at days when the future was not yet known.

At each of some past days, the *landmarks*, the customers known by then are described by facts up
to that day, a model of purchases fitted to those facts included, and labelled by whether they
bought in the window after it. One regression of all these rows, its weights shrunk towards the
process by itself, is the landmark supermodel.

1. The label window is the horizon, or half of the history where that is shorter; what is learnt
   is then extrapolated to the horizon (see `app.scoring.churn.churn_risk`).
2. Landmarks lie a window apart, or half a window where the history is short, at most `MOST` of
   them, the last one window before the end, none with less than half a window of history.
3. The strength of the shrinkage is the largest within one standard error of the best in foreseeing
   the last landmark from those whose window ended before it; without any, `RIDGE`.
4. What comes out is recalibrated to the last landmark by Platt's line.

At most `CUSTOMERS` customers, drawn at random, are learnt from: more would change nothing.

References
----------
van Houwelingen (2007), Dynamic prediction by landmarking in event history analysis, Scandinavian
Journal of Statistics 34, 70-85.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.scoring.churn import contributions
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.churn.design import FEATURES, RISING, Scales, design
from app.scoring.evaluation import metrics
from app.scoring.histories.features import Facts, Features, features_at
from app.scoring.numerics import validation
from app.scoring.numerics.array_types import FloatArray
from app.scoring.purchases.registry import MODELS
from app.scoring.regression import bounded_logistic
from app.scoring.regression.recalibration import platt, sigmoid

MOST: Final = 6
CUSTOMERS: Final = 100_000
MIN_EVENTS: Final = 50  # of either outcome
RIDGES: Final = (3000.0, 300.0, 30.0, 3.0, 0.3)
RIDGE: Final = 30.0
KIND: Final = "landmark"

_FLAT: Final = 1e-6
_PRIOR: Final = np.array([float(name == "process") for name in FEATURES])
_RISING: Final = np.array([name in RISING for name in FEATURES])


@dataclass(frozen=True, eq=False)
class Landmark:
    """Customers as they were at one day, and what they did after it.

    Attributes
    ----------
    day, window : int
    customer : NDArray
        Codes, ascending, shape (n,).
    features : Histories
    process : PurchaseModel
        Fitted to ``features``.
    churned : FloatArray
        1 where no purchase followed in the window, else 0, shape (n,).
    """

    day: int
    window: int
    customer: NDArray[Any]
    features: Features
    process: Any
    churned: FloatArray

    def design(self, scales: Scales) -> FloatArray:
        """Return the features."""
        return design(self.features, self.process, scales, window=self.window)


def fit_process(features: Features, kind: str) -> Any:
    """Return a model of purchases of a kind in `registry.MODELS`, its unit the day.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if kind not in MODELS:
        message = f"there is no model of purchases {kind}"
        raise ValueError(message)
    return MODELS[kind].fit(
        features.x, features.t_x, features.T, sum_log_gaps=features.sum_log_gaps
    )


def at_day(facts: Facts, day: int, window: int, process: str) -> Landmark:
    """Return a landmark: facts up to ``day``, outcomes up to ``day + window``."""
    customer, features = features_at(facts, as_of=day)
    bought = buyers(facts, after=day, until=day + window)
    churned = (~np.isin(customer, bought)).astype(np.float64)
    return Landmark(day, window, customer, features, fit_process(features, process), churned)


def buyers(facts: Facts, *, after: int, until: int) -> NDArray[Any]:
    """Return the codes of those with a purchase after a day, up to another.

    What was refunded in full by the other day is none. What is refunded later is one: then no
    label tells more than another, however long ago its window ended.
    """
    customer, day, amount = (np.asarray(column) for column in facts.log(until))
    rows = (day > after) & (day <= until) & (amount >= 0)
    return np.unique(customer[rows])


def fit(
    facts: Facts, *, as_of: int, horizon: int, process: str = "mbg_nbd", seed: int = 0
) -> ChurnRisk:
    """Learn churn risk from facts up to a day.

    Parameters
    ----------
    facts : Facts
    as_of : int
        The last day that counts.
    horizon : int
        Days ahead that matter, at least 1.
    process : str
        Kind of the model of purchases, in `registry.MODELS`.
    seed : int
        Of the draw among more than `CUSTOMERS` customers.

    Returns
    -------
    ChurnRisk
        ``insufficient_history`` where the past has less than `MIN_EVENTS` of either outcome:
        then the process by itself.

    Raises
    ------
    ValueError
        If the log is not valid, the horizon not a positive whole number, or the process unknown.
    """
    ahead = whole_days("horizon", horizon)
    some = sampled(facts, as_of, seed)
    days = np.asarray(some.day)
    first = int(days.min(initial=as_of))
    customer, now = features_at(some, as_of=as_of)
    window = max(min(ahead, (as_of - first) // 2), 1)
    if not customer.size:
        return plain(now, process, 0, status="insufficient_history")
    marks = [at_day(some, day, window, process) for day in landmarks(first, as_of, window)]
    marks = [mark for mark in marks if mark.customer.size]
    churned = sum(float(mark.churned.sum()) for mark in marks)
    if min(churned, sum(mark.churned.size for mark in marks) - churned) < MIN_EVENTS:
        return plain(now, process, 0, status="insufficient_history")
    return _fit_landmarks(marks, now, process)


def landmarks(first: int, as_of: int, window: int) -> list[int]:
    """Return the landmarks of a history, ascending; see the module."""
    earliest = first + math.ceil(window / 2)
    apart = window if as_of - 3 * window >= earliest else max(window // 2, 1)
    days = [as_of - window - back * apart for back in range(MOST)]
    return [day for day in days[::-1] if day >= earliest]


def plain(features: Features, kind: str, window: int, *, status: str = "ok") -> ChurnRisk:
    """Return a model of purchases by itself, fitted to some histories.

    ``window`` are the days of outcomes that it is to be recalibrated to, 0 if none. A prior in
    place of a fit is ``insufficient_history``.
    """
    centre = (0.0, 0.0, 0.0)
    if len(features):
        centre = contributions.reference(features.x, features.t_x, features.T)
    process = fit_process(features, kind)
    return ChurnRisk(
        kind=kind,
        process_kind=kind,
        process=process,
        scales=Scales.fit(features),
        label_window=window,
        anchor=centre,
        reference=centre,
        status="insufficient_history" if process.status == "fallback" else status,
    )


def sampled(facts: Facts, as_of: int, seed: int) -> Facts:
    """Return the facts of at most `CUSTOMERS` of the customers known at a day."""
    codes = np.unique(np.asarray(facts.customer)[np.asarray(facts.day) <= as_of])
    if codes.size <= CUSTOMERS:
        return facts
    drawn = np.random.default_rng(seed).choice(codes.size, CUSTOMERS, replace=False)
    return facts.of(codes[np.sort(drawn)])


def whole_days(name: str, days: int) -> int:
    """Return a positive whole number of days, or raise."""
    if validation.positive_number(name, days) != int(days):
        message = f"{name} must be whole days"
        raise ValueError(message)
    return int(days)


def _fit_landmarks(marks: list[Landmark], now: Features, process: str) -> ChurnRisk:
    last = marks[-1]
    scales = Scales.fit(last.features).with_cuts(last.features, last.churned)
    columns = [mark.design(scales) for mark in marks]
    [(intercept, weights)] = _fits(columns, marks, [_ridge(columns, marks)])
    risk = plain(now, process, last.window)
    calibration = platt(intercept + columns[-1] @ weights, last.churned)
    return ChurnRisk(
        **{
            **vars(risk),
            "kind": KIND,
            "scales": scales,
            "intercept": intercept,
            "weights": dict(zip(FEATURES, weights.tolist(), strict=True)),
        }
    ).recalibrated(calibration)


def _fits(
    columns: list[FloatArray], marks: list[Landmark], ridges: Sequence[float]
) -> list[tuple[float, FloatArray]]:
    churned = np.concatenate([mark.churned for mark in marks])
    rows = np.concatenate(columns)
    # What differs by rounding only would be told apart by a weight without bound.
    rows[:, rows.std(axis=0) < _FLAT] = 0.0
    return bounded_logistic.path(rows, churned, ridges=ridges, prior=_PRIOR, rising=_RISING)


def _ridge(columns: list[FloatArray], marks: list[Landmark]) -> float:
    """Return the strength of the shrinkage; see the module."""
    last = marks[-1]
    before = [i for i, mark in enumerate(marks) if mark.day + mark.window <= last.day]
    churned = np.concatenate([marks[i].churned for i in before]) if before else np.zeros(0)
    if min(churned.sum(), churned.size - churned.sum()) < MIN_EVENTS:
        return RIDGE
    # From the strongest on: what it gives is close to the prior, where the ascent starts.
    fits = _fits([columns[i] for i in before], [marks[i] for i in before], RIDGES)
    losses = [
        metrics.log_loss_each(sigmoid(intercept + columns[-1] @ weights), last.churned)
        for intercept, weights in fits
    ]
    best = min(losses, key=lambda loss: float(loss.mean()))
    near = [metrics.difference(loss, best) for loss in losses]
    return max(
        ridge
        for ridge, gap in zip(RIDGES, near, strict=True)
        if gap.value <= np.nan_to_num(gap.standard_error)
    )
