"""From when to when each purchase of a customer counted, and for how much.

`app.lifecycle.facts` says what a refund takes back; here the same is told by days, so that any
earlier day can be seen with what was known on it, and nothing that came later.
"""

from collections.abc import Hashable, Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from app.lifecycle.facts import FREE, Fact

ALWAYS = 2**40
"""A day after all days."""


class Spell(NamedTuple):
    """A purchase of `day` counts with a value from the day `since` on and before `until`."""

    day: int
    value: int
    since: int
    until: int


def spells(facts: Iterable[Fact], *, until: int) -> list[Spell]:
    """Return the spells of the purchases of one customer, by facts up to an instant.

    Those of one purchase do not overlap. At the end of a day, those that hold on it make the
    purchase days, and the values of these, that `fold` finds at that instant.
    """
    purchases: list[Fact] = []
    refunds: dict[Hashable, list[Fact]] = {}
    for fact in facts:
        if fact.at > until or fact.refunds == FREE:
            continue
        if fact.refunds is None:
            purchases.append(fact)
        else:
            refunds.setdefault(fact.refunds, []).append(fact)
    found = []
    for purchase in purchases:
        named = refunds.get(purchase.key, ())
        found += _of(purchase, sorted(named, key=itemgetter(0)))
    return found


def _of(purchase: Fact, refunds: Sequence[Fact]) -> list[Spell]:
    found = []
    since, left = purchase.day, purchase.value
    for refund in refunds:
        day = max(refund.day, since)
        if day > since:
            found.append(Spell(purchase.day, left, since, day))
        since, left = day, left - refund.value
        if left <= 0:
            return found
    return [*found, Spell(purchase.day, left, since, ALWAYS)]
