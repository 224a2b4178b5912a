"""Decimal numbers as they arrive: in a string, or as a number of JSON, exact to the last digit."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, LiteralString, Self

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

_LONGEST = 100
_NUMBER = r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,9})?"
_SIGNED = re.compile(f"-?{_NUMBER}", re.ASCII)


class JsonNumber(float):
    """A number of JSON with a fraction or an exponent: a float that remembers how it was written.

    What is no money is content with the float; an amount is read from the text.
    """

    __slots__ = ("text",)
    # FastAPI lets pydantic read shapes from the attributes of objects, except of built-in ones:
    # a number where an object belongs is no object.
    __module__ = "builtins"
    text: str

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number.text = text
        return number


Negative = tuple[LiteralString, LiteralString]
"""Code and message where a number must not be negative."""
NOT_NEGATIVE: Negative = ("negative", "must not be negative")


def decimal_of(
    digits: int, places: int, example: str, *, negative: Negative | None = NOT_NEGATIVE
) -> tuple[Any, ...]:
    """Return what makes a type of decimals with so many digits before the point and behind it."""
    parse = _parser(digits, places, example, negative)
    sign = "-?" if negative is None else ""
    number = {"type": "number"} if negative is None else {"type": "number", "minimum": 0}
    text = {"type": "string", "maxLength": _LONGEST, "pattern": f"^{sign}{_NUMBER}$"}
    schema = {"anyOf": [text, number], "examples": [example]}
    # Nothing but our own function looks at a value: so does what writes it as JSON.
    written = PlainSerializer(str, return_type=str, when_used="json")
    return PlainValidator(parse), written, WithJsonSchema(schema)


def _parser(
    digits: int, places: int, example: str, negative: Negative | None
) -> Callable[[object], Decimal]:
    plain = re.compile(rf"[0-9]{{1,{digits}}}(\.[0-9]{{1,{places}}})?", re.ASCII)
    unit = Decimal(1).scaleb(-places)

    def parse(value: object) -> Decimal:
        if isinstance(value, str) and plain.fullmatch(value):
            return Decimal(value)
        if isinstance(value, Decimal):
            return value
        number = _read(value, example)
        if number < 0 and negative is not None:
            raise PydanticCustomError(*negative)
        if number and number.adjusted() >= digits:
            raise PydanticCustomError(
                "too_large",
                "must have at most {digits} digits before the point",
                {"digits": digits},
            )
        rounded = number.quantize(unit)
        if rounded != number:
            raise PydanticCustomError(
                "too_precise",
                "must have at most {places} digits behind the point; round it",
                {"places": places},
            )
        return rounded or abs(rounded)  # one zero, not two

    return parse


def _read(value: object, example: str) -> Decimal:
    """Return the number that was written."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, float):
        value = value.text if isinstance(value, JsonNumber) else repr(value)
    if not isinstance(value, str) or len(value) > _LONGEST or not _SIGNED.fullmatch(value):
        raise PydanticCustomError(
            "decimal",
            'must be a decimal number, such as "{example}" or {example}',
            {"example": example},
        )
    return Decimal(value)
