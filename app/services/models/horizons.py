"""The horizon of churn risk: the business's, unless a request names another; the data propose.

A model is fitted for one horizon, and that of the model in force is the one of every door: cards,
lists, runs, reports, back-tests. A change of the setting comes into force with the next model.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.deployment import Deployment
from app.scoring.churn import churn_horizon
from app.services.customer_base.training_data import TrainingData

Rule = Literal["setting", "asked_for"]

SUGGESTION_RULE = (
    "the round number of days closest to the 80th percentile of the gaps between purchase days, "
    "and no more than half of the history"
)


@dataclass(frozen=True, slots=True)
class Horizon:
    """Days ahead that a model is fitted for, and who said so."""

    days: int
    rule: Rule


def choose(deployment: Deployment, horizon_days: int | None) -> Horizon:
    """Return the horizon that a request names, else that of the deployment's setting."""
    if horizon_days is None:
        return Horizon(deployment.horizon_days, "setting")
    return Horizon(horizon_days, "asked_for")


def suggested(past: TrainingData, day: int) -> int | None:
    """Return the days that the gaps between purchases suggest; None where there are too few."""
    facts = past.facts
    if past.first_day is None:
        return None
    gaps = churn_horizon.gaps_of(*facts.log(day), as_of=day)
    last = int(np.max(facts.day, initial=past.first_day))
    return churn_horizon.suggested_horizon(gaps, history=max(last - past.first_day, 0))
