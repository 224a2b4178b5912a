"""Whether a new model may take the place of the one in force: not if it foretells worse."""

import asyncio
from typing import Any

import numpy as np

from app.lifecycle.dated import Floats
from app.postgres.db import ReadSession
from app.scoring.churn import landmark, observation
from app.scoring.churn.rules import BASE_RATE, rules
from app.scoring.evaluation import metrics
from app.scoring.histories.features import features_at
from app.services.common import deployment_settings
from app.services.customer_base import training_data
from app.services.customer_base.training_data import TrainingData
from app.services.models import churn_learning, model_store
from app.services.models.fitted_models import FittedModel
from app.services.models.model_documents import ModelDocument
from app.services.models.model_parts import probability
from app.services.models.model_store import Fitted

_FARTHEST = 30.0


async def compare(
    session: ReadSession, fitted: Fitted, kind: str | None, day: int
) -> dict[str, Any]:
    """Compare a candidate with the model in force on the days held out, on the same facts.

    The candidate is held to what its way of fitting would have told before those days, and to
    what it tells itself; the log loss of either may lie one standard error above. Both are judged
    as told: recalibrated to those very days, the most absurd of levels would pass. What loses to
    the base rate, as it was told before those days, takes over from nothing that does not.
    """
    active_id = (await deployment_settings.pointers(session)).model_id
    active = None if active_id is None else await model_store.load(session, active_id)
    row = await model_store.get(session, fitted.model_id)
    guard = churn_learning.guard_in_words(ModelDocument.load(row.document).risk_choice.guard)
    if active is None or not active.can_score:
        return {"activated": True, "reason": "no_active_model", "guard": guard}
    candidate = await model_store.load(session, fitted.model_id)
    past = of_active = fitted.past
    if active.interaction_kinds != past.kinds:  # each sees interactions as it has learnt to
        of_active = await training_data.read_past(
            session, past.customer_ids, fitted.as_of, active.interaction_kinds
        )
    found = await asyncio.to_thread(judge, candidate, active, past, of_active, kind, day)
    return {**found, "guard": guard}


def judge(
    candidate: FittedModel,
    active: FittedModel,
    past: TrainingData,
    of_active: TrainingData,
    kind: str | None,
    day: int,
) -> dict[str, Any]:
    """Return figures of both, and whether the candidate may be activated."""
    first = day if past.first_day is None else past.first_day
    window = max(min(candidate.horizon_days, (day - first) // 3), 1)
    who, known = features_at(past.facts, as_of=day - window)
    bought = observation.buyers(past.facts, after=day - window, until=day)
    left = (~np.isin(who, bought)).astype(np.float64)
    figures = {"held_out_days": window, "customers": left.size, "than": active.model_id}
    if min(left.sum(), left.size - left.sum()) < landmark.MIN_EVENTS:
        usable = candidate.status != "fallback" or active.status == "fallback"
        return {"activated": usable, "reason": "too_little_to_compare", **figures}
    then = churn_learning.at_cut(kind, past, day - window, window, season=candidate.season)
    ahead = candidate.ahead(window, day - window)
    seen_before = known
    if of_active is not past:
        _, seen_before = features_at(of_active.facts, as_of=day - window)
    old = _loss(active.log_odds(seen_before, window, day=day - window), left)
    told = candidate.log_odds(known, window, day=day - window)
    news = [_loss(odds, left) for odds in (then.log_odds(known, horizon=ahead), told)]
    gaps = [metrics.difference(new, old) for new in news]
    worst = max(gaps, key=lambda gap: gap.value)
    base, _ = rules(past.facts, day - window, window, known)[BASE_RATE]
    of_base = metrics.log_loss_each(base, left)
    reason = "not_worse"
    if any(_exceeds(new, old) for new in news):
        reason = "worse"
    elif any(_exceeds(new, of_base) for new in news) and not _exceeds(old, of_base):
        reason = "loses_to_base_rate"
    return {
        "activated": reason == "not_worse",
        "reason": reason,
        **figures,
        "log_loss_of_base_rate": float(of_base.mean()),
        "log_loss": float(old.mean() + worst.value),
        "log_loss_of_active": float(old.mean()),
        "standard_error": float(np.nan_to_num(worst.standard_error)),
    }


def _exceeds(loss: Floats, other: Floats) -> bool:
    """Return whether a mean loss exceeds another by more than its standard error."""
    gap = metrics.difference(loss, other)
    return gap.value > float(np.nan_to_num(gap.standard_error))


def _loss(odds: Floats, left: Floats) -> Floats:
    bounded = np.clip(odds, -_FARTHEST, _FARTHEST)
    return metrics.log_loss_each(probability(bounded), left)
