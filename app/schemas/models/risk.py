"""The churn risk of a model: what was compared, what serves, and why."""

from typing import Literal

from pydantic import Field

from app.schemas.common.fields import (
    Auc,
    AucError,
    BandMeaning,
    Brier,
    ChurnedShare,
    Customers,
    DefaultHorizonDays,
    Ece,
    Level,
    LogLoss,
    LowerShare,
    PredictedShare,
    UpperShare,
)
from app.schemas.common.types import Answer
from app.schemas.models.fitted import RiskProcess


class CandidateResult(Answer):
    """How well a candidate foresaw the windows of the past, learnt from what came before each."""

    kind: str = Field(description="what it is", examples=["landmark"])
    status: str = Field(description="how far to trust it", examples=["ok"])
    log_loss: LogLoss | None
    behind: float | None = Field(description="its log loss minus the least")
    behind_error: float | None = Field(description="standard error of that, paired by customer")
    auc: Auc | None
    auc_error: AucError | None
    brier: Brier | None
    ece: Ece | None
    log_loss_raw: float | None = Field(
        None, description="log loss of its process by itself, as it came", examples=[0.41]
    )
    published: bool | None = Field(
        None, description="whether it may serve: it loses neither to that nor to the base rate"
    )


class RiskGuard(Answer):
    """What serves churn risk, in place of what, and the figures that decided.

    A candidate that lost in the windows of the past to its own process or to the base rate is not
    published; in its place serves another, a process as it came, or the base rate.
    """

    serves: str = Field(
        description="recalibrated: a candidate, fitted to the outcomes of the past; raw: a model "
        "of purchases as it came; base_rate: everybody is told the same",
        examples=["recalibrated"],
    )
    kind: str = Field(description="kind of what serves", examples=["landmark"])
    instead_of: str | None = Field(
        description="the kind that would serve without a guard, where something else does",
        examples=["landmark"],
    )
    reason: str = Field(
        description="of what would serve without a guard: not_worse, loses_to_raw, "
        "loses_to_raw_when_late, few_windows, loses_to_base_rate, loses_to_another or not_judged",
        examples=["not_worse"],
    )
    why: str = Field(
        description="the same in words",
        examples=["it lost neither to its own process nor to the base rate"],
    )
    windows: int = Field(description="number of windows of the past it was judged on", examples=[4])
    customers: int = Field(
        description="number of customers in all windows together", examples=[5200]
    )
    log_loss: float | None = Field(
        description="log loss over those windows of what would serve without a guard",
        examples=[0.39],
    )
    log_loss_raw: float | None = Field(
        description="log loss of its process by itself, as it came", examples=[0.41]
    )
    log_loss_base_rate: float | None = Field(
        description="log loss of the base rate, as the windows before tell it", examples=[0.47]
    )
    log_loss_served: float | None = Field(description="log loss of what serves", examples=[0.39])


class RiskBand(Answer):
    """A band of churn risk, and what became of its customers in the back-test."""

    name: Level
    least: float = Field(alias="from", description="the least probability in it, 0 to 1")
    n: Customers
    predicted: PredictedShare | None
    churned: ChurnedShare | None
    lower: LowerShare | None
    upper: UpperShare | None
    meaning: BandMeaning | None


class Risk(Answer):
    """How churn risk is served by this model, and why so."""

    kind: str | None = Field(
        examples=["landmark"],
        description="landmark: a regression learnt on the own past, averaged with a model of "
        "purchases; base_rate: the same for "
        "everybody; else a model of purchases",
    )
    status: str = Field(description="ok, or insufficient_history: nothing could be compared")
    reason: str = Field(description="code of why this kind was chosen", examples=["least_log_loss"])
    why: str = Field(
        description="the same in words", examples=["it foresaw the windows of the past best"]
    )
    note: str = Field(
        description="what there is too little of; how the last days differ from what was learnt, "
        "as in a strike or after a price rise; which rule of silence foresaw better; or empty"
    )
    horizon_days: DefaultHorizonDays
    horizon_rule: Literal["setting", "asked_for"] = Field(
        description="setting: the deployment's, CLM_HORIZON_DAYS, when it was fitted; asked_for: "
        "named when this model was asked for"
    )
    suggested_horizon_days: int | None = Field(
        description="days that the gaps between purchases suggest: a proposal, which changes "
        "nothing; null where too few gaps have been seen",
        examples=[60],
    )
    suggestion_rule: str = Field(
        description="how the proposal was found",
        examples=["the round number of days closest to the 80th percentile of the gaps"],
    )
    holdout_days: int = Field(description="days of each window of the past that decided; 0: none")
    label_window_days: int = Field(description="days in which outcomes were watched; 0: none")
    extrapolated: bool = Field(
        description="the history was shorter than two horizons, so that what was learnt in the "
        "label window is extrapolated to the horizon"
    )
    table: list[CandidateResult] = Field(description="the candidates, simplest first")
    guard: RiskGuard | None = Field(
        description="what serves in place of what; null for a model of before there was a guard"
    )
    process: RiskProcess | None = Field(
        description="the model of purchases that it rests on; null if there is none"
    )
    weights: dict[str, float] | None = Field(
        description="by cause, the weight of what it adds to the log-odds",
        examples=[{"process": 1.0}],
    )
    bands_learnt: bool = Field(description="whether a back-test told bands apart")
    bands: list[RiskBand] = Field(description="those in use; none where none were learnt")
