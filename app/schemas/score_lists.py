"""Scores of many customers: lists of a run, and live ones for given customers."""

from datetime import date
from typing import Annotated, Generic

from pydantic import ConfigDict, Field

from app.schemas.common import Item, Page
from app.schemas.models import HorizonDays
from app.schemas.scores import Level, Reason, Scores, Status, Tier
from app.schemas.stages import NextAction
from app.schemas.types import MAX_INT, Answer, Identifier, Money, Shape, Timestamp

LOOKUP_LIMIT = 1000
RunId = Annotated[int, Field(ge=1, le=MAX_INT)]


class RunRisk(Answer):
    """What holds for the churn risk of everybody in a run."""

    horizon_days: int
    kind: str = Field(
        examples=["landmark"],
        description="landmark: a regression learnt on the own past; else a model of purchases",
    )
    status: str = Field(
        examples=["ok"], description="ok, insufficient_history or weakly_identified"
    )
    label_window_days: int | None = Field(
        description="the days over which the risk was learnt; null where none was watched"
    )
    extrapolated: bool = Field(
        description="the risk was learnt over another number of days than `horizon_days`, and is "
        "carried to it by the model of purchases"
    )


class RunPage(Page[Item], Generic[Item]):
    """A page of one run."""

    as_of: Timestamp | None = Field(description="the instant of the run")
    run_id: int | None
    model_id: str | None
    stage_policy_version: int | None = Field(
        description="the policy by which stages are; from an activation until the next run it is "
        "another one than that in force"
    )
    churn_risk: RunRisk | None


_PREVIOUS = "with `changed_since_run`; null for a customer who is new since"


class PreviousRisk(Answer):
    """What an earlier run said of the same customer."""

    run_id: int
    probability: float | None
    level: Level | None


class ChurnRiskItem(Answer):
    """A customer of a run, with the reasons by the facts up to the instant of the run.

    `base_log_odds` plus all contributions is `log_odds`: that of `probability`, unless
    `facts_changed`.
    """

    customer_id: str = Field(examples=["c-1001"])
    name: str | None
    stage: str
    at_risk: bool
    value_tier: Tier | None
    last_purchase_on: date
    days_silent: int
    usual_gap_days: float | None
    probability: float
    horizon_days: int
    level: Level
    meaning: str | None = Field(
        description="what became of the customers of this level in the back-test; null without one"
    )
    value_at_risk: Money | None
    clv: Money | None
    reason: str | None = Field(
        description="code of what raised the risk most at the run", examples=["silence"]
    )
    base_log_odds: float | None = Field(description="log-odds of the reference customer")
    log_odds: float | None = Field(
        description="null, as is `base_log_odds`, if no purchase is left by the facts known now"
    )
    reasons: list[Reason]
    facts_changed: bool = Field(
        description="facts of before `as_of` have come or changed since the run: `log_odds` and "
        "`reasons` know them, the other figures are those of the run and do not; the next run, or "
        "the card of the customer, says what they amount to"
    )
    previous: PreviousRisk | None = Field(None, description=_PREVIOUS)
    next_actions: list[NextAction] = Field(
        description="what the policy suggests now for customers of this stage"
    )


class ChurnRiskPage(RunPage[ChurnRiskItem]):
    """Of one run; all null and empty before the first."""


class ScoreItem(Answer):
    """A customer of a run; what the model cannot say is null."""

    customer_id: str = Field(examples=["c-1001"])
    run_id: int
    status: Status
    stage: str
    at_risk: bool
    purchase_days: int
    first_purchase_on: date | None
    last_purchase_on: date | None
    revenue: Money
    usual_gap_days: float | None
    r: int | None
    f: int | None
    m: int | None
    rfm_group: str | None = Field(examples=["champions"])
    p_alive: float | None
    expected_purchases: float | None = Field(description="within `horizon_days`")
    horizon_days: int | None
    probability: float | None = Field(description="of no purchase within `horizon_days`")
    level: Level | None
    reason: str | None = Field(
        description="code of what raises the risk most", examples=["silence"]
    )
    clv: Money | None
    value_tier: Tier | None
    value_at_risk: Money | None
    previous: PreviousRisk | None = Field(None, description=_PREVIOUS)


class ScorePage(RunPage[ScoreItem]):
    """Of one run; all null and empty before the first."""


class LookupRequest(Shape):
    """Up to 1,000 customers; what is asked twice is answered once."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_ids": ["c-1001", "c-1002"], "horizon_days": 90}]}
    )

    customer_ids: list[Identifier] = Field(min_length=1, max_length=LOOKUP_LIMIT)
    as_of: str | None = Field(
        None,
        max_length=40,
        description="an instant, or a day that means its end; default now",
        examples=["2026-01-31"],
    )
    horizon_days: HorizonDays | None = Field(
        None, description="of churn risk and expected purchases"
    )


class LookupAnswer(Answer):
    """In the order of the request."""

    items: list[Scores]
    unknown: list[str] = Field(description="ids that no customer has", examples=[["c-9999"]])
    as_of: Timestamp
    computed_at: Timestamp
