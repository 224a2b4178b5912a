"""Refunds set off anew from the earliest change of a customer on, without the facts before it.

What a refund takes back follows from what came before it and, if it names a purchase, from that.
So those decide that are no earlier than the change, or name what has changed; of all others what
they took is on file. A refund without a name takes from the latest purchases before it, or from one
of which just its amount is left: some of both are read, and where these do not suffice, nothing is
decided here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.days import from_micros
from app.db import WriteSession, fetch_rows
from app.lifecycle.purchases import FREE, Allocation, Fact, Key, SetOff, set_off
from app.money import to_amount
from app.services.common import sql_numbers
from app.services.customer_base import refund_allocations

_MOST = 500
"""So many refunds are set off anew at most, and of those without a name:"""
_MOST_FREE = 32
_SPARE = 8
"""Candidates that are read beside those that each refund without a name may take from."""
Place = tuple[int, Key]


@dataclass(frozen=True, slots=True)
class Change:
    """Facts just written, identities that were voided, and the first instant of what changed.

    It `removes` if any fact is not what it was: replaced or voided.
    """

    facts: Sequence[Fact]
    gone: Sequence[Key]
    removes: bool
    since: int

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

    @property
    def reads(self) -> int:
        """Return how many candidates are read for each refund without a name."""
        return 2 * len(self.free) + _SPARE

    def is_bounded(self) -> bool:
        return len(self.refunds) <= _MOST and len(self.free) <= _MOST_FREE

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
        if len(taken) == 1 and taken[0].amount == refund.amount and places[0] in equal:
            return True
        if len(equal) == self.reads:
            return False
        return len(latest) < self.reads or (
            spent and min(places, default=min(latest)) >= min(latest)
        )


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
    found = {customer_id: one.set_off() for customer_id, one in asked.items()}
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
    free = {row[0] for row in await fetch_rows(session, _FREE, list(asked), since)}
    later = {
        customer_id: from_micros(one.change.since)
        for customer_id, one in asked.items()
        if customer_id in free or one.change.removes
    }
    names = _names({customer_id: one.change.keys for customer_id, one in asked.items()})
    rows = await fetch_rows(
        session, _REFUNDS, list(asked), *names, list(later), list(later.values())
    )
    for customer_id, fact in _facts(rows):
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
    rows = await fetch_rows(session, _PURCHASES, *_names(named), *_names(redone))
    for customer_id, fact in _facts(rows):
        asked[customer_id].purchases[fact.key] = fact
        asked[customer_id].days.add(fact.day)


async def _read_candidates(session: WriteSession, asked: Mapping[str, _Redone]) -> None:
    """Read for each refund without a name some purchases that it may take from."""
    free = [(customer_id, fact) for customer_id, one in asked.items() for fact in one.free]
    if not free:
        return
    redone = {customer_id: one.keys for customer_id, one in asked.items() if one.free}
    rows = await fetch_rows(
        session, _CANDIDATES, *_names(redone), list(range(len(free))),
        [customer_id for customer_id, _ in free], [from_micros(fact.at) for _, fact in free],
        [fact.currency for _, fact in free], [to_amount(fact.amount) for _, fact in free],
        [asked[customer_id].reads for customer_id, _ in free],
    )  # fmt: skip
    for (number, is_equal), (customer_id, purchase) in zip(
        (row[:2] for row in rows), _facts([row[2:] for row in rows]), strict=True
    ):
        one, refund = asked[customer_id], free[number][1]
        one.purchases[purchase.key] = purchase
        lists = one.equal if is_equal else one.latest
        lists.setdefault(refund.key, []).append((purchase.at, purchase.key))


async def _read_taken(session: WriteSession, asked: Mapping[str, _Redone]) -> None:
    """Read what other refunds took from the purchases, each as a refund that names its purchase."""
    names = _names({customer_id: one.purchases for customer_id, one in asked.items()})
    for row in await fetch_rows(session, _TAKEN, *names) if names[0] else ():
        customer_id, source, name, purchase_source, purchase, at, day, amount = row
        one, key = asked[customer_id], (purchase_source, purchase)
        if (source, name) not in one.keys:
            currency = one.purchases[key].currency
            one.taken.append(Fact(at, day, 0, (source, name), key, amount, currency))


def _names(keys: Mapping[str, Iterable[Key]]) -> list[list[str]]:
    """Return customers, sources and ids as columns."""
    rows = [(customer_id, *key) for customer_id, own in keys.items() for key in own]
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], []]


def _facts(rows: Iterable[Sequence[Any]]) -> Iterable[tuple[str, Fact]]:
    for customer_id, source, name, is_refund, named_source, named, currency, *numbers in rows:
        at, day, value, amount = numbers
        refunds = None if not is_refund else FREE if named is None else (named_source, named)
        yield customer_id, Fact(at, day, value, (source, name), refunds, amount, currency)


# Bound inside, so that the index of instants is read from there on, whatever the planner believes.
_FREE = (
    "SELECT s.customer_id FROM purchase_summaries s WHERE s.customer_id = ANY($1::text[]) AND ("
    "SELECT count(*) FROM transactions t WHERE t.customer_id = s.customer_id"
    " AND t.occurred_at >= ($2::timestamptz[])[array_position($1::text[], s.customer_id)]"
    " AND t.kind = 'refund' AND t.refunds_transaction_id IS NULL) > 0"
)
_COLUMNS = (
    "t.customer_id, t.source, t.transaction_id, t.kind = 'refund', t.refunds_source,"
    f" t.refunds_transaction_id, t.currency, {sql_numbers.micros('t.occurred_at')},"
    f" {sql_numbers.day('t.occurred_on')}, {sql_numbers.units('t.value')},"
    f" {sql_numbers.units('t.amount')}"
)
_KEY = "(customer_id, source, transaction_id)"
# By whole keys: with the customers beside them, a planner without statistics reads all facts.
_REFUNDS = (
    "WITH asked AS (SELECT DISTINCT * FROM"  # noqa: S608  # no value of a caller
    f" unnest($2::text[], $3::text[], $4::text[]) AS k {_KEY}),"
    " rest AS MATERIALIZED ("
    "SELECT u.customer_id, u.source, u.transaction_id, t.refunds_source, t.refunds_transaction_id"
    " FROM unallocated_refunds u JOIN transactions t USING (customer_id, source, transaction_id)"
    " WHERE u.customer_id = ANY($1::text[])), refund AS ("
    "SELECT * FROM asked UNION "
    "SELECT a.customer_id, a.refund_source, a.refund_id FROM asked"
    " JOIN refund_allocations a ON a.customer_id = asked.customer_id"
    " AND a.purchase_source = asked.source AND a.purchase_id = asked.transaction_id"
    " AND EXISTS (SELECT FROM transactions t WHERE t.customer_id = a.customer_id"
    " AND t.source = a.refund_source AND t.transaction_id = a.refund_id"
    " AND t.refunds_transaction_id IS NOT NULL) UNION"
    " SELECT rest.customer_id, rest.source, rest.transaction_id FROM rest JOIN asked"
    " ON asked.customer_id = rest.customer_id AND asked.source = rest.refunds_source"
    " AND asked.transaction_id = rest.refunds_transaction_id UNION"
    " SELECT t.customer_id, t.source, t.transaction_id"
    " FROM unnest($5::text[], $6::timestamptz[]) AS l (customer_id, since) JOIN transactions t"
    " ON t.customer_id = l.customer_id AND t.occurred_at >= l.since WHERE t.kind = 'refund'"
    f") SELECT {_COLUMNS} FROM refund JOIN transactions t"
    " USING (customer_id, source, transaction_id) WHERE t.kind = 'refund'"
)
_PURCHASES = (
    f"WITH redone AS (SELECT * FROM unnest($4::text[], $5::text[], $6::text[]) AS k {_KEY}),"  # noqa: S608  # no value of a caller
    f" purchase AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS k {_KEY} UNION"
    " SELECT a.customer_id, a.purchase_source, a.purchase_id FROM redone"
    " JOIN refund_allocations a ON a.customer_id = redone.customer_id"
    " AND a.refund_source = redone.source AND a.refund_id = redone.transaction_id"
    f") SELECT {_COLUMNS} FROM purchase JOIN transactions t"
    " USING (customer_id, source, transaction_id) WHERE t.kind = 'purchase'"
)
_LEFT = (
    "t.amount - coalesce((SELECT sum(a.amount) FROM refund_allocations a"
    " WHERE a.customer_id = t.customer_id AND a.purchase_source = t.source"
    " AND a.purchase_id = t.transaction_id AND NOT EXISTS (SELECT FROM redone r"
    " WHERE (r.customer_id, r.source, r.transaction_id)"
    " = (a.customer_id, a.refund_source, a.refund_id))), 0)"
)
_BEFORE = "t.customer_id = f.customer_id AND t.kind = 'purchase' AND t.occurred_at <= f.at"
_LATEST_FIRST = "ORDER BY t.occurred_at DESC, t.source DESC, t.transaction_id DESC LIMIT f.reads"
_CANDIDATES = (
    "WITH redone AS MATERIALIZED (SELECT * FROM"  # noqa: S608  # no value of a caller
    f" unnest($1::text[], $2::text[], $3::text[]) AS k {_KEY}),"
    " free AS (SELECT * FROM unnest($4::int[], $5::text[], $6::timestamptz[], $7::text[],"
    " $8::numeric[], $9::int[]) AS f (number, customer_id, at, currency, amount, reads))"
    f" SELECT f.number, false, {_COLUMNS} FROM free f CROSS JOIN LATERAL"
    f" (SELECT t.* FROM transactions t WHERE {_BEFORE} AND t.amount > 0 AND {_LEFT} > 0"
    f" {_LATEST_FIRST}) t UNION ALL"
    f" SELECT f.number, true, {_COLUMNS} FROM free f CROSS JOIN LATERAL (SELECT * FROM ("
    f"(SELECT t.* FROM transactions t WHERE {_BEFORE} AND t.currency = f.currency"
    f" AND t.amount = f.amount AND f.amount > 0 AND {_LEFT} = f.amount {_LATEST_FIRST}) UNION ALL"
    " (SELECT t.* FROM (SELECT DISTINCT a.purchase_source, a.purchase_id FROM refund_allocations a"
    " WHERE a.customer_id = f.customer_id) AS p JOIN transactions t"
    " ON t.source = p.purchase_source AND t.transaction_id = p.purchase_id"
    f" WHERE {_BEFORE} AND t.currency = f.currency AND t.amount > f.amount AND f.amount > 0"
    f" AND {_LEFT} = f.amount {_LATEST_FIRST})) t {_LATEST_FIRST}) t"
)
_TAKEN = (
    "SELECT a.customer_id, a.refund_source, a.refund_id, a.purchase_source, a.purchase_id,"  # noqa: S608  # no value of a caller
    f" {sql_numbers.micros('t.occurred_at')}, {sql_numbers.day('t.occurred_on')},"
    f" {sql_numbers.units('a.amount')}"
    f" FROM unnest($1::text[], $2::text[], $3::text[]) AS k {_KEY}"
    " JOIN refund_allocations a ON a.customer_id = k.customer_id"
    " AND a.purchase_source = k.source AND a.purchase_id = k.transaction_id"
    " JOIN transactions t ON t.customer_id = a.customer_id AND t.source = a.refund_source"
    " AND t.transaction_id = a.refund_id AND t.kind = 'refund'"
)
