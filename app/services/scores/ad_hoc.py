"""Scoring histories that a caller brings, with a stored model."""

from datetime import datetime
from typing import Any

import numpy as np

from app.db import ReadSession
from app.deployment import Deployment
from app.errors import FieldError, NoModel, ValidationFailed
from app.schemas.common.types import MoneyIn
from app.schemas.scores.ad_hoc import HistoryRow, ScoreRequest
from app.scoring.rfm import rfm
from app.scoring.spend import clv
from app.services.common import deployment_settings, threads
from app.services.models import given_cuts, model_responses, model_store
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
    model = model.with_cuts(given_cuts.read(deployment, asked.rfm_cuts))
    horizon = asked.horizon_days or model.horizon_days
    items = await threads.compute(len(asked.items), _score, deployment, model, asked, horizon)
    return {
        "items": items,
        "horizon_days": horizon,
        "clv_horizon_days": CLV_HORIZON_DAYS,
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


def _rfm(deployment: Deployment, model: FittedModel, asked: ScoreRequest) -> list[dict[str, Any]]:
    """Return the RFM scores of the rows; what rests on revenue is null where none is given."""
    assert model.rfm_cuts is not None
    days = DAYS_PER_UNIT[asked.time_unit]
    silent = np.array([(row.T - row.t_x) * days for row in asked.items])
    times = np.array([row.x + 1 for row in asked.items])
    revenue = np.array(
        [_amount(deployment, place, row, "revenue") for place, row in enumerate(asked.items)]
    )
    r, f, m = rfm.score(model.rfm_cuts, silent, times, revenue)
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


def _score(
    deployment: Deployment, model: FittedModel, asked: ScoreRequest, horizon_days: int
) -> list[dict[str, Any]]:
    scale = DAYS_PER_UNIT[asked.time_unit] / model.unit
    x = np.array([row.x for row in asked.items], dtype=np.int64)
    t_x = np.array([row.t_x for row in asked.items]) * scale
    T = np.array([row.T for row in asked.items]) * scale  # noqa: N806
    mean_value = np.array(
        [_amount(deployment, place, row, "mean_value") for place, row in enumerate(asked.items)]
    )
    paid = np.where(mean_value > 0, x, 0)
    horizon = horizon_days / model.unit
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
    scored = _rfm(deployment, model, asked)
    return [
        {
            **scored[row],
            "p_alive": float(alive[row]) if model.dropout_identified else None,
            "expected_purchases": float(expected[row]),
            "probability": float(probability[row]),
            "mean_spend": deployment.money(cents(spend[row])),
            "clv": deployment.money(cents(value[row])),
        }
        for row in range(len(asked.items))
    ]
