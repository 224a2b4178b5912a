"""What of a chunk can be made ready before it is written: items as the doors take them.

It asks nothing of the database, and runs in a thread while the chunk before is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.errors import FieldError
from app.mappings.applying import Mapped, Outcome
from app.mappings.document import FactKind
from app.mappings.rows import Problem
from app.schemas.common.shapes import Rejected
from app.services.ingest.imports import named_purchases
from app.services.ingest.imports.doors import DOORS, Batch
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
    """Facts of one kind, in the order of the file."""

    kind: FactKind
    places: list[int] = field(default_factory=list)
    """Which of the mapped outcomes each is of."""
    said: list[dict[str, Any]] = field(default_factory=list)
    """As they were mapped."""
    batch: Batch = field(default_factory=Batch)
    """As the door takes them."""
    waiting: list[int] = field(default_factory=list)
    """Those whose customer has to be looked for first."""

    def prepare(self, rates: Rates, plain: PlainColumns) -> None:
        """Make all ready for the door that need not wait."""
        taken: Sequence[int] = ()
        if self.kind == "transactions":
            self.batch.columns = plain.of(self.said)
            taken = self.batch.columns.indexes if self.batch.columns is not None else ()
        self.batch.items = [None] * len(self.said)
        others = range(len(self.said)) if not taken else sorted({*range(len(self.said))} - {*taken})
        for row in others:
            if named_purchases.is_needed(self.said[row]):
                self.waiting.append(row)
            else:
                self.complete(rates, row)

    def complete(self, rates: Rates, row: int, fault: Problem | None = None) -> None:
        """Make a fact ready for its door, or one that cannot be written for a fault."""
        item = self.said[row]
        if fault is not None:
            faults = [FieldError("", fault.code, fault.detail)]
            self.batch.items[row] = Rejected(faults=faults)
            return
        if self.kind == "transactions":
            rates.add_to(item)
        self.batch.items[row] = DOORS[self.kind].shape.validate_python(item)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A chunk that can be written."""

    outcomes: Sequence[Outcome]
    mapped: Sequence[Mapped]
    facts: Mapping[FactKind, Facts]
    rates: Rates


def prepare(rates: Rates, plain: PlainColumns, outcomes: Sequence[Outcome]) -> Prepared:
    """Make outcomes ready to be written."""
    mapped = [each for each in outcomes if isinstance(each, Mapped)]
    facts: dict[FactKind, Facts] = {}
    for place, outcome in enumerate(mapped):
        for kind, item in outcome.facts:
            own = facts.get(kind)
            if own is None:
                own = facts[kind] = Facts(kind)
            own.places.append(place)
            own.said.append(item)
    for own in facts.values():
        own.prepare(rates, plain)
    return Prepared(outcomes, mapped, facts, rates)
