"""Mappings from files to facts: kept, tried on a sample, proposed for one; presets."""

import base64
import binascii
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.schemas.common.fields import Actor, CreatedAt
from app.schemas.common.shapes import Page
from app.schemas.common.types import Answer, Shape, Text
from app.schemas.ingest.imports import FileLayout, LineProblem, MappedFact

SAMPLE = "order_id,customer_id,ordered_on,amount\nA-1,c-1001,2026-01-31,12.50\n"
DOCUMENT: dict[str, Any] = {
    "name": "Orders of the shop",
    "source": "shop",
    "times": {"zone": "Europe/Berlin"},
    "facts": [
        {
            "fact": "transactions",
            "fields": {
                "customer_id": {"column": "customer_id"},
                "transaction_id": {"column": "order_id"},
                "occurred_at": {"column": "ordered_on"},
                "amount": {"column": "amount"},
            },
        }
    ],
}
Sample = Annotated[str, StringConstraints(min_length=1, max_length=80_000)]


class SampleOfFile(Shape):
    """The beginning of a file: as text, or as its bytes in Base64."""

    sample: Sample | None = Field(
        None, description="the first lines of the file, as text", examples=[SAMPLE]
    )
    sample_base64: Sample | None = Field(
        None,
        description="the first bytes of the file in Base64, where its encoding matters",
        examples=["b3JkZXJfaWQ="],
    )

    file: dict[str, Any] = Field(
        default_factory=dict,
        description="how the file is written, where that is not to be found out: as in a mapping",
        examples=[{"delimiter": ";"}],
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.sample is None) == (self.sample_base64 is None):
            raise PydanticCustomError("sample", "must have one of sample and sample_base64")
        try:
            self.content()
        except binascii.Error:
            raise PydanticCustomError("base64", "sample_base64 is no Base64") from None
        return self

    def content(self) -> bytes:
        """Return the bytes of the sample."""
        if self.sample is not None:
            return self.sample.encode("utf-8", "replace")
        return base64.b64decode(self.sample_base64 or "", validate=True)


class MappingTest(SampleOfFile):
    """A mapping, or a preset with its parameters, to be tried on a sample."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"sample": SAMPLE, "preset": "orders",
                              "parameters": {"time_zone": "Europe/Berlin"}}]})  # fmt: skip

    document: dict[str, Any] | None = Field(None, description="the mapping; null with a preset")
    preset: Text | None = Field(None, description="a preset of `GET /v1/presets`; else null")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="what the preset is to be told"
    )
    time_zone: Text | None = Field(
        None,
        description="the zone, by its name in the IANA database, of times without offset",
        examples=["Europe/Berlin"],
    )

    @model_validator(mode="after")
    def _mapped_somehow(self) -> Self:
        if (self.document is None) == (self.preset is None):
            raise PydanticCustomError("mapping", "must have one of document and preset")
        return self


class MappingIn(Shape):
    """A mapping that is to be kept."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"document": DOCUMENT}]})

    document: dict[str, Any] = Field(
        description="the mapping: how the rows of a file become facts. `POST /v1/mappings/propose` "
        "and the presets make such documents",
    )


class RefusedRow(Answer):
    """A row of a sample that is refused."""

    line: int = Field(description="number of the line that it begins on, from 1", examples=[3])
    column: str | None = Field(
        description="the column of the file, or the field of the fact; null for the whole row",
        examples=["amount"],
    )
    code: str = Field(description="code of the kind of problem", examples=["not_money"])
    detail: str = Field(
        description="the problem in words",
        examples=["it is no amount of money, written as the mapping says"],
    )


class MappingTestAnswer(Answer):
    """What a mapping makes of a sample; nothing of it is kept."""

    layout: FileLayout = Field(description="how the sample is written")
    document: dict[str, Any] = Field(description="the mapping that it was read by")
    unused: list[str] = Field(
        description="columns that nothing looks at", examples=[["internal_note"]]
    )
    rows: int = Field(description="number of rows that were read; the header is none")
    facts: list[MappedFact] = Field(description="the first facts, at most 100")
    rejected: list[RefusedRow] = Field(description="the first refused rows, at most 100")
    rejections: list[LineProblem] = Field(description="each kind of refusal")
    warnings: list[LineProblem] = Field(description="each kind of field that was left out")
    left_out: dict[str, int] = Field(
        description="number of rows that each filter leaves out", examples=[{"test_mode": 1}]
    )


class MappingProposalRequest(SampleOfFile):
    """The beginning of a file for which a mapping is wanted."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"sample": SAMPLE}]})

    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="answers to questions of an earlier proposal, by name; `preset` names "
        "the layout",
    )


class OpenQuestion(Answer):
    """What a file does not say and somebody must."""

    parameter: str = Field(
        description="what answers it: a parameter of the preset, or a JSON pointer",
        examples=["time_zone"],
    )
    text: str = Field(description="the question", examples=["In which zone are the times?"])
    required: bool = Field(description="whether there is no mapping without an answer")
    assumed: Any = Field(description="what the proposal has now; null for nothing")
    choices: list[Any] = Field(description="likely answers; empty: any")


class OtherPreset(Answer):
    """Another preset that may be meant."""

    preset: str = Field(description="its name", examples=["order_lines"])
    confidence: float = Field(description="share, 0 to 1, that was recognised", examples=[0.6])


class MappingProposal(Answer):
    """A mapping that seems to fit. Nothing is applied: store it, or name the preset, to use it."""

    preset: str | None = Field(
        description="the preset that it is made by; null if by names and values of the columns",
        examples=["stripe_charges"],
    )
    confidence: float = Field(
        description="share, 0 to 1, of what the preset or fact needs that was recognised",
        examples=[0.9],
    )
    others: list[OtherPreset] = Field(description="other presets that may be meant, best first")
    document: dict[str, Any] | None = Field(
        description="the mapping; null while a required question is open"
    )
    questions: list[OpenQuestion] = Field(description="what remains to be said")
    unrecognised: list[str] = Field(
        description="columns that it makes nothing of, but attributes", examples=[["note"]]
    )
    layout: FileLayout = Field(description="how the file is written")


class MappingStored(Answer):
    """A version of a mapping."""

    name: str = Field(description="what it is called", examples=["shop"])
    version: int = Field(description="number of the version, from 1", examples=[1])
    document: dict[str, Any] = Field(description="the mapping")
    created_at: CreatedAt
    created_by: Actor | None = Field(description="id of the API key that wrote it")


class MappingPage(Page[MappingStored]):
    """A page of mappings, each in its last version."""


class PresetParameter(Answer):
    """What a preset is told."""

    name: str = Field(description="its name", examples=["time_zone"])
    type: str = Field(
        description="what it is: a zone by its name in the IANA database, a list of texts, "
        "pairs of texts as an object …",
        examples=["zone"],
    )
    question: str = Field(description="what is asked", examples=["In which zone are the times?"])
    required: bool = Field(description="whether the preset cannot do without it")
    assumed: Any = Field(description="what it is if absent")
    choices: list[str] = Field(description="what it may be; empty: any")


class Preset(Answer):
    """A layout of a system that is known."""

    name: str = Field(description="its name", examples=["stripe_charges"])
    title: str = Field(description="what it is", examples=["Stripe: payments"])
    facts: list[str] = Field(description="which facts come of it", examples=[["transactions"]])
    parameters: list[PresetParameter] = Field(description="what it is told")
    needs: list[list[str]] = Field(
        description="columns that must be there, each with its other names",
        examples=[[["id"], ["Created date (UTC)", "Created (UTC)"]]],
    )


class PresetList(Answer):
    """All presets."""

    items: list[Preset] = Field(description="the presets, by name")
