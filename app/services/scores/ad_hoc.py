"""Scoring histories that a caller brings, with a stored model."""

from datetime import datetime
from typing import Any

import numpy as np

from app.deployment import Deployment
from app.errors import FieldError, NoModel, ValidationFailed
from app.lifecycle.dated import Floats, Ints
from app.money import to_cents
from app.postgres.db import ReadSession
from app.schemas.common.types import MoneyIn
from app.schemas.scores.ad_hoc import HistoryRow, ScoreRequest
from app.scoring.rfm import rfm
from app.scoring.spend import evidence
from app.services.common import deployment_settings, threads
from app.services.models import clv_terms, given_cuts, model_responses, model_store
from app.services.models.fitted_models import DAYS_PER_UNIT, FittedModel
from app.services.models.model_documents import MARGIN, ClvTerms
from app.services.models.model_parts import probability


async def score(
    session: ReadSession, deployment: Deployment, asked: ScoreRequest, now: datetime
) -> dict[str, Any]:
    """Score the rows; many go to a thread, so that other requests are not kept waiting."""
    model_id = asked.model_id or (await deployment_settings.pointers(session)).model_id
    model = None if model_id is None else await model_store.load(session, model_id)
    terms = clv_terms.of_question(model, asked)
    if model is None or terms is None:
        raise NoModel
    model = model.with_cuts(given_cuts.read(deployment, asked.rfm_cuts))
    horizon = asked.horizon_days or model.horizon_days
    items = await threads.compute(
        len(asked.items), _score, deployment, model, asked, terms, horizon
    )
    return {
        "items": items,
        "horizon_days": horizon,
        "clv": clv_terms.head(model, terms),
        "rfm_cuts": model_responses.cuts_of(deployment, model),
        "rfm_few_classes": model_responses.few_classes(model.rfm_classes),
        "model_id": model.model_id,
        "model_as_of": model.as_of,
        "computed_at": now,
    }


def _amount(deployment: Deployment, place: int, row: HistoryRow, name: str) -> float:
    """Return an amount of a history, 0 where it is not known."""
    given: MoneyIn | None = getattr(row, name)
    if given is None:
        return 0.0
    if given.currency not in (None, deployment.currency):
        fault = FieldError(
            f"/items/{place}/{name}/currency",
            "currency_mismatch",
            f"must be {deployment.currency}, the deployment's currency",
        )
        raise ValidationFailed(errors=[fault])
    return float(given.amount)


def _amounts(deployment: Deployment, asked: ScoreRequest, name: str) -> Floats:
    return np.array(
        [_amount(deployment, place, row, name) for place, row in enumerate(asked.items)]
    )


def _refuse_more_than_all(asked: ScoreRequest) -> None:
    """Refuse histories whose first purchase day was worth more than all days together."""
    faults = [
        FieldError(f"/items/{place}/first_value", "history", "must not exceed revenue")
        for place, row in enumerate(asked.items)
        if row.first_value is not None
        and row.revenue is not None
        and row.first_value.amount > row.revenue.amount
    ]
    if faults:
        raise ValidationFailed(errors=faults)


def _rfm(model: FittedModel, asked: ScoreRequest, x: Ints, revenue: Floats) -> list[dict[str, Any]]:
    """Return the RFM scores of the rows; what rests on revenue is null where none is given."""
    assert model.rfm_cuts is not None
    days = DAYS_PER_UNIT[asked.time_unit]
    silent = np.array([(row.T - row.t_x) * days for row in asked.items])
    r, f, m = rfm.score(model.rfm_cuts, silent, x + 1, revenue)
    group = rfm.groups(r, f, m)
    return [
        {
            "r": int(r[place]),
            "f": int(f[place]),
            "m": None if row.revenue is None else int(m[place]),
            "rfm_group": None if row.revenue is None else rfm.GROUPS[group[place]],
        }
        for place, row in enumerate(asked.items)
    ]


def _spend(
    deployment: Deployment, model: FittedModel, asked: ScoreRequest, x: Ints, revenue: Floats
) -> tuple[Ints, Floats]:
    """Return how many days are evidence of spend, and their mean value.

    Of the first purchase day, unless it is given, what the revenue leaves is known.
    """
    mean, given = (_amounts(deployment, asked, name) for name in ("mean_value", "first_value"))
    _refuse_more_than_all(asked)
    paid = np.where(mean > 0, x, 0)
    if model.spend_evidence == evidence.REPEAT:
        return paid, mean
    repeats = mean * paid
    known = np.array([row.first_value is not None for row in asked.items])
    told = (paid == x) & (revenue > 0)  # else the revenue is of days of which nothing is known
    first = np.where(known, given, np.where(told, np.maximum(revenue - repeats, 0.0), 0.0))
    days = paid + (first > 0)
    return days, np.divide(repeats + first, days, out=np.zeros(len(days)), where=days > 0)


def _margin(
    deployment: Deployment,
    model: FittedModel,
    asked: ScoreRequest,
    terms: ClvTerms,
    revenue: Floats,
) -> Any:
    """Return the share of revenue that counts of each row."""
    margin = _amounts(deployment, asked, "margin")
    if terms.basis != MARGIN:
        return 1.0
    assert model.margins is not None
    own = np.array([row.margin is not None for row in asked.items])
    return model.margins.of(np.where(own, revenue, 0.0), np.where(own, margin, 0.0))


def _score(
    deployment: Deployment,
    model: FittedModel,
    asked: ScoreRequest,
    terms: ClvTerms,
    horizon: int,
) -> list[dict[str, Any]]:
    scale = DAYS_PER_UNIT[asked.time_unit] / model.unit
    x = np.array([row.x for row in asked.items], dtype=np.int64)
    t_x = np.array([row.t_x for row in asked.items]) * scale
    T = np.array([row.T for row in asked.items]) * scale  # noqa: N806
    history = x, t_x, T
    revenue = _amounts(deployment, asked, "revenue")
    spend = _spend(deployment, model, asked, x, revenue)
    rates = _margin(deployment, model, asked, terms, revenue)

    def odds(days: int) -> Floats:
        found: Floats = model.churn.no_purchase_log_odds(*history, horizon=days / model.unit)
        return found

    none = odds(horizon)
    process = model.process(None)  # histories without dates know no season
    worth = model.spend.expected_value(*spend)
    value = model.clv(
        terms, history, worth, odds(terms.horizon_days), process=process, margin=rates
    )
    alive = process.p_alive(*history)
    expected = model.expected_purchases(*history, none, horizon, process=process)
    scored, risk = _rfm(model, asked, x, revenue), probability(none)
    return [
        {
            **scored[row],
            "p_alive": float(alive[row]) if model.dropout_identified else None,
            "expected_purchases": float(expected[row]),
            "probability": float(risk[row]),
            "mean_spend": deployment.money(to_cents(worth[row])),
            "clv": deployment.money(to_cents(value[row])),
        }
        for row in range(len(asked.items))
    ]
