"""The stages of customers through time, read from the database: what was, and what followed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from app.days import from_micros
from app.db import ReadSession
from app.deployment import Deployment
from app.lifecycle import history
from app.lifecycle.facts import Summary
from app.lifecycle.history import History
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.instants import Customers, Override, PolicyPeriod
from app.lifecycle.purchases import SetOff
from app.services.customer_base import purchase_facts, purchase_summaries, rule_facts
from app.services.customer_base.purchase_summaries import Folded
from app.services.policies.policies import PolicyTimeline
from app.services.stages import rule_records
from app.services.stages.rule_records import CustomerTimeline


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """A folding, and where it begins: None for the whole history."""

    folded: Folded
    since: int | None


async def fold(
    session: ReadSession,
    timeline: PolicyTimeline,
    until: Mapping[str, int],
    *,
    netted: bool = False,
) -> dict[InactivityLimit, dict[str, Folded]]:
    """Fold all facts of customers by each silence that some policy allows."""
    limits = list(dict.fromkeys(policy.inactivity_limit for policy in timeline.policies))
    worth = any(policy.follows_transactions for policy in timeline.policies)
    return await purchase_summaries.fold_by(session, limits, until, worth=worth, netted=netted)


async def trace(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    customer_ids: Sequence[str],
    resumed: Mapping[str, ResumePoint],
    folded: Mapping[InactivityLimit, Mapping[str, Folded]],
    until: Mapping[str, int],
    overridden: Mapping[str, Sequence[Override]],
) -> History:
    """Follow the stages of customers up to an instant each."""
    anew = [customer_id for customer_id in customer_ids if customer_id not in resumed]
    first_seen = await _first_seen(session, timeline, anew, overridden)
    followed = {
        limit: [
            CustomerTimeline(customer_id, resumed[customer_id].folded.points, (), None)
            if customer_id in resumed
            else CustomerTimeline(
                customer_id,
                found[customer_id].points,
                found[customer_id].worth,
                first_seen.get(customer_id),
            )
            for customer_id in customer_ids
        ]
        for limit, found in folded.items()
    }
    numbers = {customer_id: number for number, customer_id in enumerate(customer_ids)}
    decided = {
        customer_id: min(override.at for override in overridden[customer_id])
        for customer_id in customer_ids
        if overridden.get(customer_id)
    }
    bought = await purchase_facts.purchase_instants(session, decided) if decided else {}
    latest = deployment.as_of(from_micros(max(until.values())))
    found = await rule_records.through_time(
        session, deployment, timeline.policies, followed, latest
    )
    periods = [
        PolicyPeriod(
            policy, own, start, deployment.calendar.day_of(from_micros(start)) if number else 0
        )
        for number, (policy, own, start) in enumerate(
            zip(timeline.policies, found, timeline.starts, strict=True)
        )
    ]
    customers = Customers(
        until=np.array([until[customer_id] for customer_id in customer_ids], dtype=np.int64),
        until_day=np.array(
            [
                deployment.calendar.day_of(from_micros(until[customer_id]))
                for customer_id in customer_ids
            ],
            dtype=np.int64,
        ),
        known=np.array(
            [
                customer_id in resumed and resumed[customer_id].since is not None
                for customer_id in customer_ids
            ]
        ),
        overrides={numbers[customer_id]: overridden[customer_id] for customer_id in decided},
        purchases={numbers[customer_id]: own for customer_id, own in bought.items()},
    )
    return history.trace(periods, customers, deployment.calendar.starts)


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


class FoldedByDays(Protocol):
    """A customer whose facts need not be read, since the days of the purchases are known."""

    def folded(self, limit: InactivityLimit) -> Folded:
        """Return what all facts fold to."""
        ...


@dataclass(frozen=True, slots=True)
class Derived:
    """What follows from the facts of customers, up to an instant each."""

    summaries: dict[str, Summary]
    set_off: dict[str, SetOff]
    """What refunds take back of those whose facts were read."""
    history: History


async def derive(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    resumed: Mapping[str, ResumePoint],
    until: Mapping[str, int],
    overridden: Mapping[str, Sequence[Override]],
    by_days: Mapping[str, FoldedByDays],
) -> Derived:
    """Derive what is kept of customers: of all from their facts, but for two kinds of them.

    Those who are gone on with, and those whose days are known.
    """
    others = {
        customer_id: instant
        for customer_id, instant in until.items()
        if customer_id not in resumed and customer_id not in by_days
    }
    folded = await fold(session, timeline, others, netted=True)
    for limit, found_by_limit in folded.items():
        found_by_limit |= {
            each: one.folded(limit) for each, one in by_days.items() if each not in resumed
        }
    anew = folded[timeline.current.inactivity_limit]
    found = await trace(
        session, deployment, timeline, list(until), resumed, folded, until, overridden
    )
    kept = {customer_id: one.folded.summary for customer_id, one in resumed.items()}
    return Derived(
        kept | {customer_id: one.summary for customer_id, one in anew.items()},
        {customer_id: anew[customer_id].netted or SetOff([]) for customer_id in others},
        found,
    )
