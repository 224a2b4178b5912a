"""All facts of customers, read and folded: what they amount to, and every state on the way."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import numpy as np

from app.lifecycle import column_money, counted_facts
from app.lifecycle.column_fold import PurchaseColumns
from app.lifecycle.dated import Ints
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.money import replay
from app.lifecycle.purchases import Fact, SetOff, set_off
from app.lifecycle.steps import Worth
from app.lifecycle.summary_columns import NO_MORE, PointColumns, SummaryColumns
from app.postgres.db import ReadSession
from app.services.customer_base import purchase_facts

_AT_A_TIME = 2_000
_INLINE_FACTS = 5_000

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Folded:
    """Customers by number: what their facts amount to, and the states on the way."""

    summaries: SummaryColumns
    points: PointColumns


@dataclass(frozen=True)
class Folding:
    """The facts of customers folded by each of several limits of silence.

    `worth` follows their value through time, and `set_off` is what refunds take back in the end,
    where somebody asked for it.
    """

    by_limit: Mapping[InactivityLimit, Folded]
    worth: Worth
    set_off: Mapping[int, SetOff]


async def fold(
    session: ReadSession, limit: InactivityLimit, customer_ids: Sequence[str], until: Ints
) -> SummaryColumns:
    """Return what the facts of customers up to an instant each amount to."""
    folding = await fold_by(session, [limit], customer_ids, until)
    return folding.by_limit[limit].summaries


async def fold_by(
    session: ReadSession,
    limits: Sequence[InactivityLimit],
    customer_ids: Sequence[str],
    until: Ints,
    *,
    worth: bool = False,
    netted: bool = False,
) -> Folding:
    """Fold all facts of customers, up to an instant each, by each of several limits of silence."""
    found: dict[InactivityLimit, list[Folded]] = {limit: [] for limit in limits}
    sums, netted_by = [Worth.none()], dict[int, SetOff]()
    # By some customers at a time rather than a cursor, which needs a transaction: reads have none.
    for start in range(0, max(len(customer_ids), 1), _AT_A_TIME):
        ids, ends = customer_ids[start : start + _AT_A_TIME], until[start : start + _AT_A_TIME]
        bought, with_refunds = await _read(session, ids)
        facts = len(bought) + sum(map(len, with_refunds.values()))
        counted = await _beside(facts, counted_facts.count, bought, with_refunds, ends)
        owners = np.arange(start, start + len(ids))
        for limit in limits:
            summaries, points = await _beside(facts, counted.fold, limit)
            found[limit].append(Folded(summaries, points.of_owners(owners)))
        if worth:
            followed = await _beside(facts, _worth, bought, with_refunds, ends)
            sums.append(followed.of_owners(owners))
        if netted:
            for owner, own in with_refunds.items():
                all_count = counted.next_fact_at[owner] == NO_MORE
                netted_by[start + owner] = (
                    counted.netted[owner] if all_count else await _beside(len(own), set_off, own)
                )
    by_limit = {
        limit: Folded(
            SummaryColumns.join([part.summaries for part in parts]),
            PointColumns.join([part.points for part in parts]),
        )
        for limit, parts in found.items()
    }
    return Folding(by_limit, Worth.join(sums), netted_by)


async def _beside(facts: int, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Call a function of so many facts, of many in a thread: other requests go on meanwhile."""
    if facts > _INLINE_FACTS:
        return await asyncio.to_thread(function, *arguments, **named)
    return function(*arguments, **named)


async def _read(
    session: ReadSession, customer_ids: Sequence[str]
) -> tuple[PurchaseColumns, dict[int, list[Fact]]]:
    """Return the purchases of those without refunds, and all facts of those with any."""
    if not customer_ids:
        return PurchaseColumns.none(), {}
    facts, refunds = await purchase_facts.columns(session, customer_ids)
    owners = np.unique(facts.owner[refunds])
    if not len(owners):
        return facts, {}
    names = [customer_ids[owner] for owner in owners.tolist()]
    own = await purchase_facts.of_customers(session, names)
    others = facts.take(~np.isin(facts.owner, owners))
    return others, dict(zip(owners.tolist(), own.values(), strict=True))


def _worth(bought: PurchaseColumns, with_refunds: Mapping[int, list[Fact]], until: Ints) -> Worth:
    """Return what purchases are worth through time."""
    counted = bought.take(bought.at <= until[bought.owner])
    replayed = [replay(own, until=int(until[owner])) for owner, own in with_refunds.items()]
    owners = np.array(list(with_refunds), dtype=np.int64)
    followed = column_money.follow(SummaryColumns.empty(len(until)), counted)
    return Worth.join([followed, Worth.of(replayed).of_owners(owners)])
