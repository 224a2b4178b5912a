"""Customers as they come in and go out."""

from datetime import date
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from app.schemas.common import personal
from app.schemas.common.fields import AsOfInstant, CreatedAt, CustomerKey, StageCode
from app.schemas.common.locales import LanguageTag, TimeZone
from app.schemas.common.shapes import Batch, Page
from app.schemas.common.types import (
    Answer,
    Attributes,
    Day,
    FactIdentifier,
    Identifier,
    Line,
    Shape,
    Timestamp,
)
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
    name: Line | None = Field(None, description="the name to call them by", examples=["王小明"])
    email: Line | None = Field(
        None,
        description="e-mail address; what is none is kept with a warning",
        examples=["xiaoming@example.com"],
    )
    phone: Line | None = Field(
        None,
        description="phone number, or several parted by `;`; one written without its country is of "
        "the customer's country, else the deployment's. What is no number is kept with a warning",
        examples=["+86 21 5555 0101"],
    )
    country: Line | None = Field(
        None,
        description="country: a code of ISO 3166-1, or its name in English, Chinese or a language "
        "of its own. What is none is kept as `country_text`, with a warning",
        examples=["CN", "United States", "中国"],
    )
    region: Line | None = Field(None, description="part of the country", examples=["华东"])
    city: Line | None = Field(None, description="city", examples=["上海"])
    preferred_language: LanguageTag | None = Field(
        None,
        description="language to speak with them, as a tag of BCP 47",
        examples=["zh-Hans", "en"],
    )
    time_zone: TimeZone | None = Field(None, description="their time zone, of the IANA database")
    gender: Line | None = Field(None, description="gender, in your words", examples=["female"])
    birth_date: Day | None = Field(None, description="day of birth")
    occupation: Line | None = Field(None, description="occupation", examples=["teacher"])
    industry: Line | None = Field(None, description="industry of a company", examples=["retail"])
    income_band: Line | None = Field(
        None, description="band of income, in your words", examples=["middle"]
    )
    parent_customer_id: Identifier | None = Field(
        None, description="id of the customer this one belongs to", examples=["c-1000"]
    )
    owner: Line | None = Field(
        None, description="who looks after the customer", examples=["team-east"]
    )
    acquisition_channel: Line | None = Field(
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

    source: FactIdentifier = Field(
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
    """A customer: the profile and the recorded stage.

    Name, e-mail, phone, birth date, a country that could not be read, and the values of attributes
    are null without the scope `customers:read_pii`; `masked` says of which there is one.
    """

    customer_id: CustomerKey
    kind: Literal["person", "company"] | None = Field(description="a person or a company")
    name: str | None = Field(description="the name to call them by", examples=["王小明"])
    email: str | None = Field(
        description="e-mail address, as it was written", examples=["xiaoming@example.com"]
    )
    phone: str | None = Field(
        description="phone number, as it was written", examples=["+86 21 5555 0101"]
    )
    phone_e164: str | None = Field(
        description="the phone number in E.164, the first if there are several; null if it could "
        "not be read",
        examples=["+862155550101"],
    )
    country: str | None = Field(
        description="country, by ISO 3166-1 alpha-2; null if it is not known", examples=["CN"]
    )
    country_text: str | None = Field(
        description="the country as it was written, where that could not be read",
        examples=["Atlantis"],
    )
    region: str | None = Field(description="part of the country", examples=["华东"])
    city: str | None = Field(description="city", examples=["上海"])
    preferred_language: str | None = Field(
        description="language to speak with them, as a tag of BCP 47", examples=["zh-Hans"]
    )
    time_zone: str | None = Field(
        description="their time zone, of the IANA database", examples=["Asia/Shanghai"]
    )
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
    masked: list[str] = Field(
        default_factory=list, description=personal.DESCRIPTION, examples=[["email", "phone"]]
    )

    @model_validator(mode="after")
    def _mask(self) -> Self:
        if not personal.is_shown():
            attributes = personal.without_values(self.attributes)
            self.masked = [name for name in personal.FIELDS if getattr(self, name)]
            for name in self.masked:
                setattr(self, name, None)
            self.attributes = attributes
        return self


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
