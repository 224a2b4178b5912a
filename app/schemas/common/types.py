"""The types every shape is made of. What they refuse would otherwise fail in the database."""

import json
import math
import re
import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, LiteralString

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from app.schemas.common.currencies import CURRENCIES
from app.schemas.common.decimals import Negative, decimal_of

MAX_INT = 2**31 - 1
MAX_BIGINT = 2**63 - 1
FIRST_YEAR, LAST_YEAR = 1901, 2199
RANGE: LiteralString = "must lie after 1900 and before 2200"
MAX_ATTRIBUTE_BYTES = 16_384
MAX_ATTRIBUTE_DEPTH = 5
_FORBIDDEN_IN_ID = re.compile(r"[/\\?#%\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd\ud800-\udfff]")
_FORBIDDEN_IN_FACT_ID = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd\ud800-\udfff]")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
# What nearly all ids are made of, and can have no fault: one look instead of four.
_PLAIN_ID = re.compile(r"[\w\-:@+,~]+", re.ASCII)
RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


class Shape(BaseModel):
    """Base of every body: unknown fields, NaN and Infinity are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, ser_json_inf_nan="null")


class Answer(BaseModel):
    """Base of every answer. All of its fields are always there."""

    model_config = ConfigDict(
        extra="forbid", allow_inf_nan=False, json_schema_serialization_defaults_required=True
    )


def _check_identifier(value: str) -> str:
    if _PLAIN_ID.fullmatch(value):
        return value
    if _FORBIDDEN_IN_ID.search(value) or value in (".", ".."):
        raise PydanticCustomError("identifier", "must not hold / \\ ? # % or control characters")
    return _check_outside(value)


def is_identifier(value: str) -> bool:
    """Say whether a text may be the id of a customer, as far as storing it goes."""
    return 1 <= len(value) <= 128 and not _FORBIDDEN_IN_ID.search(value)


def _check_fact_identifier(value: str) -> str:
    if _PLAIN_ID.fullmatch(value):
        return value
    if _FORBIDDEN_IN_FACT_ID.search(value):
        raise PydanticCustomError("identifier", "must not hold control characters")
    return _check_outside(value)


def _check_outside(value: str) -> str:
    if value != value.strip():
        raise PydanticCustomError("identifier", "must not begin or end with a blank")
    if not unicodedata.is_normalized("NFC", value):
        raise PydanticCustomError("identifier", "must be in Unicode normal form C")
    return value


def _check_text(value: str) -> str:
    if _UNSTORABLE.search(value):
        raise PydanticCustomError("text", "must not hold U+0000 or lone surrogates")
    return value


Identifier = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128, strict=True),
    AfterValidator(_check_identifier),
]
FactIdentifier = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128, strict=True),
    AfterValidator(_check_fact_identifier),
]
"""Id of a fact or of its system, which stands in no path: orders are called #1001 or 7/31."""
MAX_TEXT = 200
Text = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_TEXT, strict=True),
    AfterValidator(_check_text),
]


def _compose(value: str) -> str:
    return unicodedata.normalize("NFC", value)


Line = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=200, strict=True, strip_whitespace=True, pattern=r"\S"
    ),
    AfterValidator(_check_text),
    AfterValidator(_compose),
]
"""A text that is compared with others: without outer blanks, in Unicode normal form C."""
LongText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=4000, strict=True),
    AfterValidator(_check_text),
]

Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$", strict=True)]
"""A name that programs branch on."""


def _check_timestamp(value: object) -> object:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not RFC3339.fullmatch(value):
        raise PydanticCustomError(
            "timestamp", "must be an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z"
        )
    return value


def to_utc(value: datetime) -> datetime:
    """Return an instant in UTC; refuse one outside of the years that are known."""
    # Before the conversion, too: shifting the ends of the calendar overflows.
    if FIRST_YEAR - 1 <= value.year <= LAST_YEAR + 1:
        value = value.astimezone(UTC)
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise PydanticCustomError("timestamp", RANGE)
    return value


def format_instant(value: datetime) -> str:
    """Return RFC 3339 in UTC with a Z, microseconds only where there are any."""
    text = value.astimezone(UTC).isoformat(timespec="microseconds")
    return text.removesuffix("+00:00").removesuffix(".000000") + "Z"


Timestamp = Annotated[
    AwareDatetime,
    BeforeValidator(_check_timestamp),
    AfterValidator(to_utc),
    PlainSerializer(format_instant, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


def _check_day(value: object) -> object:
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        raise PydanticCustomError("day", "must be a day such as 2026-01-31")
    return value


def _bound_day(value: date) -> date:
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise PydanticCustomError("day", RANGE)
    return value


Day = Annotated[
    date,
    BeforeValidator(_check_day),
    AfterValidator(_bound_day),
    WithJsonSchema({"type": "string", "format": "date"}),
]


def _positive(value: Decimal) -> Decimal:
    if value <= 0:
        raise PydanticCustomError("not_positive", "must be greater than 0")
    return value


_GIVEN_BACK: Negative = (
    "negative",
    (
        "must not be negative: money given back is a transaction of `kind: refund` with what was "
        "given back as its amount"
    ),
)
AmountIn = Annotated[Decimal, *decimal_of(14, 4, "12.50")]
"""An amount of money as it arrives: at most 14 digits before the point and 4 behind it."""
SignedAmountIn = Annotated[Decimal, *decimal_of(14, 4, "12.50", negative=None)]
PaidAmountIn = Annotated[Decimal, *decimal_of(14, 4, "12.50", negative=_GIVEN_BACK)]
ExchangeRate = Annotated[Decimal, *decimal_of(10, 10, "1.0825"), AfterValidator(_positive)]


def format_amount(value: Decimal) -> str:
    """Return plain digits, at least two behind the point."""
    text = f"{value:.4f}"
    return text[:-2] if text.endswith("00") else text.rstrip("0")


AmountOut = Annotated[
    Decimal,
    PlainSerializer(format_amount, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "examples": ["12.50"]}),
]


def _check_currency(value: object, check: ValidatorFunctionWrapHandler) -> object:
    if type(value) is str and value in CURRENCIES:
        return value
    check(value)
    raise PydanticCustomError("currency", "must be a currency code of ISO 4217")


Currency = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Z]{3}$", strict=True),
    WrapValidator(_check_currency),
    Field(examples=["EUR"]),
]


class Money(Answer):
    """An amount of money."""

    amount: AmountOut = Field(description="decimal number of the main unit of the currency")
    currency: str = Field(description="code of ISO 4217", examples=["EUR"])


class MoneyIn(Shape):
    """An amount of money as it arrives."""

    amount: AmountIn = Field(
        description="decimal number of the main unit of the currency, not negative"
    )
    currency: Currency | None = Field(
        None, description="code of ISO 4217; the deployment's if absent"
    )


class PaidMoneyIn(MoneyIn):
    """An amount of money that was paid, or given back."""

    amount: PaidAmountIn = Field(
        description="decimal number of the main unit of the currency, not negative"
    )


class SignedMoneyIn(MoneyIn):
    """An amount of money that may be negative."""

    amount: SignedAmountIn = Field(
        description="decimal number of the main unit of the currency; a loss is negative"
    )


def _walk(value: object, depth: int) -> None:
    if depth > MAX_ATTRIBUTE_DEPTH:
        raise PydanticCustomError("attributes", "must not nest deeper than 5 levels")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("finite_number", "must not hold NaN or Infinity")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _walk(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _walk(item, depth + 1)


def check_attributes(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse free JSON that is too deep, too large, or cannot be stored."""
    _walk(value, 0)
    if len(json.dumps(value, ensure_ascii=False).encode()) > MAX_ATTRIBUTE_BYTES:
        raise PydanticCustomError("attributes", "must not exceed 16 KiB")
    return value


Attributes = Annotated[dict[str, Any], AfterValidator(check_attributes)]
