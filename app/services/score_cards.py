"""The score cards of one customer or of everybody: one computation, columns in, columns out."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.days import AsOf
from app.lifecycle.evaluator import evaluate
from app.lifecycle.policy import Policy
from app.lifecycle.records import Bools, Floats, Ints, Records
from app.scoring.churn import contributions
from app.scoring.churn.churn_risk import CAUSES, Reasons
from app.scoring.histories.features import Features
from app.scoring.rfm import rfm
from app.scoring.spend import clv
from app.services.learning import SILENCE, Learnt, probability
from app.services.populations import Population
from app.services.risk_learning import DEFAULT_HORIZON_DAYS

__all__ = ["CAUSES", "DEFAULT_HORIZON_DAYS", "Cards", "Lifecycle", "cards", "lifecycle", "reasons"]


@dataclass(frozen=True, eq=False)
class Lifecycle:
    """Stage and silence of each customer; needs no fitted model, save for the usual gap.

    `stage` is the one that stands, `rule` what rules alone say; `churned` and `at_risk` follow
    the stage.
    """

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
    reasons: Reasons

    @property
    def raising(self) -> Ints:
        """What raises the risk of each most, as a place in `CAUSES`; -1 where nothing does."""
        parts = np.zeros((len(CAUSES), len(self.probability)))
        for cause, part in self.reasons.parts.items():
            parts[CAUSES.index(cause)] = part
        most = np.argmax(parts, axis=0)
        return np.where(parts[most, np.arange(most.size)] > 0, most, -1)


def lifecycle(
    policy: Policy,
    people: Population,
    records: Records,
    as_of: AsOf,
    gap_days: float | None,
    decided: Mapping[str, str],
) -> Lifecycle:
    """Return where each customer stands; the records are those of the same people.

    `decided` are the stages of those on whom somebody has decided by hand, by `decided_stages`.
    """
    columns = people.columns
    n = len(people)
    stage, rule = evaluate(policy, records, np.arange(n), np.full(n, as_of.day))
    for row, customer_id in enumerate(people.customer_ids if decided else ()):
        if customer_id in decided:
            stage[row] = policy.stage_code(decided[customer_id])
    silent = as_of.day - columns.last_day
    churned = policy.is_churned(stage)
    usual_gap = at_risk = None
    if gap_days is not None:
        days = np.maximum(columns.purchase_days, 1)
        usual_gap = contributions.usual_gap(people.t_x, days, gap_days)
        at_risk = (columns.purchase_days > 0) & ~churned & (silent > 2 * usual_gap)
    return Lifecycle(stage, rule, churned, silent, usual_gap, at_risk)


def cards(
    learnt: Learnt,
    buyers: Population,
    where: Lifecycle,
    as_of: AsOf,
    horizon_days: int,
    known: Features | None = None,
) -> Cards:
    """Score customers who have a purchase day; the model must have seen some.

    `known` are their columns by `risk_columns.read`, None for a model without a churn risk of its
    own.
    """
    assert learnt.rfm_cuts is not None
    assert learnt.rfm_means is not None
    assert learnt.tier_cuts is not None
    history = _history(learnt, buyers, as_of)
    worth = where.days_silent, buyers.columns.purchase_days, buyers.revenue
    r, f, m = rfm.score(learnt.rfm_cuts, *worth)
    value, at_risk = learnt.lifetime_value(buyers, as_of)
    horizon = horizon_days / learnt.unit
    parts = reasons(learnt, *history, horizon_days=horizon_days, known=known)
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
        probability=learnt.churn.p_no_purchase(*history, horizon=horizon)
        if learnt.risk is None
        else probability(parts.total),
        level=_level(learnt, history, where, known),
        reasons=parts,
    )


def _history(learnt: Learnt, people: Population, as_of: AsOf) -> tuple[Ints, Floats, Floats]:
    return people.x, people.t_x / learnt.unit, people.T(as_of) / learnt.unit


def _level(
    learnt: Learnt,
    history: tuple[Ints, Floats, Floats],
    where: Lifecycle,
    known: Features | None,
) -> Ints:
    """Return the band of the risk over the model's own horizon; without bands, by the silence."""
    if learnt.bands is not None and learnt.bands.learnt:
        if learnt.risk is None:
            own = learnt.horizon_days / learnt.unit
            return learnt.bands.level(learnt.churn.p_no_purchase(*history, horizon=own))
        assert known is not None
        return learnt.bands.level(learnt.risk.probability(known, horizon=learnt.horizon_days))
    # Where nobody has purchased twice no gap is known: the silence that ends a life stands in.
    unknown_gap = np.full(len(where.days_silent), SILENCE.floor_days / 2)
    gap = unknown_gap if where.usual_gap is None else where.usual_gap
    return contributions.level(where.days_silent, gap)


def reasons(
    learnt: Learnt,
    x: Ints,
    t_x: Floats,
    T: Floats,  # noqa: N803
    *,
    horizon_days: int,
    known: Features | None = None,
) -> Reasons:
    """Reasons the log-odds of no purchase; histories in the unit of the model, `known` in days."""
    if learnt.risk is not None:
        assert known is not None, "this model looks at more than x, t_x and T"
        return learnt.risk.reasons(known, horizon=horizon_days)
    reference = learnt.reference()
    assert reference is not None
    parts = contributions.contributions(
        learnt.churn, x, t_x, T, reference=reference, horizon=horizon_days / learnt.unit
    )
    split = {"purchases": parts.purchases, "age": parts.age, "silence": parts.silence}
    return Reasons(float(parts.base.flat[0]) if parts.base.size else 0.0, split, parts.total)
