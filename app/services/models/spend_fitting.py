"""Fitting what purchases are worth, and what of it is left as margin."""

from typing import Any

import numpy as np

from app.days import AsOf
from app.scoring.histories.purchase_days import in_parts
from app.scoring.numerics.fitted_model import FittedModel
from app.scoring.spend import evidence, gamma_gamma, margins
from app.services.customer_base.margins import MarginSums
from app.services.customer_base.populations import Population
from app.services.customer_base.purchase_log import Log

_COMPARED = ("deviance_all", "deviance_repeat", "behind", "behind_error")


def learn(buyers: Population, log: Log, as_of: AsOf, horizon: int) -> dict[str, Any]:
    """Fit the Gamma-Gamma model of what a purchase day is worth, to the days that tell of it."""
    first_day = int(log[1].min(initial=as_of.day))
    chosen = evidence.choose_in_parts(
        lambda: ((s.start, s.day, s.value) for s in in_parts(*log, as_of=as_of.day)),
        first_day=first_day, as_of=as_of.day, holdout=horizon,
    )  # fmt: skip
    paid, value = buyers.spend_days(chosen.evidence)
    fitted = gamma_gamma.fit(paid, value)
    return {
        "kind": "gamma_gamma",
        **described(fitted),
        "customers": int((paid > 0).sum()),
        "correlation": _correlation(buyers),
        "evidence": chosen.evidence,
        "comparison": {
            "basis": chosen.basis,
            "holdout_days": chosen.holdout_days,
            "customers": chosen.customers,
            **{name: _number(getattr(chosen, name)) for name in _COMPARED},
        },
    }


def _correlation(buyers: Population) -> float:
    """Return the correlation of count and amount, of all purchases or of repeat ones.

    The one further from 0: that of all is diluted by those who purchased once.
    """
    found = (
        gamma_gamma.correlation(*buyers.spend_days(kind))
        for kind in (evidence.ALL, evidence.REPEAT)
    )
    return max(found, key=abs)


def learn_margins(sums: MarginSums) -> dict[str, Any] | None:
    """Learn how much of their revenue customers leave; None where no purchase carries a margin."""
    found = margins.fit(sums.purchases, sums.revenue, sums.margin, sums.squares)
    if found is None:
        return None
    own = _number(found.prior_revenue)
    return {"rate": found.rate, "prior_revenue": own, "customers": found.customers}


def described(fitted: FittedModel) -> dict[str, Any]:
    """Return what is stored of any fitted model."""
    return {
        "status": fitted.status,
        "parameters": fitted.params,
        "standard_errors": {name: _number(each) for name, each in fitted.standard_errors.items()},
        "log_likelihood": _number(fitted.log_likelihood),
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
