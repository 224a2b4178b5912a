"""Whether what was told came true: the risk of a horizon ago beside what has happened since."""

import asyncio
from typing import Any

import numpy as np

from app.deployment import Deployment
from app.lifecycle.dated import Floats
from app.postgres.db import AnyRow, ReadSession, fetch_rows
from app.scoring.churn import observation
from app.scoring.evaluation import metrics
from app.scoring.histories.features import features_at
from app.services.customer_base import training_data
from app.services.customer_base.training_data import TrainingData
from app.services.models import model_store
from app.services.models.fitted_models import FittedModel
from app.services.models.model_parts import probability
from app.services.models.run_monitor import RunMonitor

MIN_CUSTOMERS = 200
DRIFT = 0.05
"""A calibration error beyond this, and beyond chance, is a drift."""
RESCORED = 20_000
_SOME = (
    "SELECT customer_id FROM purchase_summaries WHERE facts > 0"
    " ORDER BY hashtext(customer_id), customer_id LIMIT $1"
)


async def monitor(session: ReadSession, deployment: Deployment, run: AnyRow) -> RunMonitor:
    """Return how well the risk told a horizon before a run agrees with what happened since.

    A model is asked again for what it told then: it is the same for the same facts, and no run
    need be kept for so long. Until it is a horizon old, it has seen some of what it tells.
    """
    model = await model_store.load(session, run.model_id)
    now = deployment.as_of(run.as_of)
    ids = [row[0] for row in await fetch_rows(session, _SOME, RESCORED)]
    past = await training_data.read_past(session, ids, now, model.interaction_kinds)
    cut = now.day - model.horizon_days
    return RunMonitor(
        told_at=deployment.calendar.end_of(cut),
        horizon_days=model.horizon_days,
        in_sample=cut < deployment.as_of(model.as_of).day,
        **await asyncio.to_thread(_rescored, model, past, cut),
    )


def _rescored(model: FittedModel, past: TrainingData, cut: int) -> dict[str, Any]:
    """Return the figures of a model that is asked for what it would have told at a day."""
    who, known = features_at(past.facts, as_of=cut)
    after = observation.buyers(past.facts, after=cut, until=cut + model.horizon_days)
    left = (~np.isin(who, after)).astype(np.float64)
    return figures(probability(model.log_odds(known, model.horizon_days, day=cut)), left)


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
