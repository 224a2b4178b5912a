"""The parameters that variables take: what they look like, and how sentences say them."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from app.lifecycle.kinds import PHASES

MAX_WINDOW_DAYS = 3_650
MAX_TEXT, MAX_NAME, MAX_KIND = 500, 100, 64
_KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_UNITS: Final = {"days": ("day", "天"), "years": ("year", "岁")}

Fault = tuple[str, str]
"""A code, and what is wrong."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """How a parameter is checked, shown in the key of evidence, and said in both languages."""

    fault: Callable[[Any], Fault | None]
    show: str
    en: str
    zh: str
    required: str | None = None
    """What is missing where it is not given; None if it need not be."""

    def shown(self, value: Any) -> str:
        return self.show.format(value)

    def phrases(self, value: Any) -> tuple[str, str]:
        """Return how sentences say it; nothing where it is not given."""
        if value is None:
            return "", ""
        forms = {language: counted(value, "days", language) for language in ("en", "zh")} if (
            isinstance(value, int)
        ) else dict.fromkeys(("en", "zh"), value)  # fmt: skip
        return self.en.format(forms["en"]), self.zh.format(forms["zh"])


def text_fault(value: str) -> Fault | None:
    """Return what is wrong with a text that is stored and compared."""
    if len(value) > MAX_TEXT:
        return "too_long", f"must have at most {MAX_TEXT} characters"
    if _UNSTORABLE.search(value):
        return "text", "must not hold U+0000 or lone surrogates"
    return None


def _kind(value: Any) -> Fault | None:
    if isinstance(value, str) and (_KIND.fullmatch(value) or _is_kind(value)):
        return None
    said = "must be a kind of interaction: small letters, digits and _, such as complaint or 投诉"
    return "type_mismatch", said


def _is_kind(value: str) -> bool:
    """Whether a word of another script is spelt as kinds of interactions are kept."""
    return (
        0 < len(value) <= MAX_KIND
        and value == unicodedata.normalize("NFC", value).lower()
        and value[0].isalpha()
        and all(char == "_" or unicodedata.category(char)[0] in "LMN" for char in value)
    )


def _days(value: Any) -> Fault | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and 1 <= value <= MAX_WINDOW_DAYS:
        return None
    return "type_mismatch", f"must be a whole number from 1 to {MAX_WINDOW_DAYS}"


def _text_up_to(most: int) -> Callable[[Any], Fault | None]:
    def check(value: Any) -> Fault | None:
        if not (isinstance(value, str) and 0 < len(value) <= most):
            return "type_mismatch", f"must be a text of 1 to {most} characters"
        return text_fault(value)

    return check


def _phase(value: Any) -> Fault | None:
    if value in PHASES:
        return None
    return "type_mismatch", f"must be a phase: one of {', '.join(PHASES)}"


_TEXT = _text_up_to(200)
PARAMETERS: Final = {
    "kind": Parameter(_kind, "{}", " of kind {}", "「{}」类"),
    "phase": Parameter(_phase, "phase {}", " of phase {}", "「{}」阶段"),
    "category": Parameter(_TEXT, "category {}", " in category {!r}", "类目「{}」"),
    "product": Parameter(_TEXT, "product {}", " of product {!r}", "产品「{}」"),
    "channel": Parameter(_TEXT, "channel {}", " through channel {!r}", "渠道「{}」"),
    "days": Parameter(_days, "{} days", " in the last {}", "近{}"),
    "name": Parameter(
        _text_up_to(MAX_NAME),
        "{}",
        " {!r}",
        "「{}」",
        required="is needed: the key of the attribute",
    ),
}


def counted(number: float, unit: str | None, language: str) -> str:
    """Say a number in full, with its unit if that is a length of time."""
    shown = f"{number:.0f}" if number == int(number) else repr(number)
    if unit not in _UNITS:
        return shown
    en, zh = _UNITS[unit]
    return f"{shown}{zh}" if language == "zh" else f"{shown} {en}{'s' * (number != 1)}"
