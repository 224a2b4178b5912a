"""Countries by code or name: English, Chinese, and the country's own languages."""

from functools import cache, lru_cache

from app.schemas.common.locales import territories
from app.services.customers import names

_ALSO = {
    "AE": ("UAE", "阿联酋"),
    "AU": ("澳洲",),
    "CI": ("Ivory Coast",),
    "CN": ("PRC", "PR China", "People's Republic of China", "Mainland China", "中华人民共和国",
           "中国大陆", "中国内地"),
    "CZ": ("Czech Republic",),
    "DE": ("Federal Republic of Germany",),
    "GB": ("Great Britain", "Britain", "England", "Scotland", "Wales", "Northern Ireland",
           "United Kingdom of Great Britain and Northern Ireland", "大不列颠", "英格兰"),
    "HK": ("Hong Kong", "Hongkong", "香港", "中国香港"),
    "IR": ("Islamic Republic of Iran",),
    "KP": ("DPRK", "北韩"),
    "KR": ("Republic of Korea", "Korea, Republic of", "Korea, South", "大韩民国", "南韩"),
    "LA": ("Lao PDR",),
    "MK": ("Macedonia",),
    "MM": ("Burma",),
    "MO": ("Macao", "Macau", "澳门", "中国澳门"),
    "MY": ("大马",),
    "NL": ("Holland",),
    "NZ": ("纽西兰",),
    "RU": ("Russian Federation", "俄国", "俄罗斯联邦"),
    "SA": ("沙特",),
    "SY": ("Syrian Arab Republic",),
    "SZ": ("Swaziland",),
    "TR": ("Turkey", "Republic of Türkiye"),
    "TW": ("中国台湾", "台湾省", "Taiwan, Province of China"),
    "TZ": ("United Republic of Tanzania",),
    "US": ("United States of America", "U.S.", "U.S.A.", "America", "美利坚合众国"),
    "VN": ("Viet Nam",),
}  # fmt: skip
"""Names in use that CLDR does not have first."""


def _key(text: str) -> str:
    """Return a name without case, accents, stops and a leading article, its words in order."""
    words = names.without_apostrophes(names.fold(text)).replace("&", " and ").replace(".", "")
    words = "".join(char if char.isalnum() else " " for char in words).removeprefix("the ")
    return " ".join(words.split())


@cache
def _codes() -> dict[str, str]:
    named = territories()["countries"]
    found = {code.lower(): code for code in named}
    for code, known in named.items():
        for name in (*known, *_ALSO.get(code, ())):
            found.setdefault(_key(name), code)
    return found


@lru_cache(maxsize=4096)
def code_of(text: str) -> str | None:
    """Return the code of ISO 3166-1 that a text means; None if that cannot be told.

    Numbers are not read: systems have numbers of their own, and 248 is China in one of them.
    """
    return _codes().get(_key(text))
