"""Scoring histories that a caller brings, with a stored model."""

from datetime import datetime
from typing import Any

import numpy as np

from app.db import ReadSession
from app.deployment import Deployment
from app.errors import NoModel
from app.schemas.score_rows import ScoreRequest
from app.scoring.spend import clv
from app.services import models, settings, threads
from app.services.learning import ANNUAL_DISCOUNT, CLV_HORIZON_DAYS, DAYS_PER_UNIT, Learnt
from app.services.scores import cents, money


async def score(
    session: ReadSession, here: Deployment, asked: ScoreRequest, now: datetime
) -> dict[str, Any]:
    """Score the rows; many go to a thread, so that other requests are not kept waiting."""
    model_id = asked.model_id or (await settings.pointers(session)).model_id
    learnt = None if model_id is None else await models.load(session, model_id)
    if learnt is None or not learnt.can_score:
        raise NoModel
    items = await threads.compute(len(asked.items), _score, here, learnt, asked)
    return {
        "items": items,
        "horizon_days": asked.horizon_days,
        "clv_horizon_days": CLV_HORIZON_DAYS,
        "model_id": learnt.model_id,
        "model_as_of": learnt.as_of,
        "computed_at": now,
    }


def _score(here: Deployment, learnt: Learnt, asked: ScoreRequest) -> list[dict[str, Any]]:
    scale = DAYS_PER_UNIT[asked.time_unit] / learnt.unit
    x = np.array([row.x for row in asked.items], dtype=np.int64)
    t_x = np.array([row.t_x for row in asked.items]) * scale
    T = np.array([row.T for row in asked.items]) * scale  # noqa: N806
    mean_value = np.array([row.mean_value for row in asked.items])
    paid = np.where(mean_value > 0, x, 0)
    horizon = asked.horizon_days / learnt.unit
    alive = learnt.purchases.p_alive(x, t_x, T)
    expected = learnt.purchases.expected_purchases(x, t_x, T, horizon=horizon)
    probability = learnt.churn.p_no_purchase(x, t_x, T, horizon=horizon)
    spend = learnt.spend.expected_value(paid, mean_value)
    value = clv.clv(
        learnt.purchases,
        learnt.spend,
        x,
        t_x,
        T,
        mean_value=mean_value,
        paid=paid,
        horizon=CLV_HORIZON_DAYS / learnt.unit,
        annual_discount=ANNUAL_DISCOUNT,
        periods_per_year=clv.DAYS_PER_YEAR / learnt.unit,
    )
    return [
        {
            "p_alive": float(alive[row]) if learnt.dropout_identified else None,
            "expected_purchases": float(expected[row]),
            "probability": float(probability[row]),
            "mean_spend": money(here, cents(spend[row])),
            "clv": money(here, cents(value[row])),
        }
        for row in range(len(asked.items))
    ]
