"""The facts of many customers up to an instant each, as the fold in columns takes them.

What refunds take back is said by `purchases.set_off`, customer by customer; most have none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.lifecycle import column_fold
from app.lifecycle.column_fold import PurchaseColumns
from app.lifecycle.dated import Column, Ints
from app.lifecycle.facts import sweep
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.purchases import Fact, SetOff, set_off
from app.lifecycle.summary_columns import NEVER, NO_MORE, PointColumns, SummaryColumns, money


@dataclass(frozen=True)
class CountedFacts:
    """What counts of each customer's purchases after refunds, and what the facts number.

    `netted` has those with refunds; of the `cancelled` among them a purchase was refunded in full:
    their purchase days come and go.
    """

    purchases: PurchaseColumns
    facts: Ints
    refunds: Ints
    facts_until: Ints
    next_fact_at: Ints
    netted: Mapping[int, SetOff]
    cancelled: Sequence[int]

    def fold(self, limit: InactivityLimit) -> tuple[SummaryColumns, PointColumns]:
        """Return what `facts.fold` says of each customer."""
        n = len(self.facts)
        summaries, points = column_fold.extend(SummaryColumns.empty(n), self.purchases, limit)
        summaries = replace(
            summaries,
            facts=self.facts,
            refunds=self.refunds,
            facts_until=self.facts_until,
            next_fact_at=self.next_fact_at,
            refund_excess=self._excess(n),
        )
        if self.cancelled:
            swept = [sweep(self.netted[owner].purchases, limit)[0] for owner in self.cancelled]
            owners = np.array(self.cancelled, dtype=np.int64)
            others = points.take(np.flatnonzero(~np.isin(points.owner, owners)))
            points = PointColumns.join([others, PointColumns.of(swept).of_owners(owners)])
        return summaries, points

    def _excess(self, owners: int) -> Column:
        found = [0] * owners
        for owner, netted in self.netted.items():
            found[owner] = sum(each.value for each in netted.unallocated)
        return money(found)


def count(
    bought: PurchaseColumns, with_refunds: Mapping[int, Sequence[Fact]], until: Ints
) -> CountedFacts:
    """Count the facts of customers up to an instant each.

    Those who have refunds come with all their facts, and are not among those who only `bought`.
    """
    n = len(until)
    counted = bought.at <= until[bought.owner]
    facts_until, next_fact_at = np.full(n, NEVER), np.full(n, NO_MORE)
    np.maximum.at(facts_until, bought.owner[counted], bought.at[counted])
    np.minimum.at(next_fact_at, bought.owner[~counted], bought.at[~counted])
    facts, refunds = np.bincount(bought.owner, minlength=n), np.zeros(n, np.int64)
    parts, found, cancelled = [bought.take(counted)], {}, []
    for owner, own in with_refunds.items():
        facts[owner] = len(own)
        refunds[owner] = sum(fact.refunds is not None for fact in own)
        instants = [fact.at for fact in own]
        facts_until[owner] = max((at for at in instants if at <= until[owner]), default=NEVER)
        next_fact_at[owner] = min((at for at in instants if at > until[owner]), default=NO_MORE)
        found[owner] = netted = set_off(own, until=int(until[owner]))
        left = [(owner, each.at, each.day, each.net)
                for each in netted.purchases if each.refunded is None]  # fmt: skip
        parts.append(PurchaseColumns(*np.array(left, dtype=np.int64).reshape(-1, 4).T))
        if len(left) < len(netted.purchases):
            cancelled.append(owner)
    return CountedFacts(
        PurchaseColumns.join(parts), facts, refunds, facts_until, next_fact_at, found, cancelled
    )
