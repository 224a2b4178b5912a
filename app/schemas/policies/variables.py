"""The catalogue of what rules may name."""

from pydantic import Field

from app.schemas.common.types import Answer
from app.schemas.stages.stages import InWords, Named


class Variable(Answer):
    """What rules may name."""

    name: str = Field(description="what rules call it", examples=["purchase_days"])
    type: str = Field(
        examples=["number"], description="number, text, boolean, level, or any for attributes"
    )
    unit: str | None = Field(
        description="unit of a number, `currency` being the main unit of the deployment's; else "
        "null",
        examples=["days"],
    )
    source: str = Field(
        examples=["purchases"],
        description="purchases, money, interactions, profile, model, stage, scores or segments: "
        "what it is computed from; scores are those of the published run",
    )
    title: Named = Field(description="what it is called, as a heading")
    meaning: Named = Field(description="what it is, in words")
    minimum: float | None = Field(description="no value is less, in its unit", examples=[0])
    maximum: float | None = Field(description="no value is more, in its unit")
    values: list[str] | None = Field(description="of a text, if these are all there are")
    words: list[InWords] = Field(
        description="what its values are called, where these can be listed; of `stage`, the stages "
        "of the policy in force. Kinds of interactions: `GET /v1/interaction-kinds`"
    )
    changes_with_time: bool = Field(description="also while no fact arrives")
    parameters: list[str] = Field(description="further fields of the comparison", examples=[[]])
    levels: list[str] | None = Field(description="of type `level`, ascending")
    alias_of: dict[str, str | int] | None = Field(
        description="the variable and its parameters that this is another name of"
    )
    in_stage_policies: bool = Field(description="whether rules of stages may look at it")


class Variables(Answer):
    """The catalogue of what rules may name."""

    items: list[Variable] = Field(description="all variables there are")
    operators: list[str] = Field(
        description="how values may be compared", examples=[["<", "<=", "known"]]
    )
