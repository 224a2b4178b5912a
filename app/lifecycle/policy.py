"""A policy: the stages, and the rules by which a customer enters them, as data.

The rules of a policy are tried in order, and the first that holds decides. A rule compares
variables of the customer's own facts with constants, or with another variable:

purchase_days       days with a purchase not refunded in full
life_purchase_days  those of the current life
tenure_days         days since the first purchase day
days_silent         days since the last purchase day
silence_limit_days  the silence that the current life allows, see `SilenceLimit`
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

POTENTIAL = "potential"
CHURNED = "churned"
CLOCK_VARIABLES = ("days_silent", "tenure_days")
"""Variables that grow by one each day while no fact arrives."""


@dataclass(frozen=True, slots=True)
class SilenceLimit:
    """Days of silence that end a life: max(floor, min(multiple * gap, gap + margin)).

    `gap` is the customer's own mean gap between the purchase days of the current life;
    with one purchase day in it there is none, and the floor alone holds.
    """

    floor_days: float
    gap_multiple: float
    gap_margin_days: float

    def after(self, span_days: int, purchase_days: int) -> float:
        """Return the limit of a life of `purchase_days` purchase days over `span_days` days."""
        if purchase_days < 2:
            return self.floor_days
        gap = span_days / (purchase_days - 1)
        return max(self.floor_days, min(self.gap_multiple * gap, gap + self.gap_margin_days))


@dataclass(frozen=True, slots=True)
class Condition:
    """`variable operator value`; the value is a number or the name of another variable."""

    variable: str
    operator: str
    value: float | str


@dataclass(frozen=True, slots=True)
class Rule:
    """The stage of everyone for whom all conditions hold and no earlier rule did."""

    code: str
    stage: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of stages and rules."""

    version: int
    stages: tuple[str, ...]
    silence: SilenceLimit
    rules: tuple[Rule, ...]

    def stage_code(self, stage: str) -> int:
        return self.stages.index(stage)


DEFAULT_DOCUMENT: dict[str, Any] = {
    "name": "five stages",
    "stages": [
        {"code": "potential", "name": {"en": "Potential", "zh": "潜在客户"}},
        {"code": "initial", "name": {"en": "Initial", "zh": "初始客户"}},
        {"code": "active", "name": {"en": "Active", "zh": "活跃客户"}},
        {"code": "loyal", "name": {"en": "Loyal", "zh": "忠诚客户"}},
        {"code": "churned", "name": {"en": "Churned", "zh": "流失客户"}},
    ],
    "silence_limit": {"floor_days": 180, "gap_multiple": 3, "gap_margin_days": 365},
    "rules": [
        {"code": "never_purchased", "stage": "potential", "all": [["purchase_days", "<", 1]]},
        {
            "code": "silent_too_long",
            "stage": "churned",
            "all": [["days_silent", ">", "silence_limit_days"]],
        },
        {
            "code": "frequent_and_long_standing",
            "stage": "loyal",
            "all": [["life_purchase_days", ">=", 5], ["tenure_days", ">=", 180]],
        },
        {"code": "repeat_purchase", "stage": "active", "all": [["purchase_days", ">=", 2]]},
        {"code": "first_purchase", "stage": "initial", "all": [["purchase_days", ">=", 1]]},
    ],
}
"""Version 1: decided by the customer's own facts and constants alone."""


def parse(version: int, document: Mapping[str, Any]) -> Policy:
    """Read a stored policy document."""
    return Policy(
        version=version,
        stages=tuple(stage["code"] for stage in document["stages"]),
        silence=SilenceLimit(**document["silence_limit"]),
        rules=tuple(
            Rule(rule["code"], rule["stage"], tuple(Condition(*parts) for parts in rule["all"]))
            for rule in document["rules"]
        ),
    )
