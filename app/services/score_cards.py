"""The score cards of one customer or of everybody: one computation, columns in, columns out."""

from dataclasses import dataclass

import numpy as np

from app.days import AsOf
from app.lifecycle.evaluator import evaluate
from app.lifecycle.policy import Policy
from app.lifecycle.records import Bools, Floats, Ints, Records
from app.scoring import churn, clv, rfm
from app.services.learning import SILENCE, Learnt
from app.services.populations import Population

DEFAULT_HORIZON_DAYS = 90


@dataclass(frozen=True, eq=False)
class Lifecycle:
    """Stage and silence of each customer; needs no fitted model, save for the usual gap."""

    stage: Ints
    rule: Ints
    churned: Bools
    days_silent: Ints
    usual_gap: Floats | None
    at_risk: Bools | None

    def take(self, rows: Ints) -> "Lifecycle":
        return Lifecycle(
            self.stage[rows],
            self.rule[rows],
            self.churned[rows],
            self.days_silent[rows],
            None if self.usual_gap is None else self.usual_gap[rows],
            None if self.at_risk is None else self.at_risk[rows],
        )


@dataclass(frozen=True, eq=False)
class Cards:
    """What a model says of buyers. Arrays are as long as the population."""

    r: Ints
    f: Ints
    m: Ints
    group: Ints
    class8: Ints
    p_alive: Floats
    expected_purchases: Floats
    clv: Floats
    tier: Ints
    value_at_risk: Floats
    probability: Floats
    level: Ints
    reasons: churn.Contributions


def lifecycle(
    policy: Policy, people: Population, records: Records, as_of: AsOf, gap_days: float | None
) -> Lifecycle:
    """Return where each customer stands; the records are those of the same people."""
    columns = people.columns
    n = len(people)
    stage, rule = evaluate(policy, records, np.arange(n), np.full(n, as_of.day))
    silent = as_of.day - columns.last_day
    churned = policy.is_churned(stage)
    usual_gap = at_risk = None
    if gap_days is not None:
        days = np.maximum(columns.purchase_days, 1)
        usual_gap = churn.usual_gap(people.t_x, days, gap_days)
        at_risk = (columns.purchase_days > 0) & ~churned & (silent > 2 * usual_gap)
    return Lifecycle(stage, rule, churned, silent, usual_gap, at_risk)


def cards(
    learnt: Learnt,
    buyers: Population,
    where: Lifecycle,
    as_of: AsOf,
    horizon_days: int,
) -> Cards:
    """Score customers who have a purchase day; the model must have seen some."""
    assert learnt.rfm_cuts is not None
    assert learnt.rfm_means is not None
    assert learnt.tier_cuts is not None
    unit = learnt.unit
    history = buyers.x, buyers.t_x / unit, buyers.T(as_of) / unit
    horizon = horizon_days / unit
    worth = where.days_silent, buyers.columns.purchase_days, buyers.revenue
    r, f, m = rfm.score(learnt.rfm_cuts, *worth)
    value, at_risk = learnt.lifetime_value(buyers, as_of)
    # Where nobody has purchased twice no gap is known: the silence that ends a life stands in.
    unknown_gap = np.full(len(buyers), SILENCE.floor_days / 2)
    gap = unknown_gap if where.usual_gap is None else where.usual_gap
    return Cards(
        r=r,
        f=f,
        m=m,
        group=rfm.groups(r, f),
        class8=rfm.class8(*worth, learnt.rfm_means),
        p_alive=learnt.purchases.p_alive(*history),
        expected_purchases=learnt.purchases.expected_purchases(*history, horizon=horizon),
        clv=value,
        tier=clv.tiers(value, learnt.tier_cuts),
        value_at_risk=np.where(where.churned, 0.0, at_risk),
        probability=learnt.churn.p_no_purchase(*history, horizon=horizon),
        level=churn.level(where.days_silent, gap),
        reasons=reasons(learnt, *history, horizon_days=horizon_days),
    )


def reasons(
    learnt: Learnt,
    x: Ints,
    t_x: Floats,
    T: Floats,  # noqa: N803
    *,
    horizon_days: int,
) -> churn.Contributions:
    """Split the log-odds of no purchase; histories in the unit of the model."""
    reference = learnt.reference()
    assert reference is not None
    return churn.contributions(
        learnt.churn, x, t_x, T, reference=reference, horizon=horizon_days / learnt.unit
    )
