"""Counts of the published run."""

from pydantic import Field

from app.schemas.common.fields import (
    AsOfInstant,
    Customers,
    HorizonDays,
    ModelKey,
    PolicyVersion,
    RfmGroupCode,
    RunKey,
    StageCode,
)
from app.schemas.common.types import Answer, Money
from app.schemas.models.intervals import TOTALS, Totals
from app.schemas.models.rfm import FewClasses, RfmCuts
from app.schemas.stages.stages import Named


class StageCount(Answer):
    """The customers of a stage."""

    stage: StageCode
    name: Named = Field(description="the stage in words")
    customers: Customers
    revenue: Money = Field(description="their revenue together")
    value_to_save: Money | None = Field(
        description="their value to save together; null for a run of before it was told"
    )
    totals: Totals | None = Field(description=TOTALS)


class ReportAnswer(Answer):
    """Of the published run; all null or empty before the first."""

    run_id: RunKey | None
    model_id: ModelKey | None
    policy_version: PolicyVersion | None
    as_of: AsOfInstant | None = Field(description="the instant of the run")
    horizon_days: HorizonDays | None


class StageReport(ReportAnswer):
    """The customers of each stage."""

    stages: list[StageCount] = Field(description="the stages of the policy, in order")
    totals: Totals | None = Field(description=f"of everybody: {TOTALS}")


class RfmGroup(Answer):
    """The customers of an RFM group."""

    group: RfmGroupCode
    name: Named = Field(description="the group in words")
    customers: Customers
    revenue: Money = Field(description="their revenue together")


class RfmReport(ReportAnswer):
    """`grid[r-1][fm-1]` is the number of customers with R and FM, which make the groups."""

    grid: list[list[int]] = Field(
        description="customers by recency score, then by FM: the mean of frequency and monetary "
        "score, rounded down",
        examples=[[[1, 0, 0, 0, 0]] * 5],
    )
    groups: list[RfmGroup] = Field(description="the groups, in order")
    cuts: RfmCuts | None = Field(description="the cuts of the model of the run")
    rfm_few_classes: FewClasses
