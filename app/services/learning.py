"""What is learnt from a population at one instant, as a document to be stored and read back."""

from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import Any

import numpy as np

from app.days import AsOf, from_day
from app.lifecycle.evaluator import evaluate
from app.lifecycle.policy import CHURNED, Policy
from app.scoring import bg_nbd, churn, clv, gamma_gamma, mbg_nbd, rfm
from app.services.populations import Floats, Population

KINDS: dict[str, ModuleType] = {"mbg_nbd": mbg_nbd, "bg_nbd": bg_nbd}
DAYS_PER_UNIT = {"day": 1.0, "week": 7.0}
CLV_HORIZON_DAYS = 365
ANNUAL_DISCOUNT = 0.10


@dataclass(frozen=True, eq=False)
class Learnt:
    """A stored model, ready to score with. Histories go in as days."""

    model_id: str
    kind: str
    status: str
    as_of: datetime
    time_unit: str
    purchases: Any
    spend: gamma_gamma.Model
    rfm_cuts: rfm.Cuts | None
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
        return self.status != "no_dropout_identified"

    def reference(self) -> tuple[float, float, float] | None:
        """Return x, t_x and T of the reference customer in the unit of the model."""
        if self.reference_days is None:
            return None
        x, t_x, T = self.reference_days  # noqa: N806
        return x, t_x / self.unit, T / self.unit

    def lifetime_value(self, people: Population, as_of: AsOf) -> tuple[Floats, Floats]:
        """Return the 12-month CLV of buyers, and what their silence has cost of it."""
        history = people.x, people.t_x / self.unit, people.T(as_of) / self.unit
        terms: dict[str, Any] = {
            "mean_value": people.mean_repeat_value,
            "paid": people.paid_repeat_days,
            "horizon": CLV_HORIZON_DAYS / self.unit,
            "annual_discount": ANNUAL_DISCOUNT,
            "periods_per_year": clv.DAYS_PER_YEAR / self.unit,
        }
        now = clv.clv(self.purchases, self.spend, *history, **terms)
        return now, clv.value_at_risk(self.purchases, self.spend, *history, **terms)


def learn(
    kind: str, time_unit: str, people: Population, policy: Policy, as_of: AsOf
) -> tuple[str, dict[str, Any]]:
    """Fit everything to the buyers of a population; return the status and the document."""
    buyers = people.buyers()
    unit = DAYS_PER_UNIT[time_unit]
    T = buyers.T(as_of)  # noqa: N806
    fitted = KINDS[kind].fit(buyers.x, buyers.t_x / unit, T / unit)
    paid, value = buyers.paid_repeat_days, buyers.mean_repeat_value
    if not paid.any():
        # Without any repeat purchase the first ones are all there is to learn spend from.
        paid, value = (buyers.first_day_value > 0).astype(np.int64), buyers.first_day_value
    spend = gamma_gamma.fit(paid, value)
    repeats = int(buyers.x.sum())
    document: dict[str, Any] = {
        "parameters": fitted.params,
        "standard_errors": _finite(fitted.standard_errors),
        "log_likelihood": _number(fitted.log_likelihood),
        "window": _window(buyers),
        "spend": {
            "kind": "gamma_gamma",
            "status": spend.status,
            "parameters": spend.params,
            "standard_errors": _finite(spend.standard_errors),
            "log_likelihood": _number(spend.log_likelihood),
            "customers": int((paid > 0).sum()),
            "correlation": _number(spend.correlation),
        },
        "population_gap_days": float(buyers.t_x.sum() / repeats) if repeats else None,
        "reference_customer": _reference(buyers, policy, as_of),
        "rfm_cuts": None,
        "tier_cuts": None,
    }
    if len(buyers):
        silent = as_of.day - buyers.columns.last_day
        cuts = rfm.fit_cuts(silent, buyers.columns.purchase_days, buyers.revenue)
        document["rfm_cuts"] = cuts.as_dict()
        learnt = read("", kind, fitted.status, as_of.at, time_unit, document)
        high, medium = clv.tier_cuts(learnt.lifetime_value(buyers, as_of)[0])
        document["tier_cuts"] = {"high": high, "medium": medium}
    return fitted.status, document


def _reference(buyers: Population, policy: Policy, as_of: AsOf) -> dict[str, float] | None:
    """Return the living customer at the lower medians, in days."""
    stage, _ = evaluate(policy, buyers.columns, np.full(len(buyers), as_of.day))
    living = stage != policy.stage_code(CHURNED)
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


def read(
    model_id: str,
    kind: str,
    status: str,
    as_of: datetime,
    time_unit: str,
    document: dict[str, Any],
) -> Learnt:
    """Make a stored document ready to score with."""
    cuts, tiers = document["rfm_cuts"], document["tier_cuts"]
    reference = document["reference_customer"]
    return Learnt(
        model_id=model_id,
        kind=kind,
        status=status,
        as_of=as_of,
        time_unit=time_unit,
        purchases=KINDS[kind].Model.from_params(**document["parameters"]),
        spend=gamma_gamma.Model.from_params(**document["spend"]["parameters"]),
        rfm_cuts=None if cuts is None else rfm.Cuts.from_dict(cuts),
        tier_cuts=None if tiers is None else (tiers["high"], tiers["medium"]),
        gap_days=document["population_gap_days"],
        reference_days=None
        if reference is None
        else (reference["x"], reference["t_x"], reference["T"]),
    )
