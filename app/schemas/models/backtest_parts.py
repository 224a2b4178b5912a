"""What stands behind the risk and the purchases of a cut: components, growth, totals, intervals."""

from datetime import date

from pydantic import Field

from app.schemas.common.fields import ChurnedShare, Customers, PredictedShare
from app.schemas.common.types import Answer, Money


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


class BacktestTotals(Answer):
    """Sums over the customers known at a cut."""

    purchases: int = Field(description="purchase days that they had", examples=[493])
    revenue: Money = Field(description="revenue that they brought")
    told: list[ToldTotal] = Field(description="what was told of it, what is served first")
