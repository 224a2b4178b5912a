"""Segments of one customer: since when, and what would bring in or out."""

from pydantic import Field

from app.schemas.common.fields import AsOfInstant, CustomerKey
from app.schemas.common.types import Answer, Day, Timestamp
from app.schemas.queries import Value
from app.schemas.segments import SegmentCode, SegmentName
from app.schemas.stages.stages import Named


class TurnOfSegment(Answer):
    """A condition of the rule that would have to turn."""

    words: Named = Field(description="the condition in words")
    must_hold: bool = Field(description="whether it has to come to hold, or no longer to")
    variable: str = Field(
        description="name of the variable, with its parameters", examples=["purchase_days"]
    )
    value: Value = Field(
        description="what it is now, in the unit of the variable; null where it is not known",
        examples=[1],
    )
    missing: float | None = Field(
        description="by how much it has to rise, or to fall if negative, in the unit of the "
        "variable; null of what is no number",
        examples=[2],
    )
    unit: str | None = Field(description="unit of the variable; else null", examples=["count"])
    on: Day | None = Field(
        description="the day on which time alone turns it, if no fact arrives; null: it does not, "
        "or nobody knows when"
    )


class WayOfSegment(Answer):
    """The nearest that would bring somebody in, or out."""

    turns: list[TurnOfSegment] = Field(description="the fewest conditions that have to turn, all")
    until: Day | None = Field(
        description="the last day on which that would do, before time takes away another "
        "condition that has to stay; null: time takes none"
    )


class SegmentOfCustomer(Answer):
    """A segment, and where one customer is."""

    code: SegmentCode
    version: int = Field(description="version of the segment that is in force", examples=[1])
    name: SegmentName = Field(description="what it is called")
    inside: bool = Field(description="whether the customer is in it at `as_of`")
    entered_at: Timestamp | None = Field(
        description="since when the customer is kept as a member; null where not, and of an "
        "earlier instant"
    )
    nearest: WayOfSegment | None = Field(
        description="what would bring the customer out, who is inside, or else in; null: nothing"
    )


class SegmentPeriod(Answer):
    """From when to when a customer was kept as a member of a segment."""

    code: SegmentCode
    version: int = Field(description="version of the segment when it began", examples=[1])
    entered_at: Timestamp = Field(description="when the customer was found inside")
    left_at: Timestamp | None = Field(description="when no longer; null: still inside")


class SegmentsOfCustomer(Answer):
    """In which segments a customer is, since when, and what would change that."""

    customer_id: CustomerKey
    as_of: AsOfInstant
    items: list[SegmentOfCustomer] = Field(description="all segments that can be told of, by code")
    periods: list[SegmentPeriod] = Field(description="what was kept, the latest 100 first")
    withheld: list[str] = Field(
        description="codes of segments whose rules look at what the key may not read, what is not "
        "known of that instant, or what no model computes",
        examples=[["high_value"]],
    )
