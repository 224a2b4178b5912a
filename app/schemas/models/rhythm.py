"""The cuts of rhythm, and what a model knows of it."""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from app.schemas.common.types import Answer, Shape

DUE = "a silence at most so likely of somebody still active is `due`, 0 to 1"
OVERDUE = "a silence at most so likely of somebody still active is `overdue`, 0 to 1"
LOST = (
    "who is no longer on time, and whose chance of any purchase within 365 days is less than this, "
    "is `lost`, 0 to 1"
)


def _less_than_due(overdue: float, info: ValidationInfo) -> float:
    if overdue >= info.data.get("due", 1.0):
        raise PydanticCustomError("not_ascending", "must be less than due")
    return overdue


_Cut = Annotated[float, Field(strict=True, gt=0, lt=1)]


class RhythmCutsIn(Shape):
    """Where one status of rhythm turns into the next; 0 < overdue < due < 1, 0 < lost < 1."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"due": 0.5, "overdue": 0.05}]})

    due: _Cut = Field(0.5, description=DUE, examples=[0.5])
    overdue: Annotated[_Cut, AfterValidator(_less_than_due)] = Field(
        0.1, validate_default=True, description=OVERDUE, examples=[0.1]
    )
    lost: _Cut = Field(0.1, description=LOST, examples=[0.1])


class RhythmCuts(Answer):
    """Where one status of rhythm turns into the next."""

    due: float = Field(description=DUE, examples=[0.5])
    overdue: float = Field(description=OVERDUE, examples=[0.1])
    lost: float = Field(description=LOST, examples=[0.1])


class FirstGaps(Answer):
    """How long those who come back after a first purchase take to."""

    returned: int = Field(description="customers who came back, from whom it was learnt")
    due_after_days: float = Field(
        description="days after which one with a single purchase day is `due`", examples=[49]
    )
    overdue_after_days: float = Field(
        description="days after which one with a single purchase day is `overdue`", examples=[246]
    )


class ModelRhythm(Answer):
    """By what the rhythm of customers is told."""

    cuts: RhythmCuts = Field(description="where one status turns into the next")
    first_gaps: FirstGaps | None = Field(
        description="what was learnt of customers with one purchase day; null where too few had "
        "come back, or too late: the model of purchases tells it then"
    )
