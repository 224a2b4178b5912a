"""Customers as a fitted model looks at them, and the one source of what it tells of each.

Risk, expected purchases and lifetime value are made here and nowhere else, so that a card, a list
and a report never contradict each other: what the model of purchases expects of those who purchase
at all, times the learnt chance that they do (`docs/decisions/0023`).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from app.days import AsOf
from app.lifecycle.dated import Floats, Ints
from app.postgres.db import ReadSession
from app.scoring.churn import contributions, rhythm
from app.scoring.churn.churn_risk import Reasons
from app.scoring.histories.features import Features
from app.scoring.spend import clv
from app.services.customer_base import margins
from app.services.customer_base.margins import MarginSums
from app.services.customer_base.populations import Population
from app.services.models import churn_features
from app.services.models.churn_features import Known
from app.services.models.fitted_models import FittedModel
from app.services.models.model_documents import MARGIN, ClvTerms
from app.services.models.model_parts import probability


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """Customers with a purchase day at an instant, as a fitted model looks at them.

    `margins` are needed for lifetime values by margin alone.
    """

    model: FittedModel
    buyers: Population
    as_of: AsOf
    known: Known
    margins: MarginSums | None = None

    @cached_property
    def history(self) -> tuple[Ints, Floats, Floats]:
        """Return x, t_x and T in the model's unit of time."""
        unit = self.model.unit
        return self.buyers.x, self.buyers.t_x / unit, self.buyers.T(self.as_of) / unit

    @cached_property
    def process(self) -> Any:
        """Return the model of purchases as of the instant: the one door to seasonal time."""
        return self.model.process(self.as_of.day)

    @property
    def features(self) -> Features:
        """What churn risk may look at and reasons are told of, in days."""
        return self.known.features

    @cached_property
    def chance_if_active(self) -> Floats:
        """Return how likely so long a silence is of somebody who is still active."""
        model, seen = self.model, self.features
        return model.rhythm.chance_if_active(
            self.process, seen.x, seen.t_x, seen.T, unit=model.unit, waited=self._waited
        )

    @property
    def _waited(self) -> Floats:
        """Return the days since the first purchase, of the season where there is one."""
        days, season = self.features.T, self.model.season
        if season is None:
            return days
        return season.between(self.as_of.day - days.astype(np.int64), self.as_of.day)

    def reasons(self, horizon_days: int) -> Reasons:
        """Return what the log-odds of no purchase within a horizon are made of."""
        model = self.model
        if model.risk is not None:
            total = self.log_odds_at(horizon_days)
            reach = model.ahead(horizon_days, self.as_of.day)
            return model.risk.reasons(self.features, horizon=reach, total=total)
        reference, horizon = model.reference(), horizon_days / model.unit
        assert reference is not None
        parts = contributions.contributions(
            model.serving(self.as_of.day), *self.history, reference=reference, horizon=horizon
        )
        split = {"purchases": parts.purchases, "age": parts.age, "inactivity": parts.silence}
        return Reasons(float(parts.base.flat[0]) if parts.base.size else 0.0, split, parts.total)

    @cached_property
    def _log_odds(self) -> dict[int, Floats]:
        return {}

    @cached_property
    def _fresh_log_odds(self) -> dict[int, Floats]:
        return {}

    @cached_property
    def _clv(self) -> dict[ClvTerms, Floats]:
        return {}

    def look_ahead(self, *horizons_days: int) -> None:
        """Compute what is asked for later, of some horizons at once: cheaper than one by one."""
        horizons = list(dict.fromkeys(horizons_days))
        found = self.model.log_odds_now_and_fresh(self.features, horizons, day=self.as_of.day)
        for horizon, (now, fresh) in zip(horizons, found, strict=True):
            self._log_odds[horizon], self._fresh_log_odds[horizon] = now, fresh

    def log_odds_at(self, horizon_days: int) -> Floats:
        """Return the log-odds of no purchase within a horizon, computed once for each."""
        if horizon_days not in self._log_odds:
            found = self.model.log_odds(self.features, horizon_days, day=self.as_of.day)
            self._log_odds[horizon_days] = found
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
        return self.chance_at(rhythm.LOST_DAYS)

    def expected_purchases(self, horizon_days: int) -> Floats:
        """Return the expected purchase days within a horizon, consistent with the learnt risk.

        As many as the model of purchases expects of those who make any, times the learnt chance
        of any: never less than that chance.
        """
        return self.model.expected_purchases(*self.history, self.log_odds_at(horizon_days),
                                             horizon_days, process=self.process)  # fmt: skip

    @cached_property
    def _spend(self) -> tuple[Ints, Floats]:
        return self.buyers.spend_days(self.model.spend_evidence)

    @cached_property
    def _mean_spend(self) -> Floats:
        """Return what a purchase day is expected to be worth."""
        return self.model.spend.expected_value(*self._spend)

    def worth(self, terms: ClvTerms) -> tuple[Ints, Floats]:
        """Return the days that are evidence of spend, and what a purchase day is expected to leave.

        By the basis of the terms: revenue, or margin.
        """
        paid, _ = self._spend
        return paid, self._mean_spend * self.model.margin_rates(terms, self.margins)

    def clv(self, terms: ClvTerms) -> Floats:
        """Return the lifetime value, consistent with the learnt risk over the same horizon."""
        if terms not in self._clv:
            log_odds = self.log_odds_at(terms.horizon_days)
            self._clv[terms] = self._value(terms, self.history, log_odds)
        return self._clv[terms]

    def plain_clv(self, terms: ClvTerms) -> Floats:
        """Return the lifetime value that rules see: of purchases alone, in plain time."""
        model = self.model
        reach = terms.horizon_days / model.unit
        log_odds = model.churn.no_purchase_log_odds(*self.history, horizon=reach)
        rate, process = model.margin_rates(terms, None), model.process(None)
        return model.clv(
            terms, self.history, self._mean_spend, log_odds, process=process, margin=rate
        )

    def value_to_save(self, terms: ClvTerms) -> Floats:
        """Return what silence has cost of the lifetime value and may still be won back."""
        x, _, age = self.history
        last = np.where(x > 0, age, 0.0)
        if terms.horizon_days not in self._fresh_log_odds:
            self.look_ahead(terms.horizon_days, rhythm.LOST_DAYS)
        then = self._value(terms, (x, last, last), self._fresh_log_odds[terms.horizon_days])
        return clv.value_to_save(then, self.clv(terms), self.chance_in_a_year)

    def _value(
        self, terms: ClvTerms, history: tuple[Ints, Floats, Floats], log_odds: Floats
    ) -> Floats:
        rates = self.model.margin_rates(terms, self.margins)
        return self.model.clv(
            terms, history, self._mean_spend, log_odds, process=self.process, margin=rates
        )


async def read_inputs(
    session: ReadSession,
    model: FittedModel,
    buyers: Population,
    as_of: AsOf,
    *,
    terms: ClvTerms | None = None,
    complained: bool = True,
) -> ModelInputs:
    """Read what a model looks at; `buyers` have a purchase day, as they stand at `as_of`.

    Margins are read where the model's own lifetime values or those asked for rest on them.
    """
    known = await churn_features.read(session, model, buyers, as_of, complained=complained)
    bases = {model.clv_terms.basis, (terms or model.clv_terms).basis}
    sums = None
    if MARGIN in bases:
        sums = await margins.of_customers(session, buyers.customer_ids, as_of)
    return ModelInputs(model, buyers, as_of, known, sums)
