"""Between what the purchases and the lifetime values of customers, and of many, are likely to lie.

Of what is served: the risk, the expected purchases and the value of a card, whatever they rest on.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from app.deployment import Deployment
from app.lifecycle.dated import Bools, Floats
from app.scoring.spend import clv, intervals
from app.scoring.spend.intervals import Between, Interval, Purchases, Values
from app.services.common.stored_documents import Section
from app.services.models.model_inputs import ModelInputs
from app.services.scores.model_scores import Scores

_TINY = 1e-300


class Sums(Section):
    """What is expected of customers together, and its variance by the chance of each."""

    expected_purchases: float = 0.0
    purchase_variance: float = 0.0
    clv: float = 0.0
    clv_variance: float = 0.0


def of_purchases(scores: Scores) -> Interval:
    """Return the interval of the purchases of each buyer within the horizon."""
    return intervals.of_purchases(_purchases(scores), scores.model.between)


def of_values(scores: Scores) -> Interval:
    """Return the interval of the lifetime value of each buyer, by its own terms."""
    return intervals.of_values(_values(scores), scores.model.between)


def columns(scores: Scores, bought: Bools) -> Mapping[str, Floats]:
    """Return what `Sums` are of, of placed customers of whom those who bought were scored."""
    own = (
        scores.expected_purchases,
        _purchases(scores).variance,
        scores.clv,
        _values(scores).variance,
    )
    found = {}
    for name, values in zip(Sums.model_fields, own, strict=True):
        found[name] = np.zeros(len(bought))
        found[name][bought] = values
    return found


def totals(deployment: Deployment, sums: Sums | None, between: Between) -> dict[str, Any] | None:
    """Return the totals of many with their intervals, as the API tells them; None without sums."""
    if sums is None:
        return None
    purchases = intervals.of_purchase_total(
        sums.expected_purchases, sums.purchase_variance, between
    )
    values = intervals.of_total(sums.clv, sums.clv_variance, between)
    low, high = (deployment.computed_money(each) for each in values)
    return {
        "expected_purchases": {
            "value": sums.expected_purchases,
            "interval": {"low": int(purchases[0]), "high": int(purchases[1])},
        },
        "clv": {
            "value": deployment.computed_money(sums.clv),
            "interval": {"low": low, "high": high},
        },
    }


def _purchases(scores: Scores) -> Purchases:
    chance = scores.inputs.chance_at(scores.horizon_days)
    return _told(scores.inputs, chance, scores.expected_purchases)


def _told(inputs: ModelInputs, chance: Floats, expected: Floats) -> Purchases:
    if_any = np.maximum(expected / np.maximum(chance, _TINY), 1.0)
    return Purchases(chance, if_any, intervals.shape_of(inputs.process, inputs.history[0]))


def _values(scores: Scores) -> Values:
    inputs, terms, model = scores.inputs, scores.clv_terms, scores.model
    paid, each = inputs.worth(terms)
    purchases = np.divide(scores.clv, each, out=np.zeros(len(each)), where=each != 0)
    told = _told(inputs, inputs.chance_at(terms.horizon_days), purchases)
    half = math.log1p(terms.annual_discount) * terms.horizon_days / clv.DAYS_PER_YEAR / 2
    return intervals.values(told, each, paid, discount=half, spend=model.spend)
