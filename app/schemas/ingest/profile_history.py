"""What was said of a profile: since when it is true, since when it is known, and by whom."""

from typing import Any, Self

from pydantic import Field, model_validator

from app.schemas.common import personal
from app.schemas.common.fields import Actor, Source
from app.schemas.common.shapes import Page
from app.schemas.common.types import Answer, Timestamp

_FIELD = "field of the profile; `attributes.` and a key for one of the attributes"
_VALID_FROM = "since when it is true"
_RECORDED_AT = "since when this service knows it"


class ProfileStatement(Answer):
    """A value that was said of a field."""

    field: str = Field(description=_FIELD, examples=["country"])
    value: Any = Field(
        description="the value that was said; null if there is none since then", examples=["CN"]
    )
    valid_from: Timestamp | None = Field(description=f"{_VALID_FROM}; null: from the beginning")
    recorded_at: Timestamp = Field(description=_RECORDED_AT)
    source: Source
    actor: Actor | None = Field(
        description="id of the API key that said it; null if that was not kept",
        examples=["key_3f0c2a9d1b7e4c63"],
    )
    profile_version: int = Field(description="version of the profile that it made", examples=[2])
    holds: bool = Field(description="whether it is what holds now, by all that is known now")
    masked: bool = Field(
        False,
        description=f"whether the value is not shown, as the key lacks the scope "
        f"`{personal.READ_PII}`: it is null here",
    )

    @model_validator(mode="after")
    def _mask(self) -> Self:
        if not personal.is_shown() and self.value is not None:
            self.masked = personal.is_personal(self.field, self.value)
            self.value = None if self.masked else self.value
        return self


class ProfileHistoryPage(Page[ProfileStatement]):
    """A page of what was said of a profile."""


class ProfileChange(Answer):
    """What one write said of a profile."""

    changes: dict[str, Any] = Field(
        description=f"value by {_FIELD}; null where there is none since then",
        examples=[{"country": "CN", "attributes.newsletter": True}],
    )
    valid_from: Timestamp | None = Field(
        description=f"{_VALID_FROM}; null if that was not said: a first value of a field then "
        "holds from the beginning, another one since `recorded_at`"
    )
    recorded_at: Timestamp = Field(description=_RECORDED_AT)
    source: Source
    actor: Actor | None = Field(
        description="id of the API key that said it; null if that was not kept",
        examples=["key_3f0c2a9d1b7e4c63"],
    )
    profile_version: int = Field(description="version of the profile that it made", examples=[2])
    masked: list[str] = Field(
        default_factory=list, description=personal.DESCRIPTION, examples=[["email", "phone"]]
    )

    @model_validator(mode="after")
    def _mask(self) -> Self:
        if not personal.is_shown():
            told = [name for name, value in self.changes.items() if value is not None]
            self.masked = [name for name in told if personal.is_personal(name, self.changes[name])]
            self.changes = {**self.changes, **dict.fromkeys(self.masked)}
        return self
