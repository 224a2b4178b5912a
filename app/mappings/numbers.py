"""Texts as numbers and amounts of money, by a declared decimal sign."""

import re
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from app.mappings.bad import Bad

PLACES: Final = 4
RATE_PLACES: Final = 10
_MOST: Final = Decimal(10) ** 14
_UNIT: Final = Decimal(1).scaleb(-PLACES)
_RATE_UNIT: Final = Decimal(1).scaleb(-RATE_PLACES)
PLAIN_AMOUNT: Final = re.compile(r"[0-9]{1,14}(\.[0-9]{1,4})?")
_PLAIN: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,30})?")
_BLANKS: Final = dict.fromkeys(map(ord, " \u00a0\u2009\u202f'’"))
_WRITTEN: Final = re.compile(
    r"(?P<open>\()?(?P<sign>[-+−]?)(?P<before>[^\d.,()+\-−]{0,5})(?P<inner>[-+−]?)"
    r"(?P<number>[\d.,]{1,40})(?P<exponent>[eE][+-]?\d{1,2})?"
    r"(?P<after>[^\d.,()+\-−]{0,5})(?P<behind>[-−]?)(?P<close>\))?",
    re.ASCII,
)
_GROUPED: Final = {
    ".": re.compile(r"(\d+|\d{1,3}(,\d{2,3})*,\d{3})?(\.\d*)?", re.ASCII),
    ",": re.compile(r"(\d+|\d{1,3}(\.\d{2,3})*\.\d{3})?(,\d*)?", re.ASCII),
}
_NO_DECIMALS: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE_DECIMALS: Final = "BHD IQD JOD KWD LYD OMR TND"
EXPONENTS: Final[Mapping[str, int]] = {
    **dict.fromkeys(_NO_DECIMALS.split(), 0),
    **dict.fromkeys(_THREE_DECIMALS.split(), 3),
}
"""Decimals of currencies by ISO 4217, where they are not 2."""
SYMBOLS: Final[Mapping[str, str]] = {
    "€": "EUR", "£": "GBP", "₹": "INR", "৳": "BDT", "₩": "KRW", "₽": "RUB", "₺": "TRY",
    "₴": "UAH", "₫": "VND", "฿": "THB", "₦": "NGN", "₱": "PHP", "₪": "ILS", "₸": "KZT",
    "zł": "PLN", "Kč": "CZK", "R$": "BRL", "US$": "USD", "A$": "AUD", "C$": "CAD", "HK$": "HKD",
    "人民币": "CNY", "RMB": "CNY", "美元": "USD", "欧元": "EUR", "英镑": "GBP", "港币": "HKD",
    "日元": "JPY",
}  # fmt: skip
"""Signs and names of one currency alone."""
_SHARED: Final[Mapping[str, frozenset[str]]] = {
    sign: frozenset(codes.split())
    for sign, codes in {
        "$": "ARS AUD BBD BMD BSD BZD CAD CLP COP FJD GYD HKD JMD LRD MXN NAD NZD SGD SRD TTD TWD"
        " USD XCD", "¥": "CNY JPY", "￥": "CNY JPY", "元": "CNY HKD MOP TWD", "円": "JPY",
        "kr": "DKK ISK NOK SEK", "Fr": "CHF",
    }.items()
}  # fmt: skip
_CODES: Final = frozenset(
    (*SYMBOLS.values(), *EXPONENTS, *(code for codes in _SHARED.values() for code in codes))
)


def number_reader(decimal: str, currency: str | None = None) -> Callable[[str], Decimal]:
    """Return what reads numbers with this decimal sign, in plain, grouped or exponent form.

    What is written beside one is passed over; with a `currency`, not the sign of another one.
    """
    grouped = _GROUPED[decimal]
    group = "," if decimal == "." else "."

    def read(text: str) -> Decimal:
        if decimal == "." and _PLAIN.fullmatch(text):
            return Decimal(text)
        found = _WRITTEN.fullmatch(text.translate(_BLANKS))
        if found is None or (found["open"] is None) != (found["close"] is None):
            raise _no_number()
        digits = found["number"]
        if not any(map(str.isdigit, digits)) or not grouped.fullmatch(digits):
            raise _no_number()
        plain = digits.replace(group, "").replace(decimal, ".").rstrip(".") or "0"
        number = Decimal(("0" if plain.startswith(".") else "") + plain + (found["exponent"] or ""))
        signs = found["sign"] + found["inner"] + found["behind"]
        minus = bool(found["open"]) + signs.count("-") + signs.count("−")
        if minus > 1:
            raise _no_number()
        may = _currencies_of(found["before"] or found["after"]) if currency is not None else ()
        if may and currency not in may:
            raise Bad("other_currency", f"its sign is not of {currency}, which the mapping says")
        return -number if minus else number

    return read


def currencies_beside(text: str) -> frozenset[str]:
    """Return the currencies whose sign or code is written beside a number; none if none is."""
    found = _WRITTEN.fullmatch(text.translate(_BLANKS))
    return frozenset() if found is None else _currencies_of(found["before"] or found["after"])


def _currencies_of(mark: str) -> frozenset[str]:
    if mark in _SHARED:
        return _SHARED[mark]
    code = SYMBOLS.get(mark, mark.upper())
    return frozenset((code,)) & _CODES


def money_of(number: Decimal, round_to: int | None = None) -> str:
    """Return an amount as the API takes it."""
    if round_to is not None and _places(number) > round_to:
        number = number.quantize(Decimal(1).scaleb(-round_to), ROUND_HALF_EVEN)
    if abs(number) >= _MOST:
        raise Bad("out_of_range", "it has more than 14 digits before the point")
    kept = number.quantize(_UNIT)
    if kept != number:
        raise Bad("too_precise", "it has more than 4 decimals, and the mapping does not round")
    return f"{number:f}" if _places(number) <= PLACES else f"{kept:f}"


def _places(number: Decimal) -> int:
    """Return the digits that are written behind the point."""
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def rate_of(number: Decimal) -> str:
    """Return an exchange rate, rounded to what is stored."""
    if abs(number) >= 10**10:
        raise Bad("out_of_range", "it has more than 10 digits before the point")
    kept = number.quantize(_RATE_UNIT, ROUND_HALF_EVEN)
    if kept <= 0:
        raise Bad("out_of_range", "an exchange rate must be greater than 0")
    return f"{kept.normalize():f}"


def exponent_of(currency: str, said: Mapping[str, int]) -> int:
    """Return the decimals of a currency."""
    return said.get(currency, EXPONENTS.get(currency, 2))


def currency_of(text: str) -> str:
    """Return the code of a currency, by its code or a sign that is of no other."""
    code = SYMBOLS.get(text.upper(), text.upper())
    if len(code) == 3 and code.isascii() and code.isalpha():
        return code
    found = SYMBOLS.get(text.translate(_BLANKS).strip("0123456789.,+-−()"))
    if found is None:
        raise Bad("unknown_currency", "it is no code of ISO 4217, nor a sign of one currency alone")
    return found


def _no_number() -> Bad:
    return Bad("not_a_number", "it is no number with the decimal sign that the mapping declares")
