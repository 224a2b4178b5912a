"""What the purchases of one customer are worth through time, told by day where no more matters.

Sums only grow while a day of purchases without refunds passes. So a day is told by what it is worth
at its end, from its first instant on, beside what held without it: `whole_days` says where that is
enough to decide.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from app.lifecycle.dated import Ints
from app.lifecycle.money import Account, Change, MonetaryState
from app.lifecycle.purchase_days import PurchaseDays
from app.lifecycle.purchase_steps import amounts
from app.lifecycle.records import Money, Purchases
from app.lifecycle.steps import Worth
from app.lifecycle.summary_columns import LARGEST, NEVER


class Step(NamedTuple):
    """From an instant on, which is of `today`, the purchases of a day are worth so much more."""

    at: int
    today: int
    day: int
    value: int


@dataclass(frozen=True, slots=True)
class MoneyByDay:
    """What is known of a customer's money from an instant on, `NEVER` for all of it.

    `values` has what refunds leave of each day in the end. Of the days `one_by_one` all `purchases`
    are known, and of all purchases the `reductions` since the beginning of the instant's day. At
    the instants `of_refunds` nothing needs to be new.
    """

    since: int
    since_day: int
    values: Mapping[int, int]
    reductions: Sequence[Step]
    of_refunds: Sequence[int]
    one_by_one: frozenset[int]
    purchases: Sequence[Step]

    def adds_up(self) -> bool:
        """Whether days are worth what their facts are, and no sum is out of bounds."""
        left = dict.fromkeys(self.one_by_one, 0)
        for step in (*self.purchases, *self.reductions):
            if step.day in left:
                left[step.day] += step.value
        most = sum(self.values.values()) + sum(abs(step.value) for step in self.reductions)
        return most < LARGEST and all(
            value == self.values.get(day, 0) for day, value in left.items()
        )

    def followed(self, days: PurchaseDays) -> "Followed":
        """Follow the sums through time."""
        turns = list(_turns(days))
        begins = {day: at for at, _, day, _ in reversed(turns)}
        values = {day: own for day, own in self.values.items() if day not in self.one_by_one}
        reduced = [
            step for step in self.reductions if step.at > self.since or step.day in self.one_by_one
        ]
        for step in reduced:
            if step.day in values:
                values[step.day] -= step.value
        known = {day: own for day, own in values.items() if day <= self.since_day}
        whole = {
            begins[day]: Step(begins[day], day, day, own)
            for day, own in values.items()
            if day > self.since_day and day in begins
        }
        steps = [*self.purchases, *reduced]
        begun = [Step(begins[day], day, day, own) for day, own in known.items() if day in begins]
        return Followed(
            *self._through_time(turns, known, whole, steps),
            Purchases(
                amounts([(0, *turn) for turn in turns]),
                amounts([(0, *step) for step in (*begun, *whole.values(), *steps) if step.value]),
            ),
        )

    def _through_time(
        self,
        turns: Sequence[Step],
        known: Mapping[int, int],
        whole: Mapping[int, Step],
        steps: Sequence[Step],
    ) -> "tuple[Worth, WholeDays]":
        standing = {turn.day: turn.value > 0 for turn in turns if turn.at <= self.since}
        account = Account(known, [day for day, stands in standing.items() if stands])
        changes: dict[int, list[Change]] = {at: [] for at in (*self.of_refunds, *whole)}
        for turn in turns:
            if turn.at > self.since:
                changes.setdefault(turn.at, []).append(Change(turn.day, 0, turn.value))
        for step in steps:
            if step.at > self.since:
                changes.setdefault(step.at, []).append(Change(step.day, step.value, 0))
            else:
                account.add(Change(step.day, step.value, 0))
        found = [] if self.since == NEVER else [account.worth(self.since)]
        without = []
        for at in sorted(changes):
            for change in changes[at]:
                account.add(change)
            if at in whole:
                without.append(account.worth(at))
                account.add(Change(whole[at].day, whole[at].value, 0))
            found.append(account.worth(at))
        return Worth.of([found]), WholeDays.of(without, [whole[each.at].day for each in without])


@dataclass(frozen=True, slots=True)
class WholeDays:
    """The days that are told by what they are worth in the end, and what held `without` that."""

    day: Ints
    without: Worth

    @classmethod
    def of(cls, without: Sequence[MonetaryState], day: Sequence[int]) -> "WholeDays":
        return cls(np.array(day, dtype=np.int64), Worth.of([without]))

    @classmethod
    def join(cls, parts: Mapping[int, "WholeDays"]) -> "WholeDays":
        """Return the days of several customers, by their numbers."""
        numbers = sorted(parts)
        sums = [parts[each].without.of_owners(np.array([each])) for each in numbers]
        days = [parts[each].day for each in numbers]
        return cls(
            np.concatenate([np.zeros(0, np.int64), *days]), Worth.join([Worth.none(), *sums])
        )

    @property
    def money(self) -> Money:
        return self.without.money


@dataclass(frozen=True, slots=True)
class Followed:
    """The sums of one customer through time, those without whole days, and what windows look at."""

    worth: Worth
    whole: WholeDays
    purchases: Purchases


def _turns(days: PurchaseDays) -> Sequence[Step]:
    """Return in order when days became purchase days, and when they ceased to be."""
    turns = [
        Step(at, day, day, 1)
        for at, day in zip(days.begins.tolist(), days.day.tolist(), strict=True)
    ]
    for day, own in days.turns.items():
        for number, (at, today) in enumerate(own):
            turns.append(Step(at, today, day, -1 if number % 2 else 1))
    return sorted(turns)
