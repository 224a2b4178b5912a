"""What transactions and interactions have in common as they come in and go out."""

from typing import Literal

from pydantic import Field

from app.schemas.common.fields import CustomerKey, OccurredAt, ReceivedAt, Source
from app.schemas.common.shapes import BulkAnswer
from app.schemas.common.types import MAX_INT, Answer, Identifier, Shape, Timestamp
from app.schemas.common.warnings import WriteWarning

DEFAULT_SOURCE = "default"


class FactIn(Shape):
    """A dated fact of a customer, known for ever by customer, source and its own id."""

    customer_id: Identifier = Field(
        description="id of the customer, who is created where not known", examples=["c-1001"]
    )
    source: Identifier = Field(
        DEFAULT_SOURCE, description="the system the fact came from", examples=["shop"]
    )
    occurred_at: Timestamp = Field(
        description="when it happened, at most 24 hours ahead", examples=["2026-01-31T12:00:00Z"]
    )
    revision: int = Field(
        1,
        strict=True,
        ge=1,
        le=MAX_INT,
        description="number of the revision: a higher one replaces the content, a lower one "
        "changes nothing",
    )


class FactOut(Answer):
    """The revision in force of a fact."""

    customer_id: CustomerKey
    source: Source
    revision: int = Field(description="number of the revision in force", examples=[1])
    occurred_at: OccurredAt
    received_at: ReceivedAt


class FactWritten(Answer):
    """What became of one fact."""

    status: Literal["created", "updated", "duplicate"] = Field(
        description="whether it was new, replaced what was known, or was known as it is"
    )
    customer_created: bool = Field(
        description="the customer was not known before, and now has an empty profile"
    )
    warnings: list[WriteWarning] = Field(description="what was accepted without full effect")


class FactBatchAnswer(BulkAnswer):
    """What became of each fact, in the order of the request."""

    customers_created: int = Field(
        description="customers not known before, now with an empty profile"
    )
