"""One cut of a back-test: what was expected, beside what happened."""

from datetime import date

from pydantic import Field

from app.schemas.common.fields import (
    Auc,
    AucError,
    BandMeaning,
    Brier,
    ChurnedShare,
    Customers,
    Ece,
    Level,
    LogLoss,
    LowerShare,
    PredictedShare,
    UpperShare,
)
from app.schemas.common.types import Answer, Money
from app.schemas.models.backtest_parts import (
    BacktestTotals,
    CutCoverage,
    RiskComponent,
    RiskGrowth,
)
from app.schemas.models.fitted import Estimate
from app.schemas.models.risk import CandidateResult, RiskGuard
from app.schemas.models.seasons import ModelSeason

EXPECTED_PURCHASES = "purchase days that were expected of them all"
PURCHASES = "purchase days that they had"
EXPECTED_REVENUE = "revenue that was expected of them all"
REVENUE = "revenue that they brought"


class Figures(Answer):
    """How good a contender was. Null where nothing can be said."""

    brier: Brier | None
    log_loss: LogLoss | None
    auc: Auc | None
    auc_error: AucError | None
    ece: Ece | None
    ece_recalibrated: float | None = Field(
        description="the same after Platt's line, fitted to other customers"
    )
    lift_leaving: float | None = Field(
        description="who churned in the tenth of customers with the highest risk, as a multiple of "
        "the mean"
    )
    lift_buying: float | None = Field(
        description="buyers in the tenth with the lowest risk, as a multiple of the mean"
    )


class Contender(Figures):
    """How good a contender was, also beside the chosen risk."""

    auc_lead: Estimate = Field(description="its AUC minus that of the chosen risk")
    log_loss_lead: Estimate = Field(description="its log loss minus that of the chosen risk")


class CalibrationRow(Answer):
    """A tenth of the customers, by risk."""

    lowest: float = Field(alias="from", description="the least probability among them, 0 to 1")
    highest: float = Field(alias="to", description="the greatest probability among them, 0 to 1")
    n: Customers
    predicted: PredictedShare
    churned: ChurnedShare
    lower: LowerShare
    upper: UpperShare


class CurvePoint(Answer):
    """A point of the calibration curve, smoothed over neighbours."""

    predicted: PredictedShare
    churned: ChurnedShare
    n: Customers


class Group(Answer):
    """What was expected of a tenth of the customers, and what happened."""

    n: Customers
    predicted: PredictedShare
    churned: ChurnedShare
    expected_purchases: float = Field(description=EXPECTED_PURCHASES)
    purchases: float = Field(description=PURCHASES)
    expected_revenue: Money = Field(description=EXPECTED_REVENUE)
    revenue: Money = Field(description=REVENUE)


class Part(Answer):
    """A part of the customers; only `n` where there is nobody."""

    n: Customers
    predicted: PredictedShare | None = None
    churned: ChurnedShare | None = None
    brier: Brier | None = None
    auc: Auc | None = None
    ece: Ece | None = None
    expected_purchases: float | None = Field(None, description=EXPECTED_PURCHASES)
    purchases: float | None = Field(None, description=PURCHASES)
    expected_revenue: Money | None = Field(None, description=EXPECTED_REVENUE)
    revenue: Money | None = Field(None, description=REVENUE)


class NewCustomers(Answer):
    """Those whose first purchase fell into the test: nothing could be predicted of them."""

    customers: Customers
    revenue: Money = Field(description=REVENUE)


class Band(Answer):
    """A level of churn risk, and what became of its customers."""

    name: Level
    n: Customers
    predicted: PredictedShare | None
    churned: ChurnedShare | None
    lower: LowerShare | None
    upper: UpperShare | None
    meaning: BandMeaning | None


class RiskBands(Answer):
    """The levels of churn risk."""

    medium: float = Field(description="the least probability that is medium, 0 to 1")
    high: float = Field(description="the least probability that is high, 0 to 1")
    fitted: bool = Field(description="false: too few customers, thirds are used")
    bands: list[Band] = Field(description="the levels, from low to high")


class RiskChoice(Answer):
    """What was chosen at a cut to serve churn risk, and on what evidence."""

    chosen: str = Field(description="the kind that was chosen", examples=["landmark"])
    status: str = Field(description="ok or insufficient_history", examples=["ok"])
    reason: str = Field(description="code of why", examples=["least_log_loss"])
    note: str = Field(description="what there is too little of; or empty")
    horizon: int = Field(description="days ahead that churn risk is of", examples=[90])
    holdout: int = Field(
        description="days of each window of the past that decided; 0: none", examples=[90]
    )
    label_window: int = Field(
        description="days in which outcomes were watched; 0: none", examples=[90]
    )
    extrapolated: bool = Field(
        description="what was learnt in the label window is extrapolated to the horizon"
    )
    table: list[CandidateResult] = Field(description="the candidates, simplest first")
    guard: RiskGuard | None = Field(
        None, description="what serves in place of what; null for tests of before there was a guard"
    )


class MainFigures(Answer):
    """Main figures of the chosen risk."""

    brier: Brier | None
    log_loss: LogLoss | None
    auc: Auc | None
    ece: Ece | None


class DrawsUsed(Answer):
    """How many draws of the bootstrap had the figure."""

    brier: int = Field(description="draws that had a Brier score")
    log_loss: int = Field(description="draws that had a log loss")
    auc: int = Field(description="draws that had an AUC")
    ece: int = Field(description="draws that had a calibration error")


class Intervals(Answer):
    """Bootstrap intervals of the main figures."""

    estimate: MainFigures = Field(description="the figures themselves")
    lower: MainFigures = Field(description="lower ends of the intervals")
    upper: MainFigures = Field(description="upper ends of the intervals")
    level: float = Field(description="share of draws within an interval, 0 to 1", examples=[0.95])
    n: int = Field(description="draws of the bootstrap", examples=[200])
    used: DrawsUsed = Field(description="draws that could be used")


class Gains(Answer):
    """What tenths of the customers hold of an outcome, the first tenths first."""

    share: list[float] = Field(
        description="share of customers up to each tenth, 0 to 1", examples=[[0.1, 0.2]]
    )
    gain: list[float | None] = Field(
        description="share of the outcome up to each tenth, 0 to 1", examples=[[0.3, 0.5]]
    )
    lift: list[float | None] = Field(
        description="multiple: mean outcome of each tenth over that of all", examples=[[3.0, 2.0]]
    )


class Lift(Answer):
    """Gain and lift of three outcomes."""

    leaving: Gains = Field(description="of no purchase, from the highest risk")
    purchases: Gains = Field(description="of purchase days, from the lowest risk")
    revenue: Gains = Field(description="of revenue, from the lowest risk")


class Fold(Answer):
    """One cut; without customers before it, nothing but the day."""

    cut: date = Field(description="the last day that was learnt from")
    customers: Customers
    churned: ChurnedShare | None
    choice: RiskChoice | None = Field(
        description="what was chosen at the cut, and the figures of its own hold-out"
    )
    components: list[RiskComponent] = Field(
        description="what the landmark model averages; none where it could not be learnt"
    )
    growth: RiskGrowth | None = Field(
        description="how the base rate moved before the cut; null where no window could be judged"
    )
    season: ModelSeason | None = Field(
        description="the season that purchases were counted in, as learnt at the cut; null where "
        "the model of purchases was a prior"
    )
    totals: BacktestTotals | None = Field(
        description="purchases and revenue of all customers, told and made"
    )
    coverage: CutCoverage | None = Field(description="what intervals held")
    contenders: dict[str, Contender] = Field(
        description="chosen, landmark and what it averages, by name and before the line over the "
        "windows; models of purchases by themselves; and the rules hiatus, own_cadence and "
        "base_rate"
    )
    intervals: Intervals | None = Field(description="bootstrap intervals of the main figures")
    calibration: list[CalibrationRow] = Field(description="customers by tenths of risk")
    curve: list[CurvePoint] = Field(description="the calibration curve, by risk")
    lift: Lift | None = Field(
        description="gain and lift by tenths: of no purchase from the highest risk, of purchases "
        "and revenue from the lowest"
    )
    groups: list[Group] = Field(description="tenths of the customers, by risk")
    one_time: Part | None = Field(description="customers with a single purchase day")
    repeat: Part | None = Field(description="customers with more purchase days")
    new_customers: NewCustomers | None = Field(
        description="customers whose first purchase fell into the test"
    )
    bands: RiskBands | None = Field(description="the levels of churn risk, as of this cut")
