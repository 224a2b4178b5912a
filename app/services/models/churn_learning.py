"""Learning churn risk from the past of a deployment: kind, bands."""

from typing import Any

import numpy as np

from app.lifecycle import kinds
from app.scoring.churn import churn_selection, landmark
from app.scoring.churn.churn_bands import Bands, bands
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.histories.features import features_at
from app.services.customer_base.training_data import TrainingData

ASKED_FOR = "asked_for"


def learn(
    kind: str | None,
    past: TrainingData,
    day: int,
    *,
    horizon: int,
    reference: tuple[float, float, float] | None,
    fallback: bool = False,
) -> dict[str, Any]:
    """Return what a model's document says of churn risk.

    Without a kind it is chosen by what foresaw the past best; a kind asked for serves by itself,
    as it is. `fallback` says that this is a prior, for want of customers to fit it to.
    """
    if kind is None and reference is not None:
        choice = churn_selection.choose(past.facts, as_of=day, horizon=horizon)
        chosen = choice.as_dict()
        chosen["risk"] = choice.risk.compared_with(reference).as_dict()
    else:
        chosen = _asked_for(kind, horizon, fallback=fallback)
    risk = chosen.pop("risk")
    return {
        "risk": risk,
        "risk_choice": chosen,
        "bands": _bands(kind, past, day, horizon).as_dict(),
        "interaction_kinds": kinds.copy_of(past.kinds, past.kinds),
    }


def _asked_for(kind: str | None, horizon: int, *, fallback: bool) -> dict[str, Any]:
    known = kind is not None
    note = "too few customers have bought to fit it: it is a prior" if fallback else ""
    return {
        "chosen": kind,
        "status": "ok" if known and not fallback else churn_selection.INSUFFICIENT,
        "reason": ASKED_FOR if known else churn_selection.INSUFFICIENT,
        "note": note if known else "nobody has bought yet",
        "horizon": horizon,
        "holdout": 0,
        "label_window": 0,
        "extrapolated": False,
        "table": [],
        "risk": None,
    }


def _bands(kind: str | None, past: TrainingData, day: int, horizon: int) -> Bands:
    """Return the bands of a back-test at the last horizon; fixed ones without enough past."""
    cut = day - horizon
    if past.first_day is None or past.first_day > cut:
        return bands([], [])
    who, known = features_at(past.facts, as_of=cut)
    if not who.size:
        return bands([], [])
    then = at_cut(kind, past, cut, horizon)
    left = ~np.isin(who, landmark.buyers(past.facts, after=cut, until=day))
    return bands(then.probability(known, horizon=horizon), left.astype(np.float64))


def at_cut(kind: str | None, past: TrainingData, cut: int, horizon: int) -> ChurnRisk:
    """Return the churn risk that would have been learnt at an earlier day."""
    if kind is not None:
        _, known = features_at(past.facts, as_of=cut)
        return landmark.plain(known, kind, 0)
    return churn_selection.choose(past.facts, as_of=cut, horizon=horizon).risk


def meaning(level: dict[str, Any], horizon_days: int) -> str | None:
    """Say what a band means, from what became of its customers."""
    if level["churned"] is None:
        return None
    return (
        f"of 100 customers in this band, about {100 * level['churned']:.0f} make no purchase in "
        f"the next {horizon_days} days"
    )


WHY = {
    "least_log_loss": "it foresaw the held-out days best",
    "simpler_within_one_standard_error": "within one standard error of the best, and simpler",
    "only_candidate": "nothing else could be fitted",
    churn_selection.INSUFFICIENT: "there is too little history to compare",
    ASKED_FOR: "this kind was asked for, and is used as it is",
}
