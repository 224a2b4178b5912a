"""What is told of one customer by a model, by brute force: the definitions word for word."""

import math
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Any

from app.scoring.churn import contributions
from app.scoring.purchases import mbg_nbd
from app.scoring.spend import clv, gamma_gamma
from tests.twin import (
    Twin,
)


@dataclass(frozen=True)
class Model:
    """What was learnt, in days."""

    purchases: mbg_nbd.Model
    spend: gamma_gamma.Model
    evidence: str
    cuts: dict[str, list[float]]
    tier_cuts: tuple[float, float]
    gap: float | None
    reference: tuple[float, float, float]
    cuts_of_rhythm: tuple[float, float, float] = (0.5, 0.1, 0.1)
    first_gaps: tuple[list[float], list[float]] | None = None
    """Days, and the chance that who comes back takes longer."""


GROUPS = {
    "champions": ("5", "45"),
    "regulars": ("34", "45"),
    "rising": ("45", "23"),
    "recent": ("5", "1"),
    "promising": ("4", "1"),
    "need_attention": ("3", "3"),
    "about_to_sleep": ("3", "12"),
    "cant_lose_them": ("12", "5"),
    "slipping": ("12", "34"),
    "hibernating": ("12", "12"),
}
"""By R, and by the mean of F and M, of which a half does not count."""


def so_long_a_silence(model: Model, x: int, t_x: int, T: int) -> float:
    """Return how likely it is of a customer who is still active, phase by phase of the gap."""
    if not x and model.first_gaps is not None:
        days, chances = model.first_gaps
        for (a, p), (b, q) in pairwise(zip(days, chances, strict=True)):
            if a <= T <= b:
                return p + (q - p) * (T - a) / (b - a)
        return chances[-1] * days[-1] / T
    params = model.purchases.params
    k = int(params.get("k", 1))
    m, over = params["r"] + k * x, (T - t_x) / (params["alpha"] + T)
    share = (1 - over) ** m
    total = 0.0
    for phase in range(k):
        total += share
        share *= over * (m + phase) / (phase + 1)
    return total


def rhythm_status(model: Model, chance: float, x: int, t_x: int, T: int) -> str:
    due, overdue, lost = model.cuts_of_rhythm
    if chance > due:
        return "on_time"
    if 1 - float(model.purchases.p_no_purchase(x, t_x, T, horizon=365)) < lost:
        return "lost"
    return "overdue" if chance <= overdue else "due"


def flat(card: dict[str, Any]) -> dict[str, Any]:
    """Return what stands in a card or a row of a list, and in its rhythm, by name."""
    rhythm = dict(card["rhythm"] or {})
    return {"rhythm_status": rhythm.pop("status", None), **rhythm, **card}


class Card:
    """The numbers of a buyer's score card at t, each found when it is asked for."""

    def __init__(self, twin: Twin, model: Model, t: datetime, horizon: int) -> None:
        values, _ = twin.at(t)
        days, today = list(values), twin.day(t)
        self._model, self._horizon, self._values = model, horizon, list(values.values())
        self.days_since_last_purchase = self.days_silent = (today - days[-1]).days
        self.purchase_days = len(days)
        self.x, self.t_x = len(days) - 1, (days[-1] - days[0]).days
        self.T = (today - days[0]).days

    @property
    def usual_gap_days(self) -> float | None:
        gap = self._model.gap
        return None if gap is None else (self.t_x + 2 * gap) / (self.purchase_days + 1)

    @cached_property
    def chance_if_active(self) -> float:
        return so_long_a_silence(self._model, self.x, self.t_x, self.T)

    @property
    def rhythm_status(self) -> str:
        return rhythm_status(self._model, self.chance_if_active, self.x, self.t_x, self.T)

    def _class(self, name: str, own: float) -> int:
        return 1 + sum(cut < own for cut in self._model.cuts[name])

    @property
    def r(self) -> int:
        return self._class("r", -self.days_silent)

    @property
    def f(self) -> int:
        return self._class("f", self.purchase_days)

    @property
    def m(self) -> int:
        return self._class("m", float(sum(self._values)))

    @property
    def rfm_group(self) -> str:
        r, mean = str(self.r), str(math.floor((self.f + self.m) / 2))
        return next(g for g, (rs, means) in GROUPS.items() if r in rs and mean in means)

    @property
    def p_alive(self) -> float:
        return float(self._model.purchases.p_alive(self.x, self.t_x, self.T))

    @property
    def expected_purchases(self) -> float:
        history = self.x, self.t_x, self.T
        return float(self._model.purchases.expected_purchases(*history, horizon=self._horizon))

    def _returns_not(self, horizon: int) -> float:
        history = self.x, self.t_x, self.T
        return float(self._model.purchases.p_no_purchase(*history, horizon=horizon))

    @cached_property
    def probability(self) -> float:
        return self._returns_not(self._horizon)

    def _worth(self, x: int, t_x: int, T: int) -> float:
        seen = self._values[self._model.evidence == "repeat_purchases" :]
        paid = [float(value) for value in seen if value > 0]
        mean = sum(paid) / len(paid) if paid else 0.0
        rate = {"annual_discount": 0.1, "periods_per_year": clv.DAYS_PER_YEAR}
        purchases = self._model.purchases.discounted_purchases(x, t_x, T, horizon=365, **rate)
        return float(purchases * self._model.spend.expected_value(len(paid), mean))

    @cached_property
    def clv(self) -> float:
        return self._worth(self.x, self.t_x, self.T)

    @property
    def value_tier(self) -> str:
        high, medium = self._model.tier_cuts
        value = round(self.clv, 2)
        if value < medium or value <= 0:
            return "low"
        return "medium" if value < high else "high"

    @property
    def value_to_save(self) -> float:
        ideal = self._worth(self.x, self.T, self.T) if self.x else self._worth(0, 0, 0)
        return max(ideal - self.clv, 0.0) * (1 - self._returns_not(365))

    @cached_property
    def _parts(self) -> Any:
        history, reference = (self.x, self.t_x, self.T), self._model.reference
        return contributions.contributions(
            self._model.purchases, *history, reference=reference, horizon=self._horizon
        )

    @property
    def purchases(self) -> float:
        return float(self._parts.purchases)

    @property
    def age(self) -> float:
        return float(self._parts.age)

    @property
    def inactivity(self) -> float:
        return float(self._parts.silence)


NUMBERS = (
    "days_since_last_purchase", "purchase_days", "usual_gap_days", "days_silent",
    "chance_if_active", "rhythm_status", "r", "f", "m", "rfm_group", "x", "t_x", "T", "p_alive",
    "expected_purchases", "probability", "clv", "value_tier", "value_to_save", "purchases", "age",
    "inactivity",
)  # fmt: skip


def scores(twin: Twin, model: Model, t: datetime, horizon: int = 90) -> dict[str, Any]:
    """Return the numbers of a buyer's score card at t, one customer at a time."""
    card = Card(twin, model, t, horizon)
    return {name: getattr(card, name) for name in NUMBERS}
