"""Learning what churn risk is at further horizons, from the outcomes over each; see `Line`.

The round horizons of `HORIZONS` are looked at that are no longer than half of the history: what is
foretold must have been seen twice. A line corrects the risk that is served, two numbers for all
customers: it is fitted to what that tells of them as they were a horizon before the end. A horizon
in which fewer than `MIN_EVENTS` of either outcome were seen has none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from app.scoring.churn import landmark
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.churn.course import Line, carried
from app.scoring.histories.features import Facts, histories
from app.scoring.regression.recalibration import platt

HORIZONS: Final = (7, 14, 30, 60, 90, 180, 365)
MIN_EVENTS: Final = 20  # of either outcome, for two numbers
LEAST_SLOPE: Final = 0.05  # so that risk goes on to rise with the silence


def learnt(risk: ChurnRisk, facts: Facts, *, as_of: int) -> ChurnRisk:
    """Return a risk with its lines; one without a label window, unchanged.

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
    lines = []
    for days in HORIZONS:
        if days == window or days > longest:
            continue
        day = as_of - days
        customer, known = histories(facts, as_of=day)
        bought = landmark.buyers(facts, after=day, until=as_of)
        left = (~np.isin(customer, bought)).astype(np.float64)
        if min(left.sum(), left.size - left.sum()) < MIN_EVENTS:
            continue
        odds = carried(risk, known.x, known.t_x, known.T, days)
        line = platt(odds, left, offset=risk.single(known), least=LEAST_SLOPE)
        lines.append(Line(days, line.intercept, line.slope))
    return replace(risk, lines=tuple(lines))
