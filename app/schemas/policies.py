"""Policies as they come in and go out; what the rules mean is checked where they are read."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from app.schemas.common import Page
from app.schemas.stages import Named
from app.schemas.types import Answer, Code, LongText, Money, Shape, Text, Timestamp

MAX_STAGES, MAX_RULES, MAX_OPTIONS = 30, 100, 50
_LOYAL = {
    "all": [
        {"variable": "life_purchase_days", "op": ">=", "value": 5},
        {"variable": "tenure_days", "op": ">=", "value": 180},
    ]
}
Expression = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": "object",
            "description": "`{all: […]}`, `{any: […]}`, `{not: {…}}`, or a comparison "
            "`{variable, op, value}` with `op` one of < <= > >= == != in contains known, and "
            "`value` a constant or another `{variable}`; `contains` asks whether a list among the "
            "attributes holds a text. At most 500 nodes in a policy, 20 levels deep. A comparison "
            "with an unknown value is false. Variables: `GET /v1/variables`.",
            "examples": [_LOYAL],
        }
    ),
]


class Names(Shape):
    """A name in English and Chinese."""

    en: Text = Field(examples=["Loyal"])
    zh: Text = Field(examples=["忠诚客户"])


class Texts(Shape):
    """A text in English and Chinese."""

    en: LongText = Field(examples=["Buys often and has done so for long"])
    zh: LongText = Field(examples=["长期频繁购买的客户"])


class OptionIn(Shape):
    """An action for customers of a stage; without `when`, for all of them."""

    code: Code = Field(examples=["invite_to_membership"])
    name: Names
    when: Expression = None


class SubStageIn(OptionIn):
    """A place within a stage; the first whose `when` holds."""

    when: Expression = Field(examples=[{"variable": "interactions", "op": ">=", "value": 1}])


class StageIn(Shape):
    """A stage; its role says what it means whatever it is called."""

    code: Code = Field(examples=["loyal"])
    name: Names
    role: Literal["prospect", "customer", "churned"] = Field(
        description="`churned`: of customers who have left"
    )
    definition: Texts | None = None
    goals: list[Texts] = Field(default_factory=list, max_length=MAX_OPTIONS)
    actions: list[OptionIn] = Field(default_factory=list, max_length=MAX_OPTIONS)
    sub_stages: list[SubStageIn] = Field(default_factory=list, max_length=MAX_OPTIONS)


class SilenceLimitIn(Shape):
    """A silence longer than max(floor, min(multiple * own gap, own gap + margin)) ends a life."""

    floor_days: float = Field(strict=True, ge=1, le=36_500, examples=[180])
    gap_multiple: float = Field(strict=True, ge=1, le=1_000, examples=[3])
    gap_margin_days: float = Field(strict=True, ge=0, le=36_500, examples=[365])


class RuleIn(Shape):
    """Rules are tried in order, the first that holds decides; the last has no `when`."""

    code: Code = Field(examples=["frequent_and_long_standing"])
    stage: Code = Field(examples=["loyal"])
    when: Expression = None


def _stage(code: str, en: str, zh: str, role: str) -> dict[str, Any]:
    return {"code": code, "name": {"en": en, "zh": zh}, "role": role}


POLICY_EXAMPLE: dict[str, Any] = {
    "name": {"en": "Three stages", "zh": "三阶段"},
    "stages": [
        _stage("potential", "Potential", "潜在客户", "prospect"),
        _stage("active", "Active", "活跃客户", "customer"),
        _stage("churned", "Churned", "流失客户", "churned"),
    ],
    "silence_limit": {"floor_days": 120, "gap_multiple": 3, "gap_margin_days": 365},
    "rules": [
        {
            "code": "never_purchased",
            "stage": "potential",
            "when": {"variable": "purchase_days", "op": "<", "value": 1},
        },
        {
            "code": "silent_too_long",
            "stage": "churned",
            "when": {
                "variable": "days_silent",
                "op": ">",
                "value": {"variable": "silence_limit_days"},
            },
        },
        {"code": "purchased", "stage": "active"},
    ],
    "moves": {"potential": ["churned"], "active": ["churned"], "churned": ["active"]},
}


class PolicyDocument(Shape):
    """Stages, and the rules by which customers enter them."""

    model_config = ConfigDict(json_schema_extra={"examples": [POLICY_EXAMPLE]})

    name: Names
    description: Texts | None = None
    stages: list[StageIn] = Field(min_length=1, max_length=MAX_STAGES)
    silence_limit: SilenceLimitIn
    rules: list[RuleIn] = Field(min_length=1, max_length=MAX_RULES)
    moves: dict[Code, list[Code]] | None = Field(
        None,
        description="by stage, the stages a customer may be moved to by hand; absent: any other",
        max_length=MAX_STAGES,
    )
    model_id: Text | None = Field(
        None, description="the model whose cuts and parameters count, if a rule uses any"
    )


class RuleWords(Answer):
    """A rule as the service reads it."""

    code: str = Field(examples=["frequent_and_long_standing"])
    stage: str = Field(examples=["loyal"])
    words: Named


class PolicyHead(Answer):
    """A version of the policy; it never changes."""

    version: int = Field(examples=[1])
    name: Named
    preset: str | None = Field(
        description="which of the ready policies it is", examples=["five_stages"]
    )
    active: bool
    activated_at: Timestamp | None = Field(
        description="when it last came into force; null if never"
    )
    created_at: Timestamp
    created_by: str | None


class Policy(PolicyHead):
    """A version of the policy with its document, which `POST /v1/policies` would take again."""

    document: dict[str, Any]
    rules: list[RuleWords]


class PolicyPage(Page[PolicyHead]):
    pass


class VariableOut(Answer):
    """What rules may name."""

    name: str = Field(examples=["days_silent"])
    type: str = Field(examples=["number"], description="number, text, level, or any for attributes")
    unit: str | None = Field(examples=["days"])
    source: str = Field(
        examples=["purchases"],
        description="purchases, money, interactions, profile, model or stage: what it is computed "
        "from",
    )
    meaning: Named
    minimum: float | None = Field(description="no value is less", examples=[0])
    maximum: float | None = Field(description="no value is more")
    values: list[str] | None = Field(description="of a text, if these are all there are")
    changes_with_time: bool = Field(description="also while no fact arrives")
    parameters: list[str] = Field(description="further fields of the comparison", examples=[[]])
    levels: list[str] | None = Field(description="of type `level`, ascending")
    alias_of: dict[str, str | int] | None = Field(
        description="the variable and its parameters that this is another name of"
    )
    in_stage_policies: bool = Field(description="whether rules of stages may look at it")


class Variables(Answer):
    items: list[VariableOut]
    operators: list[str]


PREVIEW_CELL_EXAMPLE: dict[str, Any] = {
    "from": "active",
    "to": "churned",
    "customers": 12,
    "revenue": {"amount": "4210.00", "currency": "EUR"},
    "clv": {"amount": "961.50", "currency": "EUR"},
    "samples": ["c-1001", "c-1017"],
}


class PreviewCell(Answer):
    """Customers who would go from one stage to another, or stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [PREVIEW_CELL_EXAMPLE]})

    from_: str = Field(alias="from", examples=["active"])
    to: str = Field(examples=["churned"])
    customers: int
    revenue: Money
    clv: Money | None = Field(description="12-month value at stake; null without a model")
    samples: list[str] = Field(description="customers of the highest revenue")


class ActivationRequest(Shape):
    """What the preview showed, and how far the customers may have moved since."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"token": "eyJ2IjoyfQ.c2lnbmF0dXJl", "max_drift": 0}]}
    )

    token: str = Field(min_length=1, max_length=500, description="from the result of a preview")
    max_drift: int = Field(
        0,
        strict=True,
        ge=0,
        le=2**31 - 1,
        description="by how many customers a cell may differ",
    )
