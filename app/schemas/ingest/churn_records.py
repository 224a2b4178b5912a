"""Churn records as they come in and go out."""

from typing import Any

from pydantic import ConfigDict, Field

from app.schemas.common.shapes import Page
from app.schemas.common.types import Answer, Code, FactIdentifier, LongText, Text
from app.schemas.common.warnings import WriteWarning
from app.schemas.ingest.facts import FactContent, FactIn, FactOut, FactWritten

EXAMPLE: dict[str, Any] = {
    "churn_record_id": "exit-4711",
    "source": "crm",
    "occurred_at": "2026-03-02T09:30:00Z",
    "reason": "competitor",
    "competitor": "Elsewhere Ltd",
    "note": "Their contract runs for two years.",
}
_REASON = "why the customer left: a code of `GET /v1/churn-reasons`"
_COMPETITOR = "to whom the customer went"
_NOTE = "what else was said, in up to 4,000 characters"


class ChurnRecordContent(FactContent):
    """Why a customer left.

    Its identity is (customer_id, source, churn_record_id), for ever. It changes nobody's stage,
    and is refused for none: it counts for the churned stage that holds at its time, or else for
    the next one.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    churn_record_id: FactIdentifier = Field(
        description="id of the record in its system", examples=["exit-4711"]
    )
    reason: Code = Field(description=_REASON, examples=["competitor"])
    competitor: Text | None = Field(None, description=_COMPETITOR, examples=["Elsewhere Ltd"])
    note: LongText | None = Field(None, description=_NOTE)


class ChurnRecordIn(ChurnRecordContent, FactIn):
    """Why a customer left, and who that is."""


class ChurnRecord(FactOut):
    """The revision in force of why a customer left."""

    churn_record_id: str = Field(
        description="id of the record in its system", examples=["exit-4711"]
    )
    reason: str = Field(description=_REASON, examples=["competitor"])
    competitor: str | None = Field(description=_COMPETITOR, examples=["Elsewhere Ltd"])
    note: str | None = Field(
        description="what else was said", examples=["Their contract runs for two years."]
    )


class ChurnRecordWritten(FactWritten):
    """What became of one churn record."""

    churn_record: ChurnRecord = Field(description="the revision in force")


class ChurnRecordVoided(Answer):
    """What became of a churn record that was to be voided."""

    churn_record: ChurnRecord = Field(
        description="as it is now: voided, or a higher revision in force"
    )
    warnings: list[WriteWarning] = Field(description="what was accepted without full effect")


class ChurnRecordPage(Page[ChurnRecord]):
    """A page of churn records."""
