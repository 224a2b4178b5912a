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
from app.scoring.churn import contributions
from app.scoring.churn.churn_risk import CAUSES, Reasons
from app.scoring.histories.features import Features
from app.scoring.rfm import rfm
from app.scoring.spend import clv
from app.services.common import threads
from app.services.customer_base.populations import Population
from app.services.models import churn_features
from app.services.models.fitted_models import INACTIVITY, FittedModel, probability
from app.services.stages.placement import Placement

YEAR = 365
"""The horizon, in days, of whether somebody can still be won back."""


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """Customers with a purchase day at an instant, as a fitted model looks at them.

    `features` are what its churn risk looks at, None for a model without one of its own.
    """

    model: FittedModel
    buyers: Population
    as_of: AsOf
    features: Features | None

    @cached_property
    def history(self) -> tuple[Ints, Floats, Floats]:
        """Return x, t_x and T in the model's unit of time."""
        unit = self.model.unit
        return self.buyers.x, self.buyers.t_x / unit, self.buyers.T(self.as_of) / unit

    @cached_property
    def described(self) -> Features:
        """Return what reasons are told of, in days; a model without features has x, t_x and T."""
        if self.features is not None:
            return self.features
        return Features.of(self.buyers.x, self.buyers.t_x, self.buyers.T(self.as_of))

    def reasons(self, horizon_days: int) -> Reasons:
        """Return what the log-odds of no purchase within a horizon are made of."""
        model = self.model
        if model.risk is not None:
            assert self.features is not None, "this model looks at more than x, t_x and T"
            found = model.risk.reasons(self.features, horizon=horizon_days)
            self._log_odds.setdefault(horizon_days, found.total)
            return found
        reference, horizon = model.reference(), horizon_days / model.unit
        assert reference is not None
        parts = contributions.contributions(
            model.churn, *self.history, reference=reference, horizon=horizon
        )
        split = {"purchases": parts.purchases, "age": parts.age, "inactivity": parts.silence}
        return Reasons(float(parts.base.flat[0]) if parts.base.size else 0.0, split, parts.total)

    @cached_property
    def _log_odds(self) -> dict[int, Floats]:
        return {}

    def log_odds_at(self, horizon_days: int) -> Floats:
        """Return the log-odds of no purchase within a horizon, computed once for each."""
        if horizon_days not in self._log_odds:
            self._log_odds[horizon_days] = self.model.log_odds(self.described, horizon_days)
        return self._log_odds[horizon_days]

    def probability_at(self, horizon_days: int) -> Floats:
        """Return the probability of no purchase within a horizon: the one source of risk."""
        return probability(self.log_odds_at(horizon_days))

    def chance_at(self, horizon_days: int) -> Floats:
        """Return the probability of any purchase within a horizon, accurate where it is small."""
        return probability(-self.log_odds_at(horizon_days))

    @property
    def chance_in_a_year(self) -> Floats:
        """Return the learnt chance of any purchase within the next 365 days."""
        return self.chance_at(YEAR)

    def expected_purchases(self, horizon_days: int) -> Floats:
        """Return the expected purchase days within a horizon, consistent with the learnt risk.

        As many as the model of purchases expects of those who make any, times the learnt chance
        of any: never less than that chance.
        """
        if_any = self.model.purchases.purchases_if_any(
            *self.history, horizon=horizon_days / self.model.unit
        )
        found: Floats = self.chance_at(horizon_days) * if_any
        return found

    def band(self) -> Ints | None:
        """Return the band of the risk over the model's own horizon; None for one without bands."""
        model = self.model
        if model.bands is None or not model.bands.fitted:
            return None
        return model.bands.level(self.probability_at(model.horizon_days))


async def read_inputs(
    session: ReadSession, model: FittedModel, buyers: Population, as_of: AsOf
) -> ModelInputs:
    """Read what a model looks at; `buyers` have a purchase day, as they stand at `as_of`."""
    return ModelInputs(
        model, buyers, as_of, await churn_features.read(session, model, buyers, as_of)
    )


@dataclass(frozen=True, eq=False)
class Scores:
    """What a model says of the buyers of a placement; arrays have a row for each of them."""

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
    level: Ints
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
    band = inputs.band()
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
        expected_purchases=inputs.expected_purchases(horizon_days),
        clv=value,
        tier=clv.tiers(value, model.tier_cuts),
        value_at_risk=np.where(buyers.churned, 0.0, at_risk),
        probability=inputs.probability_at(horizon_days),
        level=_level_by_inactivity(buyers) if band is None else band,
        reasons=reasons,
    )


def _level_by_inactivity(buyers: Placement) -> Ints:
    """Return the level of those of whom a model knows no bands."""
    inactivity, gap = buyers.days_since_last_purchase, buyers.usual_gap_days
    if gap is None:
        # Nobody has purchased twice: the silence that ends a life stands in for two gaps.
        gap = np.full(len(buyers), INACTIVITY.floor_days / 2)
    return contributions.level(inactivity, gap)


def lifetime_values(model: FittedModel, population: Population, as_of: AsOf) -> Floats:
    """Return what a model says all customers are worth, 0 for those who never purchased."""
    values = np.zeros(len(population))
    bought = np.flatnonzero(population.columns.purchase_days > 0)
    if model.can_score and len(bought):
        values[bought] = model.lifetime_value(population.buyers(), as_of)[0]
    return values
