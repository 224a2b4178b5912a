"""Files that are taken in: how far they have come, and what came of them."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from app.schemas.common import personal
from app.schemas.common.fields import Actor, CreatedAt
from app.schemas.common.shapes import BulkCounts, Page
from app.schemas.common.types import Answer, Money, Timestamp

ImportKey = Annotated[
    str,
    Field(description="id of the import, and of its operation", examples=["op_4f1d7c0a9be25d18"]),
]
"""The field of answers."""


class LineProblem(Answer):
    """Why rows were refused, or what of them was left out; a kind of problem and a column each."""

    code: str = Field(description="code of the kind of problem", examples=["not_money"])
    column: str | None = Field(
        description="the column of the file, or the field of the fact, that it is about; null if "
        "it is about the whole row",
        examples=["Amount"],
    )
    detail: str = Field(
        description="the problem in words",
        examples=["it is no amount of money, written as the mapping says"],
    )
    first_line: int = Field(
        description="number of the line of the file where it came first, from 1", examples=[7]
    )
    count: int = Field(description="how many rows, or orders of several rows, have it")


class SumsOfMoney(Answer):
    """Number and sum of purchases and of refunds, in one currency."""

    purchases: int = Field(description="number of purchases")
    purchased: Money = Field(description="sum of their amounts")
    refunds: int = Field(description="number of refunds")
    refunded: Money = Field(description="sum of their amounts")


class ImportedMoney(SumsOfMoney):
    """Money of a file, in one currency: to hold against its source, and against what is stored.

    At the top are all transactions that were taken in, those that came again too: the sum of the
    source, less rows that were refused or left out. That is `created`, `updated` and `duplicate`
    together. What is stored has grown by `created` and `updated` less `replaced`.
    """

    created: SumsOfMoney = Field(description="of transactions that were not known before")
    updated: SumsOfMoney = Field(
        description="of higher revisions of transactions that were known: from before, or from "
        "another row of the file"
    )
    replaced: SumsOfMoney = Field(description="of what those took the place of")
    duplicate: SumsOfMoney = Field(
        description="of rows that say again what is known, from before or from another row of the "
        "file, or that are of a lower revision than is in force: they change nothing"
    )


class ImportTotals(Answer):
    """What came of the rows of a file so far, to hold against its source."""

    rows: int = Field(description="number of rows that were read; the header is none")
    mapped_rows: int = Field(description="number of rows whose facts are all stored now")
    rejected_rows: int = Field(description="number of rows that were refused")
    left_out_rows: int = Field(description="number of rows that filters left out")
    left_out: dict[str, int] = Field(
        description="number of rows that each filter left out", examples=[{"test_mode": 3}]
    )
    customers_created: int = Field(description="customers that were not known before")
    facts: dict[str, BulkCounts] = Field(
        description="by door, how many facts each outcome had: `updated` ones replaced others, "
        "`duplicate` ones said again what was known, from before or from another row of the file"
    )
    rejections: list[LineProblem] = Field(description="each kind of refusal")
    warnings: list[LineProblem] = Field(
        description="each kind of field that was left out as it could not be read"
    )
    money: list[ImportedMoney] = Field(description="money of what was taken in, by currency")
    first_on: str | None = Field(
        description="the first day with a fact, in the deployment's zone; null without one",
        examples=["2026-01-02"],
    )
    last_on: str | None = Field(
        description="the last day with a fact, in the deployment's zone; null without one",
        examples=["2026-01-31"],
    )


class FileLayout(Answer):
    """How a file is written, as far as its first bytes tell."""

    packed_with: list[str] = Field(description="how it was packed, in order", examples=[["gzip"]])
    form: str = Field(description="its form: csv, ndjson or json", examples=["csv"])
    encoding: str = Field(description="encoding of its text", examples=["utf-8"])
    encoding_certain: bool = Field(description="whether no other encoding fits its first bytes")
    delimiter: str | None = Field(
        description="what parts the fields of a line of CSV; else null", examples=[";"]
    )
    columns: list[str] = Field(description="its columns", examples=[["order_id", "amount"]])
    notes: list[str] = Field(description="what else was seen, in words")


class MappedFact(Answer):
    """A fact as it was mapped, in the shape of its door."""

    kind: str = Field(description="which door it goes to", examples=["transactions"])
    item: dict[str, Any] = Field(
        description="the item of the bulk; null for values that the key may not see"
    )


class Import(Answer):
    """A file that was sent."""

    id: ImportKey
    state: str = Field(
        description="uploading, while it arrives; then that of the operation of the same id",
        examples=["running"],
    )
    file_name: str | None = Field(
        description="the name it was sent under; null without one", examples=["orders.csv"]
    )
    source: str | None = Field(
        description="the system that its facts come from; null before it has arrived",
        examples=["shop"],
    )
    dry_run: bool = Field(description="whether it is only tried, and nothing is kept of it")
    preset: str | None = Field(
        description="the preset it is read by; null if by a mapping", examples=["stripe_charges"]
    )
    mapping: str | None = Field(
        description="name of the mapping it is read by; null if by a preset", examples=["shop"]
    )
    version: int | None = Field(description="version of that mapping; null if by a preset")
    created_by: Actor
    created_at: CreatedAt
    bytes: int = Field(description="bytes that have arrived, unpacked")
    bytes_read: int = Field(description="bytes of which the rows have been read")
    totals: ImportTotals = Field(description="what came of its rows so far")


class ImportDetail(Import):
    """A file that was sent, with how it is read."""

    layout: FileLayout | None = Field(description="how it is written; null before it has arrived")
    document: dict[str, Any] | None = Field(
        description="the mapping it is read by; null before it has arrived"
    )
    first_facts: list[MappedFact] | None = Field(
        description="the first facts as they were mapped; null without the scope "
        f"`{personal.READ_PII}`"
    )
    received_at: Timestamp | None = Field(description="when all of it had arrived; null before")

    @model_validator(mode="after")
    def _mask(self) -> Self:
        if not personal.is_shown():
            self.first_facts = None
        return self


class ImportPage(Page[Import]):
    """A page of imports."""
