"""Who did what."""

from typing import Any

from pydantic import Field

from app.schemas.common.shapes import Page
from app.schemas.common.types import Answer, Timestamp

IDS_KEPT = 20


class AuditEntry(Answer):
    """A request or a command that wrote: what it was about, without what was written."""

    entry_id: int = Field(description="number of the entry, which no other has", examples=[4711])
    recorded_at: Timestamp = Field(description="when it began, by the clock of the database")
    actor: str = Field(
        description="id of the API key; `cli` for a command, `worker` for what long work put in "
        "force",
        examples=["Xf3kP9aQ"],
    )
    actor_name: str = Field(
        description="name of the key at that time; of a command, who ran it", examples=["shop"]
    )
    operation: str = Field(
        description="`operationId` of the request, or what the command or the worker did",
        examples=["write_transactions"],
    )
    request_id: str | None = Field(
        description="id of the request in logs; null if it was none",
        examples=["0b6bd6f3a0fd4d6c8f2a1c9e4d5b6a70"],
    )
    status: int | None = Field(
        description="the status of HTTP that it was answered with; null if it was no request",
        examples=[201],
    )
    customer_ids: list[str] = Field(
        description=f"ids of the customers that it named, the first {IDS_KEPT} of them",
        examples=[["c-1001"]],
    )
    customers: int = Field(description="how many customers it named", examples=[1])
    ids: dict[str, Any] = Field(
        description="other ids that it named or made, by what they are of",
        examples=[{"source": "shop", "transaction_id": "order-7731"}],
    )
    fields: list[str] = Field(
        description="names of the fields that were given; of a bulk those of any item",
        examples=[["amount", "occurred_at"]],
    )


class AuditPage(Page[AuditEntry]):
    """A page of entries."""
