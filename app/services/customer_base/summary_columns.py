"""Summaries of many customers as columns; a `Summary` is made of them only where one is asked for.

Days and instants that are not known hold 0, or an instant before or after all others.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from app.lifecycle.facts import RECENT, State, Summary
from app.lifecycle.summary_columns import NEVER, NO_MORE
from app.lifecycle.version import DERIVATION_VERSION
from app.money import UNITS
from app.postgres.binary_copy import Field
from app.services.common import sql_numbers

Array = NDArray[Any]

_DAYS = {
    "first_day": "first_purchase_on",
    "last_day": "last_purchase_on",
    "life_start_day": "life_started_on",
}
_INSTANTS = {"facts_until": NEVER, "next_fact_at": NO_MORE}
_COUNTS = ("facts", "purchase_days", "life_purchase_days", "lives", "policy_version")
_MONEY = (
    "revenue", "first_day_value", "last_day_value", "refund_excess", "value_2",
    "value_3",
)  # fmt: skip
_GAPS = ("gap_1", "gap_2", "gap_3")
_STATE = State._fields
_LARGEST = 922_337_203_685_477
"""Units of money that a column holds; customers worth more are taken for worth this much."""

STATE_FIELDS = (
    *(Field(name, "int4", fill=0) for name in _COUNTS),
    *(Field(name, "date", fill=0) for name in _DAYS),
    *(Field(name, "timestamptz", fill=fill) for name, fill in _INSTANTS.items()),
)
"""What purchases alone amount to: enough for rules that look at nothing else."""
FIELDS = (
    *STATE_FIELDS,
    *(Field(name, "int4", fill=0) for name in ("refunds", "paid_days", *_GAPS)),
    *(Field(name, "numeric", fill=0) for name in _MONEY),
    Field("sum_log_gaps", "float8", fill=0),
)


def sql(field: Field) -> str:
    """Return the expression of a field over `purchase_summaries s`, with its name."""
    return f"{_expression(field)} AS {field.name}"


def _expression(field: Field) -> str:
    if field.kind == "numeric":
        known = f"coalesce(s.{field.name}, 0)"  # the least of nothing would be the largest
        return f"greatest(least({known}, {_LARGEST}), -{_LARGEST})"
    if field.name == "policy_version":  # as `purchase_summaries.from_row` has it
        known = f"CASE WHEN s.derivation_version = {DERIVATION_VERSION} THEN s.policy_version"
        return f"{known} ELSE 0 END"
    return f"s.{_DAYS.get(field.name, field.name)}"


def number(field: Field) -> str:
    """Return the same as a whole number, `fill` where there is none."""
    plain = {"date": sql_numbers.day, "timestamptz": sql_numbers.micros}.get(field.kind)
    if field.kind == "numeric":
        return sql_numbers.units(f"({_expression(field)})")
    known = _expression(field)
    return f"coalesce({plain(known) if plain else known}, {field.fill})"


class Summaries(Sequence[Summary]):
    """Summaries in order, each way made of the other when it is asked for."""

    def __init__(
        self,
        rows: int,
        columns: Mapping[str, Array] | None = None,
        listed: Sequence[Summary] | None = None,
    ) -> None:
        self._rows = rows
        self._columns = dict(columns or {})
        self._listed = listed

    @classmethod
    def of(cls, listed: Sequence[Summary]) -> "Summaries":
        return cls(len(listed), None, listed)

    @classmethod
    def joined(
        cls, rows: int, blocks: Sequence[Mapping[str, Array]], fields: Sequence[Field]
    ) -> "Summaries":
        """Join what was read block after block; counts become as wide as sums."""
        columns = {}
        for field in fields:
            none = np.zeros(0, np.float64 if field.kind == "float8" else np.int64)
            columns[field.name] = np.concatenate([none, *(block[field.name] for block in blocks)])
        return cls(rows, columns)

    def __len__(self) -> int:
        return self._rows

    def column(self, name: str) -> Array:
        """Return one value of everybody."""
        if name not in self._columns:
            assert self._listed is not None, f"{name} was not read"
            kind = np.float64 if name == "sum_log_gaps" else np.int64
            self._columns[name] = np.array([value_of(each, name) for each in self._listed], kind)
        return self._columns[name]

    def put(self, rows: Sequence[int], summaries: Sequence[Summary]) -> None:
        """Replace some summaries."""
        assert self._listed is None
        for name, values in self._columns.items():
            values[rows] = [value_of(summary, name) for summary in summaries]

    def take(self, rows: NDArray[np.int64]) -> "Summaries":
        columns = {name: values[rows] for name, values in self._columns.items()}
        listed = self._listed
        return Summaries(len(rows), columns, listed and [listed[row] for row in rows.tolist()])

    @overload
    def __getitem__(self, row: int) -> Summary: ...
    @overload
    def __getitem__(self, row: slice) -> list[Summary]: ...
    def __getitem__(self, row: int | slice) -> Summary | list[Summary]:
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(self._rows))]
        if not -self._rows <= row < self._rows:
            raise IndexError(row)
        return self._made(row) if self._listed is None else self._listed[row]

    def __iter__(self) -> Iterator[Summary]:
        if self._listed is not None:
            return iter(self._listed)
        names = tuple(self._columns)
        rows = zip(*(values.tolist() for values in self._columns.values()), strict=True)
        return (_made(dict(zip(names, row, strict=True))) for row in rows)

    def _made(self, row: int) -> Summary:
        return _made({name: values[row].item() for name, values in self._columns.items()})


def _made(kept: Mapping[str, Any]) -> Summary:
    days = kept["purchase_days"]
    values = (kept["last_day_value"], kept["value_2"], kept["value_3"])
    names = "revenue", "first_day_value", "last_day_value", "refund_excess"
    return Summary(
        facts=kept["facts"],
        refunds=kept["refunds"],
        facts_until=None if kept["facts_until"] == NEVER else kept["facts_until"],
        next_fact_at=None if kept["next_fact_at"] == NO_MORE else kept["next_fact_at"],
        state=State(*(kept[name] for name in _STATE)),
        paid_days=kept["paid_days"],
        sum_log_gaps=kept["sum_log_gaps"],
        gaps=tuple(kept[name] for name in _GAPS)[: max(days - 1, 0)],
        values=values[:days],
        policy_version=kept["policy_version"],
        **{name: kept[name] for name in names},
    )


def value_of(summary: Summary, name: str) -> int | float:
    """Return what the column of a name holds of a summary."""
    if name in _STATE:
        found: int = getattr(summary.state, name)
        return found
    if name in _INSTANTS:
        at: int | None = getattr(summary, name)
        return _INSTANTS[name] if at is None else at
    if name in _GAPS:
        return _at(summary.gaps, _GAPS.index(name))
    if name in ("value_2", "value_3"):
        return _at(summary.values, 1 if name == "value_2" else 2)
    value: int | float = getattr(summary, name)
    return max(-_LARGEST * UNITS, min(value, _LARGEST * UNITS)) if name in _MONEY else value


def _at(values: tuple[int, ...], place: int) -> int:
    assert len(values) <= RECENT
    return values[place] if place < len(values) else 0
