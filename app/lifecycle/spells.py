"""From when to when each purchase of a customer counted, and for how much.

`purchases` says what a refund takes back; here the same is told by days, so that any earlier day
can be seen with what was known on it, and nothing that came later.
"""

from collections.abc import Iterable
from typing import NamedTuple

from app.lifecycle.purchases import Fact, Purchase, set_off

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
    return [spell for purchase in set_off(facts, until=until).purchases for spell in _of(purchase)]


def _of(purchase: Purchase) -> list[Spell]:
    found = []
    since, left = purchase.day, purchase.value
    for reduction in purchase.reductions:
        if reduction.day > since:
            found.append(Spell(purchase.day, left, since, reduction.day))
        since, left = reduction.day, reduction.left
    if purchase.refunded is None:
        found.append(Spell(purchase.day, left, since, ALWAYS))
    return found
