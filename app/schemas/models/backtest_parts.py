"""What stands behind the risk and the purchases of a cut: components, growth, totals, intervals."""

from datetime import date

from pydantic import Field

from app.schemas.common.fields import ChurnedShare, Customers, PredictedShare
from app.schemas.common.types import Answer, Money
from app.schemas.models.intervals import BetweenWindows, PurchaseInterval, ValueInterval


class RiskComponent(Answer):
    """What counts in the average of churn risk; its figures stand under its name in `contenders`.

    Which of candidate, process and base rate served at the cut, the guard of `choice` says.
    """

    name: str = Field(
        description="what it is: process, a model of purchases as it came; regression; or another",
        examples=["regression"],
    )
    weight: float = Field(
        description="by how much its log-odds count in the average, 0 to 1; all add up to 1",
        examples=[0.75],
    )


class WindowLevel(Answer):
    """A window of the past that was learnt from at the cut."""

    day: date = Field(description="the last day before the window")
    customers: Customers
    told: PredictedShare
    churned: ChurnedShare
    level: float = Field(
        description="log-odds by which more made no purchase than was learnt without the windows; "
        "negative: more bought",
        examples=[0.12],
    )
    error: float = Field(description="standard error of the level, in log-odds", examples=[0.05])


class RiskGrowth(Answer):
    """How the base rate moved over the windows of the past, and what follows for the next one."""

    windows: list[WindowLevel] = Field(description="the windows, the first one first")
    slope: float = Field(
        description="what differences between customers, in log-odds, are multiplied by",
        examples=[0.94],
    )
    forecast: float = Field(
        description="log-odds, the level to be expected of the window after the cut",
        examples=[0.08],
    )
    used: bool = Field(
        description="whether what served was moved by it; a process that served as it came was not"
    )


class ToldTotal(Answer):
    """What was told of all customers together."""

    by: str = Field(
        description="served: as cards and lists tell it, from churn risk and the model of "
        "purchases; process: by that model alone; process_in_plain_time: without the season, where "
        "there is one",
        examples=["served"],
    )
    expected_purchases: float = Field(
        description="purchase days that were expected of them all", examples=[512.4]
    )
    error: float | None = Field(
        description="share by which that exceeds what happened, negative where it falls short; "
        "null where nothing happened",
        examples=[0.04],
    )
    expected_revenue: Money = Field(description="revenue that was expected of them all")
    interval: PurchaseInterval | None = Field(
        None, description="of those purchases, 80 %, of what is served; else null"
    )
    revenue_interval: ValueInterval | None = Field(
        None, description="of that revenue, 80 %, of what is served; else null"
    )


class BacktestTotals(Answer):
    """Sums over the customers known at a cut."""

    purchases: int = Field(description="purchase days that they had", examples=[493])
    revenue: Money = Field(description="revenue that they brought")
    told: list[ToldTotal] = Field(description="what was told of it, what is served first")


PROMISED = Field(
    description="share that intervals of customers were to hold, 0 to 1: more than `level` where "
    "whole numbers are told, or nothing is likely",
    examples=[0.88],
)
HELD = Field(description="share of customers whose interval held what happened", examples=[0.86])
LEVEL = Field(description="share that intervals of totals are to hold, 0 to 1", examples=[0.8])


class Coverage(Answer):
    """What intervals held at a cut."""

    promised: float = PROMISED
    held: float = HELD
    total_held: bool = Field(description="whether the total of all customers lay in its interval")


class CutCoverage(Answer):
    """Whether intervals held at a cut what happened, as known from windows before it."""

    level: float = LEVEL
    between: BetweenWindows = Field(
        description="what intervals hold beside the chance of single customers"
    )
    purchases: Coverage = Field(description="of purchase days within the horizon")
    revenue: Coverage = Field(description="of revenue within the horizon, as of lifetime value")


class MeanCoverage(Answer):
    """What intervals held over some cuts."""

    promised: float = PROMISED
    held: float = HELD
    total_held: float = Field(
        description="share of the cuts whose total lay in its interval, 0 to 1", examples=[0.83]
    )


class BacktestCoverage(Answer):
    """What intervals held over all cuts; a few cuts tell little."""

    level: float = LEVEL
    cuts: int = Field(description="number of cuts", examples=[6])
    purchases: MeanCoverage = Field(description="of purchase days within the horizon")
    revenue: MeanCoverage = Field(description="of revenue within the horizon")
