"""The stage of a customer, and the ledger of moves."""

from datetime import date
from typing import Any, Literal

from pydantic import ConfigDict, Field

from app.schemas.common import Page
from app.schemas.types import Answer, Code, Shape, Text, Timestamp

Cause = Literal["fact", "silence", "manual", "policy"]


class Named(Answer):
    """A name in English and Chinese."""

    en: str = Field(examples=["Invite to a trial"])
    zh: str = Field(examples=["邀请试用体验"])


class NextAction(Answer):
    """Something to do with a customer."""

    code: str = Field(examples=["trial_offer"])
    name: Named


class WinBacks(Answer):
    """Moves from a stage of customers who have left to one of customers.

    By a fact, by time or by hand, in the history that the asked policies make; a change of policy
    wins nobody back.
    """

    count: int
    last_at: Timestamp | None


class Overruling(Answer):
    """A decision by hand that stands: what somebody set the stage to, or held it at."""

    stage: str = Field(examples=["active"])
    reason: str = Field(examples=["a talk on the phone"])
    actor: str = Field(description="the key that decided")
    decided_at: Timestamp
    pinned_until: Timestamp | None = Field(
        description="until when no rule overrules it; null if a fact or a rule's new answer does"
    )


class StageAnswer(Answer):
    """Where a customer stands in the lifecycle, computed for the asked instant."""

    customer_id: str = Field(examples=["c-1001"])
    stage: str = Field(examples=["active"])
    since: Timestamp | None = Field(description="null for one who is where all begin")
    rule: str = Field(description="the rule that decides", examples=["repeat_purchase"])
    sub_stage: str | None = Field(
        description="how far a prospect's decision has come, where the policy tells",
        examples=["quoted"],
    )
    recorded_stage: str = Field(description="the stage the ledger last recorded")
    overruled_by: Overruling | None = Field(
        description="the decision by hand that stands, whether or not it moved the customer"
    )
    pinned_until: Timestamp | None = Field(
        description="until when that decision stands, whatever the rules say"
    )
    at_risk: bool | None = Field(
        description="living, and silent for more than twice the usual gap; null without a model"
    )
    purchase_days: int
    days_since_last_purchase: int | None
    last_purchase_on: date | None
    churns_on: date | None = Field(
        description="the first day on which the customer will have left if nothing happens before, "
        "by the rules and the decision that stands; null for one who has, or never will"
    )
    lives: int = Field(
        description="runs of purchases with no silence in them past the policy's limit; not the "
        "returns to a stage, which are win-backs; 0 for one who never purchased"
    )
    life_started_on: date | None
    win_backs: WinBacks
    next_actions: list[NextAction] = Field(
        description="what the policy suggests for customers of this stage and condition"
    )
    policy_version: int
    model_id: str | None
    as_of: Timestamp
    computed_at: Timestamp


class Transition(Answer):
    """One recorded move. A move that later facts disproved has `voided_at` and no longer counts."""

    customer_id: str = Field(examples=["c-1001"])
    transition_id: str
    from_stage: str = Field(examples=["potential"])
    to_stage: str = Field(examples=["initial"])
    effective_at: Timestamp = Field(
        description="of a move by a fact its time, of a move by silence the first day it held"
    )
    recorded_at: Timestamp
    voided_at: Timestamp | None
    cause: Cause = Field(examples=["fact"], description="`silence` is time alone")
    rule: str = Field(
        examples=["first_purchase"], description="that decided; `by_hand` where somebody did"
    )
    policy_version: int
    reason: str | None = Field(
        description="of a move by hand; `pin_ended` at the end of a pin, `unpinned` if taken back"
    )
    actor: str | None = Field(description="the key that moved by hand, or took a pin back")
    evidence: dict[str, Any] = Field(description="the values that decided")


class TransitionPage(Page[Transition]):
    pass


class MoveRequest(Shape):
    """A move by hand. With `pin_until`, no rule overrules it before then."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"to": "churned", "reason": "competitor", "pin_until": "2027-03-31T00:00:00Z"}
            ]
        }
    )

    to: Code = Field(description="a stage of the policy in force", examples=["churned"])
    reason: Text = Field(
        description="free text; of a move to a stage of customers who have left, a code of "
        "`GET /v1/churn-reasons`",
        examples=["competitor"],
    )
    pin_until: Timestamp | None = Field(
        None, description="in the future, at most ten years", examples=["2027-03-31T00:00:00Z"]
    )


class Period(Answer):
    """A time spent in a stage.

    The first one begins when the customer was first heard of: with the earliest of all facts, of
    `first_contact_at` and of `created_at`. Up to an instant before that there is none.
    """

    stage: str = Field(examples=["active"])
    from_: Timestamp = Field(alias="from")
    until: Timestamp | None = Field(description="null for the present one")
    days: float = Field(description="time in the stage, up to `as_of`", examples=[41.5])
    cause: Cause | None
    rule: str | None
    policy_version: int | None
    reason: str | None
    actor: str | None


class Life(Answer):
    """Purchases without a silence so long that it ends a life."""

    number: int
    started_on: date
    last_purchase_on: date
    purchase_days: int


class StageHistory(Answer):
    """How a customer's stage went through time, as the facts have it."""

    customer_id: str
    periods: list[Period]
    lives: list[Life]
    win_backs: WinBacks
    policy_version: int
    as_of: Timestamp
    computed_at: Timestamp


class Comparison(Answer):
    """One comparison of a rule, with what the customer's value is."""

    words: Named
    variable: str = Field(examples=["days_silent"])
    value: float | str | bool | None = Field(description="null if unknown")
    op: str = Field(examples=[">"])
    compared_with: float | str | bool | list[str] | None
    holds: bool


class ExplainedRule(Answer):
    """A rule in words, whether it holds, and whether it is the one that decides."""

    code: str = Field(examples=["silent_too_long"])
    stage: str = Field(examples=["churned"])
    words: Named
    holds: bool
    decides: bool
    comparisons: list[Comparison]


class StageExplanation(Answer):
    """Why a customer is in a stage."""

    customer_id: str
    stage: str
    rules: list[ExplainedRule]
    overruled_by: Overruling | None
    policy_version: int
    as_of: Timestamp
    computed_at: Timestamp


class ChurnReason(Answer):
    """Why a customer left: within the company's reach (internal) or not."""

    code: str = Field(examples=["competitor"])
    branch: str = Field(examples=["external"])
    name: Named


class ChurnReasons(Answer):
    items: list[ChurnReason]
