"""The worklist: whom to call today and why."""

from datetime import date
from typing import Annotated, Any

from pydantic import Field

from app.schemas.common import personal
from app.schemas.common.fields import ComputedAt, CustomerKey, CustomerName
from app.schemas.common.types import Answer, Money, Timestamp
from app.schemas.scores.cards import SENTENCE
from app.schemas.stages.stages import Named, NextAction
from app.schemas.worklist_rules import ACTION, DUTY, Version


class Why(Answer):
    """A reason to call."""

    code: str = Field(description="code of the rule", examples=["overdue"])
    duty: str = Field(description=DUTY, examples=["retention"])
    name: Named = Field(description="the reason in a few words")
    sentence: Named = Field(description="the reason in one sentence")
    action: Named | None = Field(description=ACTION)
    since: date | None = Field(description="day since which it is there; null if nothing tells")


class ClosedWhy(Why):
    """A reason that is there, and has been seen to."""

    closed_by: str = Field(
        description="`contact`: there was one since; `snoozed`: until a day that is to come",
        examples=["contact"],
    )


class LastContact(Answer):
    """The last time that somebody had contact with the customer."""

    occurred_at: Timestamp = Field(description="when it was")
    kind: str = Field(description="kind of the interaction", examples=["call"])
    channel: str | None = Field(description="by which channel", examples=["phone"])
    outcome: str | None = Field(description="how it ended", examples=["reached"])


class Reach(Answer):
    """How to reach the customer, and whether one may."""

    phone: str | None = Field(description="phone number", examples=["+49 30 901820"])
    email: str | None = Field(description="e-mail address", examples=["w@example.com"])
    preferred_language: str | None = Field(description="language", examples=["zh"])
    time_zone: str | None = Field(description="time zone", examples=["Asia/Shanghai"])
    consent: Any = Field(
        description="attribute `consent` of the profile, as it was told; null if nothing was",
        examples=["phone"],
    )


WorkDay = Annotated[date, Field(description="the day that it is for")]


class WorkStage(Answer):
    """The recorded stage."""

    code: str = Field(description="code of the stage", examples=["active"])
    name: Named | None = Field(description="its name; null of one that the policy does not know")


class _Worked(Answer):
    customer_id: CustomerKey
    name: CustomerName | None
    owner: str | None = Field(description="who looks after the customer", examples=["anna"])
    stage: WorkStage = Field(description="the recorded stage")
    value_to_save: Money | None = Field(
        description="value to save by the published run; null if the run has none"
    )
    reasons: list[Why] = Field(description="open reasons, the first duty first")
    about: Named | None = Field(
        description=f"{SENTENCE}, unless another reason than those of the run is open; null "
        "without a run"
    )
    next_actions: list[NextAction] = Field(
        description="what the policy proposes to do in this stage, by the published run"
    )
    last_contact: LastContact | None = Field(description="null if there was none")
    reach: Reach = Field(description="how to reach the customer")


class WorkLine(_Worked):
    """A customer worth a contact, and why."""


class CustomerWorklist(_Worked):
    """What the worklist says of a customer."""

    date: WorkDay
    closed: list[ClosedWhy] = Field(description="reasons that are there and have been seen to")
    left_out: "list[LeftOut]" = Field(description="rules that this key is not told of")
    masked: list[str] = Field(description=f"{personal.DESCRIPTION}")


class LeftOut(Answer):
    """A rule that looks at what the key may not read."""

    code: str = Field(description="code of the rule", examples=["birthday"])
    missing_scope: str = Field(description="scope that it takes", examples=[personal.READ_PII])


class Worklist(Answer):
    """Whom to call, in order."""

    date: WorkDay
    rules_version: Version
    run_id: int | None = Field(
        description="number of the published run that values and silence are of; null if there is "
        "none",
        examples=[7],
    )
    lines_a_day: int = Field(description="number of lines of one owner that are shown at most")
    done_today: int | None = Field(
        description="number of lines that a contact of the day has closed, which count among "
        "`lines_a_day`; null unless an owner or a team is asked for"
    )
    items: list[WorkLine] = Field(description="a line a customer, the most pressing first")
    more: bool = Field(description="whether there are more lines than `limit` or the cap lets show")
    left_out: list[LeftOut] = Field(description="rules that made no lines for this key")
    masked: list[str] = Field(description=f"{personal.DESCRIPTION}")
    computed_at: ComputedAt


CustomerWorklist.model_rebuild()
