"""What a field is made of, and which rows are meant: the two small languages of a mapping."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Scalar = str | int | float | bool
ReadAs = Literal[
    "text",
    "lower",
    "id",
    "whole_number_id",
    "salesforce_id",
    "person_name",
    "number",
    "boolean",
    "money",
    "minor_units",
    "time",
    "day",
    "seconds",
    "milliseconds",
    "spreadsheet_days",
    "list",
    "first_of_list",
]
ColumnName = Annotated[str, Field(min_length=1, max_length=500)]
ColumnNames = Annotated[list[ColumnName], Field(min_length=1, max_length=20)]
_MADE_OF = ("column", "columns", "first_of", "join", "constant", "product", "ratio", "hash_of")


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Value(_Shape):
    """What a field is made of.

    One of `column`, `columns`, `first_of`, `join`, `constant`, `product`, `ratio`, `hash_of`.
    A name that begins with `@` is one of the part that a fact or a line is made of; `@number` is
    its number, from 1.
    """

    column: ColumnName | None = Field(None, description="a column, by its header")
    columns: ColumnNames | None = Field(
        None, description="the first of these columns that is not blank"
    )
    first_of: Annotated[list["Value"], Field(min_length=1, max_length=5)] | None = Field(
        None, description="the first of these that is not blank, each read as it says"
    )
    join: ColumnNames | None = Field(
        None, description="the texts of these columns that are not blank, with `separator` between"
    )
    constant: Scalar | None = Field(None, description="the same in every row")
    product: Annotated[list[ColumnName], Field(min_length=2, max_length=4)] | None = Field(
        None, description="the product of the numbers in these columns"
    )
    ratio: Annotated[list[ColumnName], Field(min_length=2, max_length=2)] | None = Field(
        None,
        description="the number in the first of these columns divided by that in the second; "
        "blank where that is 0",
    )
    hash_of: ColumnNames | None = Field(
        None,
        description="32 digits that stand for the texts of these columns: an id where the file "
        "has none. Two rows with the same texts are one",
    )
    numbered: bool = Field(
        False,
        description="of `hash_of` as the id of a fact: rows with the same texts, within some "
        "hundred thousand, are told apart by their number; else they are one",
    )
    separator: str = Field(" ", max_length=5, description="what `join` puts between texts, and "
                           "what parts a list")  # fmt: skip
    read_as: ReadAs | None = Field(
        None,
        description="how the text is read; if absent as the field has it. `whole_number_id` "
        "drops `.0`, `salesforce_id` makes 18 characters of 15, `person_name` puts given and "
        "family name in the order of their script, `minor_units` are counted in the smallest "
        "unit of their currency, `seconds` and `milliseconds` are counted since 1970, "
        "`spreadsheet_days` such as 45231.5 since the end of 1899, on the clocks of the zone",
    )
    patterns: Annotated[list[str], Field(min_length=1, max_length=10)] | None = Field(
        None,
        description="forms of times and days, tried in order, with the directives %Y %y %m %d %H "
        "%I %M %S %f %p %b %B %z of strptime, months in English; if absent those of ISO 8601",
        examples=[["%d.%m.%Y %H:%M"]],
    )
    blanks: list[str] = Field(
        default_factory=list, max_length=50, description="fillers that mean nothing here"
    )
    strip_prefix: str | None = Field(
        None, min_length=1, max_length=50, description="what is cut off the beginning"
    )
    prefix: str | None = Field(
        None,
        min_length=1,
        max_length=50,
        description="what is put before, such as the kind of object where series of ids collide",
        examples=["company:"],
    )
    translate: Annotated[dict[str, str], Field(max_length=500)] | None = Field(
        None, description="values by their texts, without regard to capitals; `*` is any other text"
    )
    otherwise: Literal["keep", "blank", "reject"] = Field(
        "reject", description="what becomes of a text that `translate` has not"
    )
    default: Scalar | None = Field(None, description="what stands for a blank")
    across: Literal["first", "last", "sum", "min", "max"] = Field(
        "first", description="which row of an order says it, or what is made of all of them"
    )
    round_to: Annotated[int, Field(ge=0, le=4)] | None = Field(
        None, description="decimals that an amount is rounded to; if absent more than 4 reject it"
    )
    inverse: bool = Field(False, description="whether 1 is divided by the number")
    absolute: bool = Field(False, description="whether the sign of a number is dropped")
    if_bad: Literal["reject", "leave_out"] | None = Field(
        None,
        description="what becomes of a value that cannot be read: its row is rejected, or the "
        "field left out with a warning. If absent a field of a profile that is not needed is left "
        "out, an exchange rate too, and any other one rejects its row",
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [name for name in _MADE_OF if getattr(self, name) is not None]
        if len(given) != 1:
            raise PydanticCustomError(
                "value", "must have one of {names}", {"names": ", ".join(_MADE_OF)}
            )
        return self


class Condition(_Shape):
    """Which rows are meant: all that is said must hold."""

    column: ColumnName | None = Field(None, description="the column that is looked at")
    blank: bool | None = Field(None, description="whether it is blank, or is not")
    in_: Annotated[list[str], Field(max_length=500)] | None = Field(
        None, alias="in", description="it is one of these, without regard to capitals"
    )
    not_in: Annotated[list[str], Field(max_length=500)] | None = Field(
        None, description="it is none of these, without regard to capitals"
    )
    contains: Annotated[list[str], Field(min_length=1, max_length=50)] | None = Field(
        None, description="one of these stands in it, without regard to capitals"
    )
    starts_with: Annotated[list[str], Field(min_length=1, max_length=50)] | None = Field(
        None, description="it begins with one of these, without regard to capitals"
    )
    sign: Literal["negative", "zero", "positive", "not_positive", "not_negative"] | None = Field(
        None, description="of a number: its sign"
    )
    all: Annotated[list["Condition"], Field(min_length=1, max_length=20)] | None = Field(
        None, description="all of these hold"
    )
    any: Annotated[list["Condition"], Field(min_length=1, max_length=20)] | None = Field(
        None, description="one of these holds"
    )

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        tests = (self.blank, self.in_, self.not_in, self.contains, self.starts_with, self.sign)
        tested = any_given(*tests)
        if tested != (self.column is not None):
            raise PydanticCustomError("condition", "must have a column and what is asked of it")
        if not tested and not any_given(self.all, self.any):
            raise PydanticCustomError("condition", "must ask for something")
        return self


def any_given(*values: object) -> bool:
    """Say whether one of these is given."""
    return any(value is not None for value in values)
