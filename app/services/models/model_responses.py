"""A stored model as the API shows it."""

from typing import Any

from app.db import AnyRow
from app.services.models import churn_learning
from app.services.models.model_documents import ModelDocument


def shown(row: AnyRow, active_id: str | None) -> dict[str, Any]:
    """Return a model without its monitoring, which belongs to runs."""
    document = ModelDocument.load(row.document)
    content = document.content()
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
        "cuts": {
            "rfm": document.rfm_cuts,
            "rfm_means": document.rfm_means,
            "value_tier": content["tier_cuts"],
        },
        "risk": _risk(document),
        "monitor": None,
    }


_AS_STORED = (
    "window", "requested", "churn", "holdout", "spend", "population_gap_days",
    "reference_customer", "facts",
)  # fmt: skip


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
        "holdout_days": choice.holdout,
        "label_window_days": choice.label_window,
        "extrapolated": choice.carried,
        "table": choice.table,
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
