"""What a customer is worth, how likely the customer is to leave, and why."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.schemas.common.fields import (
    AsOfInstant,
    BaseLogOdds,
    ChurnProbability,
    ComputedAt,
    CustomerKey,
    DaysSinceLastPurchase,
    HorizonDays,
    LogOdds,
    ModelKey,
    PAlive,
    PolicyVersion,
    PurchaseDays,
    RfmGroupCode,
    RfmScore,
    StageCode,
    Tier,
)
from app.schemas.common.types import Answer, Money, Timestamp
from app.schemas.ingest.churn_records import ChurnRecord
from app.schemas.models.clv import Clv
from app.schemas.models.intervals import INTERVAL, PurchaseInterval
from app.schemas.models.rfm import FewClasses
from app.schemas.scores.rhythm import CallReasons, Rhythm
from app.schemas.stages.stages import Named, NextAction

Status = Annotated[
    Literal["ok", "never_purchased", "insufficient_history", "no_model"],
    Field(description="how far the figures of the model can be trusted, or why there are none"),
]
REVENUE = "what was paid up to `as_of`, refunds set off"
VALUE_TO_SAVE = (
    "what silence has cost and can still be won back: the lifetime value had the last purchase "
    "been at `as_of`, minus that now, times the probability of any purchase within 365 days; about "
    "zero for who is lost and for who has just bought"
)


SENTENCE = (
    "the figures in one paragraph: habit, lateness, what to expect, and whether to call; it says "
    "nothing that they do not"
)


class ModelInputs(Answer):
    """What the purchase process sees of a customer, in `unit`."""

    x: int = Field(description="repeat purchase days", examples=[3])
    t_x: float = Field(description="time of the last one since the first, in `unit`")
    T: float = Field(description="time from the first purchase to `as_of`, in `unit`")
    unit: Literal["day", "week"] = Field(description="unit of `t_x` and `T`")


class ExpectedPurchases(Answer):
    """How many purchase days are expected."""

    horizon_days: HorizonDays
    value: float = Field(description="expected purchase days", examples=[1.2])
    interval: PurchaseInterval = Field(description=INTERVAL)


class Reason(Answer):
    """A part of the difference to the reference customer, on the log-odds of no purchase."""

    code: str = Field(
        examples=["inactivity"],
        description="purchases, age, inactivity, frequency_trend, amount_trend, value, regularity, "
        "refunds, complaints, satisfaction, surveyed, contact_silence or contacted; there may be "
        "more one day",
    )
    contribution: float = Field(description="in log-odds; positive raises the risk")
    value: float | None = Field(
        description="the customer's: days, times, answers, or an amount in the main unit of the "
        "deployment's currency, as `text` tells",
        examples=[62],
    )
    reference: float | None = Field(
        description="what `value` is compared with, in its unit: where the two are equal, the "
        "cause adds nothing. The reference customer's number; of the inactivity, that customer's "
        "share of the own age; of trends, the own mean; of the regularity, purchases at random",
        examples=[21],
    )
    text: Named = Field(
        description="the cause in words: both numbers, and whether it raises the risk",
        examples=[
            {
                "en": "62 days silent, the customer compared with 21 at this age: raises the risk",
                "zh": "已沉默62天，对照客户在相同时长下为21天，使风险升高",
            }
        ],
    )
    facts: dict[str, Any] = Field(
        default_factory=dict,
        description="the facts behind it",
        examples=[{"last_purchase_on": "2026-01-31"}],
    )


class ChurnRisk(Answer):
    """The probability of no purchase in the next `horizon_days`; P(alive) is not it.

    `base_log_odds` plus all contributions is the log-odds of `probability`.
    """

    horizon_days: int = Field(
        examples=[90], description="days ahead that it is of; by default the model's own"
    )
    probability: ChurnProbability
    kind: str = Field(
        examples=["landmark"],
        description="landmark: a regression learnt on the own past; base_rate: the same for "
        "everybody; else a model of purchases",
    )
    status: str = Field(
        examples=["ok"], description="ok, insufficient_history or weakly_identified"
    )
    extrapolated: bool = Field(
        description="the risk was learnt over another number of days than `horizon_days`, and is "
        "carried to it by the model of purchases"
    )
    base_log_odds: BaseLogOdds
    log_odds: LogOdds
    reasons: list[Reason] = Field(description="the causes, the weightiest first")


class Scores(Answer):
    """The score card of a customer, computed for the asked instant from the facts up to it.

    `stage` is the one that stands, overrides included; `call_reasons` and `next_actions` follow it,
    and no other figure does.

    R, F and M: 1 + the number of cuts strictly below the value (for recency, above the days), so
    equal values score alike. The cuts are those of everybody with a purchase day at the model's
    `as_of`, or as somebody gave them. Groups look at R and at the mean of F and M, rounded down.
    Risk, expected purchases and CLV never contradict each other: who purchases with probability
    1 - p is expected to do so at least 1 - p times. `value_tier` is by the model's terms of CLV,
    whatever terms the question names; `value_to_save` is by those of `clv`.
    """

    customer_id: CustomerKey
    status: Status
    stage: StageCode
    days_since_last_purchase: DaysSinceLastPurchase | None
    purchase_days: PurchaseDays
    mean_spend: Money | None = Field(description="mean net value of the days with a positive one")
    revenue: Money = Field(description=REVENUE)
    refund_excess: Money | None = Field(
        description="what was given back beyond what was paid; null if nothing was"
    )
    rhythm: Rhythm | None = Field(
        description="where the customer stands against the own usual gap between purchases; null "
        "for one who never purchased, and without a model"
    )
    call_reasons: CallReasons
    sentence: Named = Field(
        description=SENTENCE,
        examples=[
            {
                "en": "Loyal; usually buys every 21 days, last 34 days ago: a little late. About "
                "2.3 purchases expected in 90 days. No call needed.",
                "zh": "忠诚；通常每21天购买一次，上次在34天前：略迟。预计90天内约购买2.3次。"
                "无需致电。",
            }
        ],
    )
    r: RfmScore | None = Field(description="recency score, 1 to 5, of which 5 is best")
    f: RfmScore | None = Field(description="frequency score, 1 to 5, of which 5 is best")
    m: RfmScore | None = Field(description="monetary score, 1 to 5, of which 5 is best")
    rfm_score: int | None = Field(description="R + F + M, 3 to 15", examples=[12])
    rfm_group: RfmGroupCode | None
    rfm_class8: str | None = Field(
        examples=["important_value"],
        description="each of R, F, M against the mean: important_value 重要价值, "
        "important_develop 重要发展, important_keep 重要保持, important_retain 重要挽留, "
        "general_value 一般价值, general_develop 一般发展, general_keep 一般保持, "
        "general_retain 一般挽留",
    )
    rfm_few_classes: FewClasses
    model_inputs: ModelInputs | None = Field(
        description="what the model of purchases sees of the customer"
    )
    p_alive: PAlive | None
    expected_purchases: ExpectedPurchases | None = Field(
        description="purchase days expected within the horizon"
    )
    clv: Clv | None = Field(description="customer lifetime value")
    value_tier: Tier | None
    churn_risk: ChurnRisk | None = Field(description="how likely the customer is to churn, and why")
    value_to_save: Money | None = Field(description=VALUE_TO_SAVE)
    withheld: dict[str, str] = Field(
        description="fields answered with null although the status is ok, each with the reason",
        examples=[{"p_alive": "no_dropout_identified"}],
    )
    next_actions: list[NextAction] = Field(
        description="what the policy suggests for customers of this stage and condition"
    )
    churn_record: ChurnRecord | None = Field(
        description="why the customer left, while the stage is a churned one: the latest record "
        "since the last win-back; null if there is none"
    )
    segments: list[str] | None = Field(
        description="codes of the segments that the customer is kept to be in, ascending; null of "
        "an earlier instant, and without the scope `customers:read_pii`, which rules of segments "
        "may take. `GET /v1/customers/{id}/segments` says since when, and what would "
        "change it",
        examples=[["high_value"]],
    )
    lookahead: bool = Field(description="the model was fitted on facts later than as_of")
    model_id: ModelKey | None
    model_as_of: Timestamp | None = Field(
        description="the instant up to which the model has learnt"
    )
    policy_version: PolicyVersion
    as_of: AsOfInstant
    computed_at: ComputedAt
