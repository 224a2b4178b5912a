"""What transactions and interactions have in common as they come in and go out."""

from typing import Literal

from pydantic import Field

from app.schemas.common import BulkAnswer
from app.schemas.types import MAX_INT, Answer, Identifier, Shape, Timestamp

DEFAULT_SOURCE = "default"


class FactIn(Shape):
    """A dated fact of a customer, known for ever by customer, source and its own id."""

    customer_id: Identifier = Field(examples=["c-1001"])
    source: Identifier = Field(DEFAULT_SOURCE, description="the system the fact came from")
    occurred_at: Timestamp
    revision: int = Field(
        1,
        strict=True,
        ge=1,
        le=MAX_INT,
        description="a higher one replaces the content, a lower one changes nothing",
    )


class FactOut(Answer):
    """The revision in force of a fact."""

    customer_id: str
    source: str
    revision: int
    kind: str
    occurred_at: Timestamp
    received_at: Timestamp


class FactWritten(Answer):
    """What became of one fact."""

    status: Literal["created", "updated", "duplicate"]
    customer_created: bool


class FactBatchAnswer(BulkAnswer):
    customers_created: int = Field(
        description="customers not known before, now with an empty profile"
    )
