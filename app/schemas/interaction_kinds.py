"""Kinds of interactions as they are declared."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from app.schemas.common.shapes import Page
from app.schemas.common.types import Answer, Shape, Text, Timestamp
from app.schemas.stages.stages import Named

Phase = Literal["presale", "sale", "aftersale", "none"]
EXAMPLE: dict[str, Any] = {
    "name": {"en": "Satisfaction with delivery", "zh": "配送满意度"},
    "phase": "aftersale",
    "contact": True,
    "scale": {"min": 1, "max": 5, "good_from": 4},
    "outcomes": ["answered", "declined"],
}
PHASE = "where in a sale it belongs: rules count interactions of a `phase`"
CONTACT = (
    "whether it counts as contact with the customer, of which churn risk looks at the last; "
    "complaints and answered surveys always do"
)
SCALE = "the scale of its scores; null: its scores are no answers of a survey"
OUTCOMES = "words for how it may end"
Score = Annotated[float, Field(strict=True, ge=0, le=100)]


class KindName(Shape):
    """A name in English and Chinese."""

    en: Text = Field(description="the name in English", examples=["Satisfaction with delivery"])
    zh: Text = Field(description="the name in Chinese", examples=["配送满意度"])


class ScaleIn(Shape):
    """The scale of a survey: satisfaction is compared on [0, 1] of it."""

    min: Score = Field(description="number that is the worst answer, 0 or more", examples=[1])
    max: Score = Field(description="number that is the best answer, 100 or less", examples=[5])
    good_from: Score = Field(
        description="number from which on an answer is good: who gives it is satisfied",
        examples=[4],
    )

    @model_validator(mode="after")
    def _in_order(self) -> "ScaleIn":
        if not self.min < self.max:
            raise PydanticCustomError("scale", "max must be greater than min")
        if not self.min < self.good_from <= self.max:
            raise PydanticCustomError(
                "scale", "good_from must be greater than min, and at most max"
            )
        return self


class KindIn(Shape):
    """What a kind of interactions is."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    name: KindName | None = Field(None, description="what to call it")
    phase: Phase = Field("none", description=PHASE)
    contact: bool = Field(True, strict=True, description=CONTACT)
    scale: ScaleIn | None = Field(None, description=SCALE)
    outcomes: list[Text] = Field(
        default_factory=list, max_length=50, description=OUTCOMES, examples=[["answered"]]
    )

    @field_validator("outcomes")
    @classmethod
    def _once(cls, given: list[str]) -> list[str]:
        if len(set(given)) < len(given):
            raise PydanticCustomError("repeated", "an outcome is given twice")
        return given


class Scale(Answer):
    """The scale of a survey."""

    min: float = Field(description="number that is the worst answer", examples=[1])
    max: float = Field(description="number that is the best answer", examples=[5])
    good_from: float = Field(description="number from which on an answer is good", examples=[4])


class KindCopy(Answer):
    """What was declared of a kind of interactions."""

    phase: Phase = Field(description=PHASE)
    contact: bool = Field(description=CONTACT)
    scale: Scale | None = Field(description=SCALE)


class DeclaredKind(KindCopy):
    """A declared kind of interactions."""

    kind: str = Field(description="the word for it", examples=["delivery_survey"])
    name: Named | None = Field(description="what to call it")
    outcomes: list[str] = Field(description=OUTCOMES, examples=[["answered"]])
    updated_at: Timestamp = Field(description="when it was last declared otherwise")


class KindPage(Page[DeclaredKind]):
    """A page of declared kinds."""
