"""What a fitted model says of customers who have been placed: columns in, columns out.

One computation serves one customer, some, and a part of a run. It begins with `ModelInputs`, the
buyers as the model looks at them (`services/models/model_inputs`), and ends with `Scores`, a row
for each.
"""

from dataclasses import dataclass

import numpy as np

from app.days import AsOf
from app.lifecycle.dated import Floats, Ints
from app.postgres.db import ReadSession
from app.scoring.churn import rhythm
from app.scoring.churn.churn_risk import CAUSES, Reasons
from app.scoring.purchases import remembered
from app.scoring.rfm import rfm
from app.services.common import threads
from app.services.customer_base.populations import Population
from app.services.models.fitted_models import FittedModel
from app.services.models.model_documents import ClvTerms
from app.services.models.model_inputs import ModelInputs, read_inputs
from app.services.scores import calls
from app.services.stages.placement import Placement


@dataclass(frozen=True, eq=False)
class Scores:
    """What a model says of the buyers of a placement; arrays have a row for each of them.

    `rhythm` are places in `rhythm.STATUSES`, `calls` in `calls.SETS`.
    """

    inputs: ModelInputs
    placement: Placement
    horizon_days: int
    clv_terms: ClvTerms
    r: Ints
    f: Ints
    m: Ints
    group: Ints
    class8: Ints
    p_alive: Floats
    expected_purchases: Floats
    clv: Floats
    tier: Ints
    value_to_save: Floats
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
    session: ReadSession,
    model: FittedModel | None,
    placement: Placement,
    horizon_days: int | None,
    *,
    terms: ClvTerms | None = None,
    complained: bool = True,
) -> Scores | None:
    """Score those who have a purchase day; horizon and terms of CLV are those of the model if None.

    None where there is nobody to score, or no model that has seen anybody. Where it is known that
    nobody has `complained`, complaints are not looked for.
    """
    if model is None or not model.can_score or not placement.bought.any():
        return None
    buyers = placement.buyers()
    inputs = await read_inputs(
        session, model, buyers.population, placement.as_of, terms=terms, complained=complained
    )
    horizon, by = horizon_days or model.horizon_days, terms or model.clv_terms
    with remembered.asked_again():
        return await threads.compute(len(buyers), compute, inputs, buyers, horizon, by)


def compute(inputs: ModelInputs, buyers: Placement, horizon_days: int, terms: ClvTerms) -> Scores:
    """Score buyers where they stand, of whom the inputs are."""
    model, history = inputs.model, inputs.history
    assert model.rfm_cuts is not None
    assert model.rfm_means is not None
    assert model.tier_cuts is not None
    columns = inputs.buyers.columns
    bought = buyers.days_since_last_purchase, columns.purchase_days, inputs.buyers.revenue
    r, f, m = rfm.score(model.rfm_cuts, *bought)
    inputs.look_ahead(horizon_days, rhythm.LOST_DAYS, terms.horizon_days)
    reasons = inputs.reasons(horizon_days)
    status = model.rhythm.status(inputs.chance_if_active, inputs.chance_in_a_year)
    return Scores(
        inputs=inputs,
        placement=buyers,
        horizon_days=horizon_days,
        clv_terms=terms,
        r=r,
        f=f,
        m=m,
        group=rfm.groups(r, f, m),
        class8=rfm.class8(*bought, model.rfm_means),
        p_alive=inputs.process.p_alive(*history),
        expected_purchases=inputs.expected_purchases(horizon_days),
        clv=inputs.clv(terms),
        tier=model.tiers(inputs.clv(model.clv_terms)),
        value_to_save=inputs.value_to_save(terms),
        probability=inputs.probability_at(horizon_days),
        rhythm=status,
        chance_if_active=inputs.chance_if_active,
        calls=calls.of(model, inputs.known, status, buyers.churned & buyers.by_hand),
        reasons=reasons,
    )


async def lifetime_values(
    session: ReadSession, model: FittedModel, population: Population, as_of: AsOf
) -> Floats:
    """Return what a model says all customers are worth, 0 for those who never purchased."""
    values = np.zeros(len(population))
    bought = np.flatnonzero(population.columns.purchase_days > 0)
    if model.can_score and len(bought):
        inputs = await read_inputs(session, model, population.buyers(), as_of)
        values[bought] = await threads.compute(len(bought), inputs.clv, model.clv_terms)
    return values
