"""Phones and e-mail addresses as they are compared, read from what was typed.

The libraries are loaded with the first one that is read: that takes long, and few processes need
them.
"""

import re
import sys
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

_SEPARATORS = re.compile(r"[;,|、\n]+")
_ALTERNATIVES = re.compile(r"/|\bor\b|或")
_QUOTES = "'’‘\"=`"
_EXTENSION = re.compile("转|轉|分机|分機|;ext=")
_TRUNK = re.compile(r"\(\s*0\s*\)")
_DIALLED = re.compile(r"\+?[\d\s().\-/]+")
GRAM = 3
"""Characters of a number that are indexed together, and the fewest that it is found by."""


class Phones(NamedTuple):
    """The numbers of one field.

    `e164` is the first that could be read, `numbers` every one in each spelling, parted by blanks.
    `read` and `unread` tell how many could be read, and could not.
    """

    e164: str | None
    numbers: str
    read: int
    unread: int


def is_loaded() -> bool:
    """Say whether the libraries have been loaded."""
    return "phonenumbers" in sys.modules and "email_validator" in sys.modules


@lru_cache(maxsize=4096)
def read_phones(text: str, regions: tuple[str, ...]) -> Phones:
    """Read the phone numbers of a field.

    One that is written without its country is of the first region in which there is such a number.
    """
    found, spellings, unread = list[str](), dict[str, None](), 0
    for piece, read in _pieces(unicodedata.normalize("NFKC", text), regions):
        if read is None:
            unread += 1
            digits = dialled(piece)
            spellings |= {digits: None} if len(digits) >= GRAM else {}
        else:
            found.append(read[0])
            spellings |= dict.fromkeys(read)
    return Phones(found[0] if found else None, " ".join(spellings), len(found), unread)


def _pieces(text: str, regions: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, str] | None]]:
    """Yield the numbers of a field as written and as read; a `/` also parts area and number."""
    for piece in _SEPARATORS.split(_EXTENSION.sub(" ext. ", text)):
        if not piece.strip():
            continue
        read = _read(piece, regions)
        several = _ALTERNATIVES.split(piece) if read is None else []
        found = [(each, _read(each, regions)) for each in several if each.strip()]
        if any(each is not None for _, each in found):
            yield from found
        else:
            yield piece, read


def _read(piece: str, regions: tuple[str, ...]) -> tuple[str, str] | None:
    """Return a number in E.164, and the digits dialled in its country; None if it is none."""
    import phonenumbers  # noqa: PLC0415  # takes a fifth of a second

    written = piece.strip().lstrip(_QUOTES).strip()
    abroad = [(f"+{written[2:]}", None)] if written.startswith("00") else []
    tries: list[tuple[str, str | None]] = [(written, region) for region in regions]
    for number, region in (*tries, *abroad, *([] if regions else [(written, None)])):
        try:
            parsed = phonenumbers.parse(number, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            parsed.extension = None
            form = phonenumbers.PhoneNumberFormat
            national = phonenumbers.format_number(parsed, form.NATIONAL)
            return phonenumbers.format_number(parsed, form.E164), dialled(national)
    return None


def dialled(text: str) -> str:
    """Return the digits of a number, with a `+` if it begins with one."""
    digits = "".join(char for char in text if char in "0123456789")
    return f"+{digits}" if text.lstrip(f" {_QUOTES}(").startswith("+") else digits


def grams_of(numbers: str) -> set[str]:
    """Return what is indexed of numbers parted by blanks; `#` keeps it apart from names."""
    return {
        f"#{number[at : at + GRAM]}"
        for number in numbers.split()
        for at in range(len(number) - GRAM + 1)
    }


def part_of_number(query: str) -> str | None:
    """Return what a number must hold to be found; None if a query is no part of a number."""
    written = unicodedata.normalize("NFKC", query).strip().lstrip(_QUOTES)
    if not _DIALLED.fullmatch(written):
        return None
    digits = dialled(_TRUNK.sub("", written))
    if digits.startswith("00"):
        digits = f"+{digits[2:]}"
    return digits if len(digits) >= GRAM else None


@lru_cache(maxsize=4096)
def read_email(text: str) -> tuple[str, bool]:
    """Return an address as it is compared, and whether it is one."""
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415  # large

    try:
        found = validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        return unicodedata.normalize("NFC", text).lower(), False
    return found.normalized.lower(), True


def email_prefix(query: str) -> str:
    """Return the beginning that an address must have to be found."""
    return unicodedata.normalize("NFC", query.strip()).lower()
