"""What countries, languages and scripts there are, drawn from the CLDR that Babel carries.

`make territories` writes it: the service reads the file, and neither needs nor loads all of Babel.
"""

import json
import sys
from functools import cache
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.core import get_global

NOT_A_COUNTRY = frozenset(
    {"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"}
)
"""Codes of CLDR for parts, unions and tests; XK is Kosovo, which ISO 3166-1 leaves to its users."""
OF_ALL = ("en", "zh", "zh_Hant")
"""The languages in which every country is named; besides, each in its own."""
SPOKEN_PERCENT = 20


@cache
def territories() -> dict[str, Any]:
    """Return the file's content: codes with their names, and the codes of languages and scripts."""
    english = Locale("en")
    codes = sorted(c for c in english.territories if len(c) == 2 and c.isalpha())
    countries = {code: _names(code) for code in codes if code not in NOT_A_COUNTRY}
    for alias, meant in get_global("territory_aliases").items():
        is_code = alias.isalpha() and (len(alias) == 3 or alias == "UK")
        if is_code and len(meant) == 1 and meant[0] in countries:
            countries[meant[0]].append(alias)
    return {
        "countries": countries,
        "languages": sorted(code for code in english.languages if len(code) in (2, 3)),
        "scripts": sorted(code for code in english.scripts if len(code) == 4),
    }


def _names(code: str) -> list[str]:
    spoken = get_global("territory_languages").get(code, {})
    own = sorted(
        language for language, told in spoken.items()
        if told["official_status"] or told["population_percent"] >= SPOKEN_PERCENT
    )  # fmt: skip
    found: dict[str, None] = {}
    for language in (*OF_ALL, *own):
        try:
            name = Locale.parse(language).territories.get(code)
        except UnknownLocaleError:
            continue
        if name is not None:
            found[name] = None
    return list(found)


def text() -> str:
    """Return the file."""
    lines = [
        f"    {json.dumps(code)}: {json.dumps(names, ensure_ascii=False)}"
        for code, names in territories()["countries"].items()
    ]
    listed = [
        f"  {json.dumps(name)}: {json.dumps(territories()[name])}"
        for name in ("languages", "scripts")
    ]
    head = '{\n  "countries": {\n' + ",\n".join(lines) + "\n  },\n"
    return head + ",\n".join(listed) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.write(text())
