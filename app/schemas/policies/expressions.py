"""The language of rules as the document shows it: what it may hold is read in `lifecycle/reading`.

Bodies are taken as they come, so that one reader tells each fault with a pointer; the shapes here
tell generators of clients what to send, and what comes back.
"""

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypeAliasType

from app.schemas.common.shown_as import ShownAs
from app.schemas.common.types import Shape

_LOYAL = {
    "all": [
        {"variable": "life_purchase_days", "op": ">=", "value": 5},
        {"variable": "tenure_days", "op": ">=", "value": 180},
    ]
}
DESCRIPTION = (
    "`{all: […]}`, `{any: […]}`, `{not: {…}}`, or a comparison `{variable, op, value}`. At most "
    "500 nodes in a document, 20 levels deep. A comparison with an unknown value is false. "
    "Variables: `GET /v1/variables`"
)


def _parameter(description: str, example: Any, **bounds: Any) -> Any:
    """Return a field that is left out where it is not given: null is refused."""
    return Field(None, description=description, examples=[example], **bounds)


class RuleVariable(Shape):
    """A variable, with its parameters; which of them it takes is in `GET /v1/variables`."""

    variable: str = Field(description="name of the variable", examples=["interactions"])
    kind: str = _parameter("kind of interactions", "complaint")
    phase: str = _parameter("phase of the kinds of interactions", "aftersale")
    category: str = _parameter("category of lines", "books")
    product: str = _parameter("product of lines", "sku-7")
    channel: str = _parameter("channel of purchases", "web")
    days: int = _parameter("number of days that are looked back over", 90, ge=1, le=3650)
    name: str = _parameter("key of the attribute", "tier")


Constant = str | float | bool | list[str] | RuleVariable


class RuleComparison(RuleVariable):
    """A variable, compared with a constant or with another one."""

    op: str = Field(
        description="one of `<`, `<=`, `>`, `>=`, `==`, `!=`, `in` a list of texts, `contains`, "
        "whether an attribute is a list that holds a text, and `known`, with true or false",
        examples=[">="],
    )
    value: Constant = Field(
        description="what it is compared with, in the unit of the variable", examples=[5]
    )


class RuleAll(Shape):
    """All hold."""

    all: "list[Rule]" = Field(min_length=1, description="rules, each of which has to hold")


class RuleAny(Shape):
    """One holds, or more."""

    any: "list[Rule]" = Field(min_length=1, description="rules, one of which has to hold")


class RuleNot(Shape):
    """It does not hold."""

    not_: "Rule" = Field(alias="not", description="the rule that may not hold")


class RuleSegment(Shape):
    """Who is in a segment: its rule, in place of its code."""

    segment: str = Field(description="code of the segment", examples=["high_value"])


Rule = TypeAliasType(
    "Rule",
    Annotated[
        RuleComparison | RuleAll | RuleAny | RuleNot | RuleSegment,
        Field(description="When something holds: a comparison, or rules that are joined."),
    ],
)
for _shape in (RuleAll, RuleAny, RuleNot):
    _shape.model_rebuild()


Expression = Annotated[Any, ShownAs(Rule), Field(description=DESCRIPTION, examples=[_LOYAL])]
Term = Annotated[
    Any,
    ShownAs(str | RuleVariable),
    Field(
        description="the name of a variable, or an object with `variable` and its parameters, as a "
        "comparison has them. Variables: `GET /v1/variables`",
        examples=["revenue", {"variable": "interactions", "kind": "complaint", "days": 90}],
    ),
]
