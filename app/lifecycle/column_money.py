"""What `money.replay` says of purchases without refunds, for many customers at once, in columns.

A stretch is what a customer buys on one day. The first may belong to a day that was known before.
"""

from dataclasses import dataclass

import numpy as np

from app.lifecycle.column_fold import PurchaseColumns, exact_values, makes_purchase_day
from app.lifecycle.dated import Bools, Column, Ints
from app.lifecycle.facts import RECENT
from app.lifecycle.records import Money
from app.lifecycle.steps import Worth
from app.lifecycle.summary_columns import LARGEST, SummaryColumns


def standing(before: SummaryColumns, owners: Ints, since: Ints) -> Worth:
    """Return what the purchases of some customers are worth from an instant each on."""
    own = before.take(owners)
    money = (own.revenue, own.first_day_value, own.paid_days, own.gaps, own.values)
    return Worth(owners, since, Money(*map(_bounded, money)))


def follow(before: SummaryColumns, bought: PurchaseColumns) -> Worth:
    """Return what purchases are worth from each of their instants on, none before the last known.

    With what is known `before` of their customers.
    """
    if not len(bought):
        zero, recent = np.zeros(0, np.int64), np.zeros((RECENT, 0), np.int64)
        return Worth(zero, zero, Money(zero, zero, zero, recent, recent))
    bought = exact_values(before, bought.in_order())
    owner, at = bought.owner, bought.at
    stretches = _Stretches.of(before, bought)
    last = np.flatnonzero(np.r_[(owner[1:] != owner[:-1]) | (at[1:] != at[:-1]), True])
    return Worth(owner[last], at[last], stretches.money(before, last))


@dataclass(frozen=True)
class _Stretches:
    """Stretches in order, and for each purchase its stretch and what that is worth so far.

    `ordinal` counts the stretches of an owner from 0, `added` those that made a purchase day.
    """

    owner: Ints
    day: Ints
    new: Bools
    ordinal: Ints
    added: Ints
    total: Column
    stretch: Ints
    so_far: Column
    revenue: Column

    @classmethod
    def of(cls, before: SummaryColumns, bought: PurchaseColumns) -> "_Stretches":
        owner = bought.owner
        begins = np.r_[True, owner[1:] != owner[:-1]]
        is_new = makes_purchase_day(before, bought, begins)
        opens = begins | is_new
        starts = np.flatnonzero(opens)
        stretch = np.cumsum(opens) - 1
        own, new = owner[starts], is_new[starts]
        sums = np.cumsum(bought.value)
        earlier = (sums - bought.value)[starts]
        known = np.where(new, 0, before.values[0][own])
        so_far = sums - earlier[stretch] + known[stretch]
        firsts = np.flatnonzero(begins)
        first = firsts[np.cumsum(begins) - 1]
        ordinal = np.arange(len(starts)) - stretch[first[starts]]
        return cls(
            own,
            bought.day[starts],
            new,
            ordinal,
            ordinal + new[np.arange(len(starts)) - ordinal],
            so_far[np.r_[starts[1:], len(owner)] - 1],
            stretch,
            so_far,
            before.revenue[owner] + sums - (sums - bought.value)[first],
        )

    def money(self, before: SummaryColumns, rows: Ints) -> Money:
        """Return the sums after some of the purchases."""
        stretch, so_far = self.stretch[rows], self.so_far[rows]
        owner = self.owner[stretch]
        number = before.states.purchase_days[self.owner] + self.added
        first_value = before.first_day_value.astype(self.total.dtype)
        of_first = np.flatnonzero(number == 1)
        first_value[self.owner[of_first]] = self.total[of_first]
        return Money(
            _bounded(self.revenue[rows]),
            _bounded(np.where(number[stretch] == 1, so_far, first_value[owner])),
            self._paid_days(before, stretch, so_far),
            np.array([self._gap(before, stretch, back) for back in range(RECENT)]),
            np.array(
                [
                    _bounded(self._value(before, stretch, back) if back else so_far)
                    for back in range(RECENT)
                ]
            ),
        )

    def _paid_days(self, before: SummaryColumns, stretch: Ints, so_far: Column) -> Ints:
        known = ~self.new & (before.values[0][self.owner] > 0)
        more = (self.total > 0).astype(np.int64) - known
        until = np.cumsum(more) - more
        first = np.arange(len(more)) - self.ordinal
        earlier = until - until[first]
        standing = before.paid_days[self.owner[stretch]] + earlier[stretch]
        paid: Ints = standing + (so_far > 0) - known[stretch]
        return paid

    def _gap(self, before: SummaryColumns, stretch: Ints, back: int) -> Ints:
        """Return the gap before the last purchase day but so many."""
        known = before.states.purchase_days[self.owner] > 0
        former = np.where(known, before.states.last_day[self.owner], self.day)
        inner = self.ordinal > 0
        former[inner] = self.day[np.flatnonzero(inner) - 1]
        return self._recent(self.day - former, before.gaps, stretch, back)

    def _value(self, before: SummaryColumns, stretch: Ints, back: int) -> Column:
        found = self._recent(self.total, before.values, stretch, back)
        # Of the day that was known before, more may have been bought.
        still = (self.added[stretch] == back) & (self.ordinal[stretch] == back)
        found[still] = self.total[stretch[still] - back]
        return found

    def _recent(self, own: Column, before: Column, stretch: Ints, back: int) -> Column:
        """Return what stretches have so many purchase days back, or what was known before them."""
        added = self.added[stretch]
        here = added > back
        known = before[np.clip(back - added, 0, RECENT - 1), self.owner[stretch]]
        found: Column = np.where(here, own[np.where(here, stretch - back, 0)], known)
        return found


def _bounded(amounts: Column) -> Ints:
    """Return sums as 64 bits hold them: none so large is compared with anything near it."""
    if amounts.dtype != object:
        return amounts
    return np.clip(amounts, -int(LARGEST), int(LARGEST)).astype(np.int64)
