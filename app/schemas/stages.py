"""The stage of a customer, and the ledger of moves."""

from datetime import date
from typing import Any

from pydantic import Field

from app.schemas.common import Page
from app.schemas.types import Answer, Timestamp


class StageAnswer(Answer):
    """Where a customer stands in the lifecycle, computed for the asked instant."""

    customer_id: str = Field(examples=["c-1001"])
    stage: str = Field(examples=["active"])
    since: Timestamp | None = Field(description="null for one who never left the first stage")
    rule: str = Field(description="the rule that decides", examples=["repeat_purchase"])
    recorded_stage: str = Field(description="the stage the ledger last recorded")
    at_risk: bool | None = Field(
        description="living, and silent for more than twice the usual gap; null without a model"
    )
    purchase_days: int
    days_since_last_purchase: int | None
    last_purchase_on: date | None
    churns_on: date | None = Field(
        description="the first day that counts as churned if no purchase comes before it"
    )
    lives: int = Field(description="1 + win-backs; 0 for one who never purchased")
    life_started_on: date | None
    policy_version: int
    model_id: str | None
    as_of: Timestamp
    computed_at: Timestamp


class Transition(Answer):
    """One recorded move. A move that later facts disproved has `voided_at` and no longer counts."""

    transition_id: str
    from_stage: str = Field(examples=["potential"])
    to_stage: str = Field(examples=["initial"])
    effective_at: Timestamp = Field(
        description="of a move by a fact its time, of a move by silence the first day it held"
    )
    recorded_at: Timestamp
    voided_at: Timestamp | None
    cause: str = Field(examples=["fact"], description="fact or silence")
    rule: str = Field(examples=["first_purchase"])
    policy_version: int
    reason: str | None
    actor: str | None
    evidence: dict[str, Any] = Field(description="the values that decided")


class TransitionPage(Page[Transition]):
    pass
