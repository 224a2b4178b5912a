"""How good a segment is."""

from pydantic import Field

from app.schemas.common.fields import AsOfInstant, Customers
from app.schemas.common.types import Answer, Money, Timestamp
from app.schemas.segments import SegmentCode

_MEMBERS, _OUTSIDE = "of the members of that day", "of those just outside on that day"
_DIFFERENCE = "members less those outside"


class SegmentFlow(Answer):
    """Who came and went in a month of the deployment's zone."""

    month: str = Field(description="the month", examples=["2026-05"])
    entered: int = Field(description="how many times somebody was found inside", examples=[12])
    left: int = Field(description="how many times somebody was found to have left", examples=[5])


class SegmentOverlap(Answer):
    """Another segment that shares members with this one."""

    code: SegmentCode
    members: Customers
    share: float | None = Field(
        description="of the members of this segment, 0 to 1", examples=[0.25]
    )
    jaccard: float = Field(
        description="of all who are in either, 0 to 1: near 1, both are about the same",
        examples=[0.1],
    )


class ShareInterval(Answer):
    """The 95 % interval of a difference of shares."""

    low: float = Field(
        description="lower end, a difference of shares, each 0 to 1", examples=[0.05]
    )
    high: float = Field(
        description="upper end, a difference of shares, each 0 to 1", examples=[0.31]
    )


class BoughtCompared(Answer):
    """Which share bought since that day."""

    members: float = Field(description=f"share {_MEMBERS}, 0 to 1", examples=[0.6])
    outside: float = Field(description=f"share {_OUTSIDE}, 0 to 1", examples=[0.42])
    difference: float = Field(description=f"share of {_DIFFERENCE}, -1 to 1", examples=[0.18])
    interval: ShareInterval = Field(description="of the difference, by Newcombe")


class MoneyInterval(Answer):
    """The 95 % interval of a difference of means."""

    low: Money = Field(description="lower end")
    high: Money = Field(description="upper end")


class RevenueCompared(Answer):
    """The mean revenue since that day, refunds set off."""

    members: Money = Field(description=f"mean {_MEMBERS}")
    outside: Money = Field(description=f"mean {_OUTSIDE}")
    difference: Money = Field(description=_DIFFERENCE)
    interval: MoneyInterval = Field(description="of the difference, by Welch's standard error")


class SegmentComparison(Answer):
    """Members of an earlier day against those just outside the cut, over the days since.

    This is no proof of a cause: who is inside differs in what the cut is of, and in what goes with
    it. What the segment's treatment brought, a hold-out group tells.
    """

    status: str = Field(
        examples=["ok"],
        description="ok; too_few: fewer than 20 on a side; too_many: more than 20,000 customers; "
        "no_number: each member has no number to reach; not_at_that_day: the rule looks at what is "
        "known of now alone, or may not be read",
    )
    days: int = Field(description="days that both are followed", examples=[90])
    since: Timestamp | None = Field(description="end of the day on which they were looked at")
    cut: str | None = Field(
        description="the variable of the cut: those outside fulfil all else, and come nearest",
        examples=["revenue"],
    )
    at: float | None = Field(description="the cut, in the unit of the variable", examples=[1000])
    members: int | None = Field(description="how many members are compared", examples=[120])
    outside: int | None = Field(
        description="how many just outside, at most as many as members", examples=[120]
    )
    bought: BoughtCompared | None = Field(description="null unless the status is ok")
    revenue: RevenueCompared | None = Field(description="null unless the status is ok")
    proves_cause: bool = Field(
        description="always false: a difference beside a cut is no effect of being inside"
    )


class SegmentQuality(Answer):
    """How large, how steady, and how much of others a segment is, by what is kept."""

    code: SegmentCode
    version: int = Field(description="version of the segment that is in force", examples=[1])
    as_of: AsOfInstant
    kept_until: Timestamp | None = Field(
        description="as of when membership was last brought up to date for everybody; null: not "
        "yet by this version"
    )
    members: int = Field(description="how many customers are kept as members", examples=[120])
    customers: int = Field(description="all customers", examples=[2000])
    coverage: float | None = Field(
        description="members as a share of all customers, 0 to 1; null without any", examples=[0.06]
    )
    flow: list[SegmentFlow] = Field(description="the last twelve months, the present one last")
    overlap: list[SegmentOverlap] = Field(description="the others, those with most in common first")
    last_change_at: Timestamp | None = Field(
        description="when somebody last came in or went out; null: never"
    )
    last_used_at: Timestamp | None = Field(
        description="when a question or a list last named it, or another segment that names it, to "
        "about a minute; null: never"
    )
    unused: bool = Field(
        description="whether it was neither used nor declared anew in the last 90 days"
    )
    comparison: SegmentComparison = Field(
        description="members against those just outside the cut; no proof of a cause"
    )
