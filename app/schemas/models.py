"""Fitted models, and the requests for long work on them."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from app.schemas.common import Page
from app.schemas.types import Answer, Shape, Text, Timestamp

Kind = Literal["auto", "mbg_nbd", "bg_nbd", "pareto_nbd", "mbg_cnbd_k", "bg_cnbd_k", "nbd"]
AsOfText = Field(
    None,
    max_length=40,
    description="an instant (RFC 3339) or a day (its end in the deployment's zone); default now",
    examples=["2026-01-31"],
)


class ModelRequest(Shape):
    """Fit a model to the facts up to `as_of`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "mbg_nbd"}]})

    kind: Kind = Field(
        "mbg_nbd", description="auto: what foresaw a held-out part of the history best"
    )
    as_of: str | None = AsOfText
    time_unit: Literal["day", "week"] = "day"
    activate: bool = Field(True, strict=True, description="score with this model from then on")


class RunRequest(Shape):
    """Score everybody; without a model one is fitted first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    as_of: str | None = AsOfText
    model_id: Text | None = Field(None, max_length=64, description="default the active model")


class Model(Answer):
    """Everything learnt at one `as_of`; `status` says how far to trust the purchase process."""

    model_id: str = Field(examples=["model_5f0c2a9d1b7e"])
    kind: str = Field(examples=["mbg_nbd"])
    active: bool
    status: str = Field(
        examples=["ok"],
        description="ok, weakly_identified, no_dropout_identified (P(alive) is withheld), "
        "or fallback (too little data: a prior is used)",
    )
    as_of: Timestamp
    fitted_at: Timestamp
    time_unit: str
    customers: int = Field(description="customers with a purchase day at `as_of`")
    window: dict[str, Any] = Field(description="first and last purchase day that were seen")
    requested: str = Field(examples=["auto"])
    parameters: dict[str, float]
    standard_errors: dict[str, float | None]
    log_likelihood: float | None
    churn: dict[str, Any] = Field(
        description="the model of churn risk: another kind where that foresaw it better"
    )
    holdout: dict[str, Any] | None = Field(
        description="how well this kind, the default and plain rules foresaw the last days of the "
        "history, and what that chooses"
    )
    spend: dict[str, Any] = Field(description="the Gamma-Gamma model of spend per purchase day")
    cuts: dict[str, Any] = Field(description="the cuts of RFM scores and of value tiers")
    population_gap_days: float | None = Field(description="mean gap between purchase days")
    reference_customer: dict[str, float] | None = Field(
        description="the customer that reasons compare with: x, t_x and T in days"
    )


class ModelPage(Page[Model]):
    pass
