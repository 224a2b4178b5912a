"""Questions about customers, as they come in, and what is answered."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.schemas.common import personal
from app.schemas.common.fields import AsOfInstant, CustomerKey, CustomerName, Customers
from app.schemas.common.shapes import Page
from app.schemas.common.shown_as import ShownAs
from app.schemas.common.types import Answer, Money, Shape
from app.schemas.policies.expressions import Expression, Term
from app.schemas.stages.stages import Named

MAX_SELECTED, MAX_DIMENSIONS, MAX_MEASURES, MAX_BANDS = 30, 3, 20, 50


def _given(value: object) -> object:
    if value is None:
        raise PydanticCustomError("expression", "must not be null: leave it out")
    return value


When = Annotated[Expression, BeforeValidator(_given)]
TermIn = Annotated[Term, BeforeValidator(_given)]
_WHEN: dict[str, Any] = {"variable": "days_since_last_purchase", "op": ">", "value": 60}
AS_OF = "an instant, or a day that means its end; now if absent. Values of the published run "
_RUN_ID = (
    "number of the published run that values to save, lifetime values and rhythms are of; null if "
    "there is none"
)


_VALUES = (
    "what was selected and sorted by, by the name of the variable with its parameters; each in the "
    "unit of its variable, money as an object; null where it is not known"
)
_VALUES_EXAMPLE: dict[str, Any] = {
    "revenue": {"amount": "412.50", "currency": "EUR"},
    "stage": "active",
}


class CustomerQuery(Shape):
    """For whom a rule is to hold, and what is to be told of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"when": _WHEN, "select": ["revenue", "stage"], "sort": "-revenue",
                          "count": True}]
        }
    )  # fmt: skip

    when: When = None
    as_of: str | None = Field(
        None, max_length=40, description=f"{AS_OF}are of now alone", examples=["2026-01-31"]
    )
    select: list[TermIn] = Field(
        default_factory=list,
        max_length=MAX_SELECTED,
        description="what to tell of each, at most 30 variables",
        examples=[["revenue", "stage"]],
    )
    sort: str = Field(
        "customer_id",
        max_length=100,
        description="`customer_id`, or a variable of which a number or text is stored; `-` in "
        "front for descending. Those of whom it is not known come last",
        examples=["-value_to_save"],
    )
    limit: int = Field(50, strict=True, ge=1, le=500, description="customers on a page")
    cursor: str | None = Field(
        None, max_length=2000, description="`next_cursor` of the page before, with the same rule"
    )
    count: bool = Field(
        False, strict=True, description="also count all for whom it holds, and their money"
    )


_Value = str | float | bool | Money | list[str] | None
Value = Annotated[Any, ShownAs(_Value)]
Values = Annotated[
    dict[str, Any],
    ShownAs(dict[str, _Value]),
    Field(description=_VALUES, examples=[_VALUES_EXAMPLE]),
]


class QueryColumn(Answer):
    """One of the values that are told, and what it is called."""

    name: str = Field(description="its name in `values`", examples=["purchase_days(90 days)"])
    title: Named = Field(description="what it is called")
    type: str = Field(
        description="type of the variable: number, text, boolean, level, or any for attributes; "
        "a number whose unit is `currency` is told as money",
        examples=["number"],
    )
    unit: str | None = Field(description="unit of a number; else null", examples=["count"])


_COLUMNS = "what is in the `values` of each: what was selected, then what is sorted by"


class QueriedCustomer(Answer):
    """A customer for whom the rule holds."""

    customer_id: CustomerKey
    name: CustomerName | None
    values: Values


class QueryCount(Answer):
    """All for whom the rule holds, and what they are worth."""

    customers: Customers
    revenue: Money = Field(description="their revenue up to `as_of`, refunds set off")
    clv: Money | None = Field(
        description="their lifetime value by the published run; null without one, of an earlier "
        "instant, and without the scope `scores:read`"
    )
    value_to_save: Money | None = Field(
        description="their value to save by the published run; null where `clv` is"
    )


class QueryPage(Page[QueriedCustomer]):
    """For whom the rule holds.

    Of a rule that is evaluated, a page may hold fewer than `limit`, even none, and yet have a
    `next_cursor`: there are more customers than were looked at in time.
    """

    as_of: AsOfInstant
    run_id: int | None = Field(description=_RUN_ID, examples=[7])
    evaluated: bool = Field(
        description="whether the rule looks at something that is stored nowhere, and was evaluated"
    )
    columns: list[QueryColumn] = Field(default_factory=list, description=_COLUMNS)
    count: QueryCount | None = Field(description="null unless it was asked for")
    masked: list[str] = Field(
        default_factory=list,
        description="fields of all items that are not shown, as the key lacks the scope "
        f"`{personal.READ_PII}`: they are null here",
        examples=[["name"]],
    )


class FoundCustomer(Answer):
    """A customer for whom the rule holds."""

    customer_id: CustomerKey
    values: Values


class QueryResult(Page[FoundCustomer]):
    """What a worker found; the next page is another query, with `cursor`."""

    as_of: AsOfInstant
    run_id: int | None = Field(description=_RUN_ID, examples=[7])
    columns: list[QueryColumn] = Field(default_factory=list, description=_COLUMNS)
    count: QueryCount | None = Field(description="null unless it was asked for")


class DimensionIn(Shape):
    """What to group by: words as they are, numbers in bands, or whether a rule holds."""

    of: TermIn = Field(None, examples=["age_years"])
    when: When = None
    bands: list[Annotated[float, Field(strict=True, ge=-1e15, le=1e15)]] | None = Field(
        None,
        min_length=1,
        max_length=MAX_BANDS,
        description="of numbers, where bands begin, ascending, in the unit of the variable; a band "
        "ends before the next one begins",
        examples=[[18, 30, 45, 60]],
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.of is None) is (self.when is None):
            raise ValueError("needs either `of`, a variable, or `when`, a rule")
        if self.when is not None and self.bands is not None:
            raise ValueError("`bands` are of numbers")
        return self


MEASURES = ("n", "sum", "mean", "quantiles", "share")


class MeasureIn(Shape):
    """What to tell of each group."""

    kind: str = Field(
        examples=["sum"],
        description="n: how many of whom it is known; sum, mean or quantiles of a number; share: "
        "of the group for whom a rule holds, or without `when` of all who were counted",
    )
    of: TermIn = Field(None, examples=["revenue"])
    at: list[Annotated[float, Field(strict=True, ge=0, le=1)]] | None = Field(
        None,
        min_length=1,
        max_length=20,
        description="which quantiles, shares 0 to 1; quartiles if absent",
        examples=[[0.25, 0.5, 0.75]],
    )
    when: When = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind not in MEASURES:
            raise ValueError(f"kind must be one of {', '.join(MEASURES)}")
        if self.kind in ("sum", "mean", "quantiles") and self.of is None:
            raise ValueError(f"{self.kind} needs `of`, the variable")
        if self.kind == "share" and self.of is not None:
            raise ValueError("share is of a rule, `when`")
        if self.kind != "share" and self.when is not None:
            raise ValueError("`when` is of shares")
        if self.kind != "quantiles" and self.at is not None:
            raise ValueError("`at` is of quantiles")
        return self


_AGGREGATE: dict[str, Any] = {
    "when": {"variable": "purchase_days", "op": ">=", "value": 1},
    "by": [{"of": "stage"}, {"of": "days_since_last_purchase", "bands": [0, 30, 90, 365]}],
    "measures": [
        {"kind": "sum", "of": "revenue"},
        {"kind": "quantiles", "of": "revenue", "at": [0.5, 0.9]},
        {"kind": "share", "when": _WHEN},
    ],
}


class AggregateQuery(Shape):
    """What customers amount to, in groups."""

    model_config = ConfigDict(json_schema_extra={"examples": [_AGGREGATE]})

    when: When = None
    as_of: str | None = Field(
        None, max_length=40, description=f"{AS_OF}are of now alone", examples=["2026-01-31"]
    )
    by: list[DimensionIn] = Field(
        default_factory=list,
        max_length=MAX_DIMENSIONS,
        description="at most three dimensions; without any, all are one group",
    )
    measures: list[MeasureIn] = Field(
        default_factory=list, max_length=MAX_MEASURES, description="besides how many there are"
    )


class MeasureValue(Answer):
    """One measure of a group; what cannot be said is null."""

    known: int = Field(description="of how many customers of the group the variable is known")
    value: float | None = Field(
        description="how many, the sum or mean in the unit of the variable, or the share; null of "
        "money, quantiles, and where nothing is known"
    )
    money: Money | None = Field(description="the sum or mean, where it is money; else null")
    quantiles: list[float] | None = Field(
        description="as they were asked for, in the unit of the variable, of money in the main "
        "unit of the currency; else null"
    )


class AggregateGroup(Answer):
    """Customers who are alike."""

    by: list[str | float | bool | None] = Field(
        description="the word, where the band begins in the unit of the variable, or whether the "
        "rule holds, in the order of the dimensions; null: not known, or below the first band",
        examples=[["active", 30.0]],
    )
    customers: Customers
    measures: list[MeasureValue] = Field(description="in the order in which they were asked for")


class AggregateAnswer(Answer):
    """All groups, the largest first."""

    as_of: AsOfInstant
    run_id: int | None = Field(description=_RUN_ID, examples=[7])
    evaluated: bool = Field(
        description="whether something is stored nowhere, and was evaluated for everybody"
    )
    customers: int = Field(description="how many customers were counted", examples=[120])
    groups: list[AggregateGroup] = Field(description="at most 10,000")
