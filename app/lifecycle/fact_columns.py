"""Facts of many customers as columns: what a batch becomes once, and what a fold takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.lifecycle.dated import Ints
from app.lifecycle.purchases import Fact, Key


@dataclass(frozen=True)
class FactColumns:
    """Purchases and refunds, each of the customer at place `owner` of `customer_ids`, in any order.

    `at` is in microseconds since 1970 and `day` in days since then. `value` is `amount` in the
    deployment's currency; both are in smallest units. `refunds` is None for a purchase; a refund
    has the key of the purchase that it names, or `purchases.FREE`.
    """

    customer_ids: Sequence[str]
    owner: Ints
    at: Ints
    day: Ints
    value: Ints
    amount: Ints
    currency: Sequence[str]
    source: Sequence[str]
    fact_id: Sequence[str]
    refunds: Sequence[Key | None]

    def __len__(self) -> int:
        return len(self.owner)

    @classmethod
    def of(cls, facts: Mapping[str, Sequence[Fact]]) -> "FactColumns":
        """Return the facts of customers as columns."""
        listed = [fact for own in facts.values() for fact in own]
        owner = np.repeat(np.arange(len(facts)), [len(own) for own in facts.values()])
        numbers = [(fact.at, fact.day, fact.value, fact.amount) for fact in listed]
        at, day, value, amount = np.array(numbers, dtype=np.int64).reshape(-1, 4).T
        return cls(
            list(facts),
            owner,
            at,
            day,
            value,
            amount,
            [fact.currency for fact in listed],
            [fact.key[0] for fact in listed],
            [fact.key[1] for fact in listed],
            [fact.refunds for fact in listed],
        )

    def facts(self) -> dict[str, list[Fact]]:
        """Return the facts of each customer, in the order of the columns."""
        found = self.take_owners(np.arange(len(self.customer_ids)))
        return {customer_id: found[owner] for owner, customer_id in enumerate(self.customer_ids)}

    def take_owners(self, owners: Ints) -> dict[int, list[Fact]]:
        """Return the facts of some customers by number, in the order of the columns."""
        found: dict[int, list[Fact]] = {owner: [] for owner in owners.tolist()}
        for row in np.flatnonzero(np.isin(self.owner, owners)).tolist():
            numbers = (int(self.at[row]), int(self.day[row]), int(self.value[row]))
            key, amount = (self.source[row], self.fact_id[row]), int(self.amount[row])
            fact = Fact(*numbers, key, self.refunds[row], amount, self.currency[row])
            found[int(self.owner[row])].append(fact)
        return found
