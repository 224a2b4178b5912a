"""Texts as the values of fields."""

import re
import unicodedata
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from math import isinf
from typing import Any, Final

from app.mappings import times
from app.mappings.bad import Bad
from app.mappings.numbers import PLAIN_AMOUNT, currency_of, number_reader, rate_of
from app.mappings.spreadsheets import ROUNDED
from app.mappings.targets import WORDS, Target, Type
from app.mappings.times import LocalTimes
from app.mappings.values import ReadAs, Value

Convert = Callable[[str], Any]
MOST_REVISION: Final = 2_147_483_647
PLAIN_ID: Final = re.compile(r"(?!\d(,\d+)?[eE]\+\d)[\w\-:@+,~]{1,100}", re.ASCII)
"""What is an id as it stands, and no number that a spreadsheet has rounded."""
_FORBIDDEN_IN_ID: Final = re.compile(r"[/\\?#%\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd\ud800-\udfff]")
_FORBIDDEN_IN_FACT_ID: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd\ud800-\udfff]")
_LONGEST: Final[dict[Type, int]] = {"line": 200, "text": 200, "long_text": 4000}
_DECIMALS: Final = re.compile(r"\.0+$")
_REMEMBERED: Final = 20_000
_TRUE: Final = frozenset({"true", "1", "yes", "y", "是", "t", "wahr", "vrai", "sí", "si"})
_FALSE: Final = frozenset({"false", "0", "no", "n", "否", "f", "falsch", "faux"})
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def converter(
    value: Value, target: Target, clocks: LocalTimes, decimal: str, currency: str | None = None
) -> Convert:
    """Return what makes a field's value of a text that is not blank.

    With a `currency`, amounts may bear the sign of no other.
    """
    read_as = value.read_as or target.read_as
    if target.type == "day":
        return _day(value, read_as, clocks)
    if target.type == "currency":
        return currency_of
    if target.type == "amount" and read_as == "money":
        return _amount(decimal, currency)
    finish = _FINISHES.get(target.type, _jsonable)
    if read_as in ("text", "id"):
        return finish
    read = _reader(value, read_as, clocks, decimal)
    if target.type == "instant":
        return _remembering(lambda text: finish(read(text)))
    return lambda text: finish(read(text))


def _remembering(convert: Convert) -> Convert:
    """Convert texts that come again, as those of days do, only once."""
    known: dict[str, Any] = {}

    def remembered(text: str) -> Any:
        found = known.get(text)
        if found is None:
            if len(known) >= _REMEMBERED:
                known.clear()
            found = known[text] = convert(text)
        return found

    return remembered


def finisher(target: Target) -> Callable[[Any], Any]:
    """Return what makes a field's value of a number that was computed."""
    return _FINISHES.get(target.type, _jsonable)


def _reader(value: Value, read_as: ReadAs, clocks: LocalTimes, decimal: str) -> Convert:
    if read_as in ("time", "day"):
        return clocks.reader(value.patterns)
    if read_as == "spreadsheet_days":
        return clocks.spreadsheet_days
    if read_as in ("number", "money", "minor_units"):
        return number_reader(decimal)
    if read_as == "list":
        return lambda text: _listed(text, value.separator)
    if read_as == "first_of_list":
        return lambda text: next(iter(_listed(text, value.separator)), "")
    return _SIMPLE[read_as]


def _listed(text: str, separator: str) -> list[str]:
    parts = text.split(separator if separator.strip() else ";")
    return [part for each in parts if (part := each.strip())]


def _day(value: Value, read_as: ReadAs, clocks: LocalTimes) -> Convert:
    if read_as in ("seconds", "milliseconds"):
        read = _SIMPLE[read_as]
        return lambda text: clocks.local(read(text)).date().isoformat()
    if read_as == "spreadsheet_days":
        return lambda text: clocks.day_of_count(text).isoformat()
    forms = [form for each in value.patterns or () if (form := times.compiled(each)) is not None]
    return lambda text: clocks.day(text, forms).isoformat()


def _amount(decimal: str, currency: str | None) -> Convert:
    read, plain = number_reader(decimal, currency), PLAIN_AMOUNT.fullmatch

    def convert(text: str) -> str | Decimal:
        """Return what needs no change as it is: nearly all amounts."""
        return text if plain(text) else read(text)

    # With a decimal comma, 1.250 is a thousand and more.
    return convert if decimal == "." else read


def _whole_number_id(text: str) -> str:
    return _DECIMALS.sub("", text) if text.endswith("0") and "." in text else text


def _salesforce_id(text: str) -> str:
    """Return an id of 18 characters, of which the last three tell capitals in the others."""
    if len(text) == 18:
        return text
    if len(text) != 15 or not text.isascii() or not text.isalnum():
        raise Bad("identifier", "it is no id of Salesforce, of 15 or 18 letters and digits")
    chunks = (text[start : start + 5] for start in (0, 5, 10))
    return text + "".join(
        _ALPHABET[sum(char.isupper() << n for n, char in enumerate(chunk))] for chunk in chunks
    )


def _boolean(text: str) -> bool:
    word = text.casefold()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise Bad("not_a_boolean", "it is neither true nor false")


_SIMPLE: Final[dict[str, Convert]] = {
    "text": lambda text: text,
    "lower": str.lower,
    "id": lambda text: text,
    "whole_number_id": _whole_number_id,
    "salesforce_id": _salesforce_id,
    "person_name": lambda text: text,
    "boolean": _boolean,
    "seconds": lambda text: times.since_epoch(text, 1),
    "milliseconds": lambda text: times.since_epoch(text, 1_000),
}


def _identifier(forbidden: re.Pattern[str]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if PLAIN_ID.fullmatch(value):
            return str(value)
        if ROUNDED.fullmatch(value):
            raise Bad("digits_lost", "a spreadsheet has rounded it: export it as text")
        text = unicodedata.normalize("NFC", value)
        if not 1 <= len(text) <= 128 or text in (".", "..") or text != text.strip():
            raise Bad("identifier", "an id has 1 to 128 characters, with no blank around")
        if forbidden.search(text):
            raise Bad("identifier", f"an id must not hold {_named(forbidden)}control characters")
        return text

    return check


def _named(forbidden: re.Pattern[str]) -> str:
    return "/ \\ ? # % or " if forbidden is _FORBIDDEN_IN_ID else ""


def _bounded(longest: int) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        text = value if type(value) is str else str(_jsonable(value))
        if len(text) > longest:
            raise Bad("out_of_range", f"it is longer than {longest} characters")
        return text

    return check


def _word(words: tuple[str, ...]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        word = str(value).casefold()
        if word not in words:
            raise Bad("unknown_value", f"it is none of {', '.join(words)}")
        return word

    return check


def _instant(value: Any) -> str:
    if not isinstance(value, datetime):
        raise Bad("not_a_time", "it is not read as a time")
    return times.written(value)


def _revision(value: Any) -> int:
    if isinstance(value, datetime):
        value = Decimal(times.seconds_of(value))
    if not isinstance(value, Decimal) or value != int(value):
        raise Bad("not_a_number", "a revision is a whole number, or a time")
    if not 1 <= value <= MOST_REVISION:
        detail = f"a revision lies within 1 and {MOST_REVISION}: read milliseconds as a time"
        raise Bad("out_of_range", detail)
    return int(value)


def _number(value: Any) -> float:
    if not isinstance(value, Decimal):
        raise Bad("not_a_number", "it is not read as a number")
    return _finite(float(value))


def _finite(number: float) -> float:
    if isinf(number):
        raise Bad("out_of_range", "it is too large a number")
    return number


def _decimal(value: Any) -> Decimal:
    if not isinstance(value, Decimal):
        raise Bad("not_money", "it is not read as an amount")
    return value


def _rate(value: Any) -> str:
    return rate_of(_decimal(value))


def _jsonable(value: Any) -> Any:
    if isinstance(value, Decimal):
        return _finite(float(value)) if value != int(value) else int(value)
    if isinstance(value, datetime):
        return times.written(value)
    return value.isoformat() if isinstance(value, date) else value


_FINISHES: Final[dict[str, Callable[[Any], Any]]] = {
    "id": _identifier(_FORBIDDEN_IN_ID),
    "fact_id": _identifier(_FORBIDDEN_IN_FACT_ID),
    "instant": _instant,
    "revision": _revision,
    "number": _number,
    "amount": _decimal,
    "rate": _rate,
    **{name: _bounded(longest) for name, longest in _LONGEST.items()},
    **{name: _word(words) for name, words in WORDS.items()},
}
