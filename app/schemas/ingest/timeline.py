"""Everything that happened to a customer, as one list."""

from typing import Annotated, Literal

from pydantic import Field

from app.schemas.common.shapes import Page
from app.schemas.common.types import Answer, Timestamp
from app.schemas.ingest.churn_records import ChurnRecord
from app.schemas.ingest.interactions import Interaction
from app.schemas.ingest.profile_history import ProfileChange
from app.schemas.ingest.transactions import Transaction
from app.schemas.stages.stages import Transition

TimelineType = Literal["transaction", "interaction", "churn_record", "transition", "profile_change"]


class TransactionEntry(Answer):
    """What the timeline has of a transaction."""

    type: Literal["transaction"] = Field(description="what the entry is")
    at: Timestamp = Field(description="its `occurred_at`")
    transaction: Transaction = Field(description="the transaction")


class InteractionEntry(Answer):
    """What the timeline has of an interaction."""

    type: Literal["interaction"] = Field(description="what the entry is")
    at: Timestamp = Field(description="its `occurred_at`")
    interaction: Interaction = Field(description="the interaction")


class ChurnRecordEntry(Answer):
    """What the timeline has of a churn record."""

    type: Literal["churn_record"] = Field(description="what the entry is")
    at: Timestamp = Field(description="its `occurred_at`")
    churn_record: ChurnRecord = Field(description="why the customer left")


class TransitionEntry(Answer):
    """What the timeline has of a transition between stages."""

    type: Literal["transition"] = Field(description="what the entry is")
    at: Timestamp = Field(description="its `effective_at`")
    transition: Transition = Field(description="the transition")


class ProfileChangeEntry(Answer):
    """What the timeline has of a change of the profile."""

    type: Literal["profile_change"] = Field(description="what the entry is")
    at: Timestamp = Field(description="its `valid_from`; `recorded_at` where that was not said")
    profile_change: ProfileChange = Field(description="what was said of the profile")


TimelineEntry = Annotated[
    TransactionEntry | InteractionEntry | ChurnRecordEntry | TransitionEntry | ProfileChangeEntry,
    Field(discriminator="type"),
]


class TimelinePage(Page[TimelineEntry]):
    """A page of what happened to a customer."""
