"""What a fitted model says of customers who have been placed: columns in, columns out.

One computation serves one customer, some, and a part of a run. It begins with `ModelInputs`, the
buyers as the model looks at them, and ends with `Scores`, a row for each.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from app.days import AsOf
from app.db import ReadSession
from app.lifecycle.dated import Floats, Ints
from app.scoring.churn import contributions, rhythm
from app.scoring.churn.churn_risk import CAUSES, Reasons
from app.scoring.histories.features import Features
from app.scoring.rfm import rfm
from app.scoring.spend import clv
from app.services.common import threads
from app.services.customer_base.populations import Population
from app.services.models import churn_features
from app.services.models.churn_features import Known
from app.services.models.fitted_models import FittedModel, probability
from app.services.scores import calls
from app.services.stages.placement import Placement


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """Customers with a purchase day at an instant, as a fitted model looks at them."""

    model: FittedModel
    buyers: Population
    as_of: AsOf
    known: Known

    @cached_property
    def history(self) -> tuple[Ints, Floats, Floats]:
        """Return x, t_x and T in the model's unit of time."""
        unit = self.model.unit
        return self.buyers.x, self.buyers.t_x / unit, self.buyers.T(self.as_of) / unit

    @property
    def features(self) -> Features:
        """What churn risk may look at and reasons are told of, in days."""
        return self.known.features

    @cached_property
    def any_purchase(self) -> Floats:
        """Return the learnt chance of any purchase within `rhythm.LOST_DAYS`."""
        return probability(-self.model.log_odds(self.features, rhythm.LOST_DAYS))

    @cached_property
    def chance_if_active(self) -> Floats:
        """Return how likely so long a silence is of somebody who is still active."""
        model, seen = self.model, self.features
        return model.rhythm.chance_if_active(
            model.purchases, seen.x, seen.t_x, seen.T, unit=model.unit
        )

    def reasons(self, horizon_days: int) -> Reasons:
        """Return what the log-odds of no purchase within a horizon are made of."""
        model = self.model
        if model.risk is not None:
            return model.risk.reasons(self.features, horizon=horizon_days)
        reference, horizon = model.reference(), horizon_days / model.unit
        assert reference is not None
        parts = contributions.contributions(
            model.churn, *self.history, reference=reference, horizon=horizon
        )
        split = {"purchases": parts.purchases, "age": parts.age, "inactivity": parts.silence}
        return Reasons(float(parts.base.flat[0]) if parts.base.size else 0.0, split, parts.total)

    def probability(self, reasons: Reasons, horizon_days: int) -> Floats:
        """Return the probability of no purchase within a horizon, of which these are reasons."""
        if self.model.risk is not None:
            return probability(reasons.total)
        horizon = horizon_days / self.model.unit
        told: Floats = self.model.churn.p_no_purchase(*self.history, horizon=horizon)
        return told


async def read_inputs(
    session: ReadSession, model: FittedModel, buyers: Population, as_of: AsOf
) -> ModelInputs:
    """Read what a model looks at; `buyers` have a purchase day, as they stand at `as_of`."""
    return ModelInputs(
        model, buyers, as_of, await churn_features.read(session, model, buyers, as_of)
    )


@dataclass(frozen=True, eq=False)
class Scores:
    """What a model says of the buyers of a placement; arrays have a row for each of them.

    `rhythm` are places in `rhythm.STATUSES`, `calls` in `calls.SETS`.
    """

    inputs: ModelInputs
    placement: Placement
    horizon_days: int
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
    rhythm: Ints
    chance_if_active: Floats
    calls: Ints
    reasons: Reasons

    @property
    def model(self) -> FittedModel:
        return self.inputs.model

    @property
    def raising(self) -> Ints:
        """What raises the risk of each most, as a place in `CAUSES`; -1 where nothing does."""
        parts = np.zeros((len(CAUSES), len(self.probability)))
        for cause, part in self.reasons.parts.items():
            parts[CAUSES.index(cause)] = part
        most = np.argmax(parts, axis=0)
        return np.where(parts[most, np.arange(most.size)] > 0, most, -1)


async def score(
    session: ReadSession, model: FittedModel | None, placement: Placement, horizon_days: int | None
) -> Scores | None:
    """Score those who have a purchase day; without a horizon, over that of the model.

    None where there is nobody to score, or no model that has seen anybody.
    """
    if model is None or not model.can_score or not placement.bought.any():
        return None
    buyers = placement.buyers()
    inputs = await read_inputs(session, model, buyers.population, placement.as_of)
    horizon = horizon_days or model.horizon_days
    return await threads.compute(len(buyers), compute, inputs, buyers, horizon)


def compute(inputs: ModelInputs, buyers: Placement, horizon_days: int) -> Scores:
    """Score buyers where they stand, of whom the inputs are."""
    model, history = inputs.model, inputs.history
    assert model.rfm_cuts is not None
    assert model.rfm_means is not None
    assert model.tier_cuts is not None
    columns = inputs.buyers.columns
    bought = buyers.days_since_last_purchase, columns.purchase_days, inputs.buyers.revenue
    r, f, m = rfm.score(model.rfm_cuts, *bought)
    value, at_risk = model.lifetime_value(inputs.buyers, inputs.as_of)
    reasons = inputs.reasons(horizon_days)
    horizon = horizon_days / model.unit
    status = model.rhythm.status(inputs.chance_if_active, inputs.any_purchase)
    return Scores(
        inputs=inputs,
        placement=buyers,
        horizon_days=horizon_days,
        r=r,
        f=f,
        m=m,
        group=rfm.groups(r, f, m),
        class8=rfm.class8(*bought, model.rfm_means),
        p_alive=model.purchases.p_alive(*history),
        expected_purchases=model.purchases.expected_purchases(*history, horizon=horizon),
        clv=value,
        tier=clv.tiers(value, model.tier_cuts),
        value_at_risk=np.where(buyers.churned, 0.0, at_risk),
        probability=inputs.probability(reasons, horizon_days),
        rhythm=status,
        chance_if_active=inputs.chance_if_active,
        calls=calls.of(model, inputs.known, status, buyers.churned & buyers.by_hand),
        reasons=reasons,
    )


def lifetime_values(model: FittedModel, population: Population, as_of: AsOf) -> Floats:
    """Return what a model says all customers are worth, 0 for those who never purchased."""
    values = np.zeros(len(population))
    bought = np.flatnonzero(population.columns.purchase_days > 0)
    if model.can_score and len(bought):
        values[bought] = model.lifetime_value(population.buyers(), as_of)[0]
    return values
