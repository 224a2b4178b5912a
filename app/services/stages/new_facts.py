"""What a write tells of the facts of a customer that are new, and of those no longer in force."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from app.days import to_day
from app.lifecycle.facts import Summary
from app.lifecycle.purchases import Fact


@dataclass(frozen=True, slots=True)
class NewFacts:
    """Facts of one customer that were just written, and those whose place they took.

    Of each `removed` fact it has the kind and the day.
    """

    facts: Sequence[Fact]
    removed: Sequence[tuple[str, date]] = ()

    def count_after(self, before: Summary) -> int:
        """Return how many facts there are now."""
        return before.facts + len(self.facts) - len(self.removed)

    @property
    def refunds(self) -> int:
        """Return how many refunds are new."""
        return sum(fact.refunds is not None for fact in self.facts)

    @property
    def days(self) -> set[int]:
        """Return the days on which purchases are new, or facts are no longer there."""
        bought = {fact.day for fact in self.facts if fact.refunds is None}
        return bought | {to_day(day) for _, day in self.removed}
