"""The rules that make the lines of the worklist: in, out, previewed and put in force."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.schemas.common.fields import Actor
from app.schemas.common.fields import Customers as Number
from app.schemas.common.shapes import Page
from app.schemas.common.types import Answer, Code, Line, Money, Shape, Text, Timestamp
from app.schemas.policies.expressions import Expression
from app.schemas.policies.policies import Names, Texts
from app.schemas.queries import When
from app.schemas.stages.stages import Named

MAX_RULES, MAX_TEAMS, MAX_OWNERS = 20, 200, 500
DUTIES = ("complaint", "promise", "retention", "care")
DUTY = (
    "kind of duty, `complaint`, `promise`, `retention` or `care`: complaints come first, then "
    "promises; the other two follow together, by value to save"
)


def _check_duty(duty: str) -> str:
    if duty not in DUTIES:
        raise PydanticCustomError("duty", "must be complaint, promise, retention or care")
    return duty


Duty = Annotated[str, AfterValidator(_check_duty)]
PLACES = ("{days}", "{since}")


def _check_places(sentence: str) -> str:
    left = sentence
    for place in PLACES:
        left = left.replace(place, "")
    if "{" in left or "}" in left:
        raise PydanticCustomError("place", "has no places but {days} and {since}")
    return sentence


Sentence = Annotated[Text, AfterValidator(_check_places)]


class Sentences(Shape):
    """Why to call, in one sentence; `{days}` and `{since}` are since when the reason is there."""

    en: Sentence = Field(
        description="the sentence in English", examples=["Complained {days} days ago"]
    )
    zh: Sentence = Field(description="the sentence in Chinese", examples=["{days}天前投诉"])


_EXAMPLE: dict[str, Any] = {
    "code": "key_account_quiet",
    "duty": "retention",
    "name": {"en": "Key account quiet", "zh": "重点客户沉默"},
    "sentence": {"en": "No purchase for {days} days beyond 60", "zh": "超过60天未购买已{days}天"},
    "action": {"en": "Ask what they need this season", "zh": "询问本季需求"},
    "when": {
        "all": [
            {"variable": "revenue", "op": ">=", "value": 10000},
            {"variable": "days_since_last_purchase", "op": ">", "value": 60},
        ]
    },
}


ACTION = "what to do about it, in a few words; absent: what the stage says"
RULES_EXAMPLE: dict[str, Any] = {"rules": [_EXAMPLE]}


class WorklistRule(Shape):
    """What makes a line."""

    code: Code = Field(description="code of the rule", examples=["key_account_quiet"])
    duty: Duty = Field(description=DUTY, examples=["retention"])
    name: Names = Field(description="the reason in a few words")
    sentence: Sentences = Field(description="the reason in a sentence")
    action: Texts | None = Field(None, description=ACTION)
    when: When = Field(examples=[_EXAMPLE["when"]])
    again_after_days: int = Field(
        90,
        strict=True,
        ge=1,
        le=3650,
        description="days for which a contact closes the line; is the reason still there then, it "
        "comes back",
    )


class Team(Shape):
    """Owners who are asked for together."""

    code: Code = Field(description="code of the team", examples=["north"])
    owners: list[Line] = Field(
        min_length=1,
        max_length=MAX_OWNERS,
        description="owners, as profiles name them",
        examples=[["anna", "bo"]],
    )


class WorklistRulesIn(Shape):
    """Rules of the worklist, as a whole."""

    model_config = ConfigDict(json_schema_extra={"examples": [RULES_EXAMPLE]})

    lines_a_day: int = Field(
        20,
        strict=True,
        ge=1,
        le=500,
        description="number of lines that an owner has on a day at most, those that are done among "
        "them where the list of an owner or a team is asked for",
    )
    rules: list[WorklistRule] = Field(
        min_length=1, max_length=MAX_RULES, description="what makes a line; within a kind of duty "
        "the first rule that holds is told first"
    )  # fmt: skip
    teams: list[Team] = Field(
        default_factory=list, max_length=MAX_TEAMS, description="who works together"
    )

    @model_validator(mode="after")
    def _once(self) -> Self:
        for what in (self.rules, self.teams):
            codes = [each.code for each in what]
            if len(set(codes)) < len(codes):
                raise PydanticCustomError("repeated", "a code is given twice")
        return self


class StoredRule(Answer):
    """What makes a line."""

    code: str = Field(description="code of the rule", examples=["key_account_quiet"])
    duty: str = Field(description=DUTY, examples=["retention"])
    name: Named = Field(description="the reason in a few words")
    sentence: Named = Field(
        description="the reason in a sentence; `{days}` and `{since}` are since when it is there"
    )
    action: Named | None = Field(description=ACTION)
    when: Expression = Field(description="the condition", examples=[_EXAMPLE["when"]])
    again_after_days: int = Field(description="days for which a contact closes the line")


class StoredTeam(Answer):
    """Owners who are asked for together."""

    code: str = Field(description="code of the team", examples=["north"])
    owners: list[str] = Field(description="owners", examples=[["anna", "bo"]])


Version = Annotated[int, Field(description="version of the rules; 0 is the ready set")]


class WorklistRules(Answer):
    """A version of the rules of the worklist."""

    version: Version
    in_force: bool = Field(description="whether the list is made by it")
    lines_a_day: int = Field(description="number of lines of one owner at a time, at most")
    rules: list[StoredRule] = Field(description="what makes a line")
    teams: list[StoredTeam] = Field(description="who works together")
    created_at: Timestamp | None = Field(description="when it was made; null of the ready set")
    created_by: Actor | None
    activated_at: Timestamp | None = Field(description="when it was put in force last, if ever")


class WorklistRulesPage(Page[WorklistRules]):
    """A page of versions, newest first; the ready set, 0, comes last."""


class WorklistActivation(Shape):
    """That the preview has been seen."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"preview_token": "WyJ0b2tlbiJd"}]})

    preview_token: str = Field(
        max_length=500, description="`preview_token` of the preview, at most 24 hours old"
    )


class PreviewedRule(Answer):
    """What a rule would make."""

    code: str = Field(description="code of the rule", examples=["overdue"])
    customers: Number
    lines: int = Field(
        description="how many of them would have a line by it: not contacted or snoozed since",
        examples=[12],
    )
    value_to_save: Money = Field(description="value to save of these lines, by the published run")


class WorklistPreview(Answer):
    """What a version would make of today's list."""

    version: Version
    one_in: int = Field(
        description="number of customers of whom one was looked at; all numbers are those of the "
        "ones looked at, times this. 1 with up to 20,000 customers",
        examples=[1],
    )
    rules: list[PreviewedRule] = Field(description="by rule, before any cap a day")
    lines: int = Field(description="customers who would have a line, before any cap a day")
    entering: int = Field(description="of these, customers who have none by the rules in force")
    leaving: int = Field(description="customers who have a line now, and would have none")
    preview_token: str = Field(description="what activation takes", examples=["WyJ0b2tlbiJd"])
