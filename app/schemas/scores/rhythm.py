"""Where a customer stands against the own usual gap between purchases, and why to call."""

from typing import Annotated, Literal

from pydantic import Field

from app.schemas.common.fields import DaysSinceLastPurchase, UsualGapDays
from app.schemas.common.types import Answer

RhythmStatus = Annotated[
    Literal["on_time", "due", "overdue", "lost"],
    Field(
        description="on_time 正常, due 临近 or overdue 超期, by how likely so long a silence is of "
        "a customer who is still active; lost 难挽回 where it is no longer on time and a purchase "
        "within 365 days is hardly to be expected. The cuts are those of the model"
    ),
]
CallReasons = Annotated[
    list[str],
    Field(
        description="why to call: overdue, declining_frequency, declining_amount, open_complaint; "
        "there may be more one day. Empty for the lost, and for whom somebody has put among those "
        "who have left",
        examples=[["overdue", "open_complaint"]],
    ),
]
ChanceIfActive = Annotated[
    float,
    Field(
        description="probability, 0 to 1, that a customer of this history who is still active "
        "would be silent for so long",
        examples=[0.07],
    ),
]


class Rhythm(Answer):
    """Where a customer stands against the own usual gap; neither a stage nor a probability."""

    status: RhythmStatus
    usual_gap_days: UsualGapDays | None
    days_silent: DaysSinceLastPurchase
    chance_if_active: ChanceIfActive
