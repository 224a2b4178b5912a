"""Churn risk learnt from a business's own past, at days when the future was not yet known.

At many past days, the *landmarks*, the customers known by then are described by facts up to that
day and labelled by what followed (`app.scoring.churn.observation`). One regression of all these
rows, averaged on the log-odds with the model of purchases that it starts from, is the landmark
model.

1. The label window is the horizon, or half of the history where that is shorter (a third where it
   is to be judged beside others); what is learnt is then extrapolated to the horizon (see
   `app.scoring.churn.churn_risk`).
2. The landmarks lie a third of a window apart, as far back as facts go (`rolling`). All have the
   model of purchases of the day of learning: four numbers of everybody, which say hardly more of
   the future of a landmark than was known there, and less by chance.
3. Weights are learnt from differences between the customers of one landmark, never between
   landmarks: what level risk has is the process's, and then that of the windows. They are shrunk
   towards the process by itself (`RIDGE`).
4. Regression and process are averaged: log-odds are sums of features, so their mean is one risk
   with mean weights, and its reasons add up as those of either. The regression counts `SHARES`'
   first part, unless another one foresaw earlier windows clearly better.
5. What comes out is recalibrated by what it would have told at each window, learnt from those
   before it.

References
----------
van Houwelingen (2007), Dynamic prediction by landmarking in event history analysis, Scandinavian
Journal of Statistics 34, 70-85. Bates and Granger (1969), The combination of forecasts, Operational
Research Quarterly 20, 451-468.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from app.scoring.churn import rolling, walk_forward
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.churn.design import BASELINE, FEATURES, RISING, Scales, design
from app.scoring.churn.observation import Landmark, events, plain, sampled, whole_days
from app.scoring.churn.parts import Part
from app.scoring.churn.walk_forward import Past, Track
from app.scoring.evaluation import metrics
from app.scoring.histories.features import Facts, features_at
from app.scoring.numerics.array_types import FloatArray
from app.scoring.regression import bounded_logistic
from app.scoring.regression.recalibration import sigmoid
from app.scoring.regression.windows import level

MIN_EVENTS: Final = 25  # customers of either outcome
FEW: Final = 10  # customers who came years before all others make no history
RIDGE: Final = 30.0
SHARES: Final = (0.75, 0.5, 1.0)  # of the regression in the average; the first unless it is outdone
CLEARLY: Final = 2.0  # standard errors
KIND: Final = "landmark"
PROCESS: Final = "process"
REGRESSION: Final = "regression"

_FLAT: Final = 1e-6
_PRIOR: Final = np.array([float(name == "process") for name in FEATURES])
_LEAST: Final = np.array([0.2 * (name in BASELINE) for name in FEATURES])  # of the log-odds
_RISING: Final = np.array([name in RISING for name in FEATURES])


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
        Of the draw among more than `observation.CUSTOMERS` customers.

    Returns
    -------
    ChurnRisk
        ``insufficient_history`` where the past has less than `MIN_EVENTS` customers of either
        outcome:
        then the process by itself.

    Raises
    ------
    ValueError
        If the log is not valid, the horizon not a positive whole number, or the process unknown.
    """
    ahead = whole_days("horizon", horizon)
    some = sampled(facts, as_of, seed)
    past = walk_forward.look_back(some, as_of, label_window(some, as_of, ahead, parts=2))
    found = along(past, process)
    if found is None:
        return plain(past.now, process, 0, status="insufficient_history")
    return found.recalibrated(None)


def label_window(facts: Facts, as_of: int, horizon: int, *, parts: int = 3) -> int:
    """Return the days in which outcomes are watched: the horizon, or a part of the history."""
    _, now = features_at(facts, as_of=as_of)
    ages = np.sort(now.T)[::-1]
    known = int(ages[min(FEW, ages.size // FEW)]) if ages.size else 0
    return max(min(horizon, known // parts), 1)


def along(past: Past, process: str) -> Track | None:
    """Return the landmark model along the windows; None where too little is to be learnt from."""
    marks = rolling.landmarks(past.facts, past.as_of, past.window)
    if events(marks) < MIN_EVENTS:
        return None
    losses: dict[int, list[FloatArray]] = {}

    def learn(at: int | None) -> ChurnRisk | None:
        day = past.as_of if at is None else past.marks[at].day
        before = [mark for mark in marks if mark.end <= day]
        if events(before) < MIN_EVENTS:
            return None
        raw, last = past.plain(process, at), before[-1]
        scales = Scales.fit(last.features).with_cuts(last.features, last.churned)
        fitted = _fit(before, raw.process, scales)
        by_share = [share * fitted + (1 - share) * _PRIOR for share in SHARES]
        share = regression_share([losses[one] for one in losses if past.marks[one].end <= day])
        here = past.now if at is None else past.marks[at].features
        columns = design(here, raw.process, scales, window=past.window)
        # Before it has told anything itself, its level is that of its process, recalibrated.
        known = raw
        if at is None and not losses:
            known = walk_forward.plain(past, process).recalibrated(None)
        told = float(known.probability(here, horizon=past.window).mean())
        if at is not None:
            churned = past.marks[at].churned
            losses[at] = [_loss(columns @ weights, churned) for weights in by_share]

        def risk(weights: FloatArray) -> ChurnRisk:
            return dataclasses.replace(
                raw,
                kind=KIND,
                scales=scales,
                intercept=level(columns @ weights, told),
                weights=dict(zip(FEATURES, weights.tolist(), strict=True)),
            )

        parts = Part(PROCESS, 1 - share, raw), Part(REGRESSION, share, risk(fitted))
        return dataclasses.replace(risk(by_share[SHARES.index(share)]), parts=parts)

    return walk_forward.track(past, learn, past.fits(*walk_forward.FITS))


def _fit(marks: Sequence[Landmark], process: Any, scales: Scales) -> FloatArray:
    """Return the weights of a regression, from differences between the customers of one day."""
    columns, levels = [], []
    for mark in marks:
        own = dataclasses.replace(mark, process=process).design(scales)
        columns.append(own - own.mean(axis=0))
        share = _smoothed(mark.churned)
        levels.append(np.full(mark.churned.size, np.log(share / (1 - share))))
    rows = np.concatenate(columns)
    del columns
    # What differs by rounding only would be told apart by a weight without bound.
    rows[:, rows.std(axis=0) < _FLAT] = 0.0
    return bounded_logistic.fit(
        rows,
        np.concatenate([mark.churned for mark in marks]),
        ridge=RIDGE,
        prior=_PRIOR,
        rising=_RISING,
        least=_LEAST,
        offset=np.concatenate(levels),
    )[1]


def _loss(odds: FloatArray, churned: FloatArray) -> FloatArray:
    """Return the log loss of each customer at the level that their own outcomes have."""
    at_level = odds + level(odds, _smoothed(churned))
    return metrics.log_loss_each(sigmoid(at_level), churned)


def _smoothed(churned: FloatArray) -> float:
    """Return the share that left, with one customer more, half of each outcome."""
    return (float(churned.sum()) + 0.5) / (churned.size + 1)


def regression_share(losses: Sequence[Sequence[FloatArray]]) -> float:
    """Return the part of the regression in the average.

    Parameters
    ----------
    losses : sequence of sequence of FloatArray
        Of each earlier window, the losses of its customers by each of `SHARES`.
    """
    if not losses:
        return SHARES[0]
    pooled = [np.concatenate(each) for each in zip(*losses, strict=True)]
    best = min(range(len(SHARES)), key=lambda place: float(pooled[place].mean()))
    gap = metrics.difference(pooled[0], pooled[best])
    return SHARES[best if gap.value > CLEARLY * np.nan_to_num(gap.standard_error) else 0]
