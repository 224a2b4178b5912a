"""Rebuilds: what is kept of customers against what their facts say."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from app.schemas.common.fields import CustomerKey
from app.schemas.common.shapes import Page
from app.schemas.common.types import Answer, Identifier, Shape


class RebuildRequest(Shape):
    """Whom to derive anew, and whether to mend what differs."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customers": ["c-1001"], "repair": True}]}
    )

    customers: Annotated[list[Identifier], Field(min_length=1, max_length=1000)] | None = Field(
        None, description="ids of up to 1,000 customers; everybody if absent"
    )
    repair: Annotated[bool, Field(strict=True)] = Field(
        False, description="write anew what differs; else it is only told"
    )


class RebuildDifference(Answer):
    """A value kept of a customer that was not what the facts say."""

    customer_id: CustomerKey
    field: str = Field(
        description="JSON pointer into what is kept of the customer", examples=["/summary/revenue"]
    )
    kept: Any = Field(description="what was kept; null if nothing was", examples=["12.50"])
    derived: Any = Field(description="what the facts say; null if nothing", examples=["0.00"])


class RebuildDifferencePage(Page[RebuildDifference]):
    """A page of differences."""
