"""The document of a mapping, as callers write it and as it is stored."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.mappings.values import Condition, Value

SCHEMA_VERSION = 1
MOST_TITLE_LINES = 50
MOST_ROWS = 20_000
"""Rows that an order may have, and within which its rows may stand."""
FactKind = Literal["customers", "transactions", "interactions", "churn_records", "overrides"]
Encoding = Literal["utf-8", "utf-16-le", "utf-16-be", "gb18030", "latin-1", "cp1252"]
Form = Literal["csv", "ndjson", "json"]
ColumnName = Annotated[str, Field(min_length=1, max_length=500)]


class Shape(BaseModel):
    """Base of all parts: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class FileForm(Shape):
    """How the file is written, where that is not to be detected."""

    form: Form | None = Field(None, description="CSV, a JSON object a line, or a JSON answer")
    encoding: Encoding | None = Field(None, description="encoding of its text")
    delimiter: Literal[",", ";", "\t", "|", " "] | None = Field(
        None, description="what parts the fields of a line of CSV; a blank: any number of them"
    )
    columns: list[ColumnName] | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="names of the columns of a CSV without header, in order",
    )
    skip_lines: int | None = Field(
        None,
        ge=0,
        le=MOST_TITLE_LINES,
        description="lines of a CSV above its header, such as the title of a report, that are "
        "passed over",
        examples=[2],
    )
    list_at: str | None = Field(
        None,
        max_length=200,
        description="JSON pointer to the list of objects in an answer",
        examples=["/data/dataList"],
    )


class Times(Shape):
    """How times without an offset, and days alone, are understood."""

    zone: str | None = Field(
        None,
        max_length=64,
        description="the zone, by its name in the IANA database, of times without offset and of "
        "days; needed where the file has some",
        examples=["Europe/Berlin"],
    )
    ambiguous: Literal["earlier", "later", "reject"] = Field(
        "earlier", description="which is meant of a local time that clocks showed twice"
    )
    skipped: Literal["forward", "reject"] = Field(
        "forward",
        description="of a local time that clocks never showed: moved forward by what they skip, "
        "or its row is rejected",
    )
    days: Literal["start", "noon"] = Field(
        "start", description="the instant that a day alone means: its beginning in the zone, or "
        "its noon"
    )  # fmt: skip


class Amounts(Shape):
    """How numbers and amounts of money are written."""

    decimal: Literal[".", ","] = Field(
        ".",
        description="the decimal sign; the other one, blanks and apostrophes may part thousands. "
        "It is never guessed",
    )
    currency: str | None = Field(
        None,
        pattern=r"^[A-Z]{3}$",
        description="currency, by ISO 4217, of amounts without one; the deployment's if absent",
        examples=["EUR"],
    )
    rates_to: str | None = Field(
        None,
        pattern=r"^[A-Z]{3}$",
        description="currency that exchange rates of the file lead to; they are dropped where that "
        "is not the deployment's. Absent: it is the deployment's",
        examples=["EUR"],
    )
    rates_to_column: ColumnName | None = Field(
        None,
        description="column that names the currency which the exchange rate of a row leads to; "
        "it is dropped where that is not the deployment's",
    )
    exponents: dict[str, Annotated[int, Field(ge=0, le=4)]] = Field(
        default_factory=dict,
        max_length=200,
        description="decimals of the smallest unit by currency, where `minor_units` differ from "
        "ISO 4217",
        examples=[{"ISK": 2}],
    )


class Filter(Shape):
    """Rows that are left out, and counted."""

    code: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,63}$",
        description="what the count is told under",
        examples=["test_mode"],
    )
    when: Condition = Field(description="the rows that are left out; the first filter counts")
    orders: bool = Field(
        False,
        description="whether it is asked of the first row of an order, and leaves out all of it",
    )


class Notice(Shape):
    """Rows that are taken, with a warning."""

    code: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,63}$",
        description="what the warning is told under",
        examples=["undated_refund"],
    )
    when: Condition = Field(description="the rows, or orders by their first row, that are meant")
    text: str = Field(
        min_length=1, max_length=300, description="the warning in words",
        examples=["its refund has no date, and is left out"],
    )  # fmt: skip


class Grouping(Shape):
    """Rows that make one order together."""

    by: list[ColumnName] = Field(
        min_length=1, max_length=5, description="columns that have the same values in its rows"
    )
    within: int | None = Field(
        None,
        ge=1,
        le=MOST_ROWS,
        description="rows of the file, from its first one, within which the rows of an order "
        "stand; null: they follow each other, whatever is left out between them. A row that "
        "comes later begins the order anew",
    )


class Parts(Shape):
    """Several things in one row, or in the rows of one order. One of `rows`, `columns`, `list`."""

    rows: bool = Field(False, description="each row of the order is one")
    columns: list[ColumnName] | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="each cell that is not blank is one; `line_item_*` is every column that "
        "begins so",
    )
    list: str | None = Field(
        None, max_length=200, description="each object of the JSON list in this column is one"
    )
    split: str | None = Field(
        None, min_length=1, max_length=5, description="what parts several in one cell"
    )
    pairs: str | None = Field(
        None,
        min_length=1,
        max_length=5,
        description="what parts `name:value` pairs in a cell, whose values are then named by "
        "`@name`; without it the whole of it is `@`",
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.rows, self.columns is not None, self.list is not None).count(True) != 1:
            raise PydanticCustomError("parts", "must have one of rows, columns and list")
        return self


class Lines(Shape):
    """The lines of an order: what was bought."""

    each: Parts = Field(description="what a line is")
    when: Condition | None = Field(None, description="which of them are lines; null: all")
    fields: dict[str, Value] = Field(
        description="`product_id`, `quantity`, `category`, and `unit_price` or `total` of the line"
    )


class FactRule(Shape):
    """One fact that a row makes, or that the rows of one order make."""

    fact: FactKind = Field(description="which door it goes to")
    when: Condition | None = Field(
        None, description="the rows that make it, with `each` the parts; null: all"
    )
    each: Parts | None = Field(None, description="one fact for each of these; null: one")
    fields: dict[str, Value] = Field(description="what its fields are made of, by their names")
    negative: Literal["reject", "refund"] = Field(
        "reject", description="of a transaction with a negative amount: its row is rejected, or "
        "it is a refund of so much"
    )  # fmt: skip
    customer_of_purchase: bool = Field(
        False,
        description="of a refund that names its purchase: its customer is that of the purchase, "
        "looked up when it is written; `customer_id` is then not needed",
    )
    lines: Lines | None = Field(None, description="of a transaction: what was bought")
    attributes: dict[str, Value] | None = Field(
        None, max_length=500, description="attributes, by their keys"
    )
    rest: bool = Field(
        False, description="whether every column that no field of the mapping looks at, and that "
        "is not blank, is kept as an attribute of its name"
    )  # fmt: skip


class MappingDocument(Shape):
    """How the rows of a file become facts."""

    schema_version: Literal[1] = Field(1, description="version of the form of this document")
    name: str = Field(
        min_length=1, max_length=200, description="what it is for", examples=["Orders of the shop"]
    )
    source: str = Field(
        "default",
        min_length=1,
        max_length=128,
        description="the system that its facts come from, unless a field says otherwise",
        examples=["shop"],
    )
    preset: str | None = Field(
        None,
        max_length=64,
        description="the preset that it was made by",
        examples=["stripe_refunds"],
    )
    file: FileForm = Field(default_factory=FileForm, description="how the file is written")
    times: Times = Field(default_factory=Times, description="how times are understood")
    amounts: Amounts = Field(default_factory=Amounts, description="how numbers are written")
    blanks: list[str] = Field(
        default_factory=list,
        max_length=50,
        description="fillers that mean nothing, beside blanks themselves",
        examples=[["-None-"]],
    )
    filters: list[Filter] = Field(
        default_factory=list, max_length=50, description="what is left out, first match first"
    )
    notices: list[Notice] = Field(
        default_factory=list, max_length=50, description="what is taken with a warning"
    )
    ignored: list[ColumnName] = Field(
        default_factory=list,
        max_length=500,
        description="columns that are not kept where a fact keeps the rest; `*__l` is every one "
        "that ends so, `meta:*` every one that begins so",
    )
    group: Grouping | None = Field(None, description="which rows make one order; null: each alone")
    facts: list[FactRule] = Field(
        min_length=1, max_length=20, description="what a row makes, in order"
    )
