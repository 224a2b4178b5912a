"""Customers as they come in and go out."""

from datetime import date
from typing import Any, Literal

from pydantic import ConfigDict, Field

from app.schemas.common import Batch, Page
from app.schemas.types import (
    Answer,
    Attributes,
    Day,
    Identifier,
    Shape,
    Text,
    Timestamp,
)

PROFILE_EXAMPLE: dict[str, Any] = {
    "kind": "person",
    "name": "王小明",
    "email": "xiaoming@example.com",
    "country": "CN",
    "city": "上海",
    "owner": "team-east",
    "acquisition_channel": "trade_fair",
    "attributes": {"newsletter": True},
}


class Profile(Shape):
    """Who a customer is. Every field is optional."""

    model_config = ConfigDict(json_schema_extra={"examples": [PROFILE_EXAMPLE]})

    kind: Literal["person", "company"] | None = None
    name: Text | None = None
    email: Text | None = None
    phone: Text | None = None
    country: str | None = Field(
        None, pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2", examples=["CN"]
    )
    region: Text | None = None
    city: Text | None = None
    gender: Text | None = None
    birth_date: Day | None = None
    occupation: Text | None = None
    industry: Text | None = None
    income_band: Text | None = None
    parent_customer_id: Identifier | None = None
    owner: Text | None = Field(None, description="who looks after the customer")
    acquisition_channel: Text | None = None
    referred_by: Identifier | None = Field(None, description="the customer who referred this one")
    first_contact_at: Timestamp | None = None
    contract_ends_on: Day | None = Field(None, description="the last day of the contract in force")
    source: Text | None = Field(None, description="the system the profile came from")
    attributes: Attributes = Field(
        default_factory=dict,
        description="free JSON: at most 16 KiB and 5 levels; PATCH merges it key by key",
    )


class ProfilePatch(Profile):
    """A JSON merge patch (RFC 7396): absent fields stay, null clears."""

    attributes: Attributes | None = None  # type: ignore[assignment]  # null clears all of them


class BulkProfile(ProfilePatch):
    """One item of a bulk: the customer's id, and a merge patch of the profile."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_id": "c-1001", **PROFILE_EXAMPLE}]}
    )

    customer_id: Identifier = Field(examples=["c-1001"])


class CustomerBatch(Batch[BulkProfile]):
    """Up to 1,000 profiles; unknown customers are created, known ones merged like PATCH."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [{"customer_id": "c-1001", **PROFILE_EXAMPLE}]}]}
    )


class Customer(Answer):
    """A customer: the profile and the recorded stage."""

    customer_id: str = Field(examples=["c-1001"])
    kind: str | None
    name: str | None
    email: str | None
    phone: str | None
    country: str | None
    region: str | None
    city: str | None
    gender: str | None
    birth_date: date | None
    occupation: str | None
    industry: str | None
    income_band: str | None
    parent_customer_id: str | None
    owner: str | None
    acquisition_channel: str | None
    referred_by: str | None
    first_contact_at: Timestamp | None
    contract_ends_on: date | None
    source: str | None
    attributes: dict[str, Any]
    profile_version: int = Field(description="moves with the profile alone; the ETag")
    stage: str = Field(description="the stage the ledger last recorded", examples=["active"])
    stage_since: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp


class CustomerPage(Page[Customer]):
    stage_policy_version: int = Field(
        description="the policy that the recorded stages follow: the one in force, or while "
        "another takes effect, the one before"
    )
