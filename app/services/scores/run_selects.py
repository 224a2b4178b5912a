"""Reading the table of a run: which customers, in what order, as SQL of the driver.

A run's table is named by its number. Everything that a caller gives is a parameter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.models.scoring import scores_name, scores_of
from app.services.common.paging import PageRequest, Sort, keys_before

OF_CUSTOMERS = {"owner": "owner", "channel": "acquisition_channel"}
"""Filters by what is known of a customer now; the others are by what the run says."""
COLUMNS = scores_of(0).c
"""The columns that every run has."""
BY_ID = Sort((COLUMNS.customer_id,))
PREVIOUS = (
    "p.customer_id IS NULL AS is_new",
    "p.probability AS previous_probability",
    "p.rhythm AS previous_rhythm",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which run a list is of, which of its customers, and since which run they changed."""

    filters: dict[str, Any]
    run_id: int | None
    since: int | None

    @property
    def bound_to(self) -> dict[str, Any]:
        """Return what a cursor belongs to."""
        return {**self.filters, "asked": self.run_id, "since": self.since}


@dataclass
class RunSelect:
    """Customers of a run: `s` are its rows, `p` those of the run since which they changed.

    With `since` those whose rhythm was another one in that run, or who were not in it.
    """

    run_id: int
    asked: Asked
    arguments: list[Any] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tables = f"{scores_name(self.run_id)} s"
        if any(self.asked.filters.get(name) is not None for name in OF_CUSTOMERS):
            self.tables += " JOIN customers c ON c.customer_id = s.customer_id"
        for name, value in self.asked.filters.items():
            if value is not None:
                column = f"c.{OF_CUSTOMERS[name]}" if name in OF_CUSTOMERS else COLUMNS[name]
                self.conditions.append(f"{_named(column)} = {self.bind(value)}")
        if self.asked.since is not None:
            earlier = scores_name(self.asked.since)
            self.tables += f" LEFT JOIN {earlier} p ON p.customer_id = s.customer_id"
            self.conditions.append("(p.customer_id IS NULL OR p.rhythm IS DISTINCT FROM s.rhythm)")

    def bind(self, value: Any) -> str:
        """Return the parameter that a value goes in as."""
        self.arguments.append(value)
        return f"${len(self.arguments)}"

    def rows(self, columns: Sequence[str], more: str = "") -> str:
        """Return the query of some columns of all that were chosen."""
        where = " AND ".join(self.conditions) or "true"
        return f"SELECT {', '.join(columns)} FROM {self.tables} WHERE {where}{more}"  # noqa: S608

    def page(self, page: PageRequest, sort: Sort, bound_to: Mapping[str, object]) -> str:
        """Return the query of one page, as rows `s`, and of one row too many."""
        names = [_named(column) for column in sort.columns]
        after = keys_before(page, sort, bound_to)
        if after is not None:
            values = ", ".join(self.bind(each) for each in after)
            sign = "<" if sort.descending else ">"
            self.conditions.append(f"({', '.join(names)}) {sign} ({values})")
        columns = ["s.*", *(PREVIOUS if self.asked.since is not None else ())]
        return self.rows(columns, f" {in_order(sort)} LIMIT {page.limit + 1}")


def in_order(sort: Sort) -> str:
    way = " DESC" if sort.descending else ""
    return "ORDER BY " + ", ".join(f"{_named(column)}{way}" for column in sort.columns)


def _named(column: Any) -> str:
    return column if isinstance(column, str) else f"s.{column.key}"
