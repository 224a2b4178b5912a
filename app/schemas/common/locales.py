"""Languages, time zones and countries, by their standards' codes."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

_FILE = Path(__file__).with_name("territories.json")
_NOT_ZONES = frozenset({"localtime", "posixrules", "Factory"})
_TAG = re.compile(
    r"(?P<language>[a-z]{2,3})(?P<extended>(-[a-z]{3})?)(-(?P<script>[a-z]{4}))?"
    r"(-(?P<region>[a-z]{2}|[0-9]{3}))?(?P<variants>(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*)"
    r"(?P<rest>(-[a-wyz0-9](-[a-z0-9]{2,8})+)*(-x(-[a-z0-9]{1,8})+)?)",
    re.ASCII,
)


@cache
def territories() -> dict[str, Any]:
    """Return names by code of countries, and codes of languages and scripts, as CLDR has them."""
    found: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return found


@cache
def _codes(kind: str) -> frozenset[str]:
    return frozenset(code.lower() for code in territories()[kind])


@cache
def _zones() -> dict[str, str]:
    return {zone.lower(): zone for zone in available_timezones() - _NOT_ZONES}


def _read_language(value: str) -> str:
    """Return a tag as RFC 5646 writes it; languages of three letters are too many to list."""
    found = _TAG.fullmatch(value.strip().replace("_", "-").lower())
    if found is not None:
        language, script, region = found["language"], found["script"], found["region"]
        known = len(language) == 3 or language in _codes("languages")
        known = known and (script is None or script in _codes("scripts"))
        if known and (region is None or region.isdigit() or region in _codes("countries")):
            parts = [language + found["extended"], script and script.title(),
                     region and region.upper()]  # fmt: skip
            return "-".join(filter(None, parts)) + found["variants"] + found["rest"]
    raise PydanticCustomError(
        "language", "must be a language tag of BCP 47, such as en, pt-BR or zh-Hans"
    )


def _read_zone(value: str) -> str:
    zone = _zones().get(value.strip().lower())
    if zone is None:
        raise PydanticCustomError(
            "time_zone", "must be a time zone of the IANA database, such as Asia/Shanghai"
        )
    return zone


LanguageTag = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64, strict=True),
    AfterValidator(_read_language),
]
TimeZone = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64, strict=True),
    AfterValidator(_read_zone),
    Field(examples=["Asia/Shanghai"]),
]
