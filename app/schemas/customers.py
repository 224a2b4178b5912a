"""Customers as they come in and go out."""

from datetime import date
from typing import Any, Literal

from pydantic import ConfigDict, Field

from app.schemas.common.fields import AsOfInstant, CreatedAt, CustomerKey, StageCode
from app.schemas.common.shapes import Batch, Page
from app.schemas.common.types import Answer, Attributes, Day, Identifier, Shape, Text, Timestamp
from app.schemas.common.warnings import WriteWarning
from app.schemas.ingest.facts import DEFAULT_SOURCE

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

    kind: Literal["person", "company"] | None = Field(None, description="a person or a company")
    name: Text | None = Field(None, description="the name to call them by", examples=["王小明"])
    email: Text | None = Field(
        None, description="e-mail address", examples=["xiaoming@example.com"]
    )
    phone: Text | None = Field(None, description="phone number", examples=["+86 21 5555 0101"])
    country: str | None = Field(
        None, pattern=r"^[A-Z]{2}$", description="country, by ISO 3166-1 alpha-2", examples=["CN"]
    )
    region: Text | None = Field(None, description="part of the country", examples=["华东"])
    city: Text | None = Field(None, description="city", examples=["上海"])
    gender: Text | None = Field(None, description="gender, in your words", examples=["female"])
    birth_date: Day | None = Field(None, description="day of birth")
    occupation: Text | None = Field(None, description="occupation", examples=["teacher"])
    industry: Text | None = Field(None, description="industry of a company", examples=["retail"])
    income_band: Text | None = Field(
        None, description="band of income, in your words", examples=["middle"]
    )
    parent_customer_id: Identifier | None = Field(
        None, description="id of the customer this one belongs to", examples=["c-1000"]
    )
    owner: Text | None = Field(
        None, description="who looks after the customer", examples=["team-east"]
    )
    acquisition_channel: Text | None = Field(
        None, description="the channel the customer came by", examples=["trade_fair"]
    )
    referred_by: Identifier | None = Field(
        None, description="id of the customer who referred this one", examples=["c-1000"]
    )
    first_contact_at: Timestamp | None = Field(None, description="when contact was first made")
    contract_ends_on: Day | None = Field(None, description="the last day of the contract in force")
    attributes: Attributes = Field(
        default_factory=dict,
        description="free JSON: at most 16 KiB and 5 levels; PATCH merges it key by key. Each key "
        "has a history of its own; one that is null is not kept",
        examples=[{"newsletter": True}],
    )


class ProfileWrite(Profile):
    """A profile, who says so, and since when it is true."""

    source: Identifier = Field(
        DEFAULT_SOURCE, description="the system that says so", examples=["crm"]
    )
    valid_from: Timestamp | None = Field(
        None,
        description="since when it is true, not ahead; without it a first value of a field holds "
        "from the beginning, and another one from now on. What holds now by what was said before "
        "stays, where that is true since a later time",
        examples=["2026-01-31T12:00:00Z"],
    )


class ProfilePatch(ProfileWrite):
    """A JSON merge patch (RFC 7396): absent fields stay, null clears."""

    attributes: Attributes | None = Field(  # type: ignore[assignment]  # null clears all of them
        None,
        description="free JSON: at most 16 KiB and 5 levels, merged key by key; null clears it",
        examples=[{"newsletter": True}],
    )


class BulkProfile(ProfilePatch):
    """One item of a bulk: the customer's id, and a merge patch of the profile."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_id": "c-1001", **PROFILE_EXAMPLE}]}
    )

    customer_id: Identifier = Field(description="id of the customer", examples=["c-1001"])


class CustomerBatch(Batch[BulkProfile]):
    """Up to 1,000 profiles; unknown customers are created, known ones merged like PATCH."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [{"customer_id": "c-1001", **PROFILE_EXAMPLE}]}]}
    )


class Customer(Answer):
    """A customer: the profile and the recorded stage."""

    customer_id: CustomerKey
    kind: Literal["person", "company"] | None = Field(description="a person or a company")
    name: str | None = Field(description="the name to call them by", examples=["王小明"])
    email: str | None = Field(description="e-mail address", examples=["xiaoming@example.com"])
    phone: str | None = Field(description="phone number", examples=["+86 21 5555 0101"])
    country: str | None = Field(description="country, by ISO 3166-1 alpha-2", examples=["CN"])
    region: str | None = Field(description="part of the country", examples=["华东"])
    city: str | None = Field(description="city", examples=["上海"])
    gender: str | None = Field(description="gender, in your words", examples=["female"])
    birth_date: date | None = Field(description="day of birth")
    occupation: str | None = Field(description="occupation", examples=["teacher"])
    industry: str | None = Field(description="industry of a company", examples=["retail"])
    income_band: str | None = Field(
        description="band of income, in your words", examples=["middle"]
    )
    parent_customer_id: str | None = Field(
        description="id of the customer this one belongs to", examples=["c-1000"]
    )
    owner: str | None = Field(description="who looks after the customer", examples=["team-east"])
    acquisition_channel: str | None = Field(
        description="the channel the customer came by", examples=["trade_fair"]
    )
    referred_by: str | None = Field(
        description="id of the customer who referred this one", examples=["c-1000"]
    )
    first_contact_at: Timestamp | None = Field(description="when contact was first made")
    contract_ends_on: date | None = Field(description="the last day of the contract in force")
    source: str | None = Field(
        description="the system that told of the profile first; null if none has, or if that was "
        "not kept",
        examples=["crm"],
    )
    attributes: dict[str, Any] = Field(
        description="free JSON of your own", examples=[{"newsletter": True}]
    )
    profile_version: int = Field(
        description="version of the profile and its history, which facts do not change; the ETag"
    )
    stage: StageCode
    stage_since: Timestamp | None = Field(
        description="since when the ledger has that stage; null for who is where all begin"
    )
    created_at: CreatedAt
    updated_at: Timestamp = Field(description="when the profile was last written")


class CustomerAt(Customer):
    """A customer with the profile that was valid at an instant, and the stage of then.

    Version and times of creation and writing are those of what is stored now.
    """

    as_of: AsOfInstant
    recorded_at: Timestamp | None = Field(
        description="by what was known at this instant; null: by all that is known now"
    )


class CustomerWritten(CustomerAt):
    """A customer whose profile was written."""

    warnings: list[WriteWarning] = Field(description="what was accepted without full effect")


class CustomerPage(Page[Customer]):
    """A page of customers."""

    stage_policy_version: int = Field(
        description="version of the policy that the recorded stages follow: the one in force, "
        "or while another takes effect, the one before"
    )
