"""The customer file: what is known of one customer, in one answer."""

from datetime import date

from pydantic import Field

from app.schemas.common.fields import Actor, AsOfInstant, Share, Source
from app.schemas.common.types import Answer, Money, Timestamp
from app.schemas.customer_segments import SegmentsOfCustomer
from app.schemas.customers import Customer
from app.schemas.ingest.interactions import Interaction
from app.schemas.scores.cards import Scores
from app.schemas.stages.stages import StageAnswer, Transition
from app.schemas.worklist import CustomerWorklist


class Provenance(Answer):
    """Who told of a field of the profile."""

    field: str = Field(
        description="field of the profile, or `attributes.` and a key", examples=["country"]
    )
    source: Source
    actor: Actor | None
    valid_from: Timestamp | None = Field(
        description="since when the value is true; null: from the beginning"
    )
    recorded_at: Timestamp = Field(description="when this service was told of it")


class Gaps(Answer):
    """Days between purchase days."""

    shortest: int = Field(description="days of the shortest gap", examples=[7])
    median: float = Field(description="days of the middle gap", examples=[21])
    longest: int = Field(description="days of the longest gap", examples=[64])
    last: int = Field(description="days of the last gap", examples=[30])


class WeekdayHabit(Answer):
    """How often the customer buys on a day of the week."""

    weekday: int = Field(description="day of the week, 1 is Monday and 7 Sunday", examples=[6])
    purchase_days: int = Field(description="number of purchase days on it", examples=[5])
    share: Share


class Basket(Answer):
    """What a purchase is worth, refunds set off."""

    mean: Money = Field(description="mean of a purchase")
    median: Money = Field(description="the purchase in the middle")
    lines: float | None = Field(
        description="mean number of lines of purchases with lines; null if none has any"
    )


class ChannelHabit(Answer):
    """How often the customer buys through a channel."""

    channel: str | None = Field(description="the channel; null where none was told of")
    purchases: int = Field(description="number of purchases through it", examples=[5])
    share: Share


class CategoryHabit(Answer):
    """What the customer buys of a category, at the prices of the lines."""

    category: str | None = Field(description="the category; null of lines without one")
    lines: int = Field(description="number of lines", examples=[12])
    paid: Money = Field(description="quantity times price of all lines; refunds not set off")
    share: Share
    unit_price: Money = Field(description="mean price of one")


class Habits(Answer):
    """How the customer buys, of the last 1,000 purchases that were not refunded in full."""

    purchases: int = Field(description="number of purchases that this is made of", examples=[14])
    since: date = Field(description="day of the first of them")
    gaps: Gaps | None = Field(description="null with one purchase day")
    weekdays: list[WeekdayHabit] = Field(description="seven, Monday first")
    basket: Basket = Field(description="what a purchase is worth")
    channels: list[ChannelHabit] = Field(description="at most ten, the most used first")
    categories: list[CategoryHabit] = Field(
        description="at most ten, that with most paid first; empty without lines"
    )
    unit_price: Money | None = Field(
        description="price level: mean price of one of anything; null without lines"
    )


class CustomerFile(Answer):
    """All that is known of a customer; each part as the operation of its own answers it."""

    customer: Customer = Field(description="the profile of now")
    provenance: list[Provenance] = Field(
        description="who told of each field that has a value, and since when it holds"
    )
    stage: StageAnswer = Field(description="the stage, and why")
    transitions: list[Transition] = Field(
        description="the last 20 recorded transitions, newest first"
    )
    scores: Scores | None = Field(
        description="the score card: value, churn risk, rhythm, next actions; null without the "
        "scope `scores:read`"
    )
    segments: SegmentsOfCustomer = Field(
        description="segments the customer is in, and what would change that"
    )
    habits: Habits | None = Field(description="how the customer buys; null before any purchase")
    worklist: CustomerWorklist | None = Field(
        description="open lines of the worklist, and closed ones; null without the scope "
        "`scores:read`"
    )
    interactions: list[Interaction] = Field(description="the last 10, newest first")
    as_of: AsOfInstant
