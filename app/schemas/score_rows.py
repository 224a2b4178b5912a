"""Histories that are scored without being stored."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.deployment import DEFAULT_HORIZON_DAYS
from app.schemas.models import HorizonDays
from app.schemas.types import Answer, Money, Shape, Text, Timestamp

MAX_ROWS = 10_000
Time = Annotated[float, Field(ge=0, le=100_000, strict=True)]


class HistoryRow(Shape):
    """A purchase history as the literature writes it."""

    x: int = Field(ge=0, le=100_000, strict=True, description="repeat purchase days")
    t_x: Time = Field(description="time of the last one since the first; 0 without any")
    T: Time = Field(description="time from the first purchase until now")
    mean_value: float = Field(
        0.0,
        ge=0,
        le=1e12,
        strict=True,
        description="mean value of the repeat purchase days; 0 if not known",
    )

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.t_x > self.T:
            raise PydanticCustomError("history", "t_x must not exceed T")
        if (self.x == 0) != (self.t_x == 0):
            raise PydanticCustomError("history", "t_x must be 0 where x is 0, and there alone")
        return self


class ScoreRequest(Shape):
    """Up to 10,000 histories; nothing is stored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [{"x": 2, "t_x": 213, "T": 272, "mean_value": 22.35}],
                    "time_unit": "day",
                    "horizon_days": 90,
                }
            ]
        }
    )

    items: list[HistoryRow] = Field(min_length=1, max_length=MAX_ROWS)
    time_unit: Literal["day", "week"] = "day"
    horizon_days: HorizonDays = DEFAULT_HORIZON_DAYS
    model_id: Text | None = Field(None, description="default the active model")


class ScoredRow(Answer):
    """What the model says of one history; what it cannot say is null."""

    p_alive: float | None
    expected_purchases: float
    probability: float = Field(description="of no purchase in the horizon: the churn risk")
    mean_spend: Money = Field(description="expected value of a purchase day")
    clv: Money


class ScoreAnswer(Answer):
    """In the order of the request."""

    items: list[ScoredRow]
    horizon_days: int
    clv_horizon_days: int
    model_id: str
    model_as_of: Timestamp
    computed_at: Timestamp
