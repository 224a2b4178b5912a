"""Reports: counts of the published run, and tables of ledger and facts as they are now."""

from datetime import date

from pydantic import Field

from app.schemas.common.fields import (
    AsOfInstant,
    ComputedAt,
    Customers,
    HorizonDays,
    ModelKey,
    PolicyVersion,
    RfmGroupCode,
    RunKey,
    StageCode,
)
from app.schemas.common.types import Answer, Money, Timestamp
from app.schemas.models.intervals import TOTALS, Totals
from app.schemas.models.rfm import FewClasses, RfmCuts
from app.schemas.policies.targets import Target
from app.schemas.stages.stages import InWords, Named


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
    targets: list[Target] = Field(
        description="what the policy of the run says is to be reached with the stage"
    )


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


class OfferedReport(Answer):
    """A report that can be asked for."""

    name: str = Field(description="its name in the path", examples=["flow"])
    title: Named = Field(description="what it is called")
    by: list[InWords] = Field(
        description="what it can be parted by: values of `by`; the first is the usual one"
    )


class OfferedReports(Answer):
    """The reports that there are."""

    items: list[OfferedReport] = Field(description="all of them, in order")


class CountedShare(Answer):
    """A share, what it is counted of, and Wilson's interval of 95 %."""

    share: float | None = Field(
        description="share, 0 to 1; null where there is nobody to be counted", examples=[0.31]
    )
    n: int = Field(description="how many it is true of", examples=[31])
    of: int = Field(description="how many it is a share of", examples=[100])
    lower: float | None = Field(
        description="lower end of the interval of the share, 0 to 1", examples=[0.23]
    )
    upper: float | None = Field(
        description="upper end of the interval of the share, 0 to 1", examples=[0.41]
    )


class ReportColumn(Answer):
    """A column of a report: how to read its cells, and what it is called."""

    name: str = Field(description="the name of its cells in `rows`", examples=["customers"])
    title: Named = Field(description="what it is called")
    type: str = Field(
        description="what its cells are: `code` and `text` are texts, `month` is such as 2026-01, "
        "`day` such as 2026-01-31, `count` a whole number, `number` any number, `share` a number "
        "of 0 to 1, `rate` an object with n and interval, `money` an amount with its currency; any "
        "cell may be null",
        examples=["count"],
    )
    unit: str | None = Field(
        description="what its numbers count, or their unit; null of texts", examples=["customers"]
    )
    words: list[InWords] = Field(description="of a column of codes: what those in it are called")


class ReportNote(Answer):
    """What to know of a report to read it rightly."""

    code: str = Field(description="code of the note, to branch on", examples=["wilson"])
    text: Named = Field(description="the note in words")


Cell = str | int | float | CountedShare | Money | None


class Report(Answer):
    """A report: one table, of ledger and facts as they are known now, up to `as_of`.

    Days are those of `time_zone`. A name of a column means the same in every report.
    """

    name: str = Field(description="the report that was asked for", examples=["flow"])
    title: Named = Field(description="what it is called")
    by: str = Field(description="what it is parted by", examples=["stage"])
    since: date = Field(alias="from", description="its first day")
    until: date = Field(alias="to", description="its last day")
    as_of: AsOfInstant
    time_zone: str = Field(description="the zone whose days are meant", examples=["Europe/Berlin"])
    policy_version: PolicyVersion
    run_id: RunKey | None = Field(
        description="number of the run that lifetime values are of; null where there are none"
    )
    stages_recorded_until: Timestamp = Field(
        description="up to when transitions by silence stand in the ledger"
    )
    columns: list[ReportColumn] = Field(description="the columns, in order")
    rows: list[dict[str, Cell]] = Field(
        description="the rows, in order: a cell for each column, by its name",
        examples=[[{"from_stage": "active", "to_stage": "churned", "customers": 12}]],
    )
    totals: dict[str, Cell] | None = Field(
        description="what the rows amount to together, by name of column, null where a sum says "
        "nothing; null for lists",
        examples=[{"customers": 120}],
    )
    notes: list[ReportNote] = Field(description="what to know to read it rightly")
    computed_at: ComputedAt
