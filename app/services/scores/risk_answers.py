"""The churn risk and the rhythm of one customer, as answers show them."""

from typing import Any

from app.scoring.churn import rhythm
from app.services.models.fitted_models import FittedModel
from app.services.scores import reason_texts
from app.services.scores.model_scores import Scores


def churn_risk(scores: Scores, row: int) -> dict[str, Any]:
    """Return the churn risk of one customer, with its reasons."""
    model = scores.model
    return {
        **kind_of_risk(model, scores.horizon_days),
        "probability": float(scores.probability[row]),
        "base_log_odds": float(scores.reasons.base),
        "log_odds": float(scores.reasons.total[row]),
        "reasons": reason_texts.explain(scores.inputs, scores.reasons, row),
    }


def kind_of_risk(model: FittedModel, horizon_days: int) -> dict[str, Any]:
    """Return what holds for the churn risk of every customer of a model."""
    own = model.risk
    return {
        "horizon_days": horizon_days,
        "kind": model.churn_kind if own is None else own.kind,
        "status": model.risk_status,
        "extrapolated": own is not None and own.is_extrapolated(horizon_days),
    }


def rhythm_of(scores: Scores, row: int) -> dict[str, Any]:
    """Return where one customer stands against the own usual gap."""
    gaps = scores.placement.usual_gap_days
    return rhythm_answer(
        rhythm.STATUSES[scores.rhythm[row]],
        None if gaps is None else float(gaps[row]),
        int(scores.placement.days_since_last_purchase[row]),
        float(scores.chance_if_active[row]),
    )


def rhythm_answer(
    status: str, usual_gap: float | None, silent: int, chance: float
) -> dict[str, Any]:
    """Return a rhythm as every answer shows it."""
    return {
        "status": status,
        "usual_gap_days": usual_gap,
        "days_silent": silent,
        "chance_if_active": chance,
    }
