"""What is learnt from a population at one instant, as a document to be stored and read back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from app.lifecycle import kinds
from app.lifecycle.dated import Floats, Ints
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.kinds import Kinds
from app.lifecycle.presets import PRESETS
from app.money import cents
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.churn.churn_selection import INSUFFICIENT
from app.scoring.churn.decline import Shapes
from app.scoring.churn.rhythm import Rhythm
from app.scoring.histories.features import Features
from app.scoring.purchases import consistent
from app.scoring.purchases.in_season import InSeason
from app.scoring.purchases.registry import MODELS
from app.scoring.rfm import rfm
from app.scoring.spend import clv, evidence, gamma_gamma
from app.scoring.spend.intervals import Between
from app.scoring.spend.margins import MarginRates
from app.seasons import Season
from app.services.customer_base.margins import MarginSums
from app.services.models import model_parts
from app.services.models.model_documents import MARGIN, ClvTerms, ModelDocument
from app.services.models.model_parts import probability

AUTO = "auto"
DEFAULT = "default"
DEFAULT_KIND = "mbg_nbd"
DAYS_PER_UNIT = {"day": 1.0, "week": 7.0}
INACTIVITY = InactivityLimit(**PRESETS["five_stages"]["inactivity_limit"])

OF_CONTACTS = ("complaints", "satisfaction", "surveyed", "contact_silence", "contacted")
"""Features of churn risk that come from interactions."""

_DAYS_KEPT = 8


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A stored model, ready to score with. Histories go in as days.

    `purchases` says how often they will buy, `churn` whether they will at all; one model of
    purchases mostly does both. Where there is a `risk`, that says who leaves, in days.
    """

    model_id: str
    kind: str
    status: str
    as_of: datetime
    time_unit: str
    purchases: Any
    churn: Any
    spend: gamma_gamma.Model
    rfm_cuts: rfm.Cuts | None
    rfm_means: rfm.Means | None
    tier_cuts: tuple[float, float] | None
    gap_days: float | None
    reference_days: tuple[float, float, float] | None
    horizon_days: int
    churn_kind: str = DEFAULT_KIND
    churn_status: str = "ok"
    risk: ChurnRisk | None = None
    rhythm: Rhythm = field(default_factory=Rhythm)
    regularity: Shapes = field(default_factory=Shapes)
    interaction_kinds: Kinds = field(default_factory=dict)
    rfm_classes: Mapping[str, int] = field(default_factory=dict)
    """Into how many classes the cuts part customers, by the names r, f and m."""
    clv_terms: ClvTerms = field(default_factory=ClvTerms)
    spend_evidence: evidence.Kind = evidence.ALL
    spend_status: str = "ok"
    spend_correlation: float = 0.0
    margins: MarginRates | None = None
    history_days: int | None = None
    """Days from the first purchase that was seen until the model was fitted."""
    season: Season | None = None
    """What `purchases` was fitted in the time of; `plain` is the same model in plain time."""
    plain: Any = None
    plain_tier_cuts: tuple[float, float] | None = None
    between: Between = field(default_factory=Between)
    _in_season: dict[int, InSeason] = field(default_factory=dict, repr=False)

    def process(self, day: int | None) -> Any:
        """Return the model of purchases, asked in days: as of a day, or of no known days."""
        if self.season is None:
            return self.purchases
        if day is None:
            return self.plain
        found = self._in_season.get(day)
        if found is None:
            if len(self._in_season) >= _DAYS_KEPT:
                self._in_season.clear()
            found = InSeason(self.purchases, self.season, day, self.unit)
            self._in_season[day] = found
        return found

    def ahead(self, horizon_days: float, day: int) -> float:
        """Return how many days ahead the risk is asked for: seasonal ones, where there is a season.

        So what it says rises and falls with the season, and never rises with the horizon.
        """
        if self.season is None:
            return horizon_days
        found: float = self.process(day).seasonal_days(float(horizon_days))
        return found

    def serving(self, day: int) -> Any:
        """Return what says of a bare history, as of a day, who leaves where there is no risk."""
        return self.process(day) if self.churn_kind == self.kind else self.churn

    def log_odds(self, known: Features, horizon_days: float, *, day: int) -> Floats:
        """Return the log-odds of no purchase after a day, of customers with columns in days."""
        if self.risk is not None:
            return self.risk.log_odds(known, horizon=self.ahead(horizon_days, day))
        unit = self.unit
        odds: Floats = self.serving(day).no_purchase_log_odds(
            known.x, known.t_x / unit, known.T / unit, horizon=horizon_days / unit
        )
        return odds

    def log_odds_now_and_fresh(
        self, known: Features, horizons_days: Sequence[float], *, day: int
    ) -> list[Floats]:
        """Return for each horizon the same, and had the last purchase been today, shape (2, n).

        Without a repeat purchase, the first. What is no part of the history, such as complaints,
        trends and values, stays as it is.
        """
        last = np.where(known.x > 0, known.T, 0.0)
        both = ((known.x, known.x), (known.t_x, last), (known.T, last))
        x, t_x, T = (np.stack(columns) for columns in both)  # noqa: N806
        if self.risk is not None:
            reaches = [self.ahead(days, day) for days in horizons_days]
            return self.risk.log_odds_of((x, t_x, T), known, horizons=reaches)
        unit, serving = self.unit, self.serving(day)
        t_x, T = t_x / unit, T / unit  # noqa: N806
        return [
            serving.no_purchase_log_odds(x, t_x, T, horizon=days / unit) for days in horizons_days
        ]

    @property
    def risk_status(self) -> str:
        """How far to trust the churn risk; a prior in place of a fit is none to trust."""
        if self.risk is not None:
            return self.risk.status
        return INSUFFICIENT if self.churn_status == "fallback" else "ok"

    @property
    def little_history(self) -> bool:
        """Whether what it expects is a prior, or could not be held against the past."""
        return self.status == "fallback" or self.risk_status == INSUFFICIENT

    @property
    def can_score(self) -> bool:
        """Whether it has seen anybody purchase; else nothing can be said of anybody."""
        return self.rfm_cuts is not None

    def with_cuts(self, given: Mapping[str, list[float]]) -> "FittedModel":
        """Return the model with cuts of RFM that a caller gives in place of its own."""
        if self.rfm_cuts is None or not given:
            return self
        cuts = self.rfm_cuts.replaced(given)
        most = cuts.most_classes()
        return replace(
            self,
            rfm_cuts=cuts,
            rfm_classes={**self.rfm_classes, **{name: most[name] for name in given}},
        )

    @property
    def typical_days(self) -> tuple[float, float, float]:
        """Return x, t_x and T in days of the customer with whom others are compared."""
        typical = self.reference_days if self.risk is None else self.risk.reference
        assert typical is not None
        return typical

    @property
    def looks_at_contacts(self) -> bool:
        """Whether interactions move the churn risk."""
        weights = {} if self.risk is None else self.risk.weights
        return any(weights.get(name) for name in OF_CONTACTS)

    @property
    def unit(self) -> float:
        """Days in a unit of time of the purchase process."""
        return DAYS_PER_UNIT[self.time_unit]

    @property
    def dropout_identified(self) -> bool:
        """Whether P(alive) and what rests on it mean anything."""
        return self.status != "no_dropout_identified" and MODELS[self.kind].has_dropout

    def reference(self) -> tuple[float, float, float] | None:
        """Return x, t_x and T of the reference customer in the unit of the model."""
        if self.reference_days is None:
            return None
        x, t_x, T = self.reference_days  # noqa: N806
        return x, t_x / self.unit, T / self.unit

    def expected_purchases(
        self,
        x: Any,
        t_x: Any,
        T: Any,  # noqa: N803  # the literature's name
        log_odds: Floats,
        horizon_days: float,
        *,
        process: Any,
    ) -> Floats:
        """Return the expected purchases of histories, by the log-odds of no purchase at all."""
        return consistent.expected_purchases(
            process, x, t_x, T, log_odds=log_odds, horizon=horizon_days / self.unit
        )

    def clv(
        self,
        terms: ClvTerms,
        history: tuple[Any, Any, Any],
        worth: Floats,
        log_odds: Floats,
        *,
        process: Any,
        margin: Any = 1.0,
    ) -> Floats:
        """Return lifetime values of histories in the unit of the model.

        `worth` is what a purchase day is expected to be; `log_odds` of no purchase are over the
        horizon of the terms; `process` is that of the day.
        """
        return clv.clv(
            process,
            model_parts.KnownWorth(),
            *history,
            mean_value=worth,
            horizon=terms.horizon_days / self.unit,
            annual_discount=terms.annual_discount,
            periods_per_year=clv.DAYS_PER_YEAR / self.unit,
            margin=margin,
            chance=probability(-log_odds),
        )

    def margin_rates(self, terms: ClvTerms, sums: MarginSums | None) -> Any:
        """Return the share of revenue that counts; without sums that of the population."""
        if terms.basis != MARGIN:
            return 1.0
        assert self.margins is not None, "whoever asks for margins checks that some are known"
        return self.margins.rate if sums is None else self.margins.of(sums.revenue, sums.margin)

    def tiers(self, values: Floats, *, plain: bool = False) -> Ints:
        """Return the tier of lifetime values by the model's terms, as shown, or in plain time."""
        cuts = (self.plain_tier_cuts if plain else None) or self.tier_cuts
        high, medium = cents(np.array(cuts)).tolist()
        return clv.tiers(cents(values), (high, medium))


def read(model_id: str, as_of: datetime, time_unit: str, document: ModelDocument) -> FittedModel:
    """Make a stored document ready to score with."""
    cuts, means = document.rfm_cuts, document.rfm_means
    reference, risk = document.reference_customer, document.risk
    purchases, first = document.purchases, document.window.first_purchase_on
    return FittedModel(
        model_id=model_id,
        kind=purchases.kind,
        status=purchases.status,
        as_of=as_of,
        time_unit=time_unit,
        purchases=MODELS[purchases.kind].build(**purchases.parameters),
        churn=model_parts.churn(document, DAYS_PER_UNIT[time_unit]),
        churn_kind=document.churn.kind,
        churn_status=document.churn.status,
        spend=gamma_gamma.Model.from_params(**document.spend.parameters),
        rfm_cuts=None if cuts is None else rfm.Cuts.from_dict(cuts),
        rfm_classes=model_parts.rfm_classes(document),
        rfm_means=None if means is None else rfm.Means.from_dict(means),
        tier_cuts=model_parts.tier_cuts(document.tier_cuts),
        gap_days=document.population_gap_days,
        reference_days=None if reference is None else reference.triple,
        risk=None if risk is None else ChurnRisk.from_dict(risk),
        horizon_days=document.horizon_days,
        rhythm=model_parts.rhythm(document),
        regularity=Shapes(**(document.regularity or {})),
        interaction_kinds=kinds.read(document.interaction_kinds),
        clv_terms=document.clv,
        spend_evidence=document.spend.evidence,
        spend_status=document.spend.status,
        spend_correlation=document.spend.correlation or 0.0,
        margins=model_parts.margins(document),
        history_days=None if first is None else (as_of.date() - first).days,
        season=model_parts.season(document),
        plain=model_parts.plain(document),
        plain_tier_cuts=model_parts.plain_tier_cuts(document),
        between=model_parts.between(document),
    )
