"""The stage of a customer, overrides of it, and the ledger of transitions."""

from datetime import date
from typing import Any, Literal

from pydantic import ConfigDict, Field

from app.schemas.common.fields import (
    Actor,
    AsOfInstant,
    ComputedAt,
    CustomerKey,
    DaysSinceLastPurchase,
    LastPurchaseOn,
    ModelKey,
    PolicyVersion,
    PurchaseDays,
    StageCode,
)
from app.schemas.common.shapes import Page
from app.schemas.common.types import (
    Answer,
    Code,
    FactIdentifier,
    Identifier,
    Shape,
    Text,
    Timestamp,
)
from app.schemas.ingest.churn_records import ChurnRecord

Cause = Literal["fact", "inactivity", "manual", "policy"]
OVERRIDE_EXAMPLE: dict[str, Any] = {
    "stage": "churned",
    "reason": "competitor",
    "until": "2027-03-31T00:00:00Z",
}
RULE_OR_OVERRIDE = "the rule that decides; `override` where somebody did"


class Named(Answer):
    """A name in English and Chinese."""

    en: str = Field(description="the name in English", examples=["Invite to a trial"])
    zh: str = Field(description="the name in Chinese", examples=["邀请试用体验"])


class InWords(Answer):
    """A code and what it is called."""

    code: str = Field(description="the code", examples=["active"])
    name: Named = Field(description="what it is called")


class NextAction(Answer):
    """Something to do with a customer."""

    code: str = Field(description="code of the action in the policy", examples=["trial_offer"])
    name: Named = Field(description="the action in words")


class WinBacks(Answer):
    """Transitions from a stage of customers who have churned to one of customers.

    By a fact, by time or by an override, in the history that the asked policies make; a change of
    policy wins nobody back.
    """

    count: int = Field(description="how many there were")
    last_at: Timestamp | None = Field(description="when the last one was; null if there was none")


class StageOverride(Answer):
    """An override that stands: the stage that somebody set, or held."""

    stage: StageCode
    reason: str = Field(description="why it was set", examples=["a talk on the phone"])
    actor: Actor
    set_at: Timestamp = Field(description="when it was set")
    until: Timestamp | None = Field(
        description="until when no rule replaces it; null if the next purchase does, or rules when "
        "they name another stage than before"
    )


class StageAnswer(Answer):
    """Where a customer stands in the lifecycle, computed for the asked instant."""

    customer_id: CustomerKey
    stage: StageCode
    since: Timestamp | None = Field(description="since when; null for one who is where all begin")
    rule: str = Field(description=RULE_OR_OVERRIDE, examples=["repeat_purchase"])
    sub_stage: str | None = Field(
        description="how far a prospect's decision has come, where the policy tells",
        examples=["quoted"],
    )
    recorded_stage: str = Field(
        description="the stage the ledger last recorded", examples=["active"]
    )
    override: StageOverride | None = Field(
        description="the override that stands, whether or not it changed the stage"
    )
    churn_record: ChurnRecord | None = Field(
        description="why the customer left, while the stage is a churned one: the latest record "
        "since the last win-back; null if there is none"
    )
    purchase_days: PurchaseDays
    days_since_last_purchase: DaysSinceLastPurchase | None
    last_purchase_on: LastPurchaseOn | None
    churns_on: date | None = Field(
        description="the first day on which the customer will have churned if nothing happens "
        "before, by the rules and the override that stands; null for one who has, or never will"
    )
    lives: int = Field(
        description="runs of purchases with no inactivity in them past the policy's limit; not the "
        "returns to a stage, which are win-backs; 0 for one who never purchased"
    )
    life_started_on: date | None = Field(description="the first purchase day of the last run")
    win_backs: WinBacks = Field(description="returns of the customer after having churned")
    next_actions: list[NextAction] = Field(
        description="what the policy suggests for customers of this stage and condition"
    )
    policy_version: PolicyVersion
    model_id: ModelKey | None
    as_of: AsOfInstant
    computed_at: ComputedAt


class Transition(Answer):
    """One recorded transition; when later facts disprove it, it gets `voided_at`."""

    customer_id: CustomerKey
    transition_id: str = Field(description="id of the transition", examples=["4711"])
    from_stage: str = Field(description="code of the stage left", examples=["potential"])
    to_stage: str = Field(description="code of the stage entered", examples=["initial"])
    effective_at: Timestamp = Field(
        description="of a transition by a fact its time, of one by inactivity the first day the "
        "rule held"
    )
    recorded_at: Timestamp = Field(description="when it was recorded")
    voided_at: Timestamp | None = Field(
        description="since when it no longer counts; null while it does"
    )
    cause: Cause = Field(
        description="what brought it about; `inactivity` is time alone, `manual` an override",
        examples=["fact"],
    )
    rule: str = Field(description=RULE_OR_OVERRIDE, examples=["first_purchase"])
    policy_version: PolicyVersion
    reason: str | None = Field(
        description="of an override; `override_ended` when its time is over, `override_removed` "
        "if it was taken back",
        examples=["competitor"],
    )
    actor: Actor | None = Field(
        description="id of the API key that set or removed an override; else null"
    )
    evidence: dict[str, Any] = Field(
        description="the values of the variables that decided", examples=[{"purchase_days": 1}]
    )


class TransitionPage(Page[Transition]):
    """A page of transitions."""


class OverrideRequest(Shape):
    """The stage that a customer is to have; with `until`, no rule replaces it before then."""

    model_config = ConfigDict(json_schema_extra={"examples": [OVERRIDE_EXAMPLE]})

    stage: Code = Field(description="a stage of the policy in force", examples=["churned"])
    reason: Text = Field(
        description="free text; for a stage of customers who have churned, a code of "
        "`GET /v1/churn-reasons`",
        examples=["competitor"],
    )
    until: Timestamp | None = Field(
        None, description="in the future, at most ten years", examples=["2027-03-31T00:00:00Z"]
    )


class DatedStage(OverrideRequest):
    """A stage that another system had set, and since when; of an import."""

    customer_id: Identifier = Field(description="id of the customer", examples=["c-1001"])
    source: FactIdentifier | None = Field(
        None, description="the system that had set it; its import tells of it", examples=["crm"]
    )
    set_at: Timestamp = Field(description="when it was set, not ahead")
    until: Timestamp | None = Field(
        None, description="after `set_at`, at most ten years", examples=["2027-03-31T00:00:00Z"]
    )


class ChurnReason(Answer):
    """Why a customer churned."""

    code: str = Field(description="code of the reason", examples=["competitor"])
    branch: str = Field(
        description="`internal`: within the company's reach; or `external`", examples=["external"]
    )
    name: Named = Field(description="the reason in words")


class ChurnReasons(Answer):
    """The reasons for which customers churn."""

    items: list[ChurnReason] = Field(description="all reasons there are")
