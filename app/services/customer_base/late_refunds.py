"""Refunds set off anew from the earliest change of a customer on, without the facts before it.

What a refund takes back follows from what came before it and, if it names a purchase, from that.
So those decide that are no earlier than the change, or name what has changed; of all others what
they took is on file. A refund without a name takes from the latest purchases before it, or from one
of which just its amount is left: some of both are read, and where these do not suffice, nothing is
decided here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.days import from_micros
from app.lifecycle.purchases import FREE, Allocation, Fact, Key, SetOff, set_off
from app.money import to_amount
from app.postgres.db import WriteSession, fetch_rows
from app.services.common import threads
from app.services.customer_base import refund_allocations, refund_facts

_MOST = 500
"""So many refunds are set off anew at most, and of those without a name:"""
_MOST_FREE = 32
_MOST_ON_FILE = 2_000
"""With one of those, this many refunds may be on file: all that were taken from are read."""
Place = tuple[int, Key]


@dataclass(frozen=True, slots=True)
class Change:
    """Facts just written, identities that were voided, and the first instant of what changed.

    It `removes` if any fact is not what it was: replaced or voided; `refunds` says how many are
    on file.
    """

    facts: Sequence[Fact]
    gone: Sequence[Key]
    removes: bool
    since: int
    refunds: int

    @property
    def keys(self) -> set[Key]:
        """Return what has changed, and what new refunds name."""
        named = [fact.refunds for fact in self.facts if fact.refunds and fact.refunds != FREE]
        return {*self.gone, *(fact.key for fact in self.facts), *named}


@dataclass(slots=True)
class _Redone:
    """A customer: the refunds to set off, what they may take from, and what others took of it.

    `days` are those of purchases of which something else may be left.
    """

    change: Change
    refunds: dict[Key, Fact] = field(default_factory=dict)
    purchases: dict[Key, Fact] = field(default_factory=dict)
    days: set[int] = field(default_factory=set)
    taken: list[Fact] = field(default_factory=list)
    latest: dict[Key, list[Place]] = field(default_factory=dict)
    equal: dict[Key, list[Place]] = field(default_factory=dict)

    @property
    def free(self) -> list[Fact]:
        return [fact for fact in self.refunds.values() if fact.refunds == FREE]

    @property
    def keys(self) -> set[Key]:
        """Return the refunds of which rows are written anew, if there are any."""
        return {*self.refunds, *self.change.keys}

    def is_bounded(self) -> bool:
        free = len(self.free)
        on_file = self.change.refunds if free else 0
        return len(self.refunds) <= _MOST and free <= _MOST_FREE and on_file <= _MOST_ON_FILE

    def set_off(self) -> SetOff | None:
        """Return what the refunds take, None if more than was read might decide."""
        found = set_off([*self.purchases.values(), *self.taken, *self.refunds.values()])
        own = [each for each in found.allocations if each.refund in self.refunds]
        rest = [each for each in found.unallocated if each.refund in self.refunds]
        by_refund: dict[Key, list[Allocation]] = {refund.key: [] for refund in self.free}
        for each in own:
            if each.refund in by_refund:
                by_refund[each.refund].append(each)
        unspent = {each.refund for each in rest}
        for refund in self.free:
            if not self._is_decided(refund, by_refund[refund.key], spent=refund.key not in unspent):
                return None
        return SetOff([], own, rest)

    def _is_decided(self, refund: Fact, taken: Sequence[Allocation], *, spent: bool) -> bool:
        """Whether a refund without a name would take the same if all purchases were read."""
        equal, latest = self.equal.get(refund.key, []), self.latest.get(refund.key, [])
        places = [(self.purchases[each.purchase].at, each.purchase) for each in taken]
        # Of the earliest instant that was read, there may be more.
        all_equal, all_latest = len(equal) < refund_facts.READ, len(latest) < refund_facts.READ
        is_equal = len(taken) == 1 and taken[0].amount == refund.amount and places[0] in equal
        if is_equal and (all_equal or places[0][0] > min(equal)[0]):
            return True
        if not all_equal:
            return False
        return all_latest or (spent and all(at > min(latest)[0] for at, _ in places))


async def save(session: WriteSession, changes: Mapping[str, Change]) -> dict[str, set[int]]:
    """Set off what changes of customers, just written, bring about; return the purchases' days.

    Who is not in the answer has refunds that this does not decide; of them nothing was written.
    """
    # A refund of nothing that waits for a purchase of nothing is on file nowhere.
    asked = {
        customer_id: _Redone(change)
        for customer_id, change in changes.items()
        if all(fact.refunds or fact.amount > 0 for fact in change.facts)
    }
    await _read_refunds(session, asked)
    asked = {customer_id: one for customer_id, one in asked.items() if one.is_bounded()}
    await _read_purchases(session, asked)
    await _read_candidates(session, asked)
    await _read_taken(session, asked)
    found = {
        customer_id: await threads.compute(len(one.purchases), one.set_off)
        for customer_id, one in asked.items()
    }
    decided = {customer_id: netted for customer_id, netted in found.items() if netted is not None}
    keys = {customer_id: sorted(asked[customer_id].keys) for customer_id in decided}
    await refund_allocations.save_some(session, keys, decided)
    return {
        customer_id: asked[customer_id].days.union(
            asked[customer_id].purchases[each.purchase].day for each in netted.allocations
        )
        for customer_id, netted in decided.items()
    }


async def _read_refunds(session: WriteSession, asked: Mapping[str, _Redone]) -> None:
    """Read the refunds of what changed; of who has one without a name since then, all since."""
    if not asked:
        return
    since = [from_micros(one.change.since) for one in asked.values()]
    free = {
        row[0] for row in await fetch_rows(session, refund_facts.FREE_SINCE, list(asked), since)
    }
    later = {
        customer_id: from_micros(one.change.since)
        for customer_id, one in asked.items()
        if customer_id in free or one.change.removes
    }
    names = refund_facts.columns(
        {customer_id: one.change.keys for customer_id, one in asked.items()}
    )
    rows = await fetch_rows(
        session, refund_facts.REFUNDS, list(asked), *names, list(later), list(later.values())
    )
    for customer_id, fact in refund_facts.told(rows):
        asked[customer_id].refunds[fact.key] = fact


async def _read_purchases(session: WriteSession, asked: Mapping[str, _Redone]) -> None:
    """Read the purchases that changed, that refunds name, and that they took from before."""
    if not asked:
        return
    named = {
        customer_id: {*one.change.keys, *(each.refunds or FREE for each in one.refunds.values())}
        for customer_id, one in asked.items()
    }
    redone = {customer_id: one.keys for customer_id, one in asked.items()}
    rows = await fetch_rows(
        session, refund_facts.PURCHASES, *refund_facts.columns(named), *refund_facts.columns(redone)
    )
    for customer_id, fact in refund_facts.told(rows):
        asked[customer_id].purchases[fact.key] = fact
        asked[customer_id].days.add(fact.day)


async def _read_candidates(session: WriteSession, asked: Mapping[str, _Redone]) -> None:
    """Read for each refund without a name some purchases that it may take from."""
    free = [(customer_id, fact) for customer_id, one in asked.items() for fact in one.free]
    if not free:
        return
    with_free = list({customer_id: None for customer_id, _ in free})
    for customer_id, fact in refund_facts.told(
        await fetch_rows(session, refund_facts.REFUNDED, with_free)
    ):
        asked[customer_id].purchases[fact.key] = fact
    # A planner that knows of average customers alone would sort all facts for each refund.
    await fetch_rows(session, refund_facts.SORT, "off")
    rows = await fetch_rows(
        session, refund_facts.CANDIDATES, list(range(len(free))),
        [customer_id for customer_id, _ in free], [from_micros(fact.at) for _, fact in free],
        [fact.currency for _, fact in free], [to_amount(fact.amount) for _, fact in free],
    )  # fmt: skip
    await fetch_rows(session, refund_facts.SORT, "on")
    for (number, is_equal), (customer_id, purchase) in zip(
        (row[:2] for row in rows), refund_facts.told([row[2:] for row in rows]), strict=True
    ):
        one, refund = asked[customer_id], free[number][1]
        one.purchases[purchase.key] = purchase
        lists = one.equal if is_equal else one.latest
        lists.setdefault(refund.key, []).append((purchase.at, purchase.key))


async def _read_taken(session: WriteSession, asked: Mapping[str, _Redone]) -> None:
    """Read what other refunds took from the purchases, each as a refund that names its purchase."""
    names = refund_facts.columns({customer_id: one.purchases for customer_id, one in asked.items()})
    for row in await fetch_rows(session, refund_facts.TAKEN, *names) if names[0] else ():
        customer_id, source, name, purchase_source, purchase, at, day, amount = row
        one, key = asked[customer_id], (purchase_source, purchase)
        if (source, name) not in one.keys:
            currency = one.purchases[key].currency
            one.taken.append(Fact(at, day, 0, (source, name), key, amount, currency))
