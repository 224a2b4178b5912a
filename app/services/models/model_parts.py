"""Parts of a stored model, ready to be asked."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from app.lifecycle.dated import Floats
from app.scoring.churn.churn_risk import ChurnRisk
from app.scoring.churn.rhythm import Rhythm
from app.scoring.histories.features import Features
from app.scoring.purchases.registry import MODELS
from app.scoring.rfm import rfm
from app.scoring.spend.intervals import Between
from app.scoring.spend.margins import MarginRates
from app.seasons import Season
from app.services.models.model_documents import ModelDocument, TierCuts


def probability(log_odds: Floats) -> Floats:
    """Return the probability of log-odds, accurate near 0 as near 1."""
    told: Floats = np.exp(-np.logaddexp(0.0, -log_odds))
    return told


class OfHistory:
    """A churn risk by x, t_x and T alone, in the unit of a model, all else being as usual."""

    def __init__(self, risk: ChurnRisk, unit: float) -> None:
        self._risk = risk
        self._unit = unit

    def no_purchase_log_odds(self, x: Any, t_x: Any, T: Any, *, horizon: float) -> Floats:  # noqa: N803
        days = (np.asarray(time) * self._unit for time in (t_x, T))
        return self._risk.log_odds(Features.of(x, *days), horizon=horizon * self._unit)

    def p_no_purchase(self, x: Any, t_x: Any, T: Any, *, horizon: float) -> Floats:  # noqa: N803
        return probability(self.no_purchase_log_odds(x, t_x, T, horizon=horizon))


class KnownWorth:
    """What stands for a model of spend where it has been asked already."""

    def expected_value(self, x: Any, mean_value: Any) -> Floats:  # noqa: ARG002
        """Return what was told."""
        found: Floats = mean_value
        return found


def margins(document: ModelDocument) -> MarginRates | None:
    found = document.margins
    if found is None:
        return None
    own = math.inf if found.prior_revenue is None else found.prior_revenue
    return MarginRates(found.rate, own, found.customers)


def tier_cuts(found: TierCuts | None) -> tuple[float, float] | None:
    return None if found is None else (found.high, found.medium)


def plain_tier_cuts(document: ModelDocument) -> tuple[float, float] | None:
    """Return the cuts of the values that rules see; None where those of everybody part them."""
    return None if document.season is None else tier_cuts(document.season.tier_cuts)


def plain(document: ModelDocument) -> Any:
    """Return the model of purchases in plain time; None where the only one is."""
    found = document.season and document.season.plain
    return found and MODELS[found.kind].build(**found.parameters)


def churn(document: ModelDocument, unit: float) -> Any:
    """Return what says of a bare history who leaves."""
    if document.risk is not None:
        return OfHistory(ChurnRisk.from_dict(document.risk), unit)
    return MODELS[document.churn.kind].build(**document.churn.parameters)


def season(document: ModelDocument) -> Season | None:
    """Return the season that purchases are counted in; None where there is none."""
    found = document.season
    if found is None or found.plain is None or found.months is None:
        return None
    return Season.of([month.factor for month in found.months])


def rhythm(document: ModelDocument) -> Rhythm:
    """Return the rhythm of a model; of one of before there was any, the process by itself."""
    return Rhythm() if document.rhythm is None else Rhythm.from_dict(document.rhythm)


def rfm_classes(document: ModelDocument) -> Mapping[str, int]:
    """Return into how many classes the cuts of RFM part customers: at most, if none counted."""
    if document.rfm_cuts is None:
        return {}
    return document.rfm_classes or rfm.Cuts.from_dict(document.rfm_cuts).most_classes()


def between(document: ModelDocument) -> Between:
    """Return by how much totals of windows are off; of models of before it was learnt, as usual."""
    found = document.between_windows
    return Between() if found is None else Between(sd=found.sd, windows=found.windows)
