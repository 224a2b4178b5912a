"""Fitting everything that a model is to the customers of a deployment; heavy, and without I/O."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from app.days import AsOf, from_day
from app.lifecycle.dated import Floats
from app.lifecycle.records import inactivity_limit
from app.money import CENTS, cents
from app.scoring.churn import contributions, rhythm
from app.scoring.churn.decline import Shapes
from app.scoring.evaluation import selection
from app.scoring.histories.features import Features, features_at
from app.scoring.histories.purchase_summary import PurchaseSummary
from app.scoring.purchases.registry import MODELS
from app.scoring.rfm import rfm
from app.scoring.spend import clv
from app.seasons import Season
from app.services.customer_base.margins import MarginSums
from app.services.customer_base.populations import Population
from app.services.customer_base.purchase_log import Log
from app.services.customer_base.training_data import TrainingData
from app.services.models import churn_learning, horizons, seasons, spend_fitting
from app.services.models.churn_features import Known
from app.services.models.fitted_models import (
    AUTO,
    DAYS_PER_UNIT,
    DEFAULT,
    DEFAULT_KIND,
    INACTIVITY,
    FittedModel,
    read,
)
from app.services.models.horizons import Horizon
from app.services.models.model_documents import ClvTerms, ModelDocument, ReferenceCustomer
from app.services.models.model_inputs import ModelInputs


def learn(
    asked: str | None,
    time_unit: str,
    population: Population,
    log: Log,
    past: TrainingData,
    as_of: AsOf,
    *,
    sums: MarginSums,
    horizon: Horizon,
    rfm_given: Mapping[str, list[float]] | None = None,
    rhythm_cuts: rhythm.Cuts | None = None,
    clv_terms: ClvTerms | None = None,
) -> tuple[str, str, dict[str, Any]]:
    """Fit everything to the buyers of a population; return kind, status and the document.

    Every fit is judged on a hold-out beside the default kind and plain rules. Without a kind, or
    with `auto`, that chooses the model of purchases, or the BIC where there is none. A kind that
    is asked for serves churn risk too; otherwise that is chosen among all kinds and a regression,
    by what foresaw the past best over the horizon.
    """
    buyers = population.buyers()
    kind = asked or AUTO
    holdout = _judge(kind, log, as_of, horizon.days) if len(buyers) else None
    chosen = churning = DEFAULT_KIND if kind == AUTO else kind
    if kind == AUTO and holdout is not None:
        chosen, churning = holdout.purchases.kind, holdout.churn.kind
    plain = _fit(chosen, time_unit, buyers, as_of)
    found = seasons.learn(plain, time_unit, log, as_of)
    process, season = found.process, found.season
    reference = _reference(buyers, as_of)
    fallback = process["status"] == "fallback"
    risk = _risk(asked, past, as_of, horizon.days, reference, fallback=fallback, season=season)
    if risk["risk"] is not None:
        churning = risk["risk"]["process"]["kind"]
    document: dict[str, Any] = {
        "requested": asked or DEFAULT,
        "purchases": process,
        "churn": plain if churning == chosen else _fit(churning, time_unit, buyers, as_of),
        "holdout": None if holdout is None else _holdout(holdout, risk),
        "window": _window(buyers),
        "spend": spend_fitting.learn(buyers, log, as_of, horizon.days),
        "clv": (clv_terms or ClvTerms()).model_dump(),
        "margins": spend_fitting.learn_margins(sums),
        "population_gap_days": _gap(buyers),
        "reference_customer": reference,
        "rfm_cuts": None,
        "rfm_means": None,
        "rfm_given": dict(rfm_given or {}),
        "rfm_classes": None,
        "tier_cuts": None,
        "horizon_days": horizon.days,
        "horizon_rule": horizon.rule,
        "suggested_horizon_days": horizons.suggested(past, as_of.day),
        "rhythm": rhythm.learn(
            past.facts, as_of=as_of.day, cuts=rhythm_cuts, season=season
        ).as_dict(),
        "regularity": _regularity(past, as_of),
        "season": found.document,
        **risk,
    }
    if len(buyers):
        document |= _rfm_cuts(buyers, as_of, document)
        bought = np.flatnonzero(population.columns.purchase_days > 0)
        model = read("", as_of.at, time_unit, ModelDocument(**document))
        inputs = _inputs(model, buyers, as_of, past, sums.take(bought))
        document["tier_cuts"] = _tier_cuts(inputs.clv(model.clv_terms))
        if season is not None:  # rules look at plain time
            document["season"]["tier_cuts"] = _tier_cuts(inputs.plain_clv(model.clv_terms))
    return chosen, str(process["status"]), document


def _risk(
    asked: str | None,
    past: TrainingData,
    as_of: AsOf,
    horizon: int,
    reference: dict[str, float] | None,
    *,
    fallback: bool,
    season: Season | None,
) -> dict[str, Any]:
    """Learn churn risk; `auto` leaves its choice to the data as no kind does."""
    return churn_learning.learn(
        None if asked == AUTO else asked,
        past,
        as_of.day,
        horizon=horizon,
        reference=None if reference is None else ReferenceCustomer(**reference).triple,
        fallback=fallback,
        season=season,
    )


def _regularity(past: TrainingData, as_of: AsOf) -> dict[str, float]:
    """Return how regular customers are in when they buy, and for how much."""
    _, known = features_at(past.facts, as_of=as_of.day)
    return Shapes.fit(known).as_dict()


def _holdout(found: selection.Selection, risk: dict[str, Any]) -> dict[str, Any]:
    """Return the hold-out; its pick for churn is among models as they are, and may not serve."""
    shown = found.as_dict()
    shown["churn"]["serves"] = shown["churn"]["kind"] == risk["risk_choice"]["chosen"]
    return shown


def _rfm_cuts(buyers: Population, as_of: AsOf, document: dict[str, Any]) -> dict[str, Any]:
    """Return the cuts of RFM scores."""
    inactivity = as_of.day - buyers.columns.last_day
    population = inactivity, buyers.columns.purchase_days, buyers.revenue
    by = rfm.fit_cuts(*population).replaced(document["rfm_given"])
    return {
        "rfm_cuts": by.as_dict(),
        "rfm_classes": rfm.classes(by, *population),
        "rfm_means": rfm.fit_means(*population).as_dict(),
    }


def _inputs(
    model: FittedModel, buyers: Population, as_of: AsOf, past: TrainingData, sums: MarginSums
) -> ModelInputs:
    """Return the buyers as the model looks at them; of many, those that risk was learnt from."""
    if model.risk is None:
        features = Features.of(buyers.x, buyers.t_x, buyers.T(as_of))
        return ModelInputs(model, buyers, as_of, _quiet(features), sums)
    codes, features = features_at(past.facts, as_of=as_of.day)
    known = {past.customer_ids[code]: row for row, code in enumerate(codes.tolist())}
    places = [known.get(each, -1) for each in buyers.customer_ids]
    own = np.flatnonzero(np.array(places) >= 0)
    features = features.take(np.array(places)[own])
    return ModelInputs(model, buyers.take(own), as_of, _quiet(features), sums.take(own))


def _quiet(features: Features) -> Known:
    """Return customers whose open complaints nobody asks for: value does not look at them."""
    return Known(features, np.zeros(len(features), np.bool_))


def _tier_cuts(values: Floats) -> dict[str, float]:
    """Return the cuts of tiers, by lifetime values as they are shown."""
    high, medium = clv.tier_cuts(cents(values) / CENTS)
    return {"high": high, "medium": medium}


def _judge(kind: str, log: Log, as_of: AsOf, horizon: int) -> selection.Selection:
    """Hold out the end of the history, and see who foresaw it."""
    kinds = list(MODELS) if kind == AUTO else {DEFAULT_KIND: None, kind: None}

    def fit_of(name: str) -> selection.Fit:
        def fit(known: PurchaseSummary) -> selection.PurchaseModel:
            gaps = known.sum_log_gaps
            return MODELS[name].fit(known.x, known.t_x, known.T, sum_log_gaps=gaps)

        return fit

    customer, day, amount = log
    return selection.choose(
        customer,
        day,
        amount,
        as_of=as_of.day,
        horizon=horizon,
        fits={name: fit_of(name) for name in kinds},
    )


def _fit(kind: str, time_unit: str, buyers: Population, as_of: AsOf) -> dict[str, Any]:
    """Fit a model of purchases, in the unit asked for."""
    unit = DAYS_PER_UNIT[time_unit]
    gaps = buyers.sum_log_gaps
    fitted = MODELS[kind].fit(
        buyers.x,
        buyers.t_x / unit,
        buyers.T(as_of) / unit,
        sum_log_gaps=gaps - buyers.x * np.log(unit),
    )
    return {"kind": kind, **spend_fitting.described(fitted)}


def _gap(buyers: Population) -> float | None:
    """Return the mean gap between purchase days of everybody together."""
    repeats = int(buyers.x.sum())
    return float(buyers.t_x.sum() / repeats) if repeats else None


def _reference(buyers: Population, as_of: AsOf) -> dict[str, float] | None:
    """Return the living customer at the lower medians, in days.

    Who lives is decided by the default silence whatever policy is in force: scores depend on no
    stage.
    """
    inactivity = as_of.day - buyers.columns.last_day
    living = inactivity <= inactivity_limit(INACTIVITY, buyers.columns)
    if not living.any():
        living = np.ones(len(buyers), dtype=bool)
    if not living.any():
        return None
    T = buyers.T(as_of)  # noqa: N806
    x, t_x, age = contributions.reference(buyers.x[living], buyers.t_x[living], T[living])
    return {"x": x, "t_x": t_x, "T": age}


def _window(buyers: Population) -> dict[str, Any]:
    if not len(buyers):
        return {"first_purchase_on": None, "last_purchase_on": None, "repeaters": 0}
    return {
        "first_purchase_on": from_day(buyers.columns.first_day.min()).isoformat(),
        "last_purchase_on": from_day(buyers.columns.last_day.max()).isoformat(),
        "repeaters": int((buyers.x > 0).sum()),
    }
