"""Kinds of interactions: words of any script, in one spelling however they are written."""

import re
import unicodedata
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

MAX_LENGTH = 64
_PLAIN = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SEPARATORS = re.compile("[ \u00a0\u3000\\-_.:/]+")


@lru_cache(4096)
def canonical(written: str) -> str | None:
    """Return the one spelling of a kind, None for what is none.

    `Order Completed`, `order-completed` and `OrderCompleted` are `order_completed`: Unicode form C,
    small letters, one `_` between words. Words are told apart by blanks, `-`, `_`, `.`, `:`, `/`,
    and by capitals. Plain names are left as they are.
    """
    if _PLAIN.fullmatch(written):
        return written
    text = unicodedata.normalize("NFC", written)
    parted = "".join(
        f"_{char}" if _begins_a_word(text, place) else char for place, char in enumerate(text)
    )
    words = _SEPARATORS.sub("_", parted).strip("_")
    kind = unicodedata.normalize("NFC", words.lower())
    fits = 0 < len(kind) <= MAX_LENGTH and kind[0].isalpha() and all(map(_is_of_a_word, kind))
    return kind if fits else None


def _begins_a_word(text: str, place: int) -> bool:
    """Whether a capital begins a word: after a small letter or digit, or before a small letter."""
    if place == 0 or not text[place].isupper():
        return False
    before, after = text[place - 1], text[place + 1 : place + 2]
    return before.islower() or before.isdigit() or (before.isupper() and after.islower())


def _is_of_a_word(char: str) -> bool:
    return char == "_" or unicodedata.category(char)[0] in "LMN"


def _check(written: str) -> str:
    if canonical(written) is None:
        raise PydanticCustomError(
            "kind",
            "must be a word or words of letters and digits of any script, beginning with a letter, "
            "at most 64 characters, such as complaint, order_completed or 投诉",
        )
    return written


WrittenKind = Annotated[
    str, StringConstraints(min_length=1, max_length=100, strict=True), AfterValidator(_check)
]
"""A kind in any spelling."""
KindFilter = Annotated[WrittenKind, AfterValidator(lambda written: canonical(written) or written)]
"""A kind in any spelling, read as the one that is stored."""
