"""What a policy says of one customer, slowly: the definitions word for word, one instant at a time.

Nothing here knows how the service does it: a policy is the document as it was written, a customer
is lists of what happened, and history is what changes when t runs over all instants.
"""

import math
import operator
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tests import slow_profile
from tests.slow_profile import Said
from tests.twin import Fact, Line, Twin
from tests.twin_scores import Card
from tests.twin_scores import Model as Fitted

Document = Mapping[str, Any]
Value = float | str | bool | list[str] | None
Model = Callable[["Slow", str, datetime], Value]
"""What a model says of a customer at an instant, by the name of a variable."""
MODEL_VARIABLES = {
    "usual_gap_days",
    "inactivity_to_usual_gap",
    "r",
    "f",
    "m",
    "churn_probability",
    "value_tier",
}
OF_PURCHASES = {
    "purchase_days",
    "life_purchase_days",
    "lives",
    "mean_gap_days",
    "tenure_days",
    "life_tenure_days",
    "days_since_last_purchase",
    "inactivity_limit_days",
    "inactivity_to_mean_gap",
    "seasonal_days_since_last_purchase",
}
NARROWED = {"category", "product", "channel", "days"}
"""The parameters that say which purchases count."""
UNITS = 10_000
FIRST_DAY = date(1900, 1, 1)
LEVELS = ("low", "medium", "high")
ORDERED = ("<", "<=", ">", ">=")
AGREED = 3
"""Purchase days that a trend looks at."""
KINDS: Mapping[str, Any] = {
    "survey": {"phase": "aftersale", "scale": {"min": 0, "max": 10, "good_from": 5}},
    "nps": {"phase": "aftersale", "scale": {"min": 0, "max": 10, "good_from": 7}},
    "csat": {"phase": "aftersale", "scale": {"min": 1, "max": 5, "good_from": 4}},
    "ces": {"phase": "aftersale", "scale": {"min": 1, "max": 7, "good_from": 5}},
    "complaint": {"phase": "aftersale", "scale": None},
    "call": {"phase": "none", "scale": None},
    "demo": {"phase": "presale", "scale": None},
    "cancelled": {"phase": "sale", "scale": None},
}
"""What every deployment begins with, of the kinds that tests post."""


class Interaction(NamedTuple):
    at: datetime
    kind: str
    score: float | None = None


class Left(NamedTuple):
    """Why somebody left: told before, while or after it was so."""

    at: datetime
    reason: str


@dataclass(frozen=True)
class Person:
    """One customer: all that happened, what is known now, and since when it is known.

    Interactions and churn records of one instant are in the order of their ids.
    """

    zone: ZoneInfo
    begun_at: datetime
    facts: tuple[Fact, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    profile: Mapping[str, Any] = field(default_factory=dict)
    """What was said first, which holds from the beginning."""
    records: tuple[Left, ...] = ()
    said: tuple[Said, ...] = ()
    """What was said of the profile after that."""

    @property
    def told(self) -> tuple[Said, ...]:
        return Said(slow_profile.cells_of(self.profile)), *self.said

    def profile_at(self, t: datetime) -> Mapping[str, Any]:
        """Return the profile that is valid at t."""
        return slow_profile.profile(slow_profile.held(self.told, t)) if self.said else self.profile

    def day(self, t: datetime) -> date:
        return t.astimezone(self.zone).date()


@dataclass(frozen=True)
class Decision:
    """A stage that somebody set by hand; with `until`, pinned."""

    at: datetime
    stage: str
    until: datetime | None = None


class Change(NamedTuple):
    from_stage: str
    to_stage: str
    at: datetime
    cause: str
    rule: str


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def fulfils(value: Value, op: str, other: Any) -> bool:
    """Compare; what is unknown fulfils nothing, nor does a number what is none."""
    if op == "known":
        return (value is not None) == other
    if value is None or other is None:
        return False
    if op == "contains":
        return isinstance(value, list) and other in value
    if isinstance(value, list):
        return False
    if op == "in":
        return isinstance(value, str) and value in other
    if op in ORDERED and isinstance(other, str):
        value, other = LEVELS.index(str(value)), LEVELS.index(other)
    return compares(value, op, other)


COMPARED = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def compares(value: Value, op: str, other: Any) -> bool:
    if is_number(other):
        if not is_number(value):
            return False
        return bool(COMPARED[op](value, other))
    same = type(value) is type(other) and value == other
    return same if op == "==" else not same


def holds(when: Document | None, value_of: Any) -> bool:
    """Judge an expression; `value_of` tells the value of a variable with its parameters."""
    if when is None:
        return True
    if "all" in when:
        return all(holds(part, value_of) for part in when["all"])
    if "any" in when:
        return any(holds(part, value_of) for part in when["any"])
    if "not" in when:
        return not holds(when["not"], value_of)
    other = when["value"]
    if isinstance(other, dict):
        other = value_of(other)
    return fulfils(value_of(when), when["op"], other)


def compared(when: Document | None) -> list[Document]:
    """Return all variables of an expression."""
    if when is None:
        return []
    parts = when.get("all") or when.get("any") or ([when["not"]] if "not" in when else None)
    if parts is not None:
        return [each for part in parts for each in compared(part)]
    return [when, when["value"]] if isinstance(when["value"], dict) else [when]


def variables(document: Document) -> list[Document]:
    return [each for rule in document["rules"] for each in compared(rule.get("when"))]


def in_units(factor: float) -> int:
    return round(factor * UNITS)


@cache
def passed_until(factors: tuple[float, ...]) -> list[int]:
    """Return what all days since the first one have counted, one after the other."""
    passed = [0]
    for n in range(60_000):
        passed.append(passed[-1] + in_units(factors[(FIRST_DAY + timedelta(days=n)).month - 1]))
    return passed


class Slow:
    """One customer under one policy."""

    def __init__(self, person: Person, document: Document, model: Model | None = None) -> None:
        self.person = person
        self.document = document
        self.model = model
        self.twin = Twin(person.facts, person.zone)
        self._bought: dict[int, tuple[dict[date, Fraction], list[list[date]]]] = {}
        self._limits: dict[tuple[date, date, int], Fraction] = {}
        self._told: tuple[datetime | None, dict[str, Any]] = None, {}
        self._turns = sorted(slow_profile.instants(person.told))
        self._profiles: dict[int, Mapping[str, Any]] = {}

    def decide(self, t: datetime) -> tuple[str, str]:
        """Return the stage at t, and the rule that decides it."""
        for rule in self.document["rules"]:
            if holds(rule.get("when"), lambda term: self.value(term, t)):
                return rule["stage"], rule["code"]
        raise AssertionError

    def limit(self, life: Sequence[date]) -> Fraction:
        """Return the days of silence that a life allows."""
        ends = (life[0], life[-1], len(life) - 1) if life else (date.min, date.min, 0)
        if ends not in self._limits:
            self._limits[ends] = self._days_after(ends[1], self._limit(*ends))
        return self._limits[ends]

    def seasonal(self, first: date, last: date) -> Fraction:
        """Return the days from one to before another, each counting what its month does."""
        factors = self.document.get("season")
        if factors is None:
            return Fraction((last - first).days)
        passed = passed_until(tuple(factors))
        ends = (passed[(day - FIRST_DAY).days] for day in (first, last))
        return -Fraction(next(ends) - next(ends), UNITS)

    def _days_after(self, day: date, seasonal: Fraction) -> Fraction:
        """Return after how many days so many seasonal ones are over, one after the other."""
        factors = self.document.get("season")
        if factors is None:
            return seasonal
        passed = 0
        while True:
            counts = Fraction(in_units(factors[(day + timedelta(days=passed)).month - 1]), UNITS)
            if seasonal <= counts:
                return passed + seasonal / counts
            seasonal -= counts
            passed += 1

    def _limit(self, first: date, last: date, gaps: int) -> Fraction:
        rule = {name: Fraction(given) for name, given in self.document["inactivity_limit"].items()}
        if not gaps:
            return rule["floor_days"]
        gap = self.seasonal(first, last) / gaps
        own = min(rule["gap_multiple"] * gap, gap + rule["gap_margin_days"])
        return max(rule["floor_days"], own)

    def lives(self, days: Sequence[date]) -> list[list[date]]:
        found: list[list[date]] = []
        for day in days:
            if found and (day - found[-1][-1]).days <= self.limit(found[-1]):
                found[-1].append(day)
            else:
                found.append([day])
        return found

    def purchases(self, t: datetime) -> tuple[dict[date, Fraction], list[list[date]]]:
        """Return the purchase days that stand at t, each with its net value, and the lives."""
        count = self.twin.count(t)
        if count not in self._bought:
            values = {day: Fraction(each) for day, each in self.twin.day_values(t).items()}
            self._bought[count] = values, self.lives(list(values))
        return self._bought[count]

    def value(self, term: Document, t: datetime) -> Value:
        """Return the value of a variable at t, None if it is not known."""
        name = term["variable"]
        if name == "complaints_90_days":
            return self.value({"variable": "interactions", "kind": "complaint", "days": 90}, t)
        if name in ("purchase_days", "revenue") and NARROWED & term.keys():
            return self._of_some_purchases(name, term, t)
        if name in MODEL_VARIABLES:
            assert self.model is not None
            return self.model(self, name, t)
        found = self._of_purchases(name, t)
        if found is NotImplemented:
            found = self._of_money(name, t)
        if found is NotImplemented:
            found = self._of_interactions(name, term, t)
        if found is not NotImplemented:
            return float(found) if isinstance(found, Fraction) else found
        return self._of_profile(name, term, t)

    def _of_purchases(self, name: str, t: datetime) -> Any:
        if name not in OF_PURCHASES:
            return NotImplemented
        if self._told[0] != t:  # rules ask for several at once
            self._told = t, self._all_of_purchases(t)
        return self._told[1][name]

    def _all_of_purchases(self, t: datetime) -> dict[str, Any]:
        values, lived = self.purchases(t)
        days, today = list(values), self.person.day(t)
        life = lived[-1] if lived else []
        gaps = len(life) - 1
        mean_gap = Fraction((life[-1] - life[0]).days, gaps) if gaps > 0 else None
        found: dict[str, Any] = {
            "purchase_days": len(days),
            "life_purchase_days": len(life),
            "lives": len(lived),
            "mean_gap_days": mean_gap,
            "tenure_days": None,
            "life_tenure_days": None,
            "days_since_last_purchase": None,
            "inactivity_limit_days": None,
            "inactivity_to_mean_gap": None,
            "seasonal_days_since_last_purchase": None,
        }
        if days:
            silence, seasonal = (today - days[-1]).days, self.seasonal(days[-1], today)
            own_gap = self.seasonal(life[0], life[-1]) / gaps if gaps > 0 else None
            found |= {
                "tenure_days": (today - days[0]).days,
                "life_tenure_days": (today - life[0]).days,
                "days_since_last_purchase": silence,
                "inactivity_limit_days": self.limit(life),
                "inactivity_to_mean_gap": None if own_gap is None else seasonal / own_gap,
                "seasonal_days_since_last_purchase": seasonal,
            }
        return found

    def _of_money(self, name: str, t: datetime) -> Any:
        if name not in ("revenue", "mean_purchase_value", "amount_trend", "frequency_trend"):
            return NotImplemented
        values, _ = self.purchases(t)
        days, amounts = list(values), list(values.values())
        if name == "revenue":
            return sum(amounts, Fraction())
        mean = sum(amounts, Fraction()) / len(days) if days else None
        if name == "mean_purchase_value":
            return mean
        if len(days) <= AGREED:
            return None
        if name == "amount_trend":
            return sum(amounts[-AGREED:], Fraction()) / AGREED / mean if mean else None
        mean_gap = Fraction((days[-1] - days[0]).days, len(days) - 1)
        return mean_gap / Fraction((days[-1] - days[-1 - AGREED]).days, AGREED)

    def _of_some_purchases(self, name: str, term: Document, t: datetime) -> float:
        """Return what purchases count for that fit: by day, channel, and share of the lines."""
        today, window = self.person.day(t), term.get("days", math.inf)
        days: set[date] = set()
        units = 0
        net = self.twin.net_purchases(t)
        for fact in self.twin.purchases(t):
            day, left = self.person.day(fact.at), net[fact.name]
            share = share_of(fact, term)
            if share is None or left is None or (today - day).days >= window:
                continue
            days.add(day)
            units += math.floor(Fraction(left) * share * UNITS)
        return float(len(days)) if name == "purchase_days" else float(Fraction(units, UNITS))

    def _of_interactions(self, name: str, term: Document, t: datetime) -> Any:
        so_far = [each for each in self.person.interactions if each.at <= t]
        kind, days = term.get("kind"), term.get("days")
        if name in ("last_satisfaction", "satisfied"):
            answers = [e for e in so_far if e.score is not None and scale_of(self.document, e.kind)]
            return self._of_answers(name, [e for e in answers if kind in (None, e.kind)])
        if name not in ("interactions", "days_since_interaction"):
            return NotImplemented
        ago = [(self.person.day(t) - self.person.day(each.at)).days
               for each in so_far if kind in (None, each.kind)
               and term.get("phase") in (None, phase_of(self.document, each.kind))]  # fmt: skip
        if name == "days_since_interaction":
            return min(ago, default=None)
        return len([each for each in ago if days is None or each < days])

    def _of_answers(self, name: str, answers: Sequence[Interaction]) -> Value:
        if not answers:
            return None
        last = max(answers[::-1], key=lambda each: each.at)
        scale = scale_of(self.document, last.kind)
        assert scale is not None
        assert last.score is not None
        if name == "satisfied":
            return bool(last.score >= scale["good_from"])
        worst, best = scale["min"], scale["max"]
        return float(min(max((last.score - worst) / (best - worst), 0), 1))

    def profile(self, t: datetime) -> Mapping[str, Any]:
        """Return the profile at t; kept, since only what was said changes it."""
        count = bisect_right(self._turns, t)
        if count not in self._profiles:
            self._profiles[count] = self.person.profile_at(t)
        return self._profiles[count]

    def _of_profile(self, name: str, term: Document, t: datetime) -> Value:
        profile = self.profile(t)
        if name == "days_until_contract_end":
            ends = profile.get("contract_ends_on")
            return None if ends is None else (ends - self.person.day(t)).days
        if name == "age_years":
            born = profile.get("birth_date")
            return None if born is None else age(born, self.person.day(t))
        if name == "attribute":
            value = profile.get("attributes", {}).get(term["name"])
            if isinstance(value, list):
                return [each for each in value if isinstance(each, str)]
            return value if isinstance(value, (str, int, float, bool)) else None
        return profile.get(name)


def scale_of(document: Document, kind: str) -> Mapping[str, float] | None:
    """Return the scale of a kind of surveys, as it was declared when the policy was stored."""
    found: Mapping[str, float] | None = _declared(document, kind).get("scale")
    return found


def phase_of(document: Document, kind: str) -> str | None:
    return _declared(document, kind).get("phase")


def _declared(document: Document, kind: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = document.get("interaction_kinds", KINDS).get(kind, {})
    return found


def fitted(model: Fitted) -> Model:
    """Return what a fitted model says, at any instant, of those who have purchased."""
    known: dict[tuple[Twin, int, date], Card] = {}

    def value(slow: "Slow", name: str, t: datetime) -> Value:
        values, _ = slow.purchases(t)
        if not values:
            return None
        key = slow.twin, slow.twin.count(t), slow.twin.day(t)
        if key not in known:
            known[key] = Card(slow.twin, model, t, 90)
        card = known[key]
        if name == "inactivity_to_usual_gap":
            assert card.usual_gap_days is not None
            return card.days_since_last_purchase / card.usual_gap_days
        found = getattr(card, {"churn_probability": "probability"}.get(name, name))
        return found if isinstance(found, str) else float(found)

    return value


def share_of(fact: Fact, term: Document) -> Fraction | None:
    """Return which part of a transaction fits what a term asks for, None if nothing does."""
    if term.get("channel") not in (None, fact.channel):
        return None
    if not {"category", "product"} & term.keys():
        return Fraction(1)

    def price(lines: Sequence[Line]) -> Fraction:
        return sum(
            (Fraction(repr(each.quantity)) * Fraction(each.unit_price) for each in lines),
            Fraction(),
        )

    fitting = [
        line
        for line in fact.lines
        if term.get("category") in (None, line.category)
        and term.get("product") in (None, line.product)
    ]
    if not fitting:
        return None
    whole = price(fact.lines)
    return price(fitting) / whole if whole else Fraction()


def age(born: date, today: date) -> int:
    """Count birthdays; one on a leap day is kept on March 1 in other years."""
    had = (today.month, today.day) >= (born.month, born.day)
    return today.year - born.year - (not had)
