"""What a stage is to reach, and whether it does."""

from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.schemas.common.types import Answer, Shape

METRICS = ("customers", "share", "revenue", "value_to_save")
METRIC = (
    "what is looked at of the customers of the stage: `customers`: how many; `share`: of all, 0 to "
    "1; `revenue` and `value_to_save`: together, in the currency of the deployment"
)
_BOUND = "in the unit of the metric; null if any number will do"
MAX_TARGETS = 20


def _check_metric(metric: str) -> str:
    if metric not in METRICS:
        raise PydanticCustomError("metric", "must be customers, share, revenue or value_to_save")
    return metric


Bound = Annotated[float, Field(strict=True, ge=0, le=1e15)]


class TargetIn(Shape):
    """What a stage is to reach: at least, at most, or both."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"metric": "share", "at_least": 0.2}]}
    )

    metric: Annotated[str, AfterValidator(_check_metric)] = Field(
        description=METRIC, examples=["share"]
    )
    at_least: Bound | None = Field(
        None, description=f"number that is to be reached, {_BOUND}", examples=[0.2]
    )
    at_most: Bound | None = Field(
        None, description=f"number that is not to be passed, {_BOUND}", examples=[0.4]
    )

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise PydanticCustomError("target", "needs at_least or at_most")
        least, most = self.at_least or 0.0, self.at_most
        if most is not None and least > most:
            raise PydanticCustomError("target", "at_least must not be above at_most")
        return self


Targets = Annotated[list[TargetIn], Field(max_length=MAX_TARGETS)]


class Target(Answer):
    """What a stage is to reach, and whether it does."""

    metric: str = Field(description=METRIC, examples=["share"])
    at_least: float | None = Field(description=f"number that is to be reached, {_BOUND}")
    at_most: float | None = Field(description=f"number that is not to be passed, {_BOUND}")
    value: float | None = Field(
        description="number in the published run, in the unit of the metric; null where it is not "
        "known",
        examples=[0.17],
    )
    met: bool | None = Field(description="whether it is on target; null where that is not known")
