"""A stored model as the API shows it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from app.deployment import Deployment
from app.postgres.db import AnyRow
from app.scoring.churn.rhythm import Rhythm
from app.scoring.rfm import rfm
from app.services.models import (
    churn_learning,
    clv_terms,
    fitted_models,
    horizons,
    model_parts,
    seasons,
)
from app.services.models.fitted_models import FittedModel
from app.services.models.model_documents import ModelDocument


def to_response(deployment: Deployment, row: AnyRow, active_id: str | None) -> dict[str, Any]:
    """Return a model without its monitoring, which belongs to runs."""
    document = ModelDocument.load(row.document)
    content = document.content()
    model = fitted_models.read(row.model_id, row.as_of, row.time_unit, document)
    return {
        "model_id": row.model_id,
        "kind": row.kind,
        "active": row.model_id == active_id,
        "state": row.state,
        "activated_at": row.activated_at,
        "retired_at": row.retired_at,
        "status": row.status,
        "as_of": row.as_of,
        "fitted_at": row.fitted_at,
        "time_unit": row.time_unit,
        "customers": row.customers,
        **{name: content[name] for name in _AS_STORED},
        "parameters": document.purchases.parameters,
        "standard_errors": document.purchases.standard_errors,
        "log_likelihood": document.purchases.log_likelihood,
        "cuts": _cuts(deployment, document, content),
        "rhythm": _rhythm(model_parts.rhythm(document)),
        "season": seasons.answer(document.season),
        "clv": clv_terms.head(model, document.clv),
        "margins": _margins(deployment, document),
        "risk": _risk(document),
        "monitor": None,
    }


_AS_STORED = (
    "window", "requested", "churn", "holdout", "spend", "population_gap_days",
    "reference_customer", "facts", "refit", "between_windows",
)  # fmt: skip


def _margins(deployment: Deployment, document: ModelDocument) -> dict[str, Any] | None:
    """Return what was learnt of margins; None where no purchase carried one."""
    found = document.margins
    if found is None:
        return None
    own = found.prior_revenue
    return {
        "rate": found.rate,
        "prior_revenue": None if own is None else deployment.computed_money(own),
        "customers": found.customers,
    }


def _cuts(
    deployment: Deployment, document: ModelDocument, content: dict[str, Any]
) -> dict[str, Any]:
    """Return the cuts, with those of money as money; none were found where nobody has bought."""
    if content["rfm_cuts"] is None:
        nothing: dict[str, Any] = dict.fromkeys(("rfm", "rfm_means", "value_tier"))
        return {**nothing, "rfm_given": sorted(document.rfm_given), "rfm_few_classes": []}
    means, tiers = content["rfm_means"], content["tier_cuts"]
    return {
        "rfm": rfm_cuts(deployment, content["rfm_cuts"]),
        "rfm_given": sorted(document.rfm_given),
        "rfm_few_classes": few_classes(model_parts.rfm_classes(document)),
        "rfm_means": {**means, "m": deployment.computed_money(means["m"])},
        "value_tier": {name: deployment.computed_money(cut) for name, cut in tiers.items()},
    }


def _rhythm(rhythm: Rhythm) -> dict[str, Any]:
    """Return the cuts of rhythm, and when those with one purchase day reach them."""
    cuts, gaps = rhythm.cuts, rhythm.first_gaps
    return {
        "cuts": asdict(cuts),
        "first_gaps": gaps
        and {
            "returned": gaps.returned,
            "due_after_days": gaps.until(cuts.due),
            "overdue_after_days": gaps.until(cuts.overdue),
        },
    }


def rfm_cuts(deployment: Deployment, cuts: dict[str, Any]) -> dict[str, Any]:
    """Return the cuts of RFM scores as the API shows them: those of recency as days."""
    return {
        "r": [abs(cut) for cut in reversed(cuts["r"])],
        "f": cuts["f"],
        "m": [deployment.computed_money(cut) for cut in cuts["m"]],
    }


def cuts_of(deployment: Deployment, model: FittedModel) -> dict[str, Any] | None:
    """Return the cuts that a model scores by; None for one fitted to nobody."""
    return None if model.rfm_cuts is None else rfm_cuts(deployment, model.rfm_cuts.as_dict())


def few_classes(classes: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the dimensions of RFM that have too few classes, as the API shows them."""
    return [
        {"dimension": name, "classes": count}
        for name, count in classes.items()
        if count < rfm.FEW_CLASSES
    ]


def _risk(document: ModelDocument) -> dict[str, Any]:
    """Return how churn risk was chosen."""
    choice, risk, horizon = document.risk_choice, document.risk, document.horizon_days
    bands = document.bands
    return {
        "kind": choice.chosen,
        "status": choice.status,
        "reason": choice.reason,
        "why": churn_learning.WHY[choice.reason],
        "note": choice.note,
        "horizon_days": horizon,
        "horizon_rule": document.horizon_rule,
        "suggested_horizon_days": document.suggested_horizon_days,
        "suggestion_rule": horizons.SUGGESTION_RULE,
        "holdout_days": choice.holdout,
        "label_window_days": choice.label_window,
        "extrapolated": choice.extrapolated,
        "table": choice.table,
        "guard": churn_learning.guard_in_words(choice.guard),
        "process": None if risk is None else risk["process"],
        "weights": None if risk is None else risk["weights"],
        "bands_learnt": bands["fitted"],
        "bands": _bands(bands, horizon) if bands["fitted"] else [],
    }


def _bands(bands: dict[str, Any], horizon: int) -> list[dict[str, Any]]:
    """Return the bands in use, each with where it begins and what it means."""
    starts = (0.0, bands["medium"], bands["high"])
    return [
        {**band, "from": start, "meaning": churn_learning.meaning(band, horizon)}
        for band, start in zip(bands["bands"], starts, strict=True)
    ]
