"""Histories that are scored without being stored."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.schemas.common.fields import (
    ChurnProbability,
    ComputedAt,
    HorizonDays,
    ModelKey,
    PAlive,
    RfmGroupCode,
    RfmScore,
)
from app.schemas.common.types import (
    Answer,
    Money,
    MoneyIn,
    Shape,
    SignedMoneyIn,
    Text,
    Timestamp,
)
from app.schemas.models.clv import (
    BASIS,
    DISCOUNT,
    HORIZON,
    OF_MODEL,
    AnnualDiscountIn,
    ClvBasis,
    ClvHorizonDaysIn,
    ClvTerms,
)
from app.schemas.models.models import HorizonDays as HorizonDaysIn
from app.schemas.models.rfm import GIVEN_CUTS, FewClasses, RfmCuts, RfmCutsIn

MAX_ROWS = 10_000
Time = Annotated[float, Field(ge=0, le=100_000, strict=True)]


class HistoryRow(Shape):
    """A purchase history as the literature writes it."""

    x: int = Field(ge=0, le=100_000, strict=True, description="repeat purchase days")
    t_x: Time = Field(
        description="time of the last one since the first, in `time_unit`; 0 without any"
    )
    T: Time = Field(description="time from the first purchase until now, in `time_unit`")
    mean_value: MoneyIn | None = Field(
        None,
        description="mean value of the repeat purchase days, in the deployment's currency; absent "
        "if not known",
    )

    first_value: MoneyIn | None = Field(
        None,
        description="value of the first purchase day, in the deployment's currency; evidence of "
        "spend where the model takes all purchases for it; at most `revenue`. If absent, what that "
        "leaves",
    )
    revenue: MoneyIn | None = Field(
        None,
        description="value of all purchase days together, in the deployment's currency; the "
        "monetary score and the RFM group need it",
    )
    margin: SignedMoneyIn | None = Field(
        None,
        description="what `revenue` left after costs, in the deployment's currency, for lifetime "
        "value by margin; if absent, the rate of all is taken",
    )

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.t_x > self.T:
            raise PydanticCustomError("history", "t_x must not exceed T")
        if (self.x == 0) != (self.t_x == 0):
            raise PydanticCustomError("history", "t_x must be 0 where x is 0, and there alone")
        if self.margin is not None and self.revenue is None:
            raise PydanticCustomError("history", "margin needs the revenue that it is of")
        return self


class ScoreRequest(Shape):
    """Up to 10,000 histories; nothing is stored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {
                            "x": 2,
                            "t_x": 213,
                            "T": 272,
                            "mean_value": {"amount": "22.35"},
                            "revenue": {"amount": "63.10"},
                        }
                    ],
                    "time_unit": "day",
                    "horizon_days": 90,
                }
            ]
        }
    )

    items: list[HistoryRow] = Field(
        min_length=1, max_length=MAX_ROWS, description="the histories, at most 10,000"
    )
    time_unit: Literal["day", "week"] = Field("day", description="unit of `t_x` and `T`")
    horizon_days: HorizonDaysIn | None = Field(
        None,
        description="days ahead that churn risk and expected purchases are of; the model's own if "
        "absent",
    )
    clv_horizon_days: ClvHorizonDaysIn | None = Field(
        None, description=f"{HORIZON}{OF_MODEL}", examples=[365]
    )
    annual_discount: AnnualDiscountIn | None = Field(
        None, description=f"{DISCOUNT}{OF_MODEL}", examples=[0.1]
    )
    clv_basis: ClvBasis | None = Field(None, description=f"{BASIS}{OF_MODEL}")
    model_id: Text | None = Field(
        None,
        description="id of the model; the active one if absent",
        examples=["model_5f0c2a9d1b7e4c63"],
    )
    rfm_cuts: RfmCutsIn | None = Field(None, description=GIVEN_CUTS)


class ScoredRow(Answer):
    """What the model says of one history; what it cannot say is null."""

    r: RfmScore = Field(description="recency score, 1 to 5, of which 5 is best")
    f: RfmScore = Field(description="frequency score, 1 to 5, of which 5 is best")
    m: RfmScore | None = Field(description="monetary score, 1 to 5, of which 5 is best")
    rfm_group: RfmGroupCode | None
    p_alive: PAlive | None
    expected_purchases: float = Field(
        description="expected purchase days in the next `horizon_days`", examples=[1.2]
    )
    probability: ChurnProbability
    mean_spend: Money = Field(description="expected value of a purchase day")
    clv: Money = Field(description="lifetime value, by the terms of the answer's `clv`")


class ScoreAnswer(Answer):
    """In the order of the request."""

    items: list[ScoredRow] = Field(description="what the model says of each")
    horizon_days: HorizonDays
    rfm_cuts: RfmCuts = Field(description="the cuts that scores are by")
    rfm_few_classes: FewClasses
    clv: ClvTerms = Field(description="terms of the lifetime values, and what to beware of")
    model_id: ModelKey
    model_as_of: Timestamp = Field(description="the instant up to which the model has learnt")
    computed_at: ComputedAt
