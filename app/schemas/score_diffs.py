"""Why churn risk changed between two instants."""

from pydantic import Field

from app.schemas.scores import Level, Reason
from app.schemas.types import Answer, Timestamp


class RiskThen(Answer):
    """The churn risk at one of two instants."""

    probability: float
    level: Level
    base_log_odds: float
    log_odds: float
    reasons: list[Reason]


class CauseChange(Answer):
    """What a cause added to the log-odds then and now; 0 where it moved nothing."""

    code: str = Field(examples=["silence"])
    before: float
    after: float
    change: float
    text: str = Field(examples=["62 days silent; usually 21 (before: 12 days silent; usually 21)"])


class FactsBetween(Answer):
    """What happened after `from`, up to `to`."""

    purchases: int
    refunds: int
    interactions: dict[str, int] = Field(description="by kind", examples=[{"complaint": 1}])


class ScoreDiff(Answer):
    """Why the churn risk changed; the changes of all causes add up to `change`.

    Both instants are seen by the model in force, so that no change is one of models.
    """

    customer_id: str = Field(examples=["c-1001"])
    since: Timestamp = Field(alias="from")
    until: Timestamp = Field(alias="to")
    horizon_days: int
    model_id: str
    before: RiskThen | None = Field(description="null before the first purchase")
    after: RiskThen | None
    change: float | None = Field(description="of the log-odds")
    causes: list[CauseChange] = Field(description="the largest change first")
    text: str = Field(examples=["The risk rose from 0.31 to 0.55, by silence (+1.02)."])
    facts: FactsBetween
    computed_at: Timestamp
