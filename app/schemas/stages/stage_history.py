"""How a customer came to a stage: the periods before it, and the rules that decide."""

from datetime import date

from pydantic import Field

from app.schemas.common.fields import (
    Actor,
    AsOfInstant,
    ComputedAt,
    CustomerKey,
    PolicyVersion,
    RuleCode,
    StageCode,
)
from app.schemas.common.types import Answer, Timestamp
from app.schemas.ingest.churn_records import ChurnRecord
from app.schemas.stages.stages import RULE_OR_OVERRIDE, Cause, Named, StageOverride, WinBacks


class Rename(Answer):
    """A change of policy that calls a stage otherwise; nobody changes stage by it."""

    from_stage: str = Field(description="code of the stage before", examples=["initial"])
    to_stage: str = Field(description="code of the stage from then on", examples=["newcomer"])
    at: Timestamp = Field(description="when the policy came into force")
    policy_version: PolicyVersion


class Period(Answer):
    """A time spent in a stage.

    The first one begins when the customer was first heard of: with the earliest of all facts, of
    `first_contact_at` and of `created_at`. Up to an instant before that there is none.
    """

    stage: StageCode = Field(description="code of the stage, as it was called last")
    from_: Timestamp = Field(alias="from", description="when it began")
    until: Timestamp | None = Field(description="when it ended; null for the present one")
    days: float = Field(description="days in the stage, up to `as_of`", examples=[41.5])
    cause: Cause | None = Field(description="what brought it about; null for the first one")
    rule: RuleCode | None = Field(description=f"{RULE_OR_OVERRIDE}; null for the first one")
    policy_version: PolicyVersion | None
    reason: str | None = Field(description="of an override", examples=["competitor"])
    actor: Actor | None
    renames: list[Rename] = Field(
        description="changes of policy in it that called the stage otherwise, in order"
    )


class Life(Answer):
    """Purchases without a silence so long that it ends a life."""

    number: int = Field(description="its place among the lives of the customer, from 1")
    started_on: date = Field(description="its first purchase day")
    last_purchase_on: date = Field(description="its last purchase day")
    purchase_days: int = Field(description="its days with a purchase", examples=[4])


class StageHistory(Answer):
    """How a customer's stage went through time, as the facts have it."""

    customer_id: CustomerKey
    periods: list[Period] = Field(description="the times spent in stages, the first one first")
    lives: list[Life] = Field(description="runs of purchases, the first one first")
    win_backs: WinBacks = Field(description="returns of the customer after having churned")
    policy_version: PolicyVersion
    as_of: AsOfInstant
    computed_at: ComputedAt


class Comparison(Answer):
    """One comparison of a rule, with what the customer's value is."""

    words: Named = Field(description="the comparison in words")
    variable: str = Field(
        description="what is compared, in the unit that `GET /v1/variables` tells",
        examples=["purchase_days"],
    )
    value: float | str | bool | list[str] | None = Field(
        description="the customer's value, in the unit of the variable; null if unknown",
        examples=[4],
    )
    op: str = Field(description="how they are compared", examples=[">="])
    compared_with: float | str | bool | list[str] | None = Field(
        description="the value of the rule, in the unit of the variable", examples=[2]
    )
    holds: bool = Field(description="whether it is true of the customer")


class ExplainedRule(Answer):
    """A rule in words, whether it holds, and whether it is the one that decides."""

    code: RuleCode
    stage: StageCode
    words: Named = Field(description="the rule in words")
    holds: bool = Field(description="whether it is true of the customer")
    decides: bool = Field(description="whether it is the first that holds, and no override stands")
    comparisons: list[Comparison] = Field(description="what the rule compares")


class StageExplanation(Answer):
    """Why a customer is in a stage."""

    customer_id: CustomerKey
    stage: StageCode
    rules: list[ExplainedRule] = Field(description="the rules of the policy, in order")
    churn_record: ChurnRecord | None = Field(
        description="why the customer left, while the stage is a churned one; null if there is no "
        "record"
    )
    override: StageOverride | None = Field(description="the override that stands; else null")
    policy_version: PolicyVersion
    as_of: AsOfInstant
    computed_at: ComputedAt
