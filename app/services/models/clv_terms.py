"""The terms of lifetime values: those of a model, those of a question, and what to beware of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.errors import FieldError, ValidationFailed
from app.scoring.churn.churn_selection import INSUFFICIENT
from app.services.models.fitted_models import FittedModel
from app.services.models.model_documents import MARGIN, ClvTerms

CORRELATED = 0.3
"""Of count and amount; beyond it the assumption that they are independent is violated."""
LEAST_Q = 1.1
"""Of the Gamma-Gamma model; below it the population has next to no mean."""
NO_MARGINS = "is margin, and no purchase up to then carries one"


class AskedTerms(Protocol):
    """The terms that a question names; the others are those of the model."""

    @property
    def clv_horizon_days(self) -> int | None: ...
    @property
    def annual_discount(self) -> float | None: ...
    @property
    def clv_basis(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class GivenTerms:
    """The terms that the parameters of a question name."""

    clv_horizon_days: int | None = None
    annual_discount: float | None = None
    clv_basis: str | None = None


def of_question(
    model: FittedModel | None, asked: AskedTerms | None, *, pointer: str = "/"
) -> ClvTerms | None:
    """Return the terms that a question is answered by; None without a model that can score."""
    if model is None or not model.can_score:
        return None
    terms = model.clv_terms
    if asked is not None:
        named = {
            "horizon_days": asked.clv_horizon_days,
            "annual_discount": asked.annual_discount,
            "basis": asked.clv_basis,
        }
        given = {name: value for name, value in named.items() if value is not None}
        terms = ClvTerms(**{**terms.model_dump(), **given})
    if terms.basis == MARGIN and model.margins is None:
        refuse_margin(f"{pointer}clv_basis")
    return terms


def refuse_margin(pointer: str) -> None:
    """Refuse a basis of which nothing is known."""
    raise ValidationFailed(errors=[FieldError(pointer, "no_margins", NO_MARGINS)])


def head(model: FittedModel, terms: ClvTerms, more: Sequence[str] = ()) -> dict[str, Any]:
    """Return what holds for lifetime values by these terms, with further caveats."""
    found = [*caveats(model, terms), *more]
    return {
        **terms.model_dump(),
        "status": found[0] if found else "ok",
        "caveats": found,
    }


def caveats(model: FittedModel, terms: ClvTerms) -> list[str]:
    """Return codes of what to beware of in lifetime values by these terms, the worst first."""
    risk, watched = model.risk, model.history_days
    if risk is not None and risk.label_window:
        watched = max([risk.label_window, *(each.horizon for each in risk.calibrations)])
    statuses = model.status, model.spend_status, model.risk_status
    found = {
        "insufficient_history": INSUFFICIENT in statuses or "fallback" in statuses,
        "no_dropout_identified": not model.dropout_identified,
        "weakly_identified": "weakly_identified" in (model.status, model.risk_status)
        or model.spend.q < LEAST_Q,
        "count_and_amount_correlated": abs(model.spend_correlation) > CORRELATED,
        "horizon_extrapolated": watched is not None and terms.horizon_days > watched,
    }
    return [code for code, holds in found.items() if holds]
