"""The cuts of RFM scores, as they come in and go out, and what they leave of the scale."""

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from app.schemas.common.types import Answer, Money, MoneyIn, Shape

GIVEN_CUTS = "cuts of RFM scores in place of those of the model; none is stored"
_RULE = "a score is 1 and the number of cuts "
RECENCY = f"cuts of recency, in days since the last purchase: {_RULE}above the days"
FREQUENCY = f"cuts of frequency, in purchase days: {_RULE}below them"
MONETARY = f"cuts of monetary value: {_RULE}below the revenue"
DAYS_EXAMPLE, TIMES_EXAMPLE = [1.0, 30.0, 180.0, 400.0], [1.0, 2.0, 4.0, 7.0]


def _ascending(cuts: list[float]) -> list[float]:
    if cuts != sorted(cuts):
        raise PydanticCustomError("not_ascending", "cuts must ascend")
    return cuts


def _amounts_ascending(cuts: list[MoneyIn]) -> list[MoneyIn]:
    _ascending([float(cut.amount) for cut in cuts])
    return cuts


Cut = Annotated[float, Field(strict=True, ge=0, le=1_000_000)]
FourNumbers = Annotated[list[Cut], Field(min_length=4, max_length=4), AfterValidator(_ascending)]
FourAmounts = Annotated[
    list[MoneyIn], Field(min_length=4, max_length=4), AfterValidator(_amounts_ascending)
]


class RfmCutsIn(Shape):
    """Cuts to score by, four ascending ones each; what is absent is that of the model."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"f": [1, 2, 3, 5]}]})

    r: FourNumbers | None = Field(None, description=RECENCY, examples=[DAYS_EXAMPLE])
    f: FourNumbers | None = Field(None, description=FREQUENCY, examples=[TIMES_EXAMPLE])
    m: FourAmounts | None = Field(
        None,
        description=MONETARY,
        examples=[[{"amount": amount} for amount in ("20.00", "50.00", "120.00", "400.00")]],
    )


class RfmCuts(Answer):
    """The cuts between scores, ascending; where many customers are alike, some coincide."""

    r: list[float] = Field(description=RECENCY, examples=[DAYS_EXAMPLE])
    f: list[float] = Field(description=FREQUENCY, examples=[TIMES_EXAMPLE])
    m: list[Money] = Field(description=MONETARY)


class RfmFewClasses(Answer):
    """A dimension of RFM that hardly tells customers apart, because too many are alike."""

    dimension: Literal["r", "f", "m"] = Field(description="of which the scores are few")
    classes: int = Field(description="how many different scores there are, 1 or 2", examples=[2])


FewClasses = Annotated[
    list[RfmFewClasses],
    Field(
        description="dimensions of RFM in which equal values leave fewer than three classes, so "
        "that scores and groups say little there; empty if there are none"
    ),
]
