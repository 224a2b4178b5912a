"""What the values of columns tell, where only one answer fits them."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from app.mappings.bad import Bad
from app.mappings.numbers import currencies_beside, number_reader
from app.mappings.presets.header import Header
from app.mappings.presets.names import moment, named
from app.mappings.times import compiled

_DAYS: Final = ("%d.%m.%Y", "%Y/%m/%d", "%Y.%m.%d", "%b %d, %Y", "%d %b %Y", "%d-%b-%Y",
                "%Y年%m月%d日", "%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y", "%m/%d/%y",
                "%d/%m/%y", "%d.%m.%y", "%Y-%m-%d")  # fmt: skip
_TIMES: Final = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p",
                 " %H:%M:%S %z", "T%H:%M:%S", ", %I:%M %p", ", %H:%M")  # fmt: skip
_ISO: Final = re.compile(
    r"\d{4}-?\d\d-?\d\d([T ]\d\d:\d\d(:\d\d(\.(\d{3}|\d{6}))?)? ?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)
_SIGN: Final = re.compile(r"[.,](?=(\d{1,2}|\d{4,})\D*$)")
"""What can be nothing but the decimal sign: not three digits follow it, up to the end."""
_THOUSANDS: Final = re.compile(r"\d([.,])\d{3}(?=[.,])")
_EITHER: Final = re.compile(r"\d[.,]\d{3}\D*$")
_PURCHASES: Final = ("purchase", "sale", "sell", "order", "invoice", "payment", "charge", "buy",
                     "销售", "购买", "消费", "订单", "支付", "销售单", "auftrag", "rechnung",
                     "verkauf")  # fmt: skip
_REFUNDS: Final = ("refund", "return", "credit", "credit note", "creditnote", "chargeback",
                   "退款", "退货", "退款单", "退货单", "gutschrift", "retoure")  # fmt: skip
KINDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(_PURCHASES, "purchase"),
    **dict.fromkeys(_REFUNDS, "refund"),
}
_NO_SALE: Final = ("cancel", "void", "fail", "pending", "test", "draft", "declin", "abandon",
                   "unpaid", "refund", "return", "取消", "作废", "关闭", "待付款", "未付款", "失败",
                   "退款", "等待买家付款", "storniert", "offen")  # fmt: skip
_GIVEN_BACK: Final = ("退款成功", "已退款", "全额退款", "refunded", "erstattet")
TOTAL_WORDS: Final = ("合计", "总计", "小计", "汇总", "total", "grand total", "subtotal", "sum",
                      "summe", "gesamt", "zwischensumme")  # fmt: skip
_COUNTED_DAYS: Final = re.compile(r"[2-7]\d{4}([.,]\d+)?", re.ASCII)
"""Days of 1954 to 2118 as spreadsheets count them."""


def texts_of(header: Header, fields: Sequence[str], said: Mapping[str, str]) -> tuple[str, ...]:
    """Return the different values of the first of these fields that has a column."""
    for field in fields:
        column = named(header, field, said)
        if column is not None:
            return header.values(column, most=200)
    return ()


def times_of(header: Header, fields: Sequence[str], said: Mapping[str, str]) -> tuple[str, ...]:
    """Return the different times, of one column or two, of the first field that has some."""
    for field in fields:
        columns = moment(header, field, said)
        places = [header.detected.columns.index(each) for each in columns
                  if each in header.detected.columns]  # fmt: skip
        if places:
            rows = header.detected.sample
            texts = (" ".join(row[place].strip() for place in places).strip() for row in rows)
            return tuple(dict.fromkeys(text for text in texts if text))
    return ()


def counted_in(texts: Sequence[str]) -> str | None:
    """Return what times are counted in, where they are counts since 1970."""
    if texts and all(text.isascii() and text.isdecimal() for text in texts):
        lengths = frozenset(len(text) for text in texts)
        known = {frozenset({10}): "seconds", frozenset({13}): "milliseconds"}.get(lengths)
        if known is not None:
            return known
    return "spreadsheet_days" if texts and all(map(_COUNTED_DAYS.fullmatch, texts)) else None


def forms_of(texts: Sequence[str]) -> tuple[str, ...] | None:
    """Return the forms that all times have; None where nobody needs to say one."""
    if all(_ISO.fullmatch(text) for text in texts) or counted_in(texts) is not None:
        return None
    return tuple(form for form in (day + time for day in _DAYS for time in _TIMES)
                 if _fits(form, texts))  # fmt: skip


def _fits(form: str, texts: Sequence[str]) -> bool:
    pattern = compiled(form)
    assert pattern is not None
    for text in texts:
        found = pattern.fullmatch(text)
        if found is None:
            return False
        said = found.groupdict()
        if not 1 <= int(said.get("m") or 1) <= 12 or not 1 <= int(said["d"]) <= 31:
            return False
        if said.get("I") is not None and not 1 <= int(said["I"]) <= 12:
            return False
    return True


def decimal_signs(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the decimal signs that amounts may have: one where they tell, both where not."""
    told = {found.group()[0] for text in texts if (found := _SIGN.search(text))}
    parted = {found.group(1) for text in texts if (found := _THOUSANDS.search(text))}
    told |= {"," if sign == "." else "." for sign in parted}
    if len(told) == 1:
        return tuple(told)
    return (".", ",") if told or any(map(_EITHER.search, texts)) else (".",)


def currencies_of(amounts: Sequence[str]) -> tuple[str, ...]:
    """Return the currencies that the signs beside amounts may all be of; none without signs."""
    told = [currencies for each in amounts if (currencies := currencies_beside(each))]
    return tuple(sorted(frozenset.intersection(*told))) if told else ()


def is_computed(texts: Sequence[str], decimal: str) -> bool:
    """Say whether amounts have more decimals than money has."""
    return any(len(text.partition(decimal)[2]) > 4 for text in texts)


def are_kinds(texts: Sequence[str]) -> bool:
    """Say whether texts are words for purchases and refunds, and nothing else."""
    return bool(texts) and all(text.strip().casefold() in KINDS for text in texts)


def may_be_no_sales(texts: Sequence[str]) -> bool:
    """Say whether statuses are there by which an order seems to be no sale."""
    return any(word in text.casefold() for text in texts for word in _NO_SALE)


_MONEY: Final = re.compile(r"[^\d\s]{0,3} ?-?\d[\d.,' ]*[.,]\d\d\D{0,4}")


def may_be_purchases(header: Header, known: Sequence[str]) -> bool:
    """Say whether columns that no name tells have days and amounts: of purchases, it seems."""
    days = amounts = False
    for name in header.detected.columns:
        texts = header.values(name, most=200)
        if name in known or not texts:
            continue
        amounts = amounts or all(map(_MONEY.fullmatch, texts))
        days = days or (counted_in(texts) is None and forms_of(texts) != ())
    return days and amounts


def has_several_lines(header: Header, said: Mapping[str, str]) -> bool:
    """Say whether rows with the same order follow each other."""
    column = named(header, "transaction_id", said)
    if column is None:
        return False
    place = header.detected.columns.index(column) if column in header.detected.columns else None
    if place is None:
        return False
    ids = [row[place] for row in header.detected.sample]
    return any(before == after != "" for before, after in pairwise(ids))


def repeats_its_total(header: Header, said: Mapping[str, str], field: str = "amount") -> bool:
    """Say whether the lines of each order all have the same amount: that of the order, it seems."""
    order = named(header, "transaction_id", said)
    amount = named(header, field, said)
    columns = header.detected.columns
    if order not in columns or amount not in columns:
        return False
    places = columns.index(order or ""), columns.index(amount or "")
    amounts: dict[str, list[str]] = {}
    for row in header.detected.sample:
        if field == "amount" or _is_something(row[places[1]]):
            amounts.setdefault(row[places[0]], []).append(row[places[1]])
    several = [each for each in amounts.values() if len(each) > 1]
    return bool(several) and all(len(set(each)) == 1 for each in several)


def _is_something(text: str) -> bool:
    return any(digit in text for digit in "123456789")


def given_back(texts: Sequence[str]) -> list[str]:
    """Return the states, among some, by which the whole of an order was given back."""
    return [text for text in texts if any(word in text.casefold() for word in _GIVEN_BACK)]


def total_words(header: Header) -> list[str]:
    """Return the words for sums that begin a row in the sample, in its first cell with a text."""
    firsts = (next(filter(None, map(str.strip, row)), "") for row in header.detected.sample)
    return [word for first in firsts for word in TOTAL_WORDS if is_total(first, word)]


def is_total(text: str, word: str) -> bool:
    """Say whether a text is a word for sums, with a colon perhaps."""
    return text.casefold().rstrip(":：= ") == word


def is_masked(texts: Sequence[str]) -> bool:
    """Say whether texts have been made unreadable in part, so that several are alike."""
    return any("**" in text for text in texts)


def exceed(header: Header, refund: str, amount: str | None, decimal: str) -> bool:
    """Say whether more was given back of a row than it has: then amounts are what is left."""
    columns = header.detected.columns
    if amount not in columns or refund not in columns:
        return False
    read, places = number_reader(decimal), (columns.index(refund), columns.index(amount))
    for row in header.detected.sample:
        try:
            back, whole = (read(row[place].strip()) for place in places)
        except Bad:
            continue
        if abs(back) > abs(whole):
            return True
    return False
