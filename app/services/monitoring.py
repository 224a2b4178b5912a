"""Whether what was told came true: the risk of a horizon ago beside what has happened since."""

import asyncio
from datetime import timedelta
from typing import Any

import numpy as np
from sqlalchemy import func, select, text

from app.db import AnyRow, ReadSession, fetch_rows
from app.deployment import Deployment
from app.lifecycle.records import Floats
from app.models import Run
from app.scoring import evaluation, landmark
from app.scoring.churn_features import histories
from app.services import dated_facts, models
from app.services.dated_facts import Past
from app.services.learning import Learnt, probability
from app.services.risk_learning import DEFAULT_HORIZON_DAYS

MIN_CUSTOMERS = 200
DRIFT = 0.05
"""A calibration error beyond this, and beyond chance, is a drift."""
LOOKED_AT = 100_000
RESCORED = 20_000
_TOLD = (
    "SELECT s.probability, EXISTS (SELECT FROM transactions t"
    " WHERE t.customer_id = s.customer_id AND t.kind = 'purchase' AND t.occurred_at > $2"
    " AND t.occurred_on <= DATE '1970-01-01' + $3::int) FROM scores s"
    " WHERE s.run_id = $1 AND s.probability IS NOT NULL"
    " AND abs(hashtext(s.customer_id)::int8) % $4 = 0"
)
_SOME = text(
    "SELECT customer_id FROM purchase_summaries WHERE facts > 0"
    " ORDER BY hashtext(customer_id), customer_id LIMIT :n"
)


async def monitor(session: ReadSession, here: Deployment, run: AnyRow) -> dict[str, Any]:
    """Return how well the risk told a horizon before a run agrees with what happened since.

    Told by the oldest kept run that is at least its horizon old; else the model of the run says
    what it would have told then.
    """
    earlier = await _oldest(session, run)
    if earlier is not None:
        return await _of_run(session, here, earlier)
    return await _of_model(session, here, run)


async def last(session: ReadSession, model_id: str) -> dict[str, Any] | None:
    """Return what the latest published run with a model found."""
    return await models.last_monitor(session, model_id)


async def _oldest(session: ReadSession, run: AnyRow) -> AnyRow | None:
    horizon = func.coalesce(Run.horizon_days, DEFAULT_HORIZON_DAYS)
    statement = (
        select(Run.run_id, Run.as_of, Run.customers, horizon.label("horizon_days"))
        .where(
            Run.run_id != run.run_id,
            Run.published_at.is_not(None),
            Run.as_of + horizon * timedelta(days=1) <= run.as_of,
        )
        .order_by(Run.as_of)
        .limit(1)
    )
    return (await session.execute(statement)).one_or_none()


async def _of_run(session: ReadSession, here: Deployment, told: AnyRow) -> dict[str, Any]:
    until = here.as_of(told.as_of).day + told.horizon_days
    one_in = (told.customers or 0) // LOOKED_AT + 1
    rows = await fetch_rows(session, _TOLD, told.run_id, told.as_of, until, one_in)
    p = np.array([row[0] for row in rows], dtype=np.float64)
    left = np.array([not row[1] for row in rows], dtype=np.float64)
    return {
        "source": "run",
        "run_id": told.run_id,
        "told_at": told.as_of.isoformat(),
        "horizon_days": told.horizon_days,
        **figures(p, left),
    }


async def _of_model(session: ReadSession, here: Deployment, run: AnyRow) -> dict[str, Any]:
    learnt = await models.load(session, run.model_id)
    now = here.as_of(run.as_of)
    ids = list(await session.scalars(_SOME, {"n": RESCORED}))
    past = await dated_facts.read_past(session, ids, now, scale=learnt.satisfaction_scale)
    cut = now.day - learnt.horizon_days
    return {
        "source": "model",
        "run_id": None,
        "told_at": here.calendar.end_of(cut).isoformat(),
        "horizon_days": learnt.horizon_days,
        **await asyncio.to_thread(_rescored, learnt, past, cut),
    }


def _rescored(learnt: Learnt, past: Past, cut: int) -> dict[str, Any]:
    """Return the figures of a model that is asked for what it would have told at a day."""
    who, known = histories(past.facts, as_of=cut)
    after = landmark.buyers(past.facts, after=cut, until=cut + learnt.horizon_days)
    left = (~np.isin(who, after)).astype(np.float64)
    return figures(probability(learnt.log_odds(known, learnt.horizon_days)), left)


def figures(p: Floats, left: Floats) -> dict[str, Any]:
    """Return expected and actual share of leavers, and how far they are apart."""
    if p.size < MIN_CUSTOMERS:
        return {"status": "insufficient_history", "customers": p.size, "drifted": False}
    error = float(np.sqrt((p * (1 - p)).sum()) / p.size)
    ece = float(evaluation.ece(p, left))
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
