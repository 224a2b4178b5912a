"""What the purchases of one customer are worth, instant by instant."""

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable
from itertools import groupby
from typing import NamedTuple

from app.lifecycle.facts import FREE, RECENT, Fact, recent_gaps


class Worth(NamedTuple):
    """The sums of a `Summary`, and the instant from which they held."""

    at: int
    revenue: int
    purchase_value: int
    first_day_value: int
    paid_days: int
    gaps: tuple[int, ...]
    values: tuple[int, ...]


NOTHING = Worth(0, 0, 0, 0, 0, (), ())


def follow(facts: Iterable[Fact], *, until: int) -> list[Worth]:
    """Return what the facts up to each of their instants amount to, as `fold` would at each."""
    counted = sorted((fact for fact in facts if fact.at <= until), key=lambda fact: fact.at)
    account = _Account()
    found = []
    for at, together in groupby(counted, key=lambda fact: fact.at):
        for fact in together:
            account.add(fact)
        found.append(account.worth(at))
    return found


class _Purchase(NamedTuple):
    day: int
    value: int
    refunded: int
    named: bool
    """Whether a refund names it: one of nothing can be taken back, too."""

    @property
    def stands(self) -> bool:
        return not (self.named and self.refunded >= self.value)

    @property
    def net(self) -> int:
        return self.value - self.refunded if self.stands else 0


class _Account:
    def __init__(self) -> None:
        self._purchases: dict[Hashable, _Purchase] = {}
        self._awaited: dict[Hashable, int] = {}
        self._value_of: dict[int, int] = {}
        self._standing: dict[int, int] = {}
        self._days: list[int] = []
        self._free = self._total = self._paid = 0

    def add(self, fact: Fact) -> None:
        if fact.refunds is None:
            refunded = self._awaited.pop(fact.key, None)
            bought = _Purchase(fact.day, fact.value, refunded or 0, refunded is not None)
            self._purchases[fact.key] = bought
            self._count(bought, 1)
        elif fact.refunds == FREE:
            self._free += fact.value
        elif fact.refunds in self._purchases:
            before = self._purchases[fact.refunds]
            self._count(before, -1)
            after = before._replace(refunded=before.refunded + fact.value, named=True)
            self._purchases[fact.refunds] = after
            self._count(after, 1)
        else:
            self._awaited[fact.refunds] = self._awaited.get(fact.refunds, 0) + fact.value

    def _count(self, purchase: _Purchase, sign: int) -> None:
        """Add a purchase to its day, or take it out."""
        if not purchase.stands:
            return
        day = purchase.day
        before, value = self._standing.get(day, 0), self._value_of.get(day, 0)
        self._standing[day], self._value_of[day] = before + sign, value + sign * purchase.net
        self._total += sign * purchase.net
        self._paid += (self._value_of[day] > 0) - (value > 0)
        if before == 0:
            insort(self._days, day)
        elif self._standing[day] == 0:
            del self._days[bisect_left(self._days, day)]

    def worth(self, at: int) -> Worth:
        days = self._days[-RECENT - 1 :]
        return Worth(
            at,
            self._total - self._free,
            self._total,
            self._value_of[self._days[0]] if days else 0,
            self._paid,
            recent_gaps(days),
            tuple(self._value_of[day] for day in reversed(days[-RECENT:])),
        )
