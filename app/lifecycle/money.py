"""What the purchases of one customer are worth, instant by instant."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from app.lifecycle.facts import RECENT, recent_gaps
from app.lifecycle.purchases import Fact, Purchase, SetOff, set_off


class MonetaryState(NamedTuple):
    """The sums of a `Summary`, and the instant from which they held."""

    at: int
    revenue: int
    first_day_value: int
    paid_days: int
    gaps: tuple[int, ...]
    values: tuple[int, ...]


NOTHING = MonetaryState(0, 0, 0, 0, (), ())


def replay(facts: Iterable[Fact], *, until: int) -> list[MonetaryState]:
    """Return what the facts up to each of their instants amount to, as `fold` would at each."""
    counted = [fact for fact in facts if fact.at <= until]
    changes = _changes(set_off(counted, until=until))
    account = Account()
    found = []
    for at in sorted({fact.at for fact in counted}):
        for change in changes.get(at, ()):
            account.add(change)
        found.append(account.worth(at))
    return found


class Change(NamedTuple):
    """What a fact does to a purchase day: to its value, and to how many purchases make it."""

    day: int
    value: int
    standing: int


def _changes(netted: SetOff) -> dict[int, list[Change]]:
    """Return the changes by the instants at which facts bring them about."""
    found: dict[int, list[Change]] = {}
    for purchase in netted.purchases:
        for at, change in _of(purchase):
            found.setdefault(at, []).append(change)
    return found


def _of(purchase: Purchase) -> Iterable[tuple[int, Change]]:
    yield purchase.at, Change(purchase.day, purchase.value, 1)
    before = purchase.value
    for reduction in purchase.reductions:
        ends = -1 if reduction is purchase.refunded else 0
        yield reduction.at, Change(purchase.day, reduction.left - before, ends)
        before = reduction.left


class Account:
    """What the purchases up to an instant are worth; it begins with the values of days.

    Those that are purchase days are `standing`.
    """

    def __init__(
        self, values: Mapping[int, int] | None = None, standing: Iterable[int] = ()
    ) -> None:
        self._value_of = dict(values or {})
        self._days = sorted(standing)
        self._standing = dict.fromkeys(self._days, 1)
        self._total = sum(self._value_of.values())
        self._paid = sum(value > 0 for value in self._value_of.values())

    def add(self, change: Change) -> None:
        day = change.day
        before, value = self._standing.get(day, 0), self._value_of.get(day, 0)
        after = self._standing[day] = before + change.standing
        self._value_of[day] = value + change.value
        self._total += change.value
        self._paid += (self._value_of[day] > 0) - (value > 0)
        if before == 0 and after:
            insort(self._days, day)
        elif before and after == 0:
            del self._days[bisect_left(self._days, day)]

    def worth(self, at: int) -> MonetaryState:
        days = self._days[-RECENT - 1 :]
        return MonetaryState(
            at,
            self._total,
            self._value_of.get(self._days[0], 0) if days else 0,
            self._paid,
            recent_gaps(days),
            tuple(self._value_of.get(day, 0) for day in reversed(days[-RECENT:])),
        )
