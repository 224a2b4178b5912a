"""The stages of customers through time, read from the database: what was, and what followed.

Customers are told apart by number: their places in a list of ids.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np

from app.days import from_micros
from app.deployment import Deployment
from app.lifecycle import history
from app.lifecycle.dated import Ints
from app.lifecycle.facts import Summary
from app.lifecycle.history import History
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.instants import Customers, Override, PolicyPeriod
from app.lifecycle.purchases import SetOff
from app.lifecycle.records import Purchases
from app.lifecycle.steps import Worth
from app.lifecycle.summary_columns import NEVER, PointColumns, SummaryColumns
from app.postgres.db import ReadSession
from app.services.common import threads
from app.services.customer_base import purchase_facts, purchase_folds, rule_facts
from app.services.customer_base.purchase_folds import Folded, Folding
from app.services.policies.policies import PolicyTimeline
from app.services.stages import rule_records
from app.services.stages.resume_points import ResumePoints
from app.services.stages.rule_records import Timelines


async def fold(
    session: ReadSession,
    timeline: PolicyTimeline,
    customer_ids: Sequence[str],
    until: Ints,
    *,
    netted: bool = False,
) -> Folding:
    """Fold all facts of customers by each silence that some policy allows."""
    limits = list(dict.fromkeys(policy.inactivity_limit for policy in timeline.policies))
    worth = any(policy.follows_transactions for policy in timeline.policies)
    return await purchase_folds.fold_by(
        session, limits, customer_ids, until, worth=worth, netted=netted
    )


async def trace(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    customer_ids: Sequence[str],
    resumed: ResumePoints,
    folding: Folding,
    until: Ints,
    overridden: Mapping[str, Sequence[Override]],
    purchases: Mapping[int, Purchases] = MappingProxyType({}),
) -> History:
    """Follow the stages of customers up to an instant each, by the folding of all not resumed.

    Of some, what windows look at of all their `purchases` is known.
    """
    anew = _others(len(customer_ids), resumed.owners)
    since, begun_at = np.full((2, len(customer_ids)), NEVER)
    since[resumed.owners], begun_at[resumed.owners] = resumed.since, resumed.begun_at
    first_seen = await _first_seen(
        session, timeline, [customer_ids[owner] for owner in anew.tolist()], overridden
    )
    for owner in anew.tolist() if first_seen else ():
        begun_at[owner] = first_seen.get(customer_ids[owner], NEVER)
    worth = [resumed.worth.of_owners(resumed.owners), folding.worth.of_owners(anew)]
    followed = {
        limit: Timelines(
            customer_ids,
            PointColumns.join(
                [
                    resumed.points.get(limit, PointColumns.of([])).of_owners(resumed.owners),
                    found.points.of_owners(anew),
                ]
            ),
            Worth.join(worth),
            since,
            begun_at,
        )
        for limit, found in folding.by_limit.items()
    }
    latest = deployment.as_of(from_micros(until.max()))
    records = await rule_records.through_time(
        session, deployment, timeline.policies, followed, latest, purchases
    )
    periods = [
        PolicyPeriod(
            policy, own, start, deployment.calendar.day_of(from_micros(start)) if number else 0
        )
        for number, (policy, own, start) in enumerate(
            zip(timeline.policies, records, timeline.starts, strict=True)
        )
    ]
    customers = await _customers(
        session, deployment, customer_ids, since != NEVER, until, overridden
    )
    return history.trace(periods, customers, deployment.calendar.starts)


async def _customers(
    session: ReadSession,
    deployment: Deployment,
    customer_ids: Sequence[str],
    known: np.ndarray[tuple[int], np.dtype[np.bool_]],
    until: Ints,
    overridden: Mapping[str, Sequence[Override]],
) -> Customers:
    """Say whose history is asked for, with their overrides and what was bought since these."""
    ends, place = np.unique(until, return_inverse=True)
    days = [deployment.calendar.day_of(from_micros(end)) for end in ends.tolist()]
    numbers = {
        customer_id: number
        for number, customer_id in enumerate(customer_ids if overridden else ())
        if overridden.get(customer_id)
    }
    decided = {
        customer_id: min(override.at for override in overridden[customer_id])
        for customer_id in numbers
    }
    bought = await purchase_facts.purchase_instants(session, decided) if decided else {}
    return Customers(
        until=until,
        until_day=np.array(days, dtype=np.int64)[place],
        known=known,
        overrides={number: overridden[customer_id] for customer_id, number in numbers.items()},
        purchases={numbers[customer_id]: own for customer_id, own in bought.items()},
    )


async def _first_seen(
    session: ReadSession,
    timeline: PolicyTimeline,
    customer_ids: Sequence[str],
    overridden: Collection[str],
) -> dict[str, int]:
    """Return since when customers are known, where the stage before a purchase matters."""
    if timeline.is_plain and len(timeline.policies) == 1:
        customer_ids = [customer_id for customer_id in customer_ids if customer_id in overridden]
    return await rule_facts.first_seen(session, customer_ids) if customer_ids else {}


@dataclass(frozen=True, slots=True)
class Derived:
    """What follows from the facts of customers, up to an instant each."""

    summaries: SummaryColumns
    set_off: dict[str, SetOff]
    """What refunds take back of those whose facts were read."""
    history: History


class FoldedByDays(Protocol):
    """A customer whose facts need not be read, since the days of the purchases are known."""

    def __len__(self) -> int:
        """Return how many days those are."""
        ...

    def folded(self, limit: InactivityLimit) -> tuple[Summary, PointColumns]:
        """Return what all facts fold to."""
        ...

    @property
    def worth(self) -> Worth:
        """What the purchases are worth through time, if any rule looks at that."""
        ...

    @property
    def purchases(self) -> Purchases | None:
        """What windows look at."""
        ...


async def derive(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    customer_ids: Sequence[str],
    resumed: ResumePoints,
    until: Ints,
    overridden: Mapping[str, Sequence[Override]],
    by_days: Mapping[int, FoldedByDays] = MappingProxyType({}),
) -> Derived:
    """Derive what is kept of customers: of all from their facts, but for two kinds of them.

    Those who are gone on with, and those whose days are known, by number.
    """
    anew = _others(len(customer_ids), resumed.owners)
    told = {number: one for number, one in by_days.items() if number in set(anew.tolist())}
    read = anew[~np.isin(anew, list(told))]
    others = [customer_ids[owner] for owner in read.tolist()]
    folding = await fold(session, timeline, others, until[read], netted=True)
    set_off = {
        customer_id: folding.set_off.get(number, SetOff([]))
        for number, customer_id in enumerate(others)
    }
    if told:
        folding = await threads.compute(
            sum(map(len, told.values())),
            _beside,
            folding,
            np.searchsorted(anew, read),
            {int(np.searchsorted(anew, number)): one for number, one in told.items()},
        )
    purchases = {number: one.purchases for number, one in by_days.items() if one.purchases}
    found = await trace(
        session, deployment, timeline, customer_ids, resumed, folding, until, overridden, purchases
    )
    folded = folding.by_limit[timeline.current.inactivity_limit].summaries
    place = np.argsort(np.concatenate([resumed.owners, anew]))
    return Derived(SummaryColumns.join([resumed.summaries, folded]).take(place), set_off, found)


def _beside(folding: Folding, read: Ints, by_days: Mapping[int, FoldedByDays]) -> Folding:
    """Return a folding of the customers numbered `read`, and of those whose days are known."""
    owners = np.array(list(by_days), dtype=np.int64)
    by_limit = {}
    for limit, folded in folding.by_limit.items():
        days = [one.folded(limit) for one in by_days.values()]
        summaries = SummaryColumns.join(
            [folded.summaries, SummaryColumns.of([summary for summary, _ in days])]
        )
        points = [own.of_owners(owners[place : place + 1]) for place, (_, own) in enumerate(days)]
        by_limit[limit] = Folded(
            summaries.take(np.argsort(np.concatenate([read, owners]))),
            PointColumns.join([folded.points.of_owners(read), *points]),
        )
    set_off = {int(read[place]): own for place, own in folding.set_off.items()}
    worth = [one.worth.of_owners(np.array([number])) for number, one in by_days.items()]
    return Folding(by_limit, Worth.join([folding.worth.of_owners(read), *worth]), set_off)


def _others(customers: int, owners: Ints) -> Ints:
    """Return the numbers of all other customers."""
    others = np.ones(customers, np.bool_)
    others[owners] = False
    return np.flatnonzero(others)
