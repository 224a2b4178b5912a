"""What of a chunk can be made ready before it is written: facts as the doors take them.

It asks nothing of the database, and runs in a thread while the chunk before is written.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.deployment import Deployment
from app.errors import FieldError
from app.mappings.applying import Mapped, Outcome
from app.mappings.compiling import Plan
from app.mappings.document import FactKind
from app.mappings.plain import PlainRow, PlainRows
from app.mappings.rows import BadRow, Problem, Row
from app.schemas.common.shapes import Rejected
from app.services.ingest.imports import named_purchases
from app.services.ingest.imports.doors import DOORS, Batch
from app.services.ingest.imports.tallies import FIRST_FACTS
from app.services.ingest.plain_transactions import PlainColumns


@dataclass(frozen=True, slots=True)
class Rates:
    """By which rates amounts of other currencies are taken that have none of their own."""

    by_currency: Mapping[str, str]
    home: str
    """The deployment's currency, which needs none."""

    def add_to(self, item: dict[str, Any]) -> None:
        """Put the rate of its currency into a transaction that has none."""
        amount = item.get("amount")
        if self.by_currency and isinstance(amount, dict) and "exchange_rate" not in item:
            rate = self.by_currency.get(amount.get("currency") or "")
            if rate is not None and amount["currency"] != self.home:
                item["exchange_rate"] = rate


@dataclass(slots=True)
class Facts:
    """Facts of one kind, in the order in which they are written."""

    kind: FactKind
    rates: Rates
    places: list[int] = field(default_factory=list)
    """Which of the rows of `Prepared` each is of."""
    said: list[dict[str, Any]] = field(default_factory=list)
    """As they were mapped; of those in the columns of the batch, nothing."""
    batch: Batch = field(default_factory=Batch)
    """As the door takes them."""
    waiting: list[int] = field(default_factory=list)
    """Those whose customer has to be looked for first."""

    def add(self, place: int, item: dict[str, Any]) -> None:
        """Add a fact, ready for its door unless it has to wait."""
        self.places.append(place)
        self.said.append(item)
        self.batch.items.append(None)
        if named_purchases.is_needed(item):
            self.waiting.append(len(self.said) - 1)
        else:
            self.complete(len(self.said) - 1)

    def add_plain(self, place: int) -> int:
        """Add a fact that is in the columns; return its place among the facts."""
        self.places.append(place)
        self.said.append({})
        self.batch.items.append(None)
        return len(self.said) - 1

    def complete(self, number: int, fault: Problem | None = None) -> None:
        """Make a fact ready for its door, or one that cannot be written for a fault."""
        item = self.said[number]
        if fault is not None:
            faults = [FieldError("", fault.code, fault.detail)]
            self.batch.items[number] = Rejected(faults=faults)
            return
        if self.kind == "transactions":
            self.rates.add_to(item)
        self.batch.items[number] = DOORS[self.kind].shape.validate_python(item)


@dataclass(slots=True)
class Prepared:
    """A chunk that can be written."""

    rates: Rates
    outcomes: list[Outcome] = field(default_factory=list)
    """What became of rows that are not plain."""
    mapped: list[Mapped] = field(default_factory=list)
    rows: list[tuple[Row, ...]] = field(default_factory=list)
    """Rows that facts were made of: plain ones, and those that were mapped."""
    plain: int = 0
    """How many of the rows are plain."""
    facts: dict[FactKind, Facts] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Add what became of rows."""
        self.outcomes.append(outcome)
        if isinstance(outcome, Mapped):
            self.mapped.append(outcome)
            self.rows.append(outcome.rows)
            for kind, item in outcome.facts:
                self.of(kind).add(len(self.rows) - 1, item)

    def of(self, kind: FactKind) -> Facts:
        if kind not in self.facts:
            self.facts[kind] = Facts(kind, self.rates)
        return self.facts[kind]


class Preparer:
    """Makes chunks of one file ready to be written."""

    def __init__(
        self, plan: Plan, deployment: Deployment, rates: Mapping[str, str], until: datetime
    ) -> None:
        self._rates = Rates(rates, deployment.currency)
        self._columns = PlainColumns(deployment, until)
        self._plain = PlainRows.of(plan, self._columns.finish)

    def of_outcomes(self, outcomes: Iterable[Outcome]) -> Prepared:
        """Make ready what was mapped."""
        prepared = Prepared(self._rates)
        for outcome in outcomes:
            prepared.add(outcome)
        return prepared

    def of_rows(
        self, rows: Iterable[Row | BadRow], feed: Callable[[Row | BadRow], Iterable[Outcome]]
    ) -> Prepared:
        """Make rows ready, those that are not plain by their outcomes."""
        prepared, plain = Prepared(self._rates), self._plain
        if plain is None:
            for row in rows:
                for outcome in feed(row):
                    prepared.add(outcome)
            return prepared
        facts, numbers, taken = prepared.of("transactions"), list[int](), list[PlainRow]()
        for row in rows:
            found = None
            # The first ones are shown as they were mapped.
            if isinstance(row, Row) and len(prepared.rows) >= FIRST_FACTS:
                found = plain.take(row)
            if found is not None and self._columns.are_plain(found[3]):
                prepared.rows.append((row,))  # type: ignore[arg-type]  # no bad one
                numbers.append(facts.add_plain(len(prepared.rows) - 1))
                taken.append(found)
            else:
                for outcome in feed(row):
                    prepared.add(outcome)
        prepared.plain = len(taken)
        facts.batch.columns = self._columns.of(numbers, plain.source, taken)
        return prepared
