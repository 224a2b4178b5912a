"""Calibrating churn risk at further horizons to the outcomes over each.

The round horizons of `HORIZONS` are looked at that are no longer than half of the history: what is
predicted must have been seen twice. A line corrects what is extrapolated to the horizon, fitted to
the windows of the past as the one at the label window is (`app.scoring.regression.windows`): each
risk is as it was learnt at the start of its window, recalibrated by then. A horizon in which fewer
than `MIN_EVENTS` customers had either outcome has no line, nor one whose line foresaw later
windows worse than no line did.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from app.scoring.churn import observation
from app.scoring.churn.baseline import HorizonCalibration, extrapolated
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.churn.walk_forward import Past, Track
from app.scoring.evaluation import metrics
from app.scoring.histories.features import Features
from app.scoring.numerics.array_types import FloatArray
from app.scoring.regression import windows
from app.scoring.regression.recalibration import Platt, sigmoid
from app.scoring.regression.windows import Window

HORIZONS: Final = (7, 14, 30, 60, 90, 180, 365)
MIN_EVENTS: Final = 20
LEAST_SLOPE: Final = 0.05  # so that risk goes on to rise with the silence


@dataclass(frozen=True, eq=False)
class _Told:
    """What was told over a horizon at the start of a window, and what happened."""

    odds: FloatArray
    offset: FloatArray
    churned: FloatArray
    window: Window


def calibrate(risk: ChurnRisk, track: Track) -> ChurnRisk:
    """Return a risk with its calibrations.

    Parameters
    ----------
    risk : ChurnRisk
        What ``track`` tells now, recalibrated.
    track : Track
        The candidate along the windows of the past.
    """
    past = track.past
    longest = (past.as_of - int(np.min(past.facts.day, initial=past.as_of))) // 2
    then = {at: track.recalibrated(at) for at in track.risks}
    calibrations = []
    for days in HORIZONS:
        if days == past.window or days > longest:
            continue
        told = _told(past, then, days)
        if told and _better(told, days):
            ahead = past.ahead(past.as_of, days)
            found = _line(told, days, past.as_of, *_odds(risk, past.now, ahead))
            calibrations.append(HorizonCalibration(days, found.intercept, found.slope))
    return replace(risk, calibrations=tuple(calibrations))


def _told(past: Past, then: dict[int, ChurnRisk], days: int) -> list[_Told]:
    """Return what was told at each window, ascending; nothing where too little happened."""
    marks = [
        replace(
            past.marks[at],
            window=days,
            churned=observation.churned(
                past.facts, past.marks[at].customer, past.marks[at].day, days
            ),
        )
        for at in then
        if past.marks[at].day + days <= past.as_of
    ]
    if observation.events(marks) < MIN_EVENTS:
        return []
    told = []
    for mark, risk in zip(marks, then.values(), strict=False):
        odds, offset = _odds(risk, mark.features, past.ahead(mark.day, days))
        window = windows.window(mark.day, odds, mark.churned, offset)
        told.append(_Told(odds, offset, mark.churned, window))
    return told


def _odds(risk: ChurnRisk, features: Features, days: float) -> tuple[FloatArray, FloatArray]:
    odds = extrapolated(risk, features.x, features.t_x, features.T, days)
    return odds, risk.additive(features)


def _line(told: list[_Told], days: int, day: int, odds: FloatArray, offset: FloatArray) -> Platt:
    """Return the line for what is told at a day, from the windows that had ended by then."""
    return windows.line(
        [each.window for each in told if each.window.day + days <= day],
        day=day,
        centre=windows.middle(odds, offset),
        least=LEAST_SLOPE,
    )


def _better(told: list[_Told], days: int) -> bool:
    """Return whether lines foresaw windows that came after those they were fitted to no worse."""
    gain, judged = 0.0, 0
    for each in told:
        line = _line(told, days, each.window.day, each.odds, each.offset)
        if line.status == "fallback":
            continue
        judged += 1
        losses = (
            metrics.log_loss_each(sigmoid(odds + each.offset), each.churned)
            for odds in (each.odds, line.log_odds(each.odds))
        )
        without, by_line = (float(loss.sum()) for loss in losses)
        gain += without - by_line
    return judged > 0 and gain >= 0
