"""Rebuilds: what is kept of customers against what their facts say."""

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from app.schemas.common import personal
from app.schemas.common.fields import CustomerKey
from app.schemas.common.shapes import Page
from app.schemas.common.types import Answer, Identifier, Shape

_OF_PROFILE = ("/profile", "/phone_e164", "/found_by")
"""What is kept of who somebody is, and of what finds them."""


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
    masked: bool = Field(
        False,
        description="whether both are not shown, being of the profile, as the key lacks the scope "
        f"`{personal.READ_PII}`: they are null here",
    )

    @model_validator(mode="after")
    def _mask(self) -> Self:
        if not personal.is_shown() and self.field.startswith(_OF_PROFILE):
            self.masked, self.kept, self.derived = True, None, None
        return self


class RebuildDifferencePage(Page[RebuildDifference]):
    """A page of differences."""


class RebuildResult(Answer):
    """What was kept, held against what the facts say."""

    customers: int = Field(description="customers who were derived anew")
    differing: int = Field(description="customers of whom something differed")
    differences: int = Field(description="number of values that differed")
    repaired: int = Field(description="customers of whom everything was written anew")
    remaining: int = Field(description="customers of whom something differs still")
    outdated: int = Field(description="customers who had been derived by an older version")
    derivation_version: int = Field(
        description="version of the rules by which they were derived", examples=[2]
    )
    digest: str = Field(
        description="128 bits in hexadecimal of everything now kept of these customers: equal for "
        "equal facts and policies, whenever they came",
        examples=["8f3b0c5e7d1a4f6290bb3d4c5a6e7f80"],
    )
