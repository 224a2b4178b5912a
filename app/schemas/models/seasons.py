"""The season that a model has learnt."""

from typing import Literal

from pydantic import Field

from app.schemas.common.types import Answer
from app.schemas.stages.stages import Named


class SeasonMonth(Answer):
    """How fast customers buy in a month of the year, over the mean of all months."""

    month: int = Field(
        ge=1, le=12, description="number of the month of the year, 1 is January", examples=[12]
    )
    factor: float = Field(
        description="seasonal days in a day of the month; 1 where months are all alike",
        examples=[1.8],
    )
    low: float = Field(
        description="lower end of the 80 % interval of the factor, in seasonal days", examples=[1.6]
    )
    high: float = Field(
        description="upper end of the 80 % interval of the factor, in seasonal days", examples=[2.0]
    )
    years: int = Field(description="in how many years the month was seen", examples=[3])


class ModelSeason(Answer):
    """The months by which purchases are counted, and how far the history supports them."""

    status: Literal["seasonal", "no_season", "too_little_history"] = Field(
        description="whether there is a season; `no_season`: the months differ by no more than "
        "chance; `too_little_history`: there is too little of it to tell"
    )
    statement: Named = Field(description="the same in words")
    history_days: int = Field(
        description="days from the first purchase day to `as_of`", examples=[840]
    )
    support: float | None = Field(
        description="probability that there is a season at all, 0 to 1; null where none was looked "
        "for",
        examples=[0.99],
    )
    factors: list[float] | None = Field(
        description="the twelve factors, January first, which add up to 12: so many seasonal days "
        "a day of the month counts for purchases, P(alive), rhythm, risk and lifetime value; null "
        "where all months count alike",
        examples=[[0.7, 0.83, 0.84, 0.83, 0.83, 0.84, 0.84, 0.84, 0.83, 0.84, 1.5, 2.29]],
    )
    months: list[SeasonMonth] | None = Field(
        description="what is known of each month; null where none was looked at"
    )
