"""The stages of customers through time, read from the database: what was, and what followed.

Customers are told apart by number: their places in a list of ids.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.days import from_micros
from app.db import ReadSession
from app.deployment import Deployment
from app.lifecycle import column_fold, column_money, history
from app.lifecycle.column_fold import PurchaseColumns
from app.lifecycle.dated import Ints
from app.lifecycle.history import History
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.instants import Customers, Override, PolicyPeriod
from app.lifecycle.purchases import SetOff
from app.lifecycle.records import Columns
from app.lifecycle.steps import Worth
from app.lifecycle.summary_columns import NEVER, PointColumns, SummaryColumns
from app.services.customer_base import purchase_facts, purchase_folds, rule_facts
from app.services.customer_base.purchase_folds import Folding
from app.services.policies.policies import PolicyTimeline
from app.services.stages import rule_records
from app.services.stages.rule_records import Timelines


@dataclass(frozen=True)
class ResumePoints:
    """The customers at places `owners`, who go on from a state at an instant each.

    That is `since`; `NEVER` for those of whom there was nothing before, of whom `begun_at` may say
    since when they are known. `points`, by the silence that ends a life, and `worth` are numbered
    as `owners` are: what held at the instant, and what followed.
    """

    owners: Ints
    since: Ints
    begun_at: Ints
    summaries: SummaryColumns
    points: Mapping[InactivityLimit, PointColumns]
    worth: Worth

    @classmethod
    def of(
        cls,
        deployment: Deployment,
        timeline: PolicyTimeline,
        owners: Ints,
        start: "Standing",
        bought: PurchaseColumns,
    ) -> "ResumePoints":
        """Go on from where customers stand with the purchases since, none of them earlier."""
        before, since = start.before, start.since
        begun = np.flatnonzero(since != NEVER)
        day = deployment.calendar.days(since[begun])

        def points_from(states: Columns, followed: PointColumns) -> PointColumns:
            first = PointColumns(begun, since[begun], day, states.take(begun))
            return PointColumns.join([first, followed])

        limit = timeline.current.inactivity_limit
        after, added = column_fold.extend(before, bought, limit)
        points = {limit: points_from(before.states, added)}
        for other in {policy.inactivity_limit for policy in timeline.policies} - {limit}:
            points[other] = points[limit]
            if other in start.lives:
                own = replace(before, states=start.lives[other])
                added = column_fold.extend(own, bought, other)[1]
                points[other] = points_from(own.states, added)
        worth = Worth.none()
        if any(policy.follows_transactions for policy in timeline.policies):
            stood = column_money.standing(before, begun, since[begun])
            worth = Worth.join([stood, column_money.follow(before, bought)])
        return cls(owners, since, start.begun_at, after, points, worth)

    @classmethod
    def none(cls) -> "ResumePoints":
        zero = np.zeros(0, np.int64)
        return cls(zero, zero, zero, SummaryColumns.empty(0), {}, Worth.none())


@dataclass(frozen=True)
class Standing:
    """What is known of customers at an instant each, `since`, or `NEVER` if nothing is.

    `lives` are the states of `before` by other silences than the one by which those count lives,
    where they may differ. `begun_at` says since when those without an instant are known.
    """

    before: SummaryColumns
    since: Ints
    lives: Mapping[InactivityLimit, Columns]
    begun_at: Ints

    @classmethod
    def of(cls, before: SummaryColumns) -> "Standing":
        """Say what is known of customers where their summaries stand."""
        return cls(before, before.facts_until, {}, np.full(len(before), NEVER))

    def take(self, rows: Ints) -> "Standing":
        lives = {limit: states.take(rows) for limit, states in self.lives.items()}
        return Standing(self.before.take(rows), self.since[rows], lives, self.begun_at[rows])


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
) -> History:
    """Follow the stages of customers up to an instant each, by the folding of all not resumed."""
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
        session, deployment, timeline.policies, followed, latest
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
    """What refunds take back; those who are gone on with have none, and are not in it."""
    history: History


async def derive(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    customer_ids: Sequence[str],
    resumed: ResumePoints,
    until: Ints,
    overridden: Mapping[str, Sequence[Override]],
) -> Derived:
    """Derive what is kept of customers, of all but those who are gone on with from all facts."""
    anew = _others(len(customer_ids), resumed.owners)
    others = [customer_ids[owner] for owner in anew.tolist()]
    folding = await fold(session, timeline, others, until[anew], netted=True)
    found = await trace(
        session, deployment, timeline, customer_ids, resumed, folding, until, overridden
    )
    folded = folding.by_limit[timeline.current.inactivity_limit].summaries
    place = np.argsort(np.concatenate([resumed.owners, anew]))
    return Derived(
        SummaryColumns.join([resumed.summaries, folded]).take(place),
        {
            customer_id: folding.set_off.get(number, SetOff([]))
            for number, customer_id in enumerate(others)
        },
        found,
    )


def _others(customers: int, owners: Ints) -> Ints:
    """Return the numbers of all other customers."""
    others = np.ones(customers, np.bool_)
    others[owners] = False
    return np.flatnonzero(others)
