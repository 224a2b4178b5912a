"""Policies as they come in and go out; what the rules mean is checked where they are read."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.schemas.common.fields import Actor, CreatedAt, PolicyVersion, RuleCode, StageCode
from app.schemas.common.shapes import Page
from app.schemas.common.types import Answer, Code, LongText, Money, Shape, Text, Timestamp
from app.schemas.interaction_kinds import KindCopy
from app.schemas.policies.expressions import Expression
from app.schemas.policies.targets import Targets
from app.schemas.stages.stages import Named
from app.seasons import LEAST

MAX_STAGES, MAX_RULES, MAX_OPTIONS = 30, 100, 50


class Names(Shape):
    """A name in English and Chinese."""

    en: Text = Field(description="the name in English", examples=["Loyal"])
    zh: Text = Field(description="the name in Chinese", examples=["忠诚客户"])


class Texts(Shape):
    """A text in English and Chinese."""

    en: LongText = Field(
        description="the text in English", examples=["Buys often and has done so for long"]
    )
    zh: LongText = Field(description="the text in Chinese", examples=["长期频繁购买的客户"])


class OptionIn(Shape):
    """An action for customers of a stage; without `when`, for all of them."""

    code: Code = Field(description="code of the option", examples=["invite_to_membership"])
    name: Names = Field(description="the option in words")
    when: Expression = None


class SubStageIn(OptionIn):
    """A place within a stage; the first whose `when` holds."""

    when: Expression = Field(examples=[{"variable": "interactions", "op": ">=", "value": 1}])


class StageIn(Shape):
    """A stage; its role says what it means whatever it is called."""

    code: Code = Field(description="code of the stage", examples=["loyal"])
    name: Names = Field(description="the stage in words")
    role: Literal["prospect", "customer", "churned"] = Field(
        description="`prospect`: has not bought; `customer`: buys; `churned`: no longer does"
    )
    definition: Texts | None = Field(None, description="who is in the stage, in words")
    goals: list[Texts] = Field(
        default_factory=list, max_length=MAX_OPTIONS, description="what to reach with them"
    )
    actions: list[OptionIn] = Field(
        default_factory=list, max_length=MAX_OPTIONS, description="what to do with them"
    )
    sub_stages: list[SubStageIn] = Field(
        default_factory=list, max_length=MAX_OPTIONS, description="places within the stage"
    )
    targets: Targets = Field(default_factory=list, description="numbers to reach with the stage")


class InactivityLimitIn(Shape):
    """A silence longer than max(floor, min(multiple * own gap, own gap + margin)) ends a life."""

    floor_days: float = Field(
        strict=True, ge=1, le=36_500, description="days, the least limit", examples=[180]
    )
    gap_multiple: float = Field(
        strict=True, ge=1, le=1_000, description="multiple of the own mean gap", examples=[3]
    )
    gap_margin_days: float = Field(
        strict=True, ge=0, le=36_500, description="days above the own mean gap", examples=[365]
    )


SeasonFactor = Annotated[
    float, Field(strict=True, ge=LEAST, le=12, description="seasonal days in a day of the month")
]


SeasonFactors = Annotated[list[SeasonFactor], Field(min_length=12, max_length=12)]
_CHRISTMAS = [0.7, 0.83, 0.84, 0.83, 0.83, 0.84, 0.84, 0.84, 0.83, 0.84, 1.5, 2.28]


class RuleIn(Shape):
    """Rules are tried in order, the first that holds decides; the last has no `when`."""

    code: Code = Field(description="code of the rule", examples=["frequent_and_long_standing"])
    stage: Code = Field(description="code of the stage it leads to", examples=["loyal"])
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
    "inactivity_limit": {"floor_days": 120, "gap_multiple": 3, "gap_margin_days": 365},
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
                "variable": "days_since_last_purchase",
                "op": ">",
                "value": {"variable": "inactivity_limit_days"},
            },
        },
        {"code": "purchased", "stage": "active"},
    ],
    "transitions": {"potential": ["churned"], "active": ["churned"], "churned": ["active"]},
}


class PolicyDocument(Shape):
    """Stages, and the rules by which customers enter them."""

    model_config = ConfigDict(json_schema_extra={"examples": [POLICY_EXAMPLE]})

    name: Names = Field(description="the policy in a few words")
    description: Texts | None = Field(None, description="the policy in words")
    stages: list[StageIn] = Field(
        min_length=1, max_length=MAX_STAGES, description="its stages, at most 30"
    )
    inactivity_limit: InactivityLimitIn = Field(description="how long a silence ends a life")
    season: SeasonFactors | None = Field(
        None,
        description="twelve factors, January first, with four decimals, that add up to 12: as many "
        "seasonal days a day of the month counts wherever the limit of inactivity counts days. In "
        "months in which customers buy little, a silence then counts little. Absent: all alike",
        examples=[_CHRISTMAS],
    )
    rules: list[RuleIn] = Field(
        min_length=1, max_length=MAX_RULES, description="its rules in order, at most 100"
    )
    transitions: dict[Code, list[Code]] | None = Field(
        None,
        description="by stage, the stages that an override may set; absent: any other",
        max_length=MAX_STAGES,
        examples=[{"active": ["churned"], "churned": ["active"]}],
    )
    maps: dict[Code, Code] | None = Field(
        None,
        description="what stages of earlier versions are called in this one. Who is in such a "
        "stage as the version comes into force, and by its rules in the one it maps to, makes no "
        "transition: the stage has another name from then on. Overrides go on in the mapped stage; "
        "without one in that of the same code, else in the only one of the same role",
        max_length=MAX_STAGES,
        examples=[{"initial": "newcomer"}],
    )
    model_id: Text | None = Field(
        None,
        description="id of the model whose cuts and parameters count, if a rule uses any",
        examples=["model_5f0c2a9d1b7e4c63"],
    )


class SeasonRequest(Shape):
    """The season that a version of the policy is to have: that of a model, or one given."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"factors": [*_CHRISTMAS]}]})

    model_id: Text | None = Field(
        None,
        description="id of the model that has learnt the season; the active one if absent",
        examples=["model_5f0c2a9d1b7e4c63"],
    )
    factors: SeasonFactors | None = Field(
        None,
        description="twelve factors in place of what a model has learnt, January first, with four "
        "decimals, that add up to 12",
        examples=[_CHRISTMAS],
    )


class RuleWords(Answer):
    """A rule as the service reads it."""

    code: RuleCode
    stage: StageCode
    words: Named = Field(description="when it holds, in words")


class PolicyHead(Answer):
    """A version of the policy; it never changes."""

    version: PolicyVersion
    name: Named = Field(description="the policy in a few words")
    preset: str | None = Field(
        description="which of the ready policies it is", examples=["five_stages"]
    )
    active: bool = Field(description="whether it is the one in force")
    activated_at: Timestamp | None = Field(
        description="when it last came into force; null if never"
    )
    created_at: CreatedAt
    created_by: Actor | None


class Policy(PolicyHead):
    """A version of the policy with its document, which `POST /v1/policies` would take again."""

    document: PolicyDocument = Field(description="the stages and rules as they were given")
    interaction_kinds: dict[str, KindCopy] | None = Field(
        description="what was declared of the kinds that it looks at when it was stored, which "
        "holds for this version; null: it reads the scores of `survey` as they are"
    )
    rules: list[RuleWords] = Field(description="its rules in words, in order")


class PolicyPage(Page[PolicyHead]):
    """A page of versions of the policy."""


PREVIEW_CELL_EXAMPLE: dict[str, Any] = {
    "from": "active",
    "to": "churned",
    "renamed": False,
    "customers": 12,
    "revenue": {"amount": "4210.00", "currency": "EUR"},
    "clv": {"amount": "961.50", "currency": "EUR"},
    "samples": ["c-1001", "c-1017"],
}


class PreviewCell(Answer):
    """Customers who would go from one stage to another, or stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [PREVIEW_CELL_EXAMPLE]})

    from_: str = Field(alias="from", description="code of the stage now", examples=["active"])
    to: str = Field(description="code of the stage then", examples=["churned"])
    renamed: bool = Field(
        False,
        description="the version calls the stage otherwise, and nobody of these changes stage",
    )
    customers: int = Field(description="how many customers", examples=[12])
    revenue: Money = Field(description="their revenue up to now, refunds set off")
    clv: Money | None = Field(
        description="their lifetime value over 12 months; null without a model"
    )
    samples: list[str] = Field(description="ids of those of the highest revenue")


class ActivationRequest(Shape):
    """What the preview showed, and how far stages may have changed since."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"token": "eyJ2IjoyfQ.c2lnbmF0dXJl", "max_drift": 0}]}
    )

    token: str = Field(min_length=1, max_length=500, description="from the result of a preview")
    max_drift: int = Field(
        0,
        strict=True,
        ge=0,
        le=2**31 - 1,
        description="customers by which a cell may differ from the preview",
    )
