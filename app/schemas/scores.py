"""What a customer is worth, how likely the customer is to leave, and why."""

from typing import Any, Literal

from pydantic import Field

from app.schemas.stages import NextAction
from app.schemas.types import AmountOut, Answer, Money, Timestamp

Status = Literal["ok", "never_purchased", "insufficient_history", "no_model"]
Level = Literal["low", "medium", "high"]
Tier = Literal["high", "medium", "low"]


class ModelInputs(Answer):
    """What the purchase process sees of a customer, in `unit`."""

    x: int = Field(description="repeat purchase days")
    t_x: float = Field(description="time of the last one since the first")
    T: float = Field(description="time from the first purchase to as_of")
    unit: str


class ExpectedPurchases(Answer):
    horizon_days: int
    value: float


class Clv(Answer):
    """Customer lifetime value: discounted expected spend within the horizon."""

    horizon_days: int = Field(examples=[365])
    amount: AmountOut
    currency: str
    basis: Literal["revenue"] = "revenue"
    annual_discount: float = Field(examples=[0.1])


class Reason(Answer):
    """A part of the difference to the reference customer, on the log-odds of no purchase."""

    code: str = Field(
        examples=["silence"],
        description="purchases, age, silence, frequency_trend, amount_trend, value, regularity, "
        "refunds, complaints, satisfaction, surveyed, contact_silence or contacted; there may be "
        "more one day",
    )
    contribution: float = Field(description="positive raises the risk")
    value: float | None
    reference: float | None
    text: str = Field(examples=["62 days silent; usually 21"])
    facts: dict[str, Any] = Field(
        default_factory=dict,
        description="the facts behind it",
        examples=[{"last_purchase_on": "2026-01-31"}],
    )


class ChurnRisk(Answer):
    """The probability of no purchase in the next `horizon_days`; P(alive) is not it.

    `base_log_odds` plus all contributions is the log-odds of `probability`.
    """

    horizon_days: int = Field(examples=[90], description="by default the model's own")
    probability: float
    level: Level = Field(
        description="the band of the risk over the model's own horizon, by its back-test; where "
        "that says nothing: low: silent for at most 1 usual gap; medium: at most 2; high: longer"
    )
    meaning: str | None = Field(
        description="what became of the customers of this band in the back-test; null without one",
        examples=["of 100 customers in this band, about 71 make no purchase in the next 90 days"],
    )
    kind: str = Field(
        examples=["landmark"],
        description="landmark: a regression learnt on the own past; else a model of purchases",
    )
    status: str = Field(
        examples=["ok"], description="ok, insufficient_history or weakly_identified"
    )
    extrapolated: bool = Field(
        description="the risk was learnt over another number of days than `horizon_days`, and is "
        "carried to it by the model of purchases"
    )
    base_log_odds: float = Field(description="log-odds of the reference customer")
    log_odds: float
    reasons: list[Reason]


class Scores(Answer):
    """The score card of a customer, computed for the asked instant from the facts up to it.

    `stage` is the one that stands, decisions by hand included; `at_risk`, `next_actions` and
    `value_at_risk` follow it, and no other figure does.

    R, F and M: 1 + the number of stored cuts strictly below the value (for recency, below minus
    the days), so equal values score alike. The cuts are those of everybody with a purchase day
    at the model's `as_of`. `value_at_risk` is the CLV the customer would have had, had the last
    purchase been at `as_of`, minus the CLV now; zero for churned customers.
    """

    customer_id: str = Field(examples=["c-1001"])
    status: Status
    stage: str
    days_since_last_purchase: int | None
    purchase_days: int
    mean_spend: Money | None = Field(description="mean net value of the days with a positive one")
    revenue: Money
    refund_excess: Money | None
    usual_gap_days: float | None
    at_risk: bool | None
    r: int | None
    f: int | None
    m: int | None
    rfm_score: int | None = Field(description="R + F + M")
    rfm_group: str | None = Field(examples=["champions"])
    rfm_class8: str | None = Field(
        examples=["important_value"],
        description="each of R, F, M against the mean: important_value 重要价值, "
        "important_develop 重要发展, important_keep 重要保持, important_retain 重要挽留, "
        "general_value 一般价值, general_develop 一般发展, general_keep 一般保持, "
        "general_retain 一般挽留",
    )
    model_inputs: ModelInputs | None
    p_alive: float | None
    expected_purchases: ExpectedPurchases | None
    clv: Clv | None
    value_tier: Tier | None
    churn_risk: ChurnRisk | None
    value_at_risk: Money | None
    withheld: dict[str, str] = Field(
        description="fields answered with null although the status is ok, each with the reason",
        examples=[{"p_alive": "no_dropout_identified"}],
    )
    next_actions: list[NextAction] = Field(
        description="what the policy suggests for customers of this stage and condition"
    )
    lookahead: bool = Field(description="the model was fitted on facts later than as_of")
    model_id: str | None
    model_as_of: Timestamp | None
    policy_version: int
    as_of: Timestamp
    computed_at: Timestamp


class StageCount(Answer):
    stage: str
    name: dict[str, str]
    customers: int
    revenue: AmountOut
    value_at_risk: AmountOut | None


class ReportAnswer(Answer):
    """Of the published run; all null or empty before the first."""

    run_id: int | None
    model_id: str | None
    policy_version: int | None
    as_of: Timestamp | None
    currency: str


class StageReport(ReportAnswer):
    stages: list[StageCount]


class RfmGroup(Answer):
    group: str
    name: str
    customers: int
    revenue: AmountOut


class RfmReport(ReportAnswer):
    """`grid[r-1][f-1]` is the number of customers with those scores."""

    grid: list[list[int]]
    groups: list[RfmGroup]
    cuts: dict[str, Any] | None


class Info(Answer):
    """What this deployment is."""

    service: Literal["clm"] = "clm"
    version: str
    time_zone: str
    currency: str
    policy_version: int
    model_id: str | None
    run_id: int | None
    limits: dict[str, int]
