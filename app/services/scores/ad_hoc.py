"""Scoring histories that a caller brings, with a stored model."""

from datetime import datetime
from typing import Any

import numpy as np

from app.db import ReadSession
from app.deployment import Deployment
from app.errors import FieldError, NoModel, ValidationFailed
from app.schemas.scores.ad_hoc import HistoryRow, ScoreRequest
from app.scoring.spend import clv
from app.services.common import deployment_settings, threads
from app.services.models import model_store
from app.services.models.fitted_models import (
    ANNUAL_DISCOUNT,
    CLV_HORIZON_DAYS,
    DAYS_PER_UNIT,
    FittedModel,
)
from app.services.scores.cards import cents


async def score(
    session: ReadSession, deployment: Deployment, asked: ScoreRequest, now: datetime
) -> dict[str, Any]:
    """Score the rows; many go to a thread, so that other requests are not kept waiting."""
    model_id = asked.model_id or (await deployment_settings.pointers(session)).model_id
    model = None if model_id is None else await model_store.load(session, model_id)
    if model is None or not model.can_score:
        raise NoModel
    items = await threads.compute(len(asked.items), _score, deployment, model, asked)
    return {
        "items": items,
        "horizon_days": asked.horizon_days,
        "clv_horizon_days": CLV_HORIZON_DAYS,
        "model_id": model.model_id,
        "model_as_of": model.as_of,
        "computed_at": now,
    }


def _mean_value(deployment: Deployment, place: int, row: HistoryRow) -> float:
    """Return the mean value of a history, 0 where it is not known."""
    given = row.mean_value
    if given is None:
        return 0.0
    if given.currency not in (None, deployment.currency):
        fault = FieldError(
            f"/items/{place}/mean_value/currency",
            "currency_mismatch",
            f"must be {deployment.currency}, the deployment's currency",
        )
        raise ValidationFailed(errors=[fault])
    return float(given.amount)


def _score(deployment: Deployment, model: FittedModel, asked: ScoreRequest) -> list[dict[str, Any]]:
    scale = DAYS_PER_UNIT[asked.time_unit] / model.unit
    x = np.array([row.x for row in asked.items], dtype=np.int64)
    t_x = np.array([row.t_x for row in asked.items]) * scale
    T = np.array([row.T for row in asked.items]) * scale  # noqa: N806
    mean_value = np.array(
        [_mean_value(deployment, place, row) for place, row in enumerate(asked.items)]
    )
    paid = np.where(mean_value > 0, x, 0)
    horizon = asked.horizon_days / model.unit
    alive = model.purchases.p_alive(x, t_x, T)
    expected = model.purchases.expected_purchases(x, t_x, T, horizon=horizon)
    probability = model.churn.p_no_purchase(x, t_x, T, horizon=horizon)
    spend = model.spend.expected_value(paid, mean_value)
    value = clv.clv(
        model.purchases,
        model.spend,
        x,
        t_x,
        T,
        mean_value=mean_value,
        paid=paid,
        horizon=CLV_HORIZON_DAYS / model.unit,
        annual_discount=ANNUAL_DISCOUNT,
        periods_per_year=clv.DAYS_PER_YEAR / model.unit,
    )
    return [
        {
            "p_alive": float(alive[row]) if model.dropout_identified else None,
            "expected_purchases": float(expected[row]),
            "probability": float(probability[row]),
            "mean_spend": deployment.money(cents(spend[row])),
            "clv": deployment.money(cents(value[row])),
        }
        for row in range(len(asked.items))
    ]
