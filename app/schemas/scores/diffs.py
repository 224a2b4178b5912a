"""Why churn risk changed between two instants."""

from pydantic import Field

from app.schemas.common.fields import (
    BaseLogOdds,
    ChurnProbability,
    ComputedAt,
    CustomerKey,
    DefaultHorizonDays,
    LogOdds,
    ModelKey,
)
from app.schemas.common.types import Answer, Timestamp
from app.schemas.scores.cards import Reason
from app.schemas.scores.rhythm import Rhythm
from app.schemas.stages.stages import Named


class RiskThen(Answer):
    """The churn risk at one of two instants."""

    probability: ChurnProbability
    rhythm: Rhythm = Field(
        description="where the customer then stood against the own usual gap between purchases"
    )
    base_log_odds: BaseLogOdds
    log_odds: LogOdds
    reasons: list[Reason] = Field(description="the causes, the weightiest first")


class CauseChange(Answer):
    """What a cause added to the log-odds then and now; 0 where it changed nothing."""

    code: str = Field(description="code of the cause", examples=["inactivity"])
    before: float = Field(description="what it added then, in log-odds")
    after: float = Field(description="what it adds now, in log-odds")
    change: float = Field(description="the difference of the two, in log-odds")
    text: Named = Field(description="the cause in words, as it is now and as it was before")


class FactsBetween(Answer):
    """What happened after `from`, up to `to`."""

    purchases: int = Field(description="how many purchases")
    refunds: int = Field(description="how many refunds")
    interactions: dict[str, int] = Field(
        description="how many interactions, by kind", examples=[{"complaint": 1}]
    )


class ScoreDiff(Answer):
    """Why the churn risk changed; the changes of all causes add up to `change`.

    Both instants are seen by the model in force, so that no change is one of models.
    """

    customer_id: CustomerKey
    since: Timestamp = Field(alias="from", description="the first of the instants")
    until: Timestamp = Field(alias="to", description="the second of the instants")
    horizon_days: DefaultHorizonDays
    model_id: ModelKey
    before: RiskThen | None = Field(
        description="the risk at `from`; null before the first purchase"
    )
    after: RiskThen | None = Field(description="the risk at `to`; null before the first purchase")
    change: float | None = Field(description="the difference of the log-odds")
    causes: list[CauseChange] = Field(
        description="what each cause changed, the largest change first"
    )
    text: Named = Field(
        description="the change in words",
        examples=[
            {
                "en": "The risk rose from 0.31 to 0.55, by inactivity (+1.02).",
                "zh": "风险由0.31升至0.55，主要因沉默时间（+1.02）。",
            }
        ],
    )
    facts: FactsBetween = Field(description="what happened between the two instants")
    computed_at: ComputedAt
