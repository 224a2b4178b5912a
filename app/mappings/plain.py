"""A shorter way for most rows of most files: one transaction each, of which nothing is to be said.

Cells that come again are read once. A row of which anything is odd is left to the `Mapper`, which
says what is wrong with it; of the others it makes the same.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from app.mappings.attributes import attributes_of
from app.mappings.bad import Bad
from app.mappings.compiling import Plan
from app.mappings.converting import PLAIN_ID
from app.mappings.fields import Field
from app.mappings.numbers import money_of
from app.mappings.rows import Problem, Row
from app.mappings.sources import Columns
from app.mappings.values import Value

_IDS: Final = ("customer_id", "transaction_id")
_OTHERS: Final = ("occurred_at", "amount", "kind", "currency", "channel")
_READ_AS_IT_IS: Final = (None, "text", "id", "whole_number_id")
_REMEMBERED: Final = 20_000
_ODD: Final = object()

Finish = Callable[[Any], Any]
"""Makes a value of what the mapping makes of a cell; None if that is odd."""


PlainRow = tuple[str, str, list[Any], dict[str, Any]]
"""Customer, id, values of `occurred_at`, `amount`, `kind`, `currency` and `channel` as they were
finished, None where nothing is said, and attributes."""


class PlainRows:
    """Takes plain rows of one file; made by `of`."""

    def __init__(self, plan: Plan, finish: Mapping[str, Finish]) -> None:
        (rule,), said = plan.rules, plan.document.facts[0].fields
        columns = Columns(plan.detected.columns, plan.document.blanks, is_json=False)
        fields = {field.name: field for field in rule.fields}
        self.source = rule.source
        self._tests = [test for _, test in plan.filters]
        self._attributes = rule.attributes
        self._places = [_place(columns, said[name]) for name in _IDS]
        self._blanks = frozenset(("", *plan.document.blanks)).union(
            *(said[name].blanks for name in _IDS)
        )
        self._unsaid: list[Any] = [None] * len(_OTHERS)
        assert rule.money is not None
        if rule.money.currency is not None:
            found = finish["currency"](rule.money.currency)
            self._unsaid[_OTHERS.index("currency")] = _ODD if found is None else found
        self._cells = [
            (slot, _place(columns, said[name]),
             _Cells(fields[name], said[name], finish[name], self._unsaid[slot]))
            for slot, name in enumerate(_OTHERS)
            if name in fields
        ]  # fmt: skip

    @classmethod
    def of(cls, plan: Plan, finish: Mapping[str, Finish]) -> "PlainRows | None":
        """Return what takes plain rows, None where the mapping is not as simple as that."""
        if plan.detected.form != "csv" or plan.owner is None or len(plan.rules) != 1:
            return None
        (rule,), (said,) = plan.rules, plan.document.facts
        conditions = (rule.when, rule.each, rule.lines, rule.latest)
        is_simple = (
            rule.kind == "transactions"
            and not any(each is not None for each in conditions)
            and not (plan.notices or plan.order_filters)
            and rule.money is not None
            and not rule.money.minor
            and set(said.fields) <= {*_IDS, *_OTHERS}
            and all(_is_cell(value) for value in said.fields.values())
            and all(said.fields[name].read_as in _READ_AS_IT_IS for name in _IDS)
            and not any(_changes(said.fields[name]) for name in _IDS)
        )
        return cls(plan, finish) if is_simple else None

    def take(self, row: Row) -> PlainRow | None:
        """Return what a row says if it is plain."""
        fields: Sequence[str] = row.fields  # type: ignore[assignment]  # of CSV
        customer_id, fact_id = fields[self._places[0]], fields[self._places[1]]
        blanks = self._blanks
        if (
            not PLAIN_ID.fullmatch(customer_id)
            or not PLAIN_ID.fullmatch(fact_id)
            or customer_id in blanks
            or fact_id in blanks
        ):
            return None
        values = self._unsaid.copy()
        for slot, place, cells in self._cells:
            cell = fields[place]
            values[slot] = cells.known[cell] if cell in cells.known else cells.read(cell, fields)
        if _ODD in values:
            return None
        attributes: dict[str, Any] = {}
        try:
            if any(test(fields) for test in self._tests):
                return None
            if self._attributes:
                warnings: list[Problem] = []
                attributes = attributes_of(fields, self._attributes, warnings)
                if warnings:
                    return None
        except Bad:
            return None
        return customer_id, fact_id, values, attributes


class _Cells:
    """What the cells of one column say, each read once."""

    def __init__(self, field: Field, said: Value, finish: Finish, blank: Any) -> None:
        self.known: dict[str, Any] = {}
        self._field, self._said, self._finish, self._blank = field, said, finish, blank

    def read(self, cell: str, fields: Sequence[str]) -> Any:
        """Read a cell, and remember what it says."""
        if len(self.known) >= _REMEMBERED:
            self.known.clear()
        self.known[cell] = found = self._read(fields)
        return found

    def _read(self, fields: Sequence[str]) -> Any:
        try:
            value = self._field.make(fields)
            if isinstance(value, Decimal):
                value = None if value < 0 else money_of(value, self._said.round_to)
        except Bad:
            return _ODD
        if value is None:
            return _ODD if self._field.needed else self._blank
        found = self._finish(value)
        return _ODD if found is None else found


def _is_cell(value: Value) -> bool:
    """Say whether a value follows from one cell alone."""
    return value.column is not None and not value.column.startswith("@")


def _changes(value: Value) -> bool:
    """Say whether an id is another one than stands in its cell."""
    changing = (value.translate, value.prefix, value.strip_prefix)
    return any(each is not None for each in changing) or value.inverse or value.absolute


def _place(columns: Columns, value: Value) -> int:
    name = columns.named(value.column or "")
    assert name is not None
    return columns.names.index(name)
