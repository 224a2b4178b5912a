"""The reasons of churn risk in words and numbers, and the facts behind them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.days import from_day
from app.money import UNITS
from app.scoring.churn.churn_risk import Reasons
from app.scoring.histories.features import COMPLAINT_DAYS, Features
from app.services.models.fitted_models import FittedModel
from app.services.models.model_inputs import ModelInputs


@dataclass(frozen=True, slots=True)
class ReasonInputs:
    """One customer as churn risk looks at it, in plain numbers; NaN where nothing is known."""

    known: Features
    model: FittedModel
    usual_gap: float | None
    day: int

    def __getattr__(self, name: str) -> float:
        return float(getattr(self.known, name)[0])

    @property
    def silent(self) -> float:
        return self.T - self.t_x

    def recent(self, name: str) -> tuple[float, list[float]]:
        """Return the mean that counts, and the last gaps or values, the latest first."""
        found = [getattr(self, f"{name}_{place}") for place in (1, 2, 3)]
        return float(self.known.recent(name)[0]), [each for each in found if not np.isnan(each)]


def count(number: float, noun: str) -> str:
    """Return a whole number of things in words: 1 day, 2 days."""
    shown = f"{number:.0f}"
    return f"{shown} {noun}" if shown == "1" else f"{shown} {noun}s"


ReasonText = tuple[float | None, float | None, str, dict[str, Any]]
"""Value, what it is compared with, words, facts."""


def explain(
    inputs: ModelInputs, reasons: Reasons, row: int, usual_gap: float | None
) -> list[dict[str, Any]]:
    """Return the reasons of one customer, the weightiest first, in words and numbers.

    Those that move the risk; of a model that looks at x, t_x and T alone, always all three.
    """
    model, features = inputs.model, inputs.described.take([row])
    seen = ReasonInputs(features, model, usual_gap, inputs.as_of.day)
    told = []
    for code, part in reasons.parts.items():
        if part[row] or model.risk is None:
            value, reference, text, facts = _WORDS[code](seen)
            told.append(
                {
                    "code": code,
                    "contribution": float(part[row]),
                    "value": _known(value),
                    "reference": _known(reference),
                    "text": text,
                    "facts": facts,
                }
            )
    return sorted(told, key=lambda reason: -abs(reason["contribution"]))


def _known(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)


def _on(seen: ReasonInputs, days_ago: float) -> str:
    return from_day(int(seen.day - days_ago)).isoformat()


def _purchases(seen: ReasonInputs) -> ReasonText:
    bought, usual = seen.x + 1, seen.model.typical_days[0] + 1
    text = f"{count(bought, 'purchase day')}; a typical customer has {usual:.0f}"
    return bought, usual, text, {"purchase_days": int(bought)}


def _age(seen: ReasonInputs) -> ReasonText:
    age, usual = seen.T, seen.model.typical_days[2]
    text = f"customer for {count(age, 'day')}; a typical one for {usual:.0f}"
    return age, usual, text, {"first_purchase_on": _on(seen, age)}


def _silence(seen: ReasonInputs) -> ReasonText:
    _, t_x, age = seen.model.typical_days
    own = "" if seen.usual_gap is None else f"; usually {seen.usual_gap:.0f}"
    text = f"{count(seen.silent, 'day')} silent{own}"
    return seen.silent, age - t_x, text, {"last_purchase_on": _on(seen, seen.silent)}


def _frequency_trend(seen: ReasonInputs) -> ReasonText:
    mean, gaps = seen.recent("gap")
    usual = seen.t_x / max(seen.x, 1)
    how = "more rarely" if mean > usual else "more often"
    last = f"the last gaps are {count(mean, 'day')} on average, the latest counting most"
    text = f"buys {how}: {last}; all of them {usual:.0f}"
    return mean, usual, text, {"gaps": [int(gap) for gap in gaps]}


def _amount_trend(seen: ReasonInputs) -> ReasonText:
    recent, values = seen.recent("value")
    mean, usual = recent / UNITS, seen.mean_value / UNITS
    how = "less" if mean < usual else "more"
    last = f"{mean:.2f} on each of the last purchase days, the latest counting most"
    text = f"spends {how}: {last}; {usual:.2f} on all of them"
    return mean, usual, text, {"values": [value / UNITS for value in values]}


def _value(seen: ReasonInputs) -> ReasonText:
    assert seen.model.risk is not None
    own, usual = seen.mean_value / UNITS, seen.model.risk.scales.value / UNITS
    text = f"a purchase day is worth {own:.2f}; that of a typical customer {usual:.2f}"
    return own, usual, text, {"mean_value": own}


def _regularity(seen: ReasonInputs) -> ReasonText:
    n = max(seen.x, 1.0)
    middle, mean = float(np.exp(seen.sum_log_gaps / n)), seen.t_x / n
    text = f"gaps of {count(mean, 'day')} on average, and {middle:.0f} as a geometric mean"
    gaps = [int(gap) for gap in seen.recent("gap")[1]]
    return middle, mean, f"{text}: the closer the two, the more regular", {"gaps": gaps}


def _refunds(seen: ReasonInputs) -> ReasonText:
    return seen.refunds, 0.0, count(seen.refunds, "refund"), {"refunds": int(seen.refunds)}


def _complaints(seen: ReasonInputs) -> ReasonText:
    text = f"{count(seen.complaints, 'complaint')} in the last {COMPLAINT_DAYS} days"
    return seen.complaints, 0.0, text, {"complaints_90_days": int(seen.complaints)}


def _satisfaction(seen: ReasonInputs) -> ReasonText:
    assert seen.model.risk is not None
    own, usual = seen.satisfaction, seen.model.risk.scales.satisfaction
    text = f"satisfaction {own:.0%} of its scale in the last survey; {usual:.0%} on average"
    return own, usual, text, {"last_satisfaction": own}


def _surveyed(seen: ReasonInputs) -> ReasonText:
    own = seen.satisfaction
    text = "has answered a survey; compared with a customer of whom no answer is known"
    return None, None, text, {"last_satisfaction": own}


def _contact_silence(seen: ReasonInputs) -> ReasonText:
    assert seen.model.risk is not None
    usual = float(np.expm1(seen.model.risk.scales.contact))
    text = f"{count(seen.contact_silence, 'day')} without an interaction; on average {usual:.0f}"
    last = _on(seen, seen.contact_silence)
    return seen.contact_silence, usual, text, {"last_interaction_on": last}


def _contacted(seen: ReasonInputs) -> ReasonText:
    text = "has been in contact; compared with a customer of whom no interaction is known"
    return None, None, text, {"last_interaction_on": _on(seen, seen.contact_silence)}


_WORDS: dict[str, Callable[[ReasonInputs], ReasonText]] = {
    "purchases": _purchases,
    "age": _age,
    "inactivity": _silence,
    "frequency_trend": _frequency_trend,
    "amount_trend": _amount_trend,
    "value": _value,
    "regularity": _regularity,
    "refunds": _refunds,
    "complaints": _complaints,
    "satisfaction": _satisfaction,
    "surveyed": _surveyed,
    "contact_silence": _contact_silence,
    "contacted": _contacted,
}
