"""Calibrating churn risk at further horizons to the outcomes over each.

The round horizons of `HORIZONS` are looked at that are no longer than half of the history: what is
predicted must have been seen twice. A line corrects the risk that is served, two numbers for all
customers: it is fitted to what that tells of them as they were a horizon before the end. A horizon
in which fewer than `MIN_EVENTS` of either outcome were seen has none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from app.scoring.churn import landmark
from app.scoring.churn.baseline import HorizonCalibration, extrapolated
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.histories.features import Facts, features_at
from app.scoring.regression.recalibration import platt

HORIZONS: Final = (7, 14, 30, 60, 90, 180, 365)
MIN_EVENTS: Final = 20  # of either outcome, for two numbers
LEAST_SLOPE: Final = 0.05  # so that risk goes on to rise with the silence


def calibrate(risk: ChurnRisk, facts: Facts, *, as_of: int) -> ChurnRisk:
    """Return a risk with its calibrations; one without a label window, unchanged.

    Parameters
    ----------
    risk : ChurnRisk
        Fitted to the facts up to ``as_of``.
    facts : Facts
    as_of : int
        The last day that counts.
    """
    window = risk.label_window
    if not window:
        return risk
    longest = (as_of - int(np.min(facts.day, initial=as_of))) // 2
    calibrations = []
    for days in HORIZONS:
        if days == window or days > longest:
            continue
        day = as_of - days
        customer, features = features_at(facts, as_of=day)
        bought = landmark.buyers(facts, after=day, until=as_of)
        churned = (~np.isin(customer, bought)).astype(np.float64)
        if min(churned.sum(), churned.size - churned.sum()) < MIN_EVENTS:
            continue
        odds = extrapolated(risk, features.x, features.t_x, features.T, days)
        calibration = platt(odds, churned, offset=risk.additive(features), least=LEAST_SLOPE)
        calibrations.append(HorizonCalibration(days, calibration.intercept, calibration.slope))
    return replace(risk, calibrations=tuple(calibrations))
