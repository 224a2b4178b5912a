"""Interactions as they come in and go out."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from app.schemas.common.shapes import Page
from app.schemas.common.types import Answer, Attributes, FactIdentifier, LongText, Text
from app.schemas.common.warnings import WriteWarning
from app.schemas.ingest.facts import FactBatch, FactIn, FactOut, FactWritten
from app.schemas.ingest.kinds import WrittenKind

CORE_KINDS = (
    "visit", "call", "meeting", "demo", "trial", "quote", "decision", "consult", "email_open",
    "email_click", "campaign", "event", "training", "inspection", "ticket_opened",
    "ticket_closed", "complaint", "survey", "nps", "csat", "ces", "care", "mention",
    "payment_overdue", "contract_renewed", "cancelled", "snoozed",
)  # fmt: skip
EXAMPLE: dict[str, Any] = {
    "customer_id": "c-1001",
    "interaction_id": "ticket-4711",
    "source": "helpdesk",
    "occurred_at": "2026-01-31T12:00:00Z",
    "kind": "complaint",
    "channel": "phone",
    "text": "The second delivery this month came late.",
    "attributes": {"severity": 2},
}
SURVEY_EXAMPLE: dict[str, Any] = {
    "customer_id": "c-1001",
    "interaction_id": "nps-2026-02",
    "occurred_at": "2026-02-03T09:30:00+08:00",
    "kind": "nps",
    "campaign": "nps-spring",
    "score": 9,
}


class InteractionIn(FactIn):
    """A dated fact that is no transaction.

    Its identity is (customer_id, source, interaction_id), for ever.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE, SURVEY_EXAMPLE]})

    interaction_id: FactIdentifier = Field(
        description="id of the interaction in its system", examples=["ticket-4711"]
    )
    kind: WrittenKind = Field(
        description=f"what happened: {', '.join(CORE_KINDS)}, or words of your own, in letters of "
        "any script. Kept in small letters with `_` between words: `Order Completed` is "
        "`order_completed`",
        examples=["complaint"],
    )
    channel: Text | None = Field(None, description="how it reached them", examples=["phone"])
    campaign: Text | None = Field(
        None, description="the campaign it belongs to", examples=["nps-spring"]
    )
    outcome: Text | None = Field(
        None, description="how it ended: an outcome of its kind", examples=["solved"]
    )
    score: Annotated[float, Field(strict=True, ge=0, le=100)] | None = Field(
        None,
        description="number that a survey was answered with, on the scale of its kind; within 0 "
        "to 100 where it has none",
    )
    text: LongText | None = Field(None, description="what was said, in up to 4,000 characters")
    attributes: Attributes | None = Field(
        None, description="free JSON: at most 16 KiB and 5 levels"
    )


class InteractionBatch(FactBatch[InteractionIn]):
    """Up to 1,000 interactions, applied as one write."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [EXAMPLE, SURVEY_EXAMPLE], "mode": "partial"}]}
    )


class Interaction(FactOut):
    """The revision in force of an interaction."""

    kind: str = Field(description="what happened", examples=["complaint"])
    interaction_id: str = Field(
        description="id of the interaction in its system", examples=["ticket-4711"]
    )
    channel: str | None = Field(description="how it reached them", examples=["phone"])
    campaign: str | None = Field(description="the campaign it belongs to", examples=["nps-spring"])
    outcome: str | None = Field(description="how it ended", examples=["solved"])
    score: float | None = Field(
        description="number that a survey was answered with, on the scale of its kind"
    )
    text: str | None = Field(
        description="what was said", examples=["The second delivery this month came late."]
    )
    attributes: dict[str, Any] = Field(
        description="free JSON of your own", examples=[{"severity": 2}]
    )


class InteractionWritten(FactWritten):
    """What became of one interaction."""

    interaction: Interaction = Field(description="the revision in force")


class InteractionVoided(Answer):
    """What became of an interaction that was to be voided."""

    interaction: Interaction = Field(
        description="as it is now: voided, or a higher revision in force"
    )
    warnings: list[WriteWarning] = Field(description="what was accepted without full effect")


class InteractionPage(Page[Interaction]):
    """A page of interactions."""
