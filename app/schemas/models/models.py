"""Fitted models, and the requests for long work on them."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from app.schemas.common.fields import (
    AsOfInstant,
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
    ModelKey,
    PredictedShare,
    UpperShare,
)
from app.schemas.common.shapes import Page
from app.schemas.common.types import Answer, Shape, Text, Timestamp
from app.schemas.models.clv import (
    BASIS,
    DISCOUNT,
    HORIZON,
    AnnualDiscountIn,
    ClvBasis,
    ClvHorizonDaysIn,
    ClvTerms,
    MarginRates,
)
from app.schemas.models.fitted import (
    PARAMETERS,
    FittedProcess,
    ModelCuts,
    ModelHoldout,
    ModelWindow,
    ReferenceCustomer,
    RiskProcess,
    SpendModel,
)
from app.schemas.models.rfm import RfmCutsIn
from app.schemas.models.rhythm import ModelRhythm, RhythmCutsIn

Kind = Literal["auto", "mbg_nbd", "bg_nbd", "pareto_nbd", "mbg_cnbd_k", "bg_cnbd_k", "nbd"]
AsOfText = Field(
    None,
    max_length=40,
    description="an instant (RFC 3339) or a day (its end in the deployment's zone); now if absent",
    examples=["2026-01-31"],
)
HorizonDays = Annotated[int, Field(strict=True, ge=1, le=3650)]


class ModelRequest(Shape):
    """Fit a model to the facts up to `as_of`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"activate": True}, {"horizon_days": 90}]}
    )

    kind: Kind | None = Field(
        None,
        description="of the model of purchases, which then serves churn risk too, as it is. "
        "Without one, or with auto, purchases are of the kind that foresaw a held-out part of the "
        "history best, or of the least BIC where none can be held out, and churn risk is chosen "
        "by what foresaw the past best",
        examples=["mbg_nbd"],
    )
    as_of: str | None = AsOfText
    time_unit: Literal["day", "week"] = Field(
        "day", description="unit of time of the model of purchases"
    )
    horizon_days: HorizonDays | None = Field(
        None,
        description="days ahead that churn risk is of where a question names none; if absent, "
        "those of the deployment's setting CLM_HORIZON_DAYS",
        examples=[90],
    )
    clv_horizon_days: ClvHorizonDaysIn = Field(
        365, description=f"{HORIZON} where a question names none"
    )
    annual_discount: AnnualDiscountIn = Field(
        0.10, description=f"{DISCOUNT}, where a question names none"
    )
    clv_basis: ClvBasis = Field("revenue", description=BASIS)
    activate: bool = Field(
        False,
        strict=True,
        description="score with this model from then on; if not, it is a candidate until "
        "`POST /v1/models/{model_id}/activate`",
    )
    rfm_cuts: RfmCutsIn | None = Field(
        None,
        description="cuts of RFM scores; those that are absent are the quintiles of everybody who "
        "has purchased. They stay when the model is fitted anew of its own accord",
    )
    rhythm_cuts: RhythmCutsIn | None = Field(
        None,
        description="where one status of rhythm turns into the next; if absent, at .5, .1 and .1. "
        "They stay when the model is fitted anew of its own accord",
    )


class RunRequest(Shape):
    """Score everybody; without a model one is fitted first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    as_of: str | None = AsOfText
    model_id: Text | None = Field(
        None,
        max_length=64,
        description="id of the model; the active one if absent",
        examples=["model_5f0c2a9d1b7e4c63"],
    )


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
        "loses_to_base_rate, loses_to_another or not_judged",
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
        description="landmark: a regression learnt on the own past; base_rate: the same for "
        "everybody; else a model of purchases",
    )
    status: str = Field(description="ok, or insufficient_history: nothing could be compared")
    reason: str = Field(description="code of why this kind was chosen", examples=["least_log_loss"])
    why: str = Field(
        description="the same in words", examples=["it foresaw the windows of the past best"]
    )
    note: str = Field(
        description="what there is too little of, or which rule of silence foresaw better; or empty"
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


class Monitor(Answer):
    """What the model tells of a horizon before the latest run, beside what happened since."""

    status: Literal["ok", "insufficient_history"] = Field(
        description="whether there were enough customers to compare"
    )
    told_at: Timestamp = Field(description="the instant that it is asked for: a horizon ago")
    horizon_days: DefaultHorizonDays
    in_sample: bool = Field(
        description="the model has seen what happened since: it is not yet a horizon old"
    )
    customers: Customers
    expected: float | None = Field(None, description="mean probability of no purchase, 0 to 1")
    actual: float | None = Field(None, description="share that made no purchase, 0 to 1")
    calibration_in_the_large: float | None = Field(
        None, description="share that made no purchase minus the expected one"
    )
    standard_error: float | None = Field(None, description="of the expected share, by chance")
    ece: float | None = Field(None, description="expected calibration error")
    drifted: bool = Field(description="the two are further apart than chance allows")


class Model(Answer):
    """Everything learnt at one `as_of`; `status` says how far to trust the purchase process."""

    model_id: ModelKey
    kind: str = Field(description="kind of the model of purchases", examples=["mbg_nbd"])
    active: bool = Field(description="whether it is the one in force")
    state: Literal["candidate", "active", "retired"] = Field(
        description="whether it is yet to be, is, or was in force"
    )
    activated_at: Timestamp | None = Field(description="since when it is or was in force")
    retired_at: Timestamp | None = Field(description="until when it was in force; else null")
    status: str = Field(
        examples=["ok"],
        description="ok, weakly_identified, no_dropout_identified (P(alive) is withheld), "
        "or fallback (too little data: a prior is used)",
    )
    as_of: AsOfInstant
    fitted_at: Timestamp = Field(description="when it was fitted")
    time_unit: Literal["day", "week"] = Field(description="unit of time of the model of purchases")
    customers: int = Field(description="customers with a purchase day at `as_of`")
    window: ModelWindow = Field(description="first and last purchase day that were seen")
    requested: str = Field(description="the kind that was asked for", examples=["auto"])
    parameters: dict[str, float] = Field(
        description="of the model of purchases, time being in `time_unit`", examples=[PARAMETERS]
    )
    standard_errors: dict[str, float | None] = Field(
        description="of the parameters; null where there is no telling", examples=[PARAMETERS]
    )
    log_likelihood: float | None = Field(description="of the model of purchases")
    churn: FittedProcess = Field(
        description="the model of purchases that churn risk rests on: another kind where that "
        "foresaw it better"
    )
    holdout: ModelHoldout | None = Field(
        description="how well this kind, the default and plain rules foresaw the last days of the "
        "history, and what that chooses for purchases. Its `churn` is the best of the kinds as "
        "they are: `serves` says whether `risk`, judged over its own horizon, chose it too"
    )
    spend: SpendModel = Field(description="the Gamma-Gamma model of spend per purchase day")
    clv: ClvTerms = Field(description="terms of lifetime value where a question names none")
    margins: MarginRates | None = Field(
        description="margin rates of customers; null where no purchase carried a margin"
    )
    cuts: ModelCuts = Field(description="the cuts of RFM scores and of value tiers")
    rhythm: ModelRhythm = Field(description="by what the rhythm of customers is told")
    population_gap_days: float | None = Field(
        description="mean days between purchase days of everybody"
    )
    reference_customer: ReferenceCustomer | None = Field(
        description="the customer that reasons compare with: x, t_x and T in days"
    )
    facts: int | None = Field(description="facts stored when it was fitted")
    refit: str | None = Field(
        description="why it was fitted of its own accord: new_facts, drifted or horizon_changed; "
        "null where somebody asked for it, or where there was none to score with",
        examples=["new_facts"],
    )
    risk: Risk | None = Field(
        description="null for models of before: then `churn` serves churn risk"
    )
    monitor: Monitor | None = Field(description="of the latest run; null in lists")


class ModelPage(Page[Model]):
    """A page of models."""
