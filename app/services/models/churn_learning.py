"""Learning churn risk from the past of a deployment: kind, bands."""

from dataclasses import asdict
from typing import Any

from app.lifecycle import kinds
from app.scoring.churn import churn_selection, observation, verdicts
from app.scoring.churn.churn_bands import Bands, bands
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.histories.features import features_at
from app.scoring.spend.intervals import Between
from app.seasons import Season
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
    season: Season | None = None,
) -> dict[str, Any]:
    """Return what a model's document says of churn risk.

    Without a kind it is chosen by what foresaw the past best, and guarded; a kind asked for serves
    by itself, as it is, and the guard says where that loses to the base rate. `fallback` says that
    this is a prior, for want of purchases to fit it to. In a `season` risk is of seasonal days.
    """
    between = Between()
    if kind is None and reference is not None:
        choice = churn_selection.choose(past.facts, as_of=day, horizon=horizon, season=season)
        chosen = choice.as_dict()
        chosen["risk"] = choice.risk.compared_with(reference).as_dict()
        learnt, between = bands(*choice.foreseen), choice.between
    else:
        chosen = _asked_for(kind, past, day, horizon, fallback=fallback)
        learnt = bands([], [])
        if chosen["status"] != churn_selection.INSUFFICIENT:
            learnt = _bands(chosen["chosen"], past, day, horizon)
    risk = chosen.pop("risk")
    return {
        "risk": risk,
        "risk_choice": chosen,
        "bands": learnt.as_dict(),
        "between_windows": asdict(between),
        "interaction_kinds": kinds.copy_of(past.kinds, past.kinds),
    }


def _asked_for(
    kind: str | None, past: TrainingData, day: int, horizon: int, *, fallback: bool
) -> dict[str, Any]:
    known = kind is not None
    note = "too few customers have bought to fit it: it is a prior" if fallback else ""
    guarded = None
    if kind is not None and past.first_day is not None:
        guarded = churn_selection.judge(past.facts, kind, as_of=day, horizon=horizon).as_dict()
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
        "guard": guarded,
        "risk": None,
    }


def _bands(kind: str, past: TrainingData, day: int, horizon: int) -> Bands:
    """Return the bands of a kind that was asked for, back-tested at the last horizon."""
    cut = day - horizon
    if past.first_day is None or past.first_day > cut:
        return bands([], [])
    who, known = features_at(past.facts, as_of=cut)
    if not who.size:
        return bands([], [])
    left = observation.churned(past.facts, who, cut, horizon)
    then = at_cut(kind, past, cut, horizon)
    if then.status == churn_selection.INSUFFICIENT:
        return bands([], [])
    return bands(then.probability(known, horizon=horizon), left)


def at_cut(
    kind: str | None, past: TrainingData, cut: int, horizon: int, *, season: Season | None = None
) -> ChurnRisk:
    """Return the churn risk that would have been learnt at an earlier day."""
    if kind is not None:
        _, known = features_at(past.facts, as_of=cut)
        return observation.plain(known, kind, 0)
    return churn_selection.choose(past.facts, as_of=cut, horizon=horizon, season=season).risk


def meaning(level: dict[str, Any], horizon_days: int) -> str | None:
    """Say what a band means, from what became of its customers."""
    if level["churned"] is None:
        return None
    return (
        f"of 100 customers in this band, about {100 * level['churned']:.0f} make no purchase in "
        f"the next {horizon_days} days"
    )


WHY = {
    "least_log_loss": "it foresaw the windows of the past best",
    "average_not_clearly_worse": "the average of a regression and a model of purchases, and "
    "nothing foresaw the windows of the past clearly better",
    "simpler_and_as_good": "it foresaw the windows of the past as well as the best, and is simpler",
    "simpler_within_one_standard_error": "within one standard error of the best, and simpler",
    "guard": "what would have served foresaw the windows of the past worse than this",
    "only_candidate": "nothing else could be fitted",
    churn_selection.INSUFFICIENT: "there is too little history to compare: of the models of "
    "purchases this has the least BIC",
    ASKED_FOR: "this kind was asked for, and is used as it is",
}

GUARDED = {
    verdicts.NOT_WORSE: "it lost neither to its own process nor to the base rate",
    verdicts.LOSES_TO_RAW: "recalibrated, it foresaw the windows of the past worse than as it came",
    verdicts.LOSES_TO_RAW_WHEN_LATE: "recalibrated, it foresaw those who were late with a purchase "
    "worse than as it came",
    verdicts.FEW_WINDOWS: "there were too few windows of the past to show that recalibrating it "
    "makes it better",
    verdicts.LOSES_TO_BASE_RATE: "it foresaw the windows of the past worse than the base rate",
    verdicts.LOSES_TO_ANOTHER: "it might have served, but of all that may, what serves foresaw "
    "the windows of the past better, or as well and is simpler",
    verdicts.NOT_JUDGED: "there were no windows of the past to judge it by",
}
"""Reasons of a guard in words, of what would have served without it."""


def guard_in_words(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a guard with its reason in words."""
    return None if found is None else {**found, "why": GUARDED[found["reason"]]}
