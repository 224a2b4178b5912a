"""Rules compiled: the rows of a fact in, the fact in the shape of its door out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple

from app.mappings.attributes import attributes_of
from app.mappings.bad import Bad
from app.mappings.conditions import Test
from app.mappings.document import MOST_ROWS, FactKind
from app.mappings.fields import Field, Make
from app.mappings.numbers import exponent_of, money_of
from app.mappings.parts import Each
from app.mappings.rows import Problem

_MOST_QUANTITY = 1e9
MOST_LINES = 500
"""Lines of an order that the door takes."""


class Fact(NamedTuple):
    """A fact in the shape of an item of its bulk door, as plain JSON.

    `customers`: `POST /customers/bulk`; `transactions`, `interactions`: their bulks;
    `churn_records`: that of `ChurnRecordIn`; `overrides`: `customer_id`, `set_at`, `stage`,
    `reason`, `until`, `source`. Times are RFC 3339 in UTC, amounts texts. A refund whose customer
    is that of its purchase has no `customer_id`.
    """

    kind: FactKind
    item: dict[str, Any]


@dataclass(frozen=True)
class MoneyRules:
    """How the amounts of a transaction are finished."""

    currency: str | None
    """Of amounts without one; None: the deployment's, which then need not be said."""
    home: str
    """The deployment's: it needs no rate."""
    rates: bool
    rates_to: Make | None
    """What gets the currency that the rate of a row leads to."""
    refund_if_negative: bool
    minor: bool
    exponents: dict[str, int]
    round_to: int | None
    column: str
    """What a fault of the amount is told about."""


@dataclass(frozen=True)
class LineRules:
    """How the lines of an order are made."""

    each: Each
    when: Test | None
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Rule:
    """A rule of a mapping, compiled."""

    kind: FactKind
    fields: tuple[Field, ...]
    when: Test | None
    each: Each | None
    source: str
    attributes: tuple[tuple[str, Make], ...]
    money: MoneyRules | None
    lines: LineRules | None
    latest: str | None
    """The last instant that a fact may have; None: nobody looks."""
    grouped: bool

    def add_facts(self, rows: Sequence[Any], facts: list[Fact], warnings: list[Problem]) -> None:
        """Add the facts that rows make; raise `Bad` if they cannot."""
        when = self.when
        if self.each is None:
            if when is None or when(rows[0]):
                seen = rows if self.grouped else rows[0]
                facts.append(Fact(self.kind, self._item(seen, rows, warnings)))
            return
        parts = (part for part in self.each(rows) if when is None or when(part))
        made = (Fact(self.kind, self._item(part, (part,), warnings)) for part in parts)
        facts += islice(made, MOST_ROWS + 1)
        if len(facts) > MOST_ROWS:
            raise Bad("order_too_large", f"it makes more than {MOST_ROWS} facts")

    def _item(self, seen: Any, rows: Sequence[Any], warnings: list[Problem]) -> dict[str, Any]:
        item = values_of(self.fields, seen, warnings)
        if "source" not in item:
            item["source"] = self.source
        if self.latest is not None and item.get("occurred_at", "") > self.latest:
            raise Bad("in_future", "it lies more than a day ahead", "occurred_at")
        if self.money is not None:
            try:
                finish_money(item, self.money, rows[0] if self.grouped else seen)
            except Bad as bad:
                bad.column = self.money.column
                raise
            if self.lines is not None and item.get("kind") != "refund":
                self._add_lines(item, rows, self.lines, warnings)
        if self.attributes:
            found = attributes_of(rows[0], self.attributes, warnings)
            if found:
                item["attributes"] = found
        return item

    def _add_lines(
        self, item: dict[str, Any], rows: Sequence[Any], rules: LineRules, warnings: list[Problem]
    ) -> None:
        try:
            lines = list(islice(_lines(item["amount"], rows, rules, warnings), MOST_LINES + 1))
        except Bad as bad:
            warnings.append(Problem(bad.column or "items", bad.code, bad.detail))
            return
        if len(lines) > MOST_LINES:
            detail = f"the order has more than {MOST_LINES} lines: they are not kept"
            warnings.append(Problem("items", "out_of_range", detail))
        elif lines:
            item["items"] = lines


def values_of(fields: Sequence[Field], seen: Any, warnings: list[Problem]) -> dict[str, Any]:
    """Return the values of fields by name, without those that are blank."""
    item: dict[str, Any] = {}
    for name, make, column, needed, leave_out in fields:
        try:
            value = make(seen)
        except Bad as bad:
            if bad.column is None:
                bad.column = column
            if not leave_out:
                raise
            warnings.append(Problem(bad.column, bad.code, bad.detail))
            continue
        if value is not None:
            item[name] = value
        elif needed:
            raise Bad("blank", f"{name} is blank", column)
    return item


def finish_money(item: dict[str, Any], rules: MoneyRules, fields: Any) -> None:
    """Make amounts of their numbers and currency; say by the sign what is a refund."""
    currency = item.pop("currency", None) or rules.currency
    amount = item["amount"]
    if type(amount) is not str or rules.minor:
        number = Decimal(amount)
        if rules.minor:
            number = number.scaleb(-exponent_of(currency or rules.home, rules.exponents))
        if number < 0:
            if not rules.refund_if_negative:
                raise Bad("negative", "the amount is negative")
            number = -number
            item["kind"] = "refund"
        amount = money_of(number, rules.round_to)
    money = {"amount": amount} if currency is None else {"amount": amount, "currency": currency}
    item["amount"] = money
    if "margin" in item:
        item["margin"] = {**money, "amount": money_of(Decimal(item["margin"]), rules.round_to)}
    if "exchange_rate" in item and not _has_rate(currency, rules, fields):
        del item["exchange_rate"]
    named = item.pop("refunds_transaction_id", None)
    source = item.pop("refunds_source", None)
    if named is not None and item.get("kind") == "refund":
        item["refunds"] = {"transaction_id": named}
        if source is not None:
            item["refunds"]["source"] = source


def _has_rate(currency: str | None, rules: MoneyRules, fields: Any) -> bool:
    """Say whether a rate leads from another currency to the deployment's."""
    if not rules.rates or currency in (None, rules.home):
        return False
    return rules.rates_to is None or rules.rates_to(fields) == rules.home


def _lines(
    money: dict[str, str], rows: Sequence[Any], rules: LineRules, warnings: list[Problem]
) -> Iterator[dict[str, Any]]:
    for seen in rules.each(rows):
        if rules.when is not None and not rules.when(seen):
            continue
        line = values_of(rules.fields, seen, warnings)
        if line["quantity"] > _MOST_QUANTITY:
            raise Bad("out_of_range", "it is too many", "quantity")
        total = line.pop("total", None)
        price = line.pop("unit_price", None)
        if price is None and total is not None and line["quantity"]:
            price = Decimal(total) / Decimal(repr(line["quantity"]))
        if price is None:
            raise Bad("blank", "a line has no price", "unit_price")
        number = Decimal(price)
        if line["quantity"] <= 0 or number < 0:
            detail = "a line takes back: it is in the amount, and no item"
            warnings.append(Problem("items", "negative", detail))
            continue
        yield {**line, "unit_price": {**money, "amount": money_of(number, 4)}}
