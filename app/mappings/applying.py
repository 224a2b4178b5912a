"""Rows and a compiled mapping in, facts or reasons out; nothing is dropped without an outcome."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from app.mappings.bad import Bad
from app.mappings.compiling import Plan
from app.mappings.orders import Orders
from app.mappings.rows import BadRow, Problem, Row
from app.mappings.rules import Fact

TOTAL_LINE = "total_line"
"""The code of a filter that leaves out rows that sum up others."""
_NUMBERED_APART = 100_000
"""Rows after which it is forgotten how often the same texts came, twice over."""


class Mapped(NamedTuple):
    """Facts of a row, or of the rows of one order."""

    rows: tuple[Row, ...]
    facts: tuple[Fact, ...]
    warnings: tuple[Problem, ...]
    """Fields that were left out since they could not be read."""


class Rejected(NamedTuple):
    """Rows of which nothing is written: one, or those of one order."""

    rows: tuple[Row | BadRow, ...]
    problem: Problem
    """The first that was found."""


class LeftOut(NamedTuple):
    """A row that a filter leaves out."""

    rows: tuple[Row | BadRow, ...]
    filter: str
    """Its code; `repeated_header` for a row that is the header again, `blank_row` for one of blanks
    alone, `no_fact` for rows that no rule makes a fact of."""


Outcome = Mapped | Rejected | LeftOut


@dataclass(frozen=True)
class Checkpoint:
    """Where to go on: read from after `skip` rows, and drop the first `drop` outcomes.

    True after each outcome. Without groups and with orders whose rows follow each other, `skip` is
    near; with orders within a window, and with ids that are numbered, it is far back: mapping again
    is what a resumed import pays.
    """

    skip: int
    drop: int


class Mapper:
    """Maps the rows of one file, in order. Outcomes are a pure function of rows and plan.

    `skip`: that of the checkpoint it goes on from; the rows it is fed come after these.
    """

    def __init__(self, plan: Plan, skip: int = 0) -> None:
        self._plan = plan
        self._orders = Orders(plan.group, plan.within) if plan.group else None
        self._skip = self._last = skip
        self._drop = self._seen_at = 0
        self._seen: tuple[dict[str, int], dict[str, int]] = {}, {}

    @property
    def checkpoint(self) -> Checkpoint:
        """Where to go on after the last outcome that was given."""
        return Checkpoint(self._skip, self._drop)

    def feed(self, row: Row | BadRow) -> Iterator[Outcome]:
        """Return the outcomes that a row decides: none while its order is open, or several."""
        orders = self._orders
        self._last = row.row
        if orders is None:
            yield self._done(self._alone(row), row.row)
            return
        found = self._unread(row)
        if found is not None:
            if isinstance(row, BadRow) and isinstance(found, Rejected):
                orders.doubt(row)
            yield self._done(found, row.row)
            return
        assert isinstance(row, Row)
        try:
            key = orders.key_of(row)
        except Bad as bad:
            yield self._done(self._rejected((row,), bad), row.row)
            return
        for rows, fault in orders.close_before(row, key):
            yield self._done(self._order(rows, fault), row.row - 1)
        refused = orders.add(row, key)
        if refused is not None:
            yield self._done(self._rejected(*refused), row.row)

    def finish(self) -> Iterator[Outcome]:
        """Return the outcomes of the orders still open."""
        if self._orders is not None:
            for rows, fault in self._orders.close():
                yield self._done(self._order(rows, fault), self._last)

    def _done(self, outcome: Outcome, row: int) -> Outcome:
        """Keep where to go on: behind the row, if nothing is held."""
        if self._plan.numbered or (self._orders is not None and not self._orders.is_empty):
            self._drop += 1
        else:
            self._skip, self._drop = max(row, self._skip), 0
        return outcome

    def _unread(self, row: Row | BadRow) -> Outcome | None:
        """Return the outcome of a row that makes nothing, None for others."""
        if isinstance(row, BadRow):
            sums_up = row.short is not None and self._sums_up(row.short)
            return LeftOut((row,), TOTAL_LINE) if sums_up else Rejected((row,), row.problem)
        fields, header = row.fields, self._plan.header
        if header is not None and fields[0] == header[0] and tuple(fields) == header:  # type: ignore[index]
            return LeftOut((row,), "repeated_header")
        try:
            for code, test in self._plan.filters:
                if test(fields):
                    return LeftOut((row,), code)
        except Bad as bad:
            return self._rejected((row,), bad)
        return None

    def _sums_up(self, short: Sequence[str]) -> bool:
        """Say whether a row with too few fields is one of totals, which are often written so."""
        missing = len(self._plan.detected.columns) - len(short)
        fields = [*short, *("",) * missing]
        try:
            return any(test(fields) for code, test in self._plan.filters if code == TOTAL_LINE)
        except Bad:
            return False

    def _alone(self, row: Row | BadRow) -> Outcome:
        found = self._unread(row)
        if found is not None:
            return found
        assert isinstance(row, Row)
        return self._order((row,), None)

    def _order(self, rows: Sequence[Row], bad: Bad | None) -> Outcome:
        """Make the facts of a row, or of the rows of an order."""
        rows = tuple(rows)
        if bad is not None:
            return self._rejected(rows, bad)
        plan = self._plan
        facts: list[Fact] = []
        warnings: list[Problem] = []
        fields = [row.fields for row in rows]
        try:
            for code, test in plan.order_filters:
                if test(fields[0]):
                    return LeftOut(rows, code)
            for rule in plan.rules:
                rule.add_facts(fields, facts, warnings)
            for said, test in plan.notices:
                if test(fields[0]):
                    warnings.append(said)
        except Bad as found:
            return self._rejected(rows, found)
        if not facts:
            return LeftOut(rows, "no_fact")
        if plan.numbered:
            self._number(facts, rows[0].row)
        return Mapped(rows, tuple(facts), tuple(warnings))

    def _rejected(self, rows: tuple[Row, ...], bad: Bad) -> Outcome:
        if bad.code == "blank" and len(rows) == 1 and self._is_blank(rows[0]):
            return LeftOut(rows, "blank_row")
        return Rejected(rows, Problem(bad.column, bad.code, bad.detail))

    def _is_blank(self, row: Row) -> bool:
        return self._plan.header is not None and not any(map(str.strip, row.fields))

    def _number(self, facts: Sequence[Fact], row: int) -> None:
        """Tell facts apart that have the same id, made of the same texts."""
        if row // _NUMBERED_APART != self._seen_at:
            self._seen_at = row // _NUMBERED_APART
            self._seen = self._seen[1], {}
        before, now = self._seen
        for fact in facts:
            name = self._plan.numbered.get(fact.kind)
            if name is not None:
                known = fact.item[name]
                times = now.get(known) or before.get(known, 0)
                now[known] = times + 1
                if times:
                    fact.item[name] = f"{known}.{times + 1}"


def outcomes(mapper: Mapper, rows: Iterable[Row | BadRow], drop: int = 0) -> Iterator[Outcome]:
    """Return the outcomes of rows, without the first `drop`; `mapper.checkpoint` keeps pace."""
    return islice(_all(mapper, rows), drop, None)


def _all(mapper: Mapper, rows: Iterable[Row | BadRow]) -> Iterator[Outcome]:
    for row in rows:
        yield from mapper.feed(row)
    yield from mapper.finish()
