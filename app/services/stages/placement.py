"""Where customers stand at an instant: the one way from facts, policy and overrides to stages.

Whoever needs stages asks here, be it for one customer, for some, or for a range of all. What a
fitted model says of them follows from a placement, see `score_cards`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from app.days import AsOf
from app.deployment import Deployment
from app.lifecycle.dated import Bools, Floats, Ints
from app.lifecycle.evaluator import evaluate
from app.lifecycle.policy import Policy
from app.lifecycle.records import Records
from app.postgres.db import ReadSession
from app.scoring.churn import contributions
from app.services.common import threads
from app.services.customer_base.populations import Population
from app.services.stages import rule_records


@dataclass(frozen=True, eq=False)
class Placement:
    """Customers at an instant, in the stages of a policy; arrays are as long as the population.

    `stage` is the one that stands, `rule` the one that holds even where an override overrules it;
    `churned` follows the stage, and `by_hand` says whom an override put there. The usual gap is
    None where the population's is not known. Days since the last purchase mean nothing without one.
    """

    policy: Policy
    as_of: AsOf
    population: Population
    stage: Ints
    rule: Ints
    churned: Bools
    by_hand: Bools
    days_since_last_purchase: Ints
    usual_gap_days: Floats | None

    def __len__(self) -> int:
        return len(self.population)

    @property
    def stages(self) -> list[str]:
        return [self.policy.stages[code] for code in self.stage.tolist()]

    @cached_property
    def bought(self) -> Bools:
        """Who has a purchase day."""
        return np.asarray(self.population.columns.purchase_days > 0, dtype=np.bool_)

    def buyers(self) -> "Placement":
        """Return those with a purchase day."""
        return self if self.bought.all() else self.take(np.flatnonzero(self.bought))

    def take(self, rows: Ints) -> "Placement":
        return Placement(
            self.policy,
            self.as_of,
            self.population.take(rows),
            self.stage[rows],
            self.rule[rows],
            self.churned[rows],
            self.by_hand[rows],
            self.days_since_last_purchase[rows],
            None if self.usual_gap_days is None else self.usual_gap_days[rows],
        )


async def of_population(
    session: ReadSession,
    deployment: Deployment,
    policy: Policy,
    population: Population,
    as_of: AsOf,
    *,
    gap_days: float | None,
    overrides: Mapping[str, str],
) -> Placement:
    """Place customers who have been read as they stood at an instant, under any policy.

    `overrides` are the stages of those whom an override puts there, by customer.
    """
    known = await rule_records.at_instant(session, deployment, policy, population, as_of)
    return await threads.compute(
        len(population), place, policy, population, known, as_of, gap_days, overrides
    )


def place(
    policy: Policy,
    population: Population,
    known: Records,
    as_of: AsOf,
    gap_days: float | None,
    overrides: Mapping[str, str],
) -> Placement:
    """Evaluate the rules of a policy on records of the same customers, and put overrides first."""
    columns, n = population.columns, len(population)
    stage, rule = evaluate(policy, known, np.arange(n), np.full(n, as_of.day))
    by_hand = np.zeros(n, np.bool_)
    for row, customer_id in enumerate(population.customer_ids if overrides else ()):
        if customer_id in overrides:
            stage[row] = policy.stage_code(overrides[customer_id])
            by_hand[row] = True
    inactivity = as_of.day - columns.last_day
    churned = policy.is_churned(stage)
    usual_gap = None
    if gap_days is not None:
        days = np.maximum(columns.purchase_days, 1)
        usual_gap = contributions.usual_gap(population.t_x, days, gap_days)
    return Placement(
        policy, as_of, population, stage, rule, churned, by_hand, inactivity, usual_gap
    )
