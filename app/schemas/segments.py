"""Segments, their members, and what is kept of membership."""

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field

from app.schemas.common.fields import AsOfInstant, CreatedAt, CustomerKey, CustomerName
from app.schemas.common.shapes import Page
from app.schemas.common.types import Answer, Code, LongText, Shape, Text, Timestamp
from app.schemas.policies.expressions import Expression
from app.schemas.queries import QueryCount
from app.schemas.stages.stages import Named

EXAMPLE: dict[str, Any] = {
    "name": {"en": "High value", "zh": "高价值客户"},
    "rule": {"variable": "revenue", "op": ">=", "value": 1000},
    "owner": "key accounts",
    "purpose": "Called by a person once a quarter",
}
_READY: list[tuple[str, str, str, dict[str, Any]]] = [
    ("Declining", "购买减少的客户", "Asked what has changed",
     {"variable": "frequency_trend", "op": "<", "value": 0.7}),
    ("One order only", "仅购买一次的客户", "Offered a second purchase",
     {"variable": "purchase_days", "op": "==", "value": 1}),
    ("No contact for 90 days", "90天未联系的客户", "Called by their owner",
     {"variable": "interactions", "days": 90, "op": "==", "value": 0}),
    ("Contract ends in 60 days", "合同60天内到期的客户", "Offered another term",
     {"all": [{"variable": "days_until_contract_end", "op": ">=", "value": 0},
              {"variable": "days_until_contract_end", "op": "<=", "value": 60}]}),
    ("Key accounts", "重点客户", "Looked after by one person",
     {"variable": "attribute", "name": "tier", "op": "==", "value": "key"}),
]  # fmt: skip
EXAMPLES: list[Any] = [
    EXAMPLE,
    *({"name": {"en": en, "zh": zh}, "rule": rule, "purpose": purpose}
      for en, zh, purpose, rule in _READY),
]  # fmt: skip
"""A handful that businesses begin with, to be sent as they are or changed."""
SegmentCode = Annotated[str, Field(description="code of the segment", examples=["high_value"])]
_RULE = "who is in it: a rule of the language; `{segment: code}` stands for the rule of another one"
_PARENT = "code of the segment that this one lies inside; null: none"
_OWNER = "who looks after it"
_PURPOSE = "what it is for, and where its bounds come from"


def _given(value: object) -> object:
    if value is None:
        raise ValueError("must not be null: say who is in it")
    return value


class SegmentName(Shape):
    """A name in English and Chinese."""

    en: Text = Field(description="the name in English", examples=["High value"])
    zh: Text = Field(description="the name in Chinese", examples=["高价值客户"])


class SegmentIn(Shape):
    """What a segment is."""

    model_config = ConfigDict(json_schema_extra={"examples": EXAMPLES})

    name: SegmentName = Field(description="what to call it")
    rule: Annotated[Expression, AfterValidator(_given)] = Field(
        description=_RULE, examples=[EXAMPLE["rule"]]
    )
    parent: Code | None = Field(None, description=_PARENT, examples=["company"])
    owner: Text | None = Field(None, description=_OWNER, examples=["key accounts"])
    purpose: LongText | None = Field(None, description=_PURPOSE, examples=[EXAMPLE["purpose"]])


class Segment(Answer):
    """A segment in force, or as it was when it was retired."""

    code: SegmentCode
    version: int = Field(
        description="version, which counts what it was declared to be", examples=[1]
    )
    name: SegmentName = Field(description="what to call it")
    rule: Expression = Field(description=_RULE, examples=[EXAMPLE["rule"]])
    parent: str | None = Field(description=_PARENT, examples=["company"])
    words: Named | None = Field(
        description="the rule in words, with those that it names; null of one that is retired"
    )
    owner: str | None = Field(description=_OWNER, examples=["key accounts"])
    purpose: str | None = Field(description=_PURPOSE, examples=[EXAMPLE["purpose"]])
    kept_on_write: bool = Field(
        description="whether what is kept of its members follows each write, besides `kept_until`"
    )
    changes_with_time: bool = Field(
        description="whether time alone brings somebody in or out, while no fact arrives"
    )
    kept_until: Timestamp | None = Field(
        description="as of when what is kept of its members was last brought up to date for "
        "everybody, as is done daily; null: not yet by this version. `members` are always of the "
        "instant that is asked for"
    )
    created_at: CreatedAt
    updated_at: Timestamp = Field(description="when it was last declared")
    changed_by: str | None = Field(description="id of the key that did", examples=["key_5f0c"])
    retired_at: Timestamp | None = Field(description="when it was retired; null: it is in force")
    last_used_at: Timestamp | None = Field(
        description="when a question or a list last named it, or another segment that names it, to "
        "about a minute; null: never"
    )


class SegmentPage(Page[Segment]):
    """A page of segments, by their codes."""


class SegmentVersion(Answer):
    """What a segment was once declared to be."""

    version: int = Field(
        description="version, which counts what it was declared to be", examples=[1]
    )
    document: SegmentIn = Field(description="what was declared")
    created_at: CreatedAt
    created_by: str | None = Field(description="id of the key that did", examples=["key_5f0c"])


class SegmentVersionPage(Page[SegmentVersion]):
    """A page of versions, newest first."""


class SegmentMember(Answer):
    """A customer who is in a segment."""

    customer_id: CustomerKey
    name: CustomerName | None
    entered_at: Timestamp | None = Field(
        description="since when the customer is kept as a member: when it was found; null of an "
        "earlier instant, and where that has not been brought up to date yet"
    )


class SegmentMemberPage(Page[SegmentMember]):
    """A page of members, by their ids.

    Of a rule that is evaluated, a page may hold fewer than `limit`, and yet have a `next_cursor`.
    """

    code: SegmentCode
    version: int = Field(description="version of the segment that is in force", examples=[1])
    as_of: AsOfInstant
    run_id: int | None = Field(
        description="number of the published run; null if there is none", examples=[7]
    )
    masked: list[str] = Field(
        description="fields of all items that are not shown, as the key lacks the scope "
        "`customers:read_pii`: they are null here",
        examples=[["name"]],
    )


class SegmentUpdateResult(Answer):
    """What came of bringing everybody's membership up to date."""

    as_of: AsOfInstant
    segments: int = Field(description="how many segments are in force", examples=[6])
    customers_changed: int = Field(
        description="customers who came into one or went out", examples=[120]
    )


class SegmentCount(QueryCount):
    """Customers, and what they are worth."""

    sample: list[CustomerKey] = Field(
        description="ids of some of them, at most 10", examples=[["c-1001"]]
    )


class SegmentPreview(Answer):
    """What would change if a segment were declared to be what was sent."""

    code: SegmentCode
    version: int | None = Field(
        description="version of the segment that is in force; null: there is none", examples=[1]
    )
    as_of: AsOfInstant
    run_id: int | None = Field(
        description="number of the published run that money is of; null if there is none",
        examples=[7],
    )
    before: SegmentCount | None = Field(description="its members now; null: there is none yet")
    after: SegmentCount = Field(description="its members by the rule that was sent")
    enter: SegmentCount = Field(description="who would come in")
    leave: SegmentCount | None = Field(description="who would go out; null where `before` is")
