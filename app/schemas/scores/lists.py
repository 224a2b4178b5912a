"""Scores of many customers: lists of a run, and live ones for given customers."""

from typing import Annotated, Generic

from pydantic import ConfigDict, Field

from app.schemas.common import personal
from app.schemas.common.fields import (
    AsOfInstant,
    BaseLogOdds,
    ChurnProbability,
    ComputedAt,
    CustomerKey,
    CustomerName,
    DefaultHorizonDays,
    FirstPurchaseOn,
    HorizonDays,
    LastPurchaseOn,
    LogOdds,
    ModelKey,
    PAlive,
    PurchaseDays,
    ReasonCode,
    RfmGroupCode,
    RfmScore,
    RunKey,
    StageCode,
    Tier,
)
from app.schemas.common.shapes import Item, Page
from app.schemas.common.types import MAX_BIGINT, Answer, Identifier, Money, Shape, Timestamp
from app.schemas.models.clv import (
    BASIS,
    DISCOUNT,
    HORIZON,
    OF_MODEL,
    AnnualDiscountIn,
    ClvBasis,
    ClvHorizonDaysIn,
    ClvTerms,
)
from app.schemas.models.intervals import TOTALS, Totals
from app.schemas.models.models import HorizonDays as HorizonDaysIn
from app.schemas.models.rfm import GIVEN_CUTS, RfmCuts, RfmCutsIn
from app.schemas.scores.cards import REVENUE, SENTENCE, VALUE_TO_SAVE, Reason, Scores, Status
from app.schemas.scores.rhythm import CallReasons, Rhythm, RhythmStatus
from app.schemas.stages.stages import Named, NextAction

LOOKUP_LIMIT = 1000
RunId = Annotated[int, Field(ge=1, le=MAX_BIGINT)]


class RunRisk(Answer):
    """What holds for the churn risk of everybody in a run."""

    horizon_days: DefaultHorizonDays
    kind: str = Field(
        examples=["landmark"],
        description="landmark: a regression learnt on the own past; base_rate: the same for "
        "everybody; else a model of purchases",
    )
    status: str = Field(
        examples=["ok"], description="ok, insufficient_history or weakly_identified"
    )
    label_window_days: int | None = Field(
        description="days over which the risk was learnt; null where none was watched"
    )
    extrapolated: bool = Field(
        description="the risk was learnt over another number of days than `horizon_days`, and is "
        "carried to it by the model of purchases"
    )


class RunPage(Page[Item], Generic[Item]):
    """A page of one run."""

    as_of: Timestamp | None = Field(description="the instant of the run")
    run_id: RunKey | None
    model_id: ModelKey | None
    stage_policy_version: int | None = Field(
        description="version of the policy by which stages are; from an activation until the next "
        "run it is another one than that in force"
    )
    churn_risk: RunRisk | None = Field(
        description="what holds for the churn risk of everybody in the run"
    )
    clv: ClvTerms | None = Field(
        description="terms of the lifetime values of the run, and what to beware of in them"
    )
    totals: Totals | None = Field(
        description=f"of everybody in the run, whatever the list is of: {TOTALS}"
    )


_OF_RUN = (
    "where the customer stood against the own usual gap between purchases; null in a run of before "
    "this was told"
)
_PREVIOUS = "with `changed_since_run`, what that run said; null for who is new since"


class PreviousRisk(Answer):
    """What an earlier run said of the same customer."""

    run_id: RunKey
    probability: ChurnProbability | None
    rhythm: RhythmStatus | None


class ChurnRiskItem(Answer):
    """A customer of a run: all that is told but `name` is what the run found and kept.

    `base_log_odds` plus all contributions is `log_odds`, that of `probability`.
    """

    customer_id: CustomerKey
    name: CustomerName | None
    stage: StageCode
    rhythm: Rhythm | None = Field(description=_OF_RUN)
    call_reasons: CallReasons
    sentence: Named = Field(description=SENTENCE)
    value_tier: Tier | None
    purchase_days: PurchaseDays
    last_purchase_on: LastPurchaseOn
    probability: ChurnProbability
    expected_purchases: float | None = Field(
        description="expected purchase days within `horizon_days`"
    )
    horizon_days: DefaultHorizonDays
    value_to_save: Money | None = Field(description=VALUE_TO_SAVE)
    clv: Money | None = Field(description="lifetime value, by the terms of the page's `clv`")
    reason: ReasonCode | None = Field(description="code of what raised the risk most at the run")
    base_log_odds: BaseLogOdds | None
    log_odds: LogOdds | None = Field(
        description="log-odds of the customer; null, as is `base_log_odds`, and without `reasons`, "
        "in a run of before reasons were kept with it"
    )
    reasons: list[Reason] = Field(description="the causes, the weightiest first")
    facts_changed: bool = Field(
        description="transactions or interactions of before `as_of` have come, changed or been "
        "voided since the run began: the run may not know of them, the next one does, and so does "
        "the card of the customer"
    )
    previous: PreviousRisk | None = Field(None, description=_PREVIOUS)
    next_actions: list[NextAction] = Field(
        description="what the policy of the run suggested at `as_of` for customers of this stage"
    )


class ChurnRiskPage(RunPage[ChurnRiskItem]):
    """Of one run; all null and empty before the first."""

    masked: list[str] = Field(
        default_factory=list,
        description="fields of all items that are not shown, as the key lacks the scope "
        f"`{personal.READ_PII}`: they are null here",
        examples=[["name"]],
    )


class ScoreItem(Answer):
    """A customer of a run; what the model cannot say is null."""

    customer_id: CustomerKey
    run_id: RunKey
    status: Status
    stage: StageCode
    rhythm: Rhythm | None = Field(description=f"{_OF_RUN}, and for who never purchased")
    call_reasons: CallReasons
    purchase_days: PurchaseDays
    first_purchase_on: FirstPurchaseOn | None
    last_purchase_on: LastPurchaseOn | None
    revenue: Money = Field(description=REVENUE)
    r: RfmScore | None = Field(description="recency score, 1 to 5, of which 5 is best")
    f: RfmScore | None = Field(description="frequency score, 1 to 5, of which 5 is best")
    m: RfmScore | None = Field(description="monetary score, 1 to 5, of which 5 is best")
    rfm_group: RfmGroupCode | None
    p_alive: PAlive | None
    expected_purchases: float | None = Field(
        description="expected purchase days within `horizon_days`"
    )
    horizon_days: HorizonDays | None
    probability: ChurnProbability | None
    reason: ReasonCode | None
    clv: Money | None = Field(description="lifetime value, by the terms of the page's `clv`")
    value_tier: Tier | None
    value_to_save: Money | None = Field(description=VALUE_TO_SAVE)
    previous: PreviousRisk | None = Field(None, description=_PREVIOUS)


class ScorePage(RunPage[ScoreItem]):
    """Of one run; all null and empty before the first."""


class LookupRequest(Shape):
    """Up to 1,000 customers; what is asked twice is answered once."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_ids": ["c-1001", "c-1002"], "horizon_days": 90}]}
    )

    customer_ids: list[Identifier] = Field(
        min_length=1, max_length=LOOKUP_LIMIT, description="ids of the customers, at most 1,000"
    )
    as_of: str | None = Field(
        None,
        max_length=40,
        description="an instant, or a day that means its end; now if absent",
        examples=["2026-01-31"],
    )
    horizon_days: HorizonDaysIn | None = Field(
        None,
        description="days ahead that churn risk and expected purchases are of; the model's own if "
        "absent",
        examples=[90],
    )
    clv_horizon_days: ClvHorizonDaysIn | None = Field(
        None, description=f"{HORIZON}{OF_MODEL}", examples=[365]
    )
    annual_discount: AnnualDiscountIn | None = Field(
        None, description=f"{DISCOUNT}{OF_MODEL}", examples=[0.1]
    )
    clv_basis: ClvBasis | None = Field(None, description=f"{BASIS}{OF_MODEL}")
    rfm_cuts: RfmCutsIn | None = Field(None, description=GIVEN_CUTS)


class LookupAnswer(Answer):
    """In the order of the request."""

    items: list[Scores] = Field(description="the score cards of those who are known")
    unknown: list[str] = Field(description="ids that no customer has", examples=[["c-9999"]])
    rfm_cuts: RfmCuts | None = Field(description="the cuts that scores are by; null without any")
    as_of: AsOfInstant
    computed_at: ComputedAt
