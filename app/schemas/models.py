"""Fitted models, and the requests for long work on them."""

from typing import Annotated, Any, Literal

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
HorizonDays = Annotated[int, Field(strict=True, ge=1, le=3650)]


class ModelRequest(Shape):
    """Fit a model to the facts up to `as_of`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"horizon_days": 90}, {}]})

    kind: Kind | None = Field(
        None,
        description="of the model of purchases, which then serves churn risk too, as it is. "
        "Without one purchases are those of an MBG/NBD and churn risk is chosen by what foresaw a "
        "held-out part of the history best; auto chooses both",
        examples=["mbg_nbd"],
    )
    as_of: str | None = AsOfText
    time_unit: Literal["day", "week"] = "day"
    horizon_days: HorizonDays | None = Field(
        None,
        description="of churn risk where a question names none; default: the round number of days "
        "closest to the 80th percentile of the gaps between purchase days",
        examples=[90],
    )
    activate: bool = Field(True, strict=True, description="score with this model from then on")


class RunRequest(Shape):
    """Score everybody; without a model one is fitted first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    as_of: str | None = AsOfText
    model_id: Text | None = Field(None, max_length=64, description="default the active model")


class Judged(Answer):
    """How well a candidate foresaw the days held out, after recalibration on other customers."""

    kind: str
    status: str
    log_loss: float | None
    behind: float | None = Field(description="its log loss minus the least")
    behind_error: float | None = Field(description="standard error of that, paired by customer")
    auc: float | None
    auc_error: float | None
    brier: float | None
    ece: float | None


class RiskBand(Answer):
    """A band of churn risk, and what became of its customers in the back-test."""

    name: str = Field(examples=["high"])
    least: float = Field(alias="from", description="the least probability in it")
    n: int
    predicted: float | None
    churned: float | None
    lower: float | None
    upper: float | None
    meaning: str | None = Field(
        examples=["of 100 customers in this band, about 71 make no purchase in the next 90 days"]
    )


class Risk(Answer):
    """How churn risk is served by this model, and why so."""

    kind: str | None = Field(
        examples=["landmark"],
        description="landmark: a regression learnt on the own past; else a model of purchases",
    )
    status: str = Field(description="ok, or insufficient_history: nothing could be compared")
    reason: str = Field(examples=["least_log_loss"])
    why: str = Field(examples=["it foresaw the held-out days best"])
    note: str = Field(
        description="what there is too little of, or which rule of silence foresaw better; or empty"
    )
    horizon_days: int = Field(description="the default horizon of churn risk")
    horizon_rule: str
    holdout_days: int = Field(description="days held out to choose; 0: none")
    label_window_days: int = Field(description="days in which outcomes were watched; 0: none")
    extrapolated: bool = Field(
        description="the history was shorter than two horizons, so that what was learnt in the "
        "label window is carried to the horizon"
    )
    table: list[Judged] = Field(description="the candidates, simplest first")
    process: dict[str, Any] | None
    weights: dict[str, float] | None
    bands_learnt: bool = Field(description="false: levels follow the silence in usual gaps")
    bands: list[RiskBand] = Field(description="those in use; none where none were learnt")


class Monitor(Answer):
    """What the model tells of a horizon before the latest run, beside what happened since."""

    status: Literal["ok", "insufficient_history"]
    told_at: Timestamp
    horizon_days: int
    in_sample: bool = Field(
        description="the model has seen what happened since: it is not yet a horizon old"
    )
    customers: int
    expected: float | None = Field(None, description="mean probability of leaving")
    actual: float | None = Field(None, description="share that left")
    calibration_in_the_large: float | None = Field(None, description="actual minus expected")
    standard_error: float | None = Field(None, description="of the expected share, by chance")
    ece: float | None = Field(None, description="expected calibration error")
    drifted: bool


class Model(Answer):
    """Everything learnt at one `as_of`; `status` says how far to trust the purchase process."""

    model_id: str = Field(examples=["model_5f0c2a9d1b7e"])
    kind: str = Field(examples=["mbg_nbd"])
    active: bool
    state: Literal["candidate", "active", "retired"]
    activated_at: Timestamp | None
    retired_at: Timestamp | None
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
        description="the model of purchases that churn risk rests on: another kind where that "
        "foresaw it better"
    )
    holdout: dict[str, Any] | None = Field(
        description="how well this kind, the default and plain rules foresaw the last days of the "
        "history, and what that chooses for purchases. Its `churn` is the best of the kinds as "
        "they are: `serves` says whether `risk`, judged over its own horizon, chose it too"
    )
    spend: dict[str, Any] = Field(description="the Gamma-Gamma model of spend per purchase day")
    cuts: dict[str, Any] = Field(description="the cuts of RFM scores and of value tiers")
    population_gap_days: float | None = Field(description="mean gap between purchase days")
    reference_customer: dict[str, float] | None = Field(
        description="the customer that reasons compare with: x, t_x and T in days"
    )
    facts: int | None = Field(description="facts stored when it was fitted")
    risk: Risk | None = Field(
        description="null for models of before: then `churn` serves churn risk"
    )
    monitor: Monitor | None = Field(description="of the latest run; null in lists")


class ModelPage(Page[Model]):
    pass
