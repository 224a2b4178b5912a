"""Systems that facts come from."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from app.schemas.common.fields import CreatedAt
from app.schemas.common.shapes import Page
from app.schemas.common.types import Answer, Shape, Text, Timestamp
from app.schemas.ingest.imports import ImportKey

Kind = Literal["erp", "crm", "orders", "web", "app", "partner", "social", "survey", "manual"]
EXAMPLE: dict[str, Any] = {
    "kind": "orders",
    "name": "The shop",
    "trust_rank": 10,
    "consent_basis": "contract",
}
USUAL_RANK = 100
_KIND = "what kind of system it is"
_NAME = "what people call it"
_RANK = (
    "its place among all sources, from 1: the lower, the more it is trusted. It is kept and told "
    "for whoever weighs what sources say, and decides nothing: of a profile the latest word on a "
    "field holds, of a fact the highest revision, whichever source they are of"
)
_CONSENT = (
    "on what basis its personal data are held, in your words; data that a partner shares need one"
)
Rank = Annotated[int, Field(strict=True, ge=1, le=1000)]


class SourceIn(Shape):
    """What is to be known of a system that facts come from."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    kind: Kind = Field(description=_KIND)
    name: Text | None = Field(None, description=_NAME, examples=["The shop"])
    trust_rank: Rank = Field(USUAL_RANK, description=_RANK, examples=[10])
    consent_basis: Text | None = Field(
        None, validate_default=True, description=_CONSENT, examples=["contract"]
    )

    @field_validator("consent_basis")
    @classmethod
    def _check_basis(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("kind") == "partner":
            raise PydanticCustomError("needed", "data that a partner shares need a consent basis")
        return value


class LastImport(Answer):
    """The file of a source that was sent last, tried ones left out."""

    id: ImportKey
    state: str = Field(description="where it stands", examples=["succeeded"])
    created_at: Timestamp = Field(description="when it began to arrive")
    rows: int = Field(description="number of rows that were read")
    rejected_rows: int = Field(description="number of rows that were refused")
    last_fact_at: Timestamp | None = Field(
        description="the latest time of its facts; null without one"
    )


class FactSource(Answer):
    """A system that facts come from; `kind` is null for one that nobody has described."""

    source: str = Field(description="its id, as facts name it", examples=["shop"])
    kind: Kind | None = Field(description=_KIND)
    name: str | None = Field(description=_NAME, examples=["The shop"])
    trust_rank: int = Field(description=_RANK, examples=[10])
    consent_basis: str | None = Field(description=_CONSENT, examples=["contract"])
    created_at: CreatedAt
    updated_at: Timestamp = Field(description="when it was last described")
    imports: int = Field(description="number of files of it that were sent, tried ones left out")
    rejected_rows: int = Field(description="number of rows of these files that were refused")
    last_import: LastImport | None = Field(description="the last of them; null if none was sent")
    lag_days: float | None = Field(
        description="days from the latest fact of its last file to now; null without one",
        examples=[1.5],
    )


class SourcePage(Page[FactSource]):
    """A page of sources."""
