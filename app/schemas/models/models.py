"""Fitted models, and the requests for long work on them."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from app.schemas.common.fields import (
    AsOfInstant,
    Customers,
    DefaultHorizonDays,
    ModelKey,
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
    SpendModel,
)
from app.schemas.models.intervals import BetweenWindows
from app.schemas.models.rfm import RfmCutsIn
from app.schemas.models.rhythm import ModelRhythm, RhythmCutsIn
from app.schemas.models.risk import Risk
from app.schemas.models.seasons import ModelSeason

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
    season: ModelSeason | None = Field(
        description="the season of purchases; null for models of before any was looked for, and "
        "where too few customers have bought"
    )
    between_windows: BetweenWindows | None = Field(
        description="how wide intervals are of many; null for models of before there were any"
    )
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
