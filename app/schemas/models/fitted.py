"""The parts of a fitted model, as they are told."""

from datetime import date
from typing import Literal

from pydantic import Field

from app.schemas.common.fields import Auc, Brier, Customers, Ece, LogLoss
from app.schemas.common.types import Answer, Money
from app.schemas.models.clv import SpendComparison
from app.schemas.models.rfm import FewClasses, RfmCuts

PARAMETERS = {"r": 0.24, "alpha": 4.41, "a": 0.79, "b": 2.43}
_STATUS = "how far to trust it: ok, weakly_identified, no_dropout_identified or fallback"


class RfmMeans(Answer):
    """The means that customers are compared with."""

    r: float = Field(description="mean recency, in days since the last purchase", examples=[187.2])
    f: float = Field(description="mean frequency, in purchase days", examples=[2.06])
    m: Money = Field(description="mean monetary value")


class TierCuts(Answer):
    """The least lifetime value of the tiers above `low`."""

    high: Money = Field(description="the least of tier `high`")
    medium: Money = Field(description="the least of tier `medium`")


class ModelCuts(Answer):
    """The cuts of RFM scores and of value tiers; null for a model fitted to nobody."""

    rfm: RfmCuts | None = Field(description="the cuts of R, F and M scores")
    rfm_given: list[Literal["r", "f", "m"]] = Field(
        description="dimensions of which the cuts were given, not found in the data"
    )
    rfm_few_classes: FewClasses
    rfm_means: RfmMeans | None = Field(description="the means that the eight classes compare with")
    value_tier: TierCuts | None = Field(description="the cuts of value tiers")


class ModelWindow(Answer):
    """What the model has seen."""

    first_purchase_on: date | None = Field(description="the first purchase day that was seen")
    last_purchase_on: date | None = Field(description="the last purchase day that was seen")
    repeaters: int = Field(description="customers with a repeat purchase day")


class ReferenceCustomer(Answer):
    """The customer that reasons compare with."""

    x: float = Field(description="repeat purchase days", examples=[2])
    t_x: float = Field(description="days from the first purchase to the last", examples=[231])
    T: float = Field(description="days from the first purchase to `as_of`", examples=[239])


class FittedProcess(Answer):
    """A model of purchases."""

    kind: str = Field(description="kind of the model", examples=["mbg_nbd"])
    status: str = Field(description=_STATUS, examples=["ok"])
    parameters: dict[str, float] = Field(
        description="its parameters, time being in the unit of the model", examples=[PARAMETERS]
    )
    standard_errors: dict[str, float | None] = Field(
        description="of the parameters; null where there is no telling", examples=[PARAMETERS]
    )
    log_likelihood: float | None = Field(description="its log-likelihood")


class SpendModel(FittedProcess):
    """The Gamma-Gamma model of spend per purchase day, in the main unit of the currency."""

    customers: Customers
    correlation: float | None = Field(
        description="correlation of frequency and spend, which the model takes to be none, over "
        "all purchases or the repeat ones, whichever is further from 0; beyond 0.3 either way "
        "`clv` says so"
    )
    evidence: str = Field(
        examples=["all_purchases"],
        description="purchases that tell what the next ones are worth: all_purchases, or "
        "repeat_purchases where the first ones say nothing of later ones",
    )
    comparison: SpendComparison | None = Field(
        description="why so; null for models of before it was compared"
    )


class RiskProcess(Answer):
    """The model of purchases that churn risk rests on."""

    kind: str = Field(description="kind of the model", examples=["mbg_nbd"])
    parameters: dict[str, float] = Field(
        description="its parameters, time being in days", examples=[PARAMETERS]
    )


class Estimate(Answer):
    """A difference with its standard error; null where nothing can be said."""

    value: float | None = Field(description="the difference, in the unit of the figure")
    standard_error: float | None = Field(description="its standard error")


class Pick(Answer):
    """What was chosen, and why."""

    kind: str = Field(description="the kind that was chosen", examples=["mbg_nbd"])
    reason: str = Field(description="why, in words", examples=["least absolute error"])


class ChurnPick(Pick):
    """What was chosen for churn risk among models as they are, and why."""

    serves: bool = Field(description="whether it is the kind that serves churn risk")


class HoldoutEntry(Answer):
    """How well one candidate foresaw the days held out; null where it was not asked."""

    kind: str = Field(description="kind of the candidate", examples=["mbg_nbd"])
    role: str = Field(description="candidate or baseline", examples=["candidate"])
    status: str = Field(description="how far to trust it", examples=["ok"])
    log_likelihood: float | None = Field(description="its log-likelihood")
    bic: float | None = Field(description="Bayesian information criterion; less is better")
    mae: float | None = Field(description="mean absolute error, in purchase days")
    sum_error: float | None = Field(
        description="purchase days expected of all, over those that came, minus 1"
    )
    log_loss: LogLoss | None
    auc: Auc | None
    brier: Brier | None
    ece: Ece | None


class ModelHoldout(Answer):
    """How well models and plain rules foresaw the last days of the history."""

    basis: Literal["holdout", "bic", "thin_data"] = Field(
        description="what was compared; `thin_data`: there was too little to compare forecasts of"
    )
    note: str = Field(description="why nothing was held out, or what was done to it; or empty")
    as_of: int = Field(description="last day of the history, in days since 1970-01-01")
    horizon: int = Field(description="days that were to be held out", examples=[90])
    calibration_end: int | None = Field(
        description="last day that the models saw, in days since 1970-01-01"
    )
    holdout: int | None = Field(description="days that were held out; null if none were")
    customers: Customers
    repeaters: int = Field(description="customers with a repeat purchase day")
    base_rate: float | None = Field(description="share that bought in the days held out, 0 to 1")
    table: list[HoldoutEntry] = Field(description="candidates, simplest first, then baselines")
    purchases: Pick = Field(description="what expects purchases and lifetime value")
    churn: ChurnPick = Field(description="what foresaw no purchase best")
    hiatus_lead: Estimate = Field(
        description="AUC of the hiatus rule minus that of the model chosen for churn"
    )
    second_stage_advised: bool = Field(description="that lead exceeds its standard error")
