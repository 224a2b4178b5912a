"""What callers have sent and what was acknowledged, and what must not have happened."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

TRANSACTIONS, INTERACTIONS = "transactions", "interactions"
Identity = tuple[str, str, str]
"""Family, customer, id of the fact."""


def content(family: str, body: dict[str, Any]) -> tuple[Any, ...]:
    """Return what is to be stored of a fact, in the words of the table."""
    at = datetime.fromisoformat(body["occurred_at"])
    if family == TRANSACTIONS:
        return body["kind"], Decimal(body["amount"]["amount"]), at
    return body["kind"], at


def identity(family: str, body: dict[str, Any]) -> Identity:
    return family, body["customer_id"], body[f"{family.removesuffix('s')}_id"]


@dataclass
class Names:
    """Those that a customer was given, of which the last one is stored."""

    acknowledged: str | None = None
    late: set[str] = field(default_factory=set)
    """Those that may be written after it: a request without an answer may still be under way."""


@dataclass
class Journal:
    """All of one seed."""

    bodies: dict[Identity, dict[str, Any]] = field(default_factory=dict)
    """Of each fact that was sent."""
    acknowledged: set[Identity] = field(default_factory=set)
    names: defaultdict[str, Names] = field(default_factory=lambda: defaultdict(Names))
    """By customer."""
    keyed: dict[str, bool] = field(default_factory=dict)
    """Writes under an idempotency key, by that key: whether they were acknowledged."""
    operations: set[str] = field(default_factory=set)
    slowest: float = 0.0
    """Seconds until all were ready again, at most."""
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, str]] = field(default_factory=list)
    """What must not have happened: in a word, and in a line."""

    def sent(self, family: str, body: dict[str, Any]) -> None:
        self.bodies[identity(family, body)] = body

    def acknowledge(self, family: str, body: dict[str, Any]) -> None:
        self.acknowledged.add(identity(family, body))

    def blame(self, word: str, line: str) -> None:
        """Note a fault of the service; the same one once."""
        if (word, line) not in self.faults:
            self.faults.append((word, line))
