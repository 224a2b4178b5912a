"""Whether what was told came true: the risk of a horizon ago beside what has happened since."""

import asyncio
from typing import Any

import numpy as np
from sqlalchemy import text

from app.db import AnyRow, ReadSession
from app.deployment import Deployment
from app.lifecycle.records import Floats
from app.scoring.churn import landmark
from app.scoring.evaluation import metrics
from app.scoring.histories.features import features_at
from app.services import dated_facts, models
from app.services.dated_facts import Past
from app.services.learning import Learnt, probability

MIN_CUSTOMERS = 200
DRIFT = 0.05
"""A calibration error beyond this, and beyond chance, is a drift."""
RESCORED = 20_000
_SOME = text(
    "SELECT customer_id FROM purchase_summaries WHERE facts > 0"
    " ORDER BY hashtext(customer_id), customer_id LIMIT :n"
)


async def monitor(session: ReadSession, here: Deployment, run: AnyRow) -> dict[str, Any]:
    """Return how well the risk told a horizon before a run agrees with what happened since.

    A model is asked again for what it told then: it is the same for the same facts, and no run
    need be kept for so long. Until it is a horizon old, it has seen some of what it tells.
    """
    learnt = await models.load(session, run.model_id)
    now = here.as_of(run.as_of)
    ids = list(await session.scalars(_SOME, {"n": RESCORED}))
    past = await dated_facts.read_past(session, ids, now, scale=learnt.satisfaction_scale)
    cut = now.day - learnt.horizon_days
    return {
        "told_at": here.calendar.end_of(cut).isoformat(),
        "horizon_days": learnt.horizon_days,
        "in_sample": cut < here.as_of(learnt.as_of).day,
        **await asyncio.to_thread(_rescored, learnt, past, cut),
    }


async def last(session: ReadSession, model_id: str) -> dict[str, Any] | None:
    """Return what the latest published run with a model found."""
    return await models.last_monitor(session, model_id)


def _rescored(learnt: Learnt, past: Past, cut: int) -> dict[str, Any]:
    """Return the figures of a model that is asked for what it would have told at a day."""
    who, known = features_at(past.facts, as_of=cut)
    after = landmark.buyers(past.facts, after=cut, until=cut + learnt.horizon_days)
    left = (~np.isin(who, after)).astype(np.float64)
    return figures(probability(learnt.log_odds(known, learnt.horizon_days)), left)


def figures(p: Floats, left: Floats) -> dict[str, Any]:
    """Return expected and actual share of leavers, and how far they are apart."""
    if p.size < MIN_CUSTOMERS:
        return {"status": "insufficient_history", "customers": p.size, "drifted": False}
    error = float(np.sqrt((p * (1 - p)).sum()) / p.size)
    ece = float(metrics.ece(p, left))
    expected, actual = float(p.mean()), float(left.mean())
    return {
        "status": "ok",
        "customers": p.size,
        "expected": expected,
        "actual": actual,
        "calibration_in_the_large": actual - expected,
        "standard_error": error,
        "ece": ece,
        "drifted": ece > DRIFT + 2 * error,
    }
