"""API keys as they are asked for and shown."""

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from app.schemas.common.fields import CreatedAt
from app.schemas.common.personal import READ_PII
from app.schemas.common.shapes import Page
from app.schemas.common.types import Answer, Line, Shape, Timestamp

ADMIN = "admin"
SCOPES = (
    "customers:read",
    READ_PII,
    "customers:write",
    "transactions:write",
    "interactions:write",
    "imports:read",
    "imports:write",
    "scores:read",
    "models:write",
    "policies:write",
    "rebuilds:write",
    "reports:read",
    "operations:read",
    "operations:write",
    "audit:read",
    ADMIN,
)
EXAMPLE: dict[str, Any] = {
    "name": "shop",
    "scopes": ["customers:write", "transactions:write"],
    "expires_in_days": 365,
    "rate_per_second": 50,
    "burst": 100,
}

_NAME = "who uses it"
_SCOPES = f"what it may do, some of {', '.join(SCOPES)}; `admin` may do everything"
_EXPIRES_AT = "until when it is valid, by the clock of the database"
_RATE = "requests a second that it may make in the long run"
_BURST = "requests that it may make at once, before the rate counts; needs `rate_per_second`"


def _known(value: str) -> str:
    if value not in SCOPES:
        raise PydanticCustomError("scope", "is no scope; see the description")
    return value


ScopeName = Annotated[str, AfterValidator(_known)]
Scopes = Annotated[list[ScopeName], Field(min_length=1, max_length=len(SCOPES))]
Rate = Annotated[float, Field(gt=0, le=1_000_000)]
Burst = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


class KeyRequest(Shape):
    """A key to be made."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    name: Line = Field(description=_NAME, examples=["shop"])
    scopes: Scopes = Field(description=_SCOPES, examples=[["customers:write"]])
    expires_at: Timestamp | None = Field(None, description=f"{_EXPIRES_AT}; for ever if absent")
    expires_in_days: Annotated[int, Field(strict=True, ge=1, le=3650)] | None = Field(
        None, description="instead of `expires_at`: days from now until it ends"
    )
    rate_per_second: Rate | None = Field(None, description=f"{_RATE}; no limit if absent")
    burst: Burst | None = Field(None, description=f"{_BURST}; as many as the rate if absent")

    @field_validator("expires_in_days")
    @classmethod
    def _one_of_both(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("expires_at") is not None:
            raise PydanticCustomError("expires", "give either `expires_at` or `expires_in_days`")
        return value


class KeyPatch(Shape):
    """A JSON merge patch (RFC 7396) of a key: absent fields stay, null lifts a limit."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"rate_per_second": 20, "burst": 40}]}
    )

    name: Line | None = Field(None, description=f"{_NAME}; not null", examples=["shop"])
    scopes: Scopes | None = Field(
        None, description=f"{_SCOPES}; not null", examples=[["customers:write"]]
    )
    expires_at: Timestamp | None = Field(None, description=f"{_EXPIRES_AT}; null: for ever")
    rate_per_second: Rate | None = Field(None, description=f"{_RATE}; null: no limit")
    burst: Burst | None = Field(None, description=f"{_BURST}; null: as many as the rate")

    @field_validator("name", "scopes")
    @classmethod
    def _not_null(cls, value: Any) -> Any:
        if value is None:
            raise PydanticCustomError("null", "must not be null")
        return value


class KeyRotation(Shape):
    """How long the secret of now stays valid beside the new one."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"previous_ends_at": "2026-12-31T12:00:00Z"}]}
    )

    previous_ends_at: Timestamp | None = Field(
        None,
        description="when the secret of before ends, by the clock of the database; null: when it "
        "is removed",
    )


class Key(Answer):
    """A key, without its secrets: those are not kept, and cannot be shown."""

    key_id: str = Field(description="id of the key, a part of it", examples=["Xf3kP9aQ"])
    name: str = Field(description=_NAME, examples=["shop"])
    scopes: list[str] = Field(description=_SCOPES, examples=[["customers:write"]])
    state: str = Field(description="`valid`, `expired` or `revoked`", examples=["valid"])
    created_at: CreatedAt
    expires_at: Timestamp | None = Field(description=f"{_EXPIRES_AT}; null: for ever")
    revoked_at: Timestamp | None = Field(description="when it was revoked; null if it was not")
    last_used_at: Timestamp | None = Field(
        description="when it was used last, to about a minute; null if it never was"
    )
    rotated_at: Timestamp | None = Field(
        description="when its present secret was made; null if that is the first one"
    )
    previous_secret_valid: bool = Field(
        description="whether the secret of before the rotation is valid, too"
    )
    previous_ends_at: Timestamp | None = Field(
        description="when the secret of before ends; null if at no set time, or if there is none"
    )
    rate_per_second: float | None = Field(description=f"{_RATE}; null: no limit")
    burst: int | None = Field(description=f"{_BURST}; null: as many as the rate")


class KeyShown(Key):
    """A key with a secret that was just made: the only answer that has it."""

    key: str | None = Field(
        description="the key to send as `Authorization: Bearer`; null where the answer is replayed "
        "for an `Idempotency-Key`, as secrets are not kept: rotate the key to get another",
        examples=["clm_Xf3kP9aQ_b6Tq0eVw1nYs8uKd3mHzJx5cRf7gLp2A_0kPz4W"],
    )


class KeyPage(Page[Key]):
    """A page of keys."""
