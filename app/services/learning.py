"""What is learnt from a population at one instant, as a document to be stored and read back."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.days import AsOf, from_day
from app.lifecycle.policy import SilenceLimit
from app.lifecycle.presets import PRESETS
from app.lifecycle.records import Floats, Ints, silence_limit
from app.scoring import churn, clv, gamma_gamma, rfm, select
from app.scoring.purchase_summary import PurchaseSummary
from app.scoring.registry import MODELS
from app.services.populations import Population

AUTO = "auto"
DEFAULT_KIND = "mbg_nbd"
DAYS_PER_UNIT = {"day": 1.0, "week": 7.0}
CLV_HORIZON_DAYS = 365
ANNUAL_DISCOUNT = 0.10
HOLDOUT_HORIZON_DAYS = 90
SILENCE = SilenceLimit(**PRESETS["five_stages"]["silence_limit"])

Log = tuple[NDArray[np.int64], NDArray[np.int64], Floats]
"""Customer, day and net amount of every purchase that was not refunded in full."""


@dataclass(frozen=True, eq=False)
class Learnt:
    """A stored model, ready to score with. Histories go in as days.

    `purchases` says how often they will buy, `churn` whether they will at all; one model of
    purchases mostly does both.
    """

    model_id: str
    kind: str
    status: str
    as_of: datetime
    time_unit: str
    purchases: Any
    churn: Any
    spend: gamma_gamma.Model
    rfm_cuts: rfm.Cuts | None
    rfm_means: rfm.Means | None
    tier_cuts: tuple[float, float] | None
    gap_days: float | None
    reference_days: tuple[float, float, float] | None

    @property
    def unit(self) -> float:
        """Days in a unit of time of the purchase process."""
        return DAYS_PER_UNIT[self.time_unit]

    @property
    def dropout_identified(self) -> bool:
        """Whether P(alive) and what rests on it mean anything."""
        return self.status != "no_dropout_identified" and MODELS[self.kind].has_dropout

    def reference(self) -> tuple[float, float, float] | None:
        """Return x, t_x and T of the reference customer in the unit of the model."""
        if self.reference_days is None:
            return None
        x, t_x, T = self.reference_days  # noqa: N806
        return x, t_x / self.unit, T / self.unit

    def terms(self, mean_value: Floats, paid: Ints) -> dict[str, Any]:
        """Return the terms of a 12-month CLV, for a mean value of so many paid repeat days."""
        return {
            "mean_value": mean_value,
            "paid": paid,
            "horizon": CLV_HORIZON_DAYS / self.unit,
            "annual_discount": ANNUAL_DISCOUNT,
            "periods_per_year": clv.DAYS_PER_YEAR / self.unit,
        }

    def lifetime_value(self, people: Population, as_of: AsOf) -> tuple[Floats, Floats]:
        """Return the 12-month CLV of buyers, and what their silence has cost of it."""
        history = people.x, people.t_x / self.unit, people.T(as_of) / self.unit
        terms = self.terms(people.mean_repeat_value, people.paid_repeat_days)
        now = clv.clv(self.purchases, self.spend, *history, **terms)
        return now, clv.value_at_risk(self.purchases, self.spend, *history, **terms)


def learn(
    kind: str, time_unit: str, people: Population, log: Log, as_of: AsOf
) -> tuple[str, str, dict[str, Any]]:
    """Fit everything to the buyers of a population; return kind, status and the document.

    Every fit is judged on a hold-out beside the default kind and plain rules; `auto` lets that
    choose, for purchases and for churn by themselves.
    """
    buyers = people.buyers()
    holdout = _judge(kind, log, as_of) if len(buyers) else None
    chosen = churning = DEFAULT_KIND if kind == AUTO else kind
    if kind == AUTO and holdout is not None:
        chosen, churning = holdout.purchases.kind, holdout.churn.kind
    process = _fit(chosen, time_unit, buyers, as_of)
    document: dict[str, Any] = {
        "requested": kind,
        "purchases": process,
        "churn": process if churning == chosen else _fit(churning, time_unit, buyers, as_of),
        "holdout": None if holdout is None else holdout.as_dict(),
        "window": _window(buyers),
        "spend": _spend(buyers),
        "population_gap_days": _gap(buyers),
        "reference_customer": _reference(buyers, as_of),
        "rfm_cuts": None,
        "rfm_means": None,
        "tier_cuts": None,
    }
    if len(buyers):
        silent = as_of.day - buyers.columns.last_day
        population = silent, buyers.columns.purchase_days, buyers.revenue
        document["rfm_cuts"] = rfm.fit_cuts(*population).as_dict()
        document["rfm_means"] = rfm.fit_means(*population).as_dict()
        learnt = read("", as_of.at, time_unit, document)
        high, medium = clv.tier_cuts(learnt.lifetime_value(buyers, as_of)[0])
        document["tier_cuts"] = {"high": high, "medium": medium}
    return chosen, str(process["status"]), document


def _judge(kind: str, log: Log, as_of: AsOf) -> select.Selection:
    """Hold out the end of the history, and see who foresaw it."""
    kinds = list(MODELS) if kind == AUTO else {DEFAULT_KIND: None, kind: None}

    def fit_of(name: str) -> select.Fit:
        def fit(known: PurchaseSummary) -> select.PurchaseModel:
            gaps = known.sum_log_gaps
            return MODELS[name].fit(known.x, known.t_x, known.T, sum_log_gaps=gaps)

        return fit

    customer, day, amount = log
    return select.choose(
        customer,
        day,
        amount,
        as_of=as_of.day,
        horizon=HOLDOUT_HORIZON_DAYS,
        fits={name: fit_of(name) for name in kinds},
    )


def _fit(kind: str, time_unit: str, buyers: Population, as_of: AsOf) -> dict[str, Any]:
    """Fit a model of purchases, in the unit asked for."""
    unit = DAYS_PER_UNIT[time_unit]
    gaps = np.array([summary.sum_log_gaps for summary in buyers.summaries], dtype=np.float64)
    fitted = MODELS[kind].fit(
        buyers.x,
        buyers.t_x / unit,
        buyers.T(as_of) / unit,
        sum_log_gaps=gaps - buyers.x * np.log(unit),
    )
    return {
        "kind": kind,
        "status": fitted.status,
        "parameters": fitted.params,
        "standard_errors": _finite(fitted.standard_errors),
        "log_likelihood": _number(fitted.log_likelihood),
    }


def _spend(buyers: Population) -> dict[str, Any]:
    """Fit the Gamma-Gamma model of what a purchase day is worth."""
    paid, value = buyers.paid_repeat_days, buyers.mean_repeat_value
    if not paid.any():
        # Without any repeat purchase the first ones are all there is to learn spend from.
        paid, value = (buyers.first_day_value > 0).astype(np.int64), buyers.first_day_value
    fitted = gamma_gamma.fit(paid, value)
    return {
        "kind": "gamma_gamma",
        "status": fitted.status,
        "parameters": fitted.params,
        "standard_errors": _finite(fitted.standard_errors),
        "log_likelihood": _number(fitted.log_likelihood),
        "customers": int((paid > 0).sum()),
        "correlation": _number(fitted.correlation),
    }


def _gap(buyers: Population) -> float | None:
    """Return the mean gap between purchase days of everybody together."""
    repeats = int(buyers.x.sum())
    return float(buyers.t_x.sum() / repeats) if repeats else None


def _reference(buyers: Population, as_of: AsOf) -> dict[str, float] | None:
    """Return the living customer at the lower medians, in days.

    Who lives is decided by the default silence whatever policy is in force: scores depend on no
    stage.
    """
    silent = as_of.day - buyers.columns.last_day
    living = silent <= silence_limit(SILENCE, buyers.columns)
    if not living.any():
        living = np.ones(len(buyers), dtype=bool)
    if not living.any():
        return None
    T = buyers.T(as_of)  # noqa: N806
    x, t_x, age = churn.reference(buyers.x[living], buyers.t_x[living], T[living])
    return {"x": x, "t_x": t_x, "T": age}


def _window(buyers: Population) -> dict[str, Any]:
    if not len(buyers):
        return {"first_purchase_on": None, "last_purchase_on": None, "repeaters": 0}
    return {
        "first_purchase_on": from_day(buyers.columns.first_day.min()).isoformat(),
        "last_purchase_on": from_day(buyers.columns.last_day.max()).isoformat(),
        "repeaters": int((buyers.x > 0).sum()),
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in values.items()}


def read(model_id: str, as_of: datetime, time_unit: str, document: dict[str, Any]) -> Learnt:
    """Make a stored document ready to score with."""
    cuts, means, tiers = document["rfm_cuts"], document["rfm_means"], document["tier_cuts"]
    reference = document["reference_customer"]
    purchases, churning = document["purchases"], document["churn"]
    return Learnt(
        model_id=model_id,
        kind=purchases["kind"],
        status=purchases["status"],
        as_of=as_of,
        time_unit=time_unit,
        purchases=MODELS[purchases["kind"]].build(**purchases["parameters"]),
        churn=MODELS[churning["kind"]].build(**churning["parameters"]),
        spend=gamma_gamma.Model.from_params(**document["spend"]["parameters"]),
        rfm_cuts=None if cuts is None else rfm.Cuts.from_dict(cuts),
        rfm_means=None if means is None else rfm.Means.from_dict(means),
        tier_cuts=None if tiers is None else (tiers["high"], tiers["medium"]),
        gap_days=document["population_gap_days"],
        reference_days=None
        if reference is None
        else (reference["x"], reference["t_x"], reference["T"]),
    )
