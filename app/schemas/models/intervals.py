"""Intervals of what is expected: of one customer, and of many together."""

from pydantic import Field

from app.schemas.common.types import Answer, Money

_HOLDS = (
    "what happens lies between `low` and `high`, both included, in eight of ten cases; it holds "
    "how single customers differ by chance, and how far windows of the past were off together"
)


class PurchaseInterval(Answer):
    """Between what the number of purchase days will lie, in eight of ten cases at least.

    One of ten cases at most lies below; where none at all is as likely as that, it begins at 0.
    """

    low: int = Field(description="the least number of purchase days", examples=[0])
    high: int = Field(description="the greatest number of purchase days", examples=[3])


class ValueInterval(Answer):
    """Between what the value will lie, in eight of ten cases.

    One of ten cases at most lies below; where no purchase at all is as likely as that, it begins at
    0, and where that is likelier than eight of ten, it is 0.
    """

    low: Money = Field(description="the least value")
    high: Money = Field(description="the greatest value")


class BetweenWindows(Answer):
    """How far totals of the past were off together, which intervals have to hold."""

    sd: float = Field(
        description="standard deviation of the logarithm of actual over expected purchases of "
        "whole windows of the past, beyond the chance of single customers: 0.1 is about 10 %",
        examples=[0.14],
    )
    windows: int = Field(
        description="number of windows that it was learnt from; 0: it is what is usual"
    )


class PurchaseTotal(Answer):
    """The purchase days expected of many together."""

    value: float = Field(description="expected purchase days", examples=[412.6])
    interval: PurchaseInterval = Field(description=_HOLDS)


class ValueTotal(Answer):
    """The lifetime value of many together."""

    value: Money = Field(description="what is expected of them all")
    interval: ValueInterval = Field(description=_HOLDS)


class Totals(Answer):
    """What is expected of many together, and between what it is likely to lie."""

    expected_purchases: PurchaseTotal = Field(
        description="purchase days expected within the horizon of the run"
    )
    clv: ValueTotal = Field(description="lifetime value, by the terms of the run")


TOTALS = (
    "what is expected of them together, with intervals; null before the first run, and for one of "
    "before this was told"
)
INTERVAL = f"of this customer: {_HOLDS}"
