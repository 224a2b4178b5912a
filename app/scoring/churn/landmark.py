"""Churn risk learnt from a business's own past, at days when the future was not yet known.

At each of some past days, the *landmarks*, the customers known by then are described by facts up
to that day and labelled by what followed (`app.scoring.churn.observation`). One regression of all
these rows, its weights shrunk towards the process by itself, is the landmark supermodel.

1. The label window is the horizon, or half of the history where that is shorter (a third where it
   is to be judged beside others); what is learnt is then extrapolated to the horizon (see
   `app.scoring.churn.churn_risk`).
2. The landmarks are the starts of the windows that everything is fitted at
   (`app.scoring.churn.walk_forward`).
3. Weights are learnt from differences between the customers of one landmark, never between
   landmarks: what level risk has is the process's, and then that of the windows.
4. The strength of the shrinkage is the largest within one standard error of the best in foreseeing
   each landmark from those whose window had ended by then; without any, `RIDGE`.
5. What comes out is recalibrated by what it would have told at each window, learnt from those
   before it.

References
----------
van Houwelingen (2007), Dynamic prediction by landmarking in event history analysis, Scandinavian
Journal of Statistics 34, 70-85.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np

from app.scoring.churn import walk_forward
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.churn.design import BASELINE, FEATURES, RISING, Scales, design
from app.scoring.churn.observation import Landmark, events, plain, sampled, whole_days
from app.scoring.churn.walk_forward import Past, Track
from app.scoring.evaluation import metrics
from app.scoring.histories.features import Facts, features_at
from app.scoring.numerics.array_types import FloatArray
from app.scoring.regression import bounded_logistic
from app.scoring.regression.recalibration import sigmoid
from app.scoring.regression.windows import level

MIN_EVENTS: Final = 25  # customers of either outcome
RIDGES: Final = (3000.0, 300.0, 30.0, 3.0, 0.3)
RIDGE: Final = 30.0
KIND: Final = "landmark"

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
    return max(min(horizon, int(now.T.max(initial=0)) // parts), 1)


def along(past: Past, process: str) -> Track | None:
    """Return the landmark model along the windows; None where too little is to be learnt from."""
    fits = past.fits(*walk_forward.FITS)
    marks = {
        at: dataclasses.replace(past.marks[at], process=past.process(process, at)) for at in fits
    }
    if events(list(marks.values())) < MIN_EVENTS:
        return None
    losses: dict[int, list[FloatArray]] = {}

    def learn(at: int | None) -> ChurnRisk | None:
        day = past.as_of if at is None else marks[at].day
        before = [mark for mark in marks.values() if mark.end <= day]
        raw = past.plain(process, at)
        if events(before) < MIN_EVENTS:
            return None
        ridge = _ridge([losses[mark] for mark in losses if marks[mark].end <= day])
        last = before[-1]
        scales = Scales.fit(last.features).with_cuts(last.features, last.churned)
        ridges = (ridge,) if at is None else RIDGES
        by_ridge = _fits([mark.design(scales) for mark in before], before, ridges)
        here = past.now if at is None else marks[at].features
        columns = design(here, raw.process, scales, window=past.window)
        # Before it has told anything itself, its level is that of its process, recalibrated.
        known = raw
        if at is None and not losses:
            known = walk_forward.plain(past, process).recalibrated(None)
        share = float(known.probability(here, horizon=past.window).mean())
        if at is not None:
            losses[at] = [_loss(columns @ weights, marks[at].churned) for weights in by_ridge]
        weights = by_ridge[ridges.index(ridge)]
        return dataclasses.replace(
            raw,
            kind=KIND,
            scales=scales,
            intercept=level(columns @ weights, share),
            weights=dict(zip(FEATURES, weights.tolist(), strict=True)),
        )

    return walk_forward.track(past, learn, fits)


def _fits(
    columns: list[FloatArray], marks: list[Landmark], ridges: Sequence[float]
) -> list[FloatArray]:
    """Return the weights by ridge, from differences between the customers of one day alone."""
    churned = np.concatenate([mark.churned for mark in marks])
    rows = np.concatenate([own - own.mean(axis=0) for own in columns])
    # What differs by rounding only would be told apart by a weight without bound.
    rows[:, rows.std(axis=0) < _FLAT] = 0.0
    # From the strongest ridge on: what it gives is close to the prior, where the ascent starts.
    fits = bounded_logistic.path(
        rows, churned, ridges=ridges, prior=_PRIOR, rising=_RISING, least=_LEAST
    )
    return [weights for _, weights in fits]


def _loss(odds: FloatArray, churned: FloatArray) -> FloatArray:
    """Return the log loss of each customer at the level that their own outcomes have."""
    share = (float(churned.sum()) + 0.5) / (churned.size + 1)
    return metrics.log_loss_each(sigmoid(odds + level(odds, share)), churned)


def _ridge(losses: list[list[FloatArray]]) -> float:
    """Return the strength of the shrinkage from the losses of each at earlier landmarks."""
    if not losses:
        return RIDGE
    pooled = [np.concatenate(each) for each in zip(*losses, strict=True)]
    best = min(pooled, key=lambda loss: float(loss.mean()))
    near = [metrics.difference(loss, best) for loss in pooled]
    return max(
        ridge
        for ridge, gap in zip(RIDGES, near, strict=True)
        if gap.value <= np.nan_to_num(gap.standard_error)
    )
