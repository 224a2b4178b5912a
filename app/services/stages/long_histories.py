"""Facts of long histories that do not come in order: gone on with by days, without a fact read.

What is proven here to follow from the days on which purchases were made costs by what lies after
the earliest change; for the rest, the caller folds all facts.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.days import from_micros, to_day, to_micros
from app.db import WriteSession
from app.deployment import Deployment
from app.lifecycle.facts import EMPTY, Point, Summary
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.purchase_days import PurchaseDays, fold_days
from app.lifecycle.purchases import Fact
from app.services.customer_base import named_refunds, purchase_days
from app.services.customer_base.purchase_summaries import Folded
from app.services.policies.policies import PolicyTimeline
from app.services.stages.new_facts import NewFacts
from app.services.stages.tracing import ResumePoint


@dataclass(frozen=True, slots=True)
class LongHistory:
    """The purchase days of a customer, as they are now, and from when on they are others."""

    days: PurchaseDays
    counted: Summary
    changed_from: int

    def folded(self, limit: InactivityLimit) -> Folded:
        """Return what all facts fold to."""
        return Folded(*fold_days(self.days, self.counted, limit))

    def resumed(self, deployment: Deployment, limit: InactivityLimit) -> ResumePoint | None:
        """Go on from the state before the earliest change; None where there was no purchase yet."""
        since = self.changed_from - 1
        if self.days.begun > since:
            return None
        summary, points = fold_days(self.days, self.counted, limit, since=since)
        day = deployment.calendar.day_of(from_micros(since))
        start = Point(since, day, points[0].state)
        return ResumePoint(Folded(summary, [start, *points[1:]]), since)


@dataclass(frozen=True, slots=True)
class DaysWritten:
    """Whose days a write leaves to be added to or made anew, and whose are up to date."""

    in_order: Mapping[str, NewFacts] = field(default_factory=dict)
    outdated: Collection[str] = ()
    known: Mapping[str, LongHistory] = field(default_factory=dict)


async def read(
    session: WriteSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    written: Mapping[str, NewFacts],
    stored: Mapping[str, Summary],
    now: datetime,
) -> dict[str, LongHistory]:
    """Bring the days of customers with long histories up to date; return those that suffice."""
    if any(policy.follows_transactions for policy in timeline.policies):
        return {}
    changed = {
        customer_id: new
        for customer_id, new in written.items()
        if _is_told_by_days(stored.get(customer_id, EMPTY), new, to_micros(now))
    }
    days = {customer_id: new.days for customer_id, new in changed.items()}
    refunded = {
        each: new.facts for each, new in changed.items() if new.refunds or stored[each].refunds
    }
    touched = await named_refunds.save(session, refunded) if refunded else {}
    for customer_id in refunded:
        if customer_id in touched:
            days[customer_id] |= touched[customer_id]
        else:
            del days[customer_id]
    if not days:
        return {}
    await purchase_days.make_some(session, days, now)
    kept = await purchase_days.read(session, deployment.calendar, list(days))
    found = {}
    for customer_id, one in kept.items():
        new, before = changed[customer_id], stored[customer_id]
        facts, refunds = new.count_after(before), before.refunds + new.refunds
        if one.purchases == facts - refunds and one.days.in_order:
            counted = before._replace(
                facts=facts,
                refunds=refunds,
                facts_until=one.facts_until,
                refund_excess=one.refund_excess,
            )
            found[customer_id] = LongHistory(one.days, counted, _earliest(deployment, new))
    return found


def resumed(
    deployment: Deployment,
    timeline: PolicyTimeline,
    known: Mapping[str, LongHistory],
    overridden: Collection[str],
) -> dict[str, ResumePoint]:
    """Go on from before the earliest change with those of whom purchases alone decide."""
    found = {}
    limit = timeline.current.inactivity_limit
    for customer_id, one in known.items() if timeline.is_plain else ():
        limits = timeline.inactivity_limits_since(one.changed_from - 1)
        if customer_id not in overridden and limits == {limit}:
            resumed = one.resumed(deployment, limit)
            if resumed is not None:
                found[customer_id] = resumed
    return found


def _is_told_by_days(before: Summary, new: NewFacts, now: int) -> bool:
    """Whether days may decide what follows: no fact waits for its time, and none else is gone."""
    return (
        purchase_days.is_long(before.facts)
        and purchase_days.is_long(new.count_after(before))
        and not (new.removed and (before.refunds or new.refunds))
        and before.next_fact_at is None
        and before.policy_version > 0
        and (before.facts_until is None or before.facts_until <= now)
        and all(fact.at <= now for fact in new.facts)
    )


def _earliest(deployment: Deployment, new: NewFacts) -> int:
    """Return the instant before which nothing has changed."""
    starts = [to_micros(deployment.calendar.start_of(to_day(day))) for _, day in new.removed]
    return min([fact.at for fact in new.facts] + starts)


async def keep(
    session: WriteSession,
    before: Mapping[str, Summary],
    after: Mapping[str, Summary],
    written: DaysWritten,
) -> None:
    """Keep the days of those whose history is long: added to where facts came in order.

    They are made anew of those who are outdated, and where a fact has begun to count.
    """
    added: dict[str, Sequence[Fact]] = {}
    until: dict[str, int] = {}
    short = []
    for customer_id, summary in after.items():
        former = before.get(customer_id, EMPTY)
        was_long = purchase_days.is_long(former.facts)
        if not purchase_days.is_long(summary.facts) or summary.facts_until is None:
            if was_long or customer_id in written.outdated:
                short.append(customer_id)
        elif customer_id in written.in_order and was_long:
            added[customer_id] = written.in_order[customer_id].facts
        elif customer_id in written.outdated or (
            summary.facts_until != former.facts_until and customer_id not in written.known
        ):
            until[customer_id] = summary.facts_until
    await purchase_days.add(session, added)
    await purchase_days.make(session, until)
    await purchase_days.drop(session, short)
