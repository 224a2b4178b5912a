"""Customer lifetime value: over which time, discounted how, of what, and what to beware of."""

from typing import Annotated, Literal

from pydantic import Field

from app.schemas.common.types import Answer, Money
from app.schemas.models.intervals import INTERVAL, ValueInterval

ClvBasis = Literal["revenue", "margin"]
ClvHorizonDaysIn = Annotated[int, Field(strict=True, ge=1, le=3650)]
AnnualDiscountIn = Annotated[float, Field(strict=True, ge=0, le=10, allow_inf_nan=False)]
BASIS = (
    "what is counted: revenue, or margin, which is revenue times the margin rate of the customer, "
    "shrunk to that of all; it may be negative, and needs purchases that carry a margin"
)
HORIZON = "days ahead that lifetime value is counted over"
DISCOUNT = "effective rate of a year at which later purchases count less, 0.1 being 10 %"
OF_MODEL = "; that of the model if absent"


class ClvTerms(Answer):
    """By which terms lifetime value is told, and how far to trust it."""

    horizon_days: int = Field(description=HORIZON, examples=[365])
    annual_discount: float = Field(description=DISCOUNT, examples=[0.1])
    basis: ClvBasis = Field(description=BASIS)
    status: str = Field(description="ok, or the first of `caveats`", examples=["ok"])
    caveats: list[str] = Field(
        description="what to beware of, the worst first: insufficient_history (a prior stands in "
        "for what could not be learnt), no_dropout_identified (the purchases do not tell when "
        "customers leave; what was learnt of churn risk does), weakly_identified (parameters are "
        "all but unknown), count_and_amount_correlated (who buys more often spends more or less a "
        "time, correlation beyond 0.3, which the model takes not to be), horizon_extrapolated (no "
        "outcomes over so many days were watched), population_margin_rate (no purchase of the "
        "customer carries a margin: the rate of all is taken); there may be more one day",
        examples=[["horizon_extrapolated"]],
    )


class Clv(ClvTerms):
    """Customer lifetime value: discounted expected purchases times what one is expected to bring.

    The expected purchases are consistent with the learnt risk of no purchase within the horizon.
    """

    value: Money = Field(description="what is expected of the customer within the horizon")
    interval: ValueInterval = Field(description=INTERVAL)


class MarginRates(Answer):
    """What was learnt of margins: shares of revenue, which refunds take back with it."""

    rate: float = Field(
        description="margin rate of all purchases that carry a margin, a share of revenue; "
        "negative where they are sold at a loss",
        examples=[0.31],
    )
    prior_revenue: Money | None = Field(
        description="the revenue at which a customer's own rate counts half, the rate of all the "
        "other half; null where customers do not differ more than chance allows: everybody has the "
        "rate of all"
    )
    customers: int = Field(description="customers with a purchase that carries a margin")


class SpendComparison(Answer):
    """How well all purchases, and the repeat ones alone, foretold the values of later ones."""

    basis: str = Field(
        examples=["holdout"],
        description="holdout: the last days were foretold from those before; first_to_repeat: the "
        "repeat purchases from the first; thin_data: too few purchased again to compare, and all "
        "purchases count",
    )
    holdout_days: int = Field(description="days held out; 0 if none were", examples=[90])
    customers: int = Field(description="customers whose later purchases were foretold")
    deviance_all: float | None = Field(
        description="gamma deviance of what followed from what all purchases made expected: an "
        "error without a unit, 0 where nothing was missed",
        examples=[0.79],
    )
    deviance_repeat: float | None = Field(
        description="the same error by the repeat purchases alone", examples=[0.83]
    )
    behind: float | None = Field(
        description="the second error minus the first: all purchases count unless it is clearly "
        "below 0",
        examples=[0.04],
    )
    behind_error: float | None = Field(
        description="standard error of that, paired by customer", examples=[0.01]
    )
