"""Three rules that tell who leaves without any model, their cuts learnt from an earlier split.

``hiatus``
    silent for longer than a cut, one for all (`app.scoring.purchases.hiatus`); ranked by silence;
``own_cadence``
    silent for more than so many usual gaps of one's own (`contributions.usual_gap`);
``base_rate``
    as many as left in the earlier split, whoever it is.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np

from app.scoring.churn import contributions, observation
from app.scoring.churn.design import Scales
from app.scoring.histories.features import Facts, Features, features_at
from app.scoring.numerics.array_types import FloatArray
from app.scoring.purchases import hiatus

BASE_RATE: Final = "base_rate"

Prediction: TypeAlias = tuple[FloatArray, FloatArray]
"""Probability of no purchase, and what ranks customers."""


def rules(facts: Facts, cut: int, horizon: int, features: Features) -> dict[str, Prediction]:
    """Return what each rule tells at a cut of the customers known by then, and has them ranked by.

    The earlier split ends at the cut, and is as long as the horizon or half of the history.
    """
    first = int(np.min(facts.day, initial=cut))
    window = max(min(horizon, (cut - first) // 2), 1)
    then, made = _split(facts, cut - window, window)
    if not len(then):
        then, made = _split(facts, cut, 0)
    gap = Scales.fit(then).gap
    result = {}
    for name, measure in (("hiatus", _silence), ("own_cadence", _usual_gaps)):
        before, now = measure(then, gap), measure(features, gap)
        rule = hiatus.fit(before, made, window=window)
        result[name] = rule.p_no_purchase(now, horizon=horizon), now
    rule = hiatus.base_rate(made, window=window)
    p = rule.p_no_purchase(np.zeros(len(features)), horizon=horizon)
    result[BASE_RATE] = p, p
    return result


def _split(facts: Facts, day: int, window: int) -> tuple[Features, FloatArray]:
    """Return the customers known at a day, and 1 for those who bought in the window after it."""
    customer, features = features_at(facts, as_of=day)
    bought = observation.buyers(facts, after=day, until=day + window)
    return features, np.isin(customer, bought).astype(np.float64)


def _silence(features: Features, gap: float) -> FloatArray:
    del gap
    return features.T - features.t_x


def _usual_gaps(features: Features, gap: float) -> FloatArray:
    return (features.T - features.t_x) / contributions.usual_gap(features.t_x, features.x + 1, gap)
