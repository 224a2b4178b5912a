"""Back-tests of churn risk: what is asked, and what was found."""

from datetime import date
from typing import Any, Literal

from pydantic import ConfigDict, Field

from app.schemas.common import Page
from app.schemas.models import AsOfText, HorizonDays
from app.schemas.types import Answer, Shape, Timestamp


class BacktestRequest(Shape):
    """Test churn risk on the past: learnt up to a cut, judged on the horizon after it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"horizon_days": 90, "folds": 2}, {"as_of": "2026-01-31"}]}
    )

    as_of: str | None = AsOfText
    horizon_days: HorizonDays | None = Field(
        None, description="by default the one that the data suggest", examples=[90]
    )
    folds: int = Field(
        1, ge=1, le=6, strict=True, description="cuts, a horizon apart, the last a horizon ago"
    )


class Figures(Answer):
    """How good a contender was. Null where nothing can be said."""

    brier: float | None = Field(description="mean squared error of the probability")
    log_loss: float | None
    auc: float | None = Field(description="chance that of two customers the leaver ranks higher")
    auc_error: float | None = Field(description="standard error of the AUC")
    ece: float | None = Field(description="expected calibration error")
    ece_recalibrated: float | None = Field(
        description="the same after Platt's line, fitted to other customers"
    )
    lift_leaving: float | None = Field(
        description="leavers in the tenth with the highest risk, as a multiple of the mean"
    )
    lift_buying: float | None = Field(
        description="buyers in the tenth with the lowest risk, as a multiple of the mean"
    )


class Difference(Answer):
    value: float | None
    standard_error: float | None


class Contender(Figures):
    auc_lead: Difference = Field(description="its AUC minus that of the chosen risk")
    log_loss_lead: Difference = Field(description="its log loss minus that of the chosen risk")


class CalibrationRow(Answer):
    """A tenth of the customers, by risk."""

    lowest: float = Field(alias="from")
    highest: float = Field(alias="to")
    n: int
    predicted: float = Field(description="mean probability of leaving")
    churned: float = Field(description="share that left")
    lower: float = Field(description="Wilson's interval of that share, 95 %")
    upper: float


class CurvePoint(Answer):
    predicted: float
    churned: float
    n: int


class Group(Answer):
    """What was expected of a tenth of the customers, and what happened."""

    n: int
    predicted: float
    churned: float
    expected_purchases: float
    purchases: float
    expected_revenue: float
    revenue: float


class Part(Answer):
    """A part of the customers; only `n` where there is nobody."""

    n: int
    predicted: float | None = None
    churned: float | None = None
    brier: float | None = None
    auc: float | None = None
    ece: float | None = None
    expected_purchases: float | None = None
    purchases: float | None = None
    expected_revenue: float | None = None
    revenue: float | None = None


class NewCustomers(Answer):
    """Those whose first purchase fell into the test: nothing could be told of them."""

    customers: int
    revenue: float


class Band(Answer):
    name: str = Field(examples=["high"])
    n: int
    predicted: float | None
    churned: float | None
    lower: float | None
    upper: float | None
    meaning: str | None = Field(
        examples=["of 100 customers in this band, about 71 make no purchase in the next 90 days"]
    )


class Bands(Answer):
    medium: float = Field(description="the least probability that is medium")
    high: float = Field(description="the least probability that is high")
    learnt: bool = Field(description="false: too few customers, thirds are used")
    bands: list[Band]


class Fold(Answer):
    """One cut; without customers before it, nothing but the day."""

    cut: date = Field(description="the last day that was learnt from")
    customers: int
    churned: float | None = Field(description="share without a purchase in the horizon")
    choice: dict[str, Any] | None = Field(
        description="what was chosen at the cut, and the figures of its own hold-out"
    )
    contenders: dict[str, Contender] = Field(
        description="chosen, landmark, models of purchases by themselves, and the rules hiatus, "
        "own_cadence and base_rate"
    )
    intervals: dict[str, Any] | None = Field(description="bootstrap intervals of the main figures")
    calibration: list[CalibrationRow]
    curve: list[CurvePoint]
    lift: dict[str, Any] | None = Field(
        description="gain and lift by tenths: of leavers from the highest risk, of purchases and "
        "revenue from the lowest"
    )
    groups: list[Group]
    one_time: Part | None = Field(description="customers with a single purchase day")
    repeat: Part | None
    new_customers: NewCustomers | None
    bands: Bands | None


class BacktestHead(Answer):
    """A back-test by its main figures."""

    backtest_id: str = Field(examples=["backtest_5f0c2a9d1b7e4c63"])
    status: Literal["ok", "insufficient_history"]
    as_of: Timestamp
    horizon_days: int
    folds_asked: int
    created_at: Timestamp
    chosen: Figures | None = Field(description="of the chosen risk, the mean of the folds")


class BacktestPage(Page[BacktestHead]):
    pass


class Backtest(BacktestHead):
    """What churn risk would have told, beside what happened. Money is in the own currency."""

    contenders: dict[str, Figures] = Field(description="the mean of the folds")
    bands: Bands | None = Field(description="of the last fold")
    folds: list[Fold]
