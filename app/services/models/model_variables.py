"""The variables of rules that a stored model computes."""

from collections.abc import Callable, Mapping

import numpy as np

from app.lifecycle.dated import Floats, Ints
from app.lifecycle.records import Columns, Computed, Money
from app.money import UNITS
from app.postgres.db import ReadSession
from app.scoring.churn import contributions
from app.scoring.rfm import rfm
from app.scoring.spend import evidence
from app.services.models import model_store
from app.services.models.fitted_models import FittedModel


async def of(session: ReadSession, model_id: str) -> Computed:
    """Return how a model computes its variables; unknown for those who never purchased."""
    model = await model_store.load(session, model_id)

    def compute(
        names: frozenset[str], columns: Columns, money: Money, day: Ints
    ) -> Mapping[str, Floats]:
        bought = np.flatnonzero(columns.purchase_days > 0)
        own, worth, days = columns.take(bought), money.take(bought), day[bought]
        found = {}
        for name in names:
            found[name] = np.full(len(columns), np.nan)
            if model.rfm_cuts is not None:
                found[name][bought] = _HOW[name](model, own, worth, days)
        return found

    return compute


def _usual_gap(model: FittedModel, columns: Columns, money: Money, day: Ints) -> Floats:
    del money, day
    if model.gap_days is None:
        return np.full(len(columns), np.nan)
    span = columns.last_day - columns.first_day
    return contributions.usual_gap(span, columns.purchase_days, model.gap_days)


def _inactivity_to_usual(model: FittedModel, columns: Columns, money: Money, day: Ints) -> Floats:
    return (day - columns.last_day) / _usual_gap(model, columns, money, day)


def _rfm(place: int) -> Callable[[FittedModel, Columns, Money, Ints], Floats]:
    def score(model: FittedModel, columns: Columns, money: Money, day: Ints) -> Floats:
        assert model.rfm_cuts is not None
        inactivity, revenue = day - columns.last_day, money.revenue / UNITS
        scores = rfm.score(model.rfm_cuts, inactivity, columns.purchase_days, revenue)
        return scores[place].astype(np.float64)

    return score


def _churn_probability(model: FittedModel, columns: Columns, money: Money, day: Ints) -> Floats:
    """Return the risk over the horizon of the model that the policy names, which never changes."""
    del money
    return model.churn.p_no_purchase(  # type: ignore[no-any-return]
        *_history(model, columns, day), horizon=model.horizon_days / model.unit
    )


def _value_tier(model: FittedModel, columns: Columns, money: Money, day: Ints) -> Floats:
    """Return the tier by the purchases alone: contacts and own margins are unknown to rules."""
    history, terms = _history(model, columns, day), model.clv_terms
    revenue, first = money.revenue / UNITS, money.first_day_value / UNITS
    days = evidence.of_totals(model.spend_evidence, revenue, first, money.paid_days)
    worth = model.spend.expected_value(*days)
    log_odds = model.churn.no_purchase_log_odds(*history, horizon=terms.horizon_days / model.unit)
    rate = model.margin_rates(terms, None)
    process = model.process(None)  # rules look at plain time, whatever the season
    value = model.clv(terms, history, worth, log_odds, process=process, margin=rate)
    return model.tiers(value, plain=True).astype(np.float64)


def _history(model: FittedModel, columns: Columns, day: Ints) -> tuple[Ints, Floats, Floats]:
    x = np.maximum(columns.purchase_days - 1, 0)
    t_x = (columns.last_day - columns.first_day) / model.unit
    return x, t_x, (day - columns.first_day) / model.unit


_HOW = {
    "usual_gap_days": _usual_gap,
    "inactivity_to_usual_gap": _inactivity_to_usual,
    "r": _rfm(0),
    "f": _rfm(1),
    "m": _rfm(2),
    "churn_probability": _churn_probability,
    "value_tier": _value_tier,
}
