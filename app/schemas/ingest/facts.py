"""What transactions and interactions have in common as they come in and go out."""

from typing import Generic, Literal, TypeVar

from pydantic import Field

from app.schemas.common.fields import Actor, CustomerKey, OccurredAt, ReceivedAt, Source
from app.schemas.common.locales import TimeZone
from app.schemas.common.shapes import Batch, BulkAnswer
from app.schemas.common.times import FactTime
from app.schemas.common.types import (
    MAX_BIGINT,
    Answer,
    FactIdentifier,
    Identifier,
    Shape,
    Timestamp,
)
from app.schemas.common.warnings import WriteWarning

DEFAULT_SOURCE = "default"


class FactContent(Shape):
    """What is said of any dated fact, whosever it is."""

    source: FactIdentifier = Field(
        DEFAULT_SOURCE, description="the system the fact came from", examples=["shop"]
    )
    occurred_at: FactTime = Field(
        description="when it happened, at most 24 hours ahead: a time with an offset, or beside a "
        "`time_zone` a time or a day of it. A day means its beginning; of a local time that comes "
        "twice the earlier is meant, and one that clocks skip is moved forward by what they skip",
        examples=["2026-01-31T12:00:00Z", "2026-01-31 12:00:00", "2026-01-31"],
    )
    time_zone: TimeZone | None = Field(
        None,
        description="the zone, by its name in the IANA database, of an `occurred_at` without "
        "offset; that of the batch if absent",
    )
    revision: int = Field(
        1,
        strict=True,
        ge=1,
        le=MAX_BIGINT,
        description="number of the revision: a higher one replaces the content, a lower one "
        "changes nothing",
    )


class FactIn(FactContent):
    """A dated fact of a customer, known for ever by customer, source and its own id."""

    customer_id: Identifier = Field(
        description="id of the customer, who is created where not known", examples=["c-1001"]
    )


FactItem = TypeVar("FactItem", bound=FactIn)


class FactBatch(Batch[FactItem], Generic[FactItem]):
    """Facts that are applied as one write."""

    time_zone: TimeZone | None = Field(
        None,
        description="the zone, by its name in the IANA database, of each `occurred_at` without "
        "offset",
    )


class Voided(Answer):
    """How a fact was taken out of force. A higher revision brings it back."""

    voided_at: Timestamp = Field(description="when it was voided")
    reason: str = Field(description="why", examples=["entered twice"])
    actor: Actor


class FactOut(Answer):
    """The revision in force of a fact, or the one that was voided."""

    customer_id: CustomerKey
    source: Source
    revision: int = Field(description="number of the revision", examples=[1])
    occurred_at: OccurredAt
    received_at: ReceivedAt
    voided: Voided | None = Field(description="null for one in force, which is one that counts")


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
