"""Everything that happened to a customer, as one list."""

from typing import Annotated, Literal

from pydantic import Field

from app.schemas.common import Page
from app.schemas.interactions import Interaction
from app.schemas.stages import Transition
from app.schemas.transactions import Transaction
from app.schemas.types import Answer, Timestamp

TimelineType = Literal["transaction", "interaction", "transition"]


class TransactionEntry(Answer):
    type: Literal["transaction"]
    at: Timestamp = Field(description="its `occurred_at`")
    transaction: Transaction


class InteractionEntry(Answer):
    type: Literal["interaction"]
    at: Timestamp = Field(description="its `occurred_at`")
    interaction: Interaction


class TransitionEntry(Answer):
    type: Literal["transition"]
    at: Timestamp = Field(description="its `effective_at`")
    transition: Transition


TimelineEntry = Annotated[
    TransactionEntry | InteractionEntry | TransitionEntry, Field(discriminator="type")
]


class TimelinePage(Page[TimelineEntry]):
    pass
