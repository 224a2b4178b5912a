"""Facts of long histories that do not come in order: gone on with by days, without a fact read.

What is proven here to follow from the days on which purchases were made costs by what lies after
the earliest change; for the rest, the caller folds all facts.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from app.days import to_day, to_micros
from app.deployment import Deployment
from app.lifecycle import whole_days
from app.lifecycle.dated import Bools, Ints
from app.lifecycle.facts import Summary
from app.lifecycle.purchases import Fact, Key
from app.postgres.db import ReadSession, WriteSession
from app.services.customer_base import late_refunds, purchase_days
from app.services.customer_base.summary_rows import StoredSummaries
from app.services.policies.policies import PolicyTimeline
from app.services.stages.resuming import NewFacts, Removed
from app.services.stages.told_by_days import DaysWritten, LongHistory, follow_money


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose new facts are all purchases behind the old ones, and who of them goes on from there.

    Who is `overridden` is followed from the first day.
    """

    in_order: Bools
    going_on: Bools
    overridden: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class _Change:
    """What was written of a customer, and what was kept before."""

    before: Summary
    facts: Sequence[Fact]
    removed: Sequence[Removed]
    voided: Sequence[Key]

    @property
    def count(self) -> int:
        """Return how many facts there are now."""
        return self.before.facts + len(self.facts) - len(self.removed)

    @property
    def refunds(self) -> int:
        """Return how many of them are refunds."""
        gone = sum(kind == "refund" for kind, _ in self.removed)
        return self.before.refunds - gone + sum(fact.refunds is not None for fact in self.facts)

    @property
    def days(self) -> set[int]:
        """Return the days on which purchases are new, or facts are no longer there."""
        bought = {fact.day for fact in self.facts if fact.refunds is None}
        return bought | {to_day(day) for _, day in self.removed}

    def is_told_by_days(self, timeline: PolicyTimeline, now: int) -> bool:
        """Whether days may decide: no fact waits for its time.

        What refunds leave of lines and channels is told by all facts alone.
        """
        return (
            purchase_days.is_long(self.count)
            and not ((self.refunds or self.before.refunds) and whole_days.by_line(timeline.terms))
            and self.before.next_fact_at is None
            and self.before.policy_version > 0
            and (self.before.facts_until is None or self.before.facts_until <= now)
            and all(fact.at <= now for fact in self.facts)
        )

    def first(self, deployment: Deployment) -> int:
        """Return the first instant of which anything may have changed."""
        starts = [to_micros(deployment.calendar.start_of(to_day(day))) for _, day in self.removed]
        return min([fact.at for fact in self.facts] + starts)

    def since(self, deployment: Deployment) -> int:
        """Return the last instant up to which all was recorded, and nothing has changed."""
        before, until = self.first(deployment) - 1, self.before.facts_until
        return before if until is None else min(before, until)


async def read(
    session: WriteSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    kept: StoredSummaries,
    new: NewFacts,
    asked: Asked,
    now: datetime,
) -> DaysWritten:
    """Bring the days of customers with long histories up to date; say whose suffice."""
    long = np.flatnonzero(kept.summaries.facts >= purchase_days.LONG_HISTORY)
    if not len(long):
        return DaysWritten(outdated=True)
    ids = new.facts.customer_ids
    facts = new.facts.take_owners(long)
    changed = {}
    late = long[~asked.going_on[long] & kept.exact[long]]
    for number, before in zip(late.tolist(), kept.summaries.take(late).summaries(), strict=True):
        removed = new.replaced.get(ids[number], ())
        voided = [name[1:] for name in new.voided if name[0] == ids[number]]
        change = _Change(before, facts[number], removed, voided)
        if change.is_told_by_days(timeline, to_micros(now)):
            changed[number] = change
    known = await _known(session, deployment, ids, changed, now) if changed else {}
    resumed = {
        number: replace(
            one, resumes=one.days.begun <= one.since and one.customer_id not in asked.overridden
        )
        for number, one in known.items()
    }
    # The days of those who were looked at have been made anew.
    in_order = {
        number: facts[number]
        for number in long[asked.in_order[long]].tolist()
        if number not in changed
    }
    return DaysWritten(
        await follow_money(session, deployment, timeline, resumed), in_order, outdated=True
    )


async def unchanged(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    kept: StoredSummaries,
    customer_ids: Sequence[str],
    first: Ints,
    asked: Asked,
    now: datetime,
) -> DaysWritten:
    """Say whose days suffice where something else than purchases is new from an instant on."""
    long = np.flatnonzero(kept.summaries.facts >= purchase_days.LONG_HISTORY)
    late = long[~asked.going_on[long] & kept.exact[long]]
    changed = {
        customer_ids[number]: (number, before, min(int(first[number]) - 1, before.facts_until))
        for number, before in zip(late.tolist(), kept.summaries.take(late).summaries(), strict=True)
        if before.facts_until is not None
        and _Change(before, (), (), ()).is_told_by_days(timeline, to_micros(now))
    }
    if not changed:
        return DaysWritten()
    known = {}
    days = await purchase_days.read(session, deployment.calendar, list(changed))
    for customer_id, one in days.items():
        number, before, since = changed[customer_id]
        if one.purchases == before.facts - before.refunds and one.days.in_order:
            resumes = one.days.begun <= since and customer_id not in asked.overridden
            known[number] = LongHistory(customer_id, one.days, before, since, resumes)
    return DaysWritten(await follow_money(session, deployment, timeline, known))


async def _known(
    session: WriteSession,
    deployment: Deployment,
    customer_ids: Sequence[str],
    changes: Mapping[int, _Change],
    now: datetime,
) -> dict[int, LongHistory]:
    changed = {customer_ids[number]: (number, change) for number, change in changes.items()}
    days = {customer_id: change.days for customer_id, (_, change) in changed.items()}
    refunded = {
        each: late_refunds.Change(
            change.facts,
            change.voided,
            bool(change.removed),
            change.first(deployment),
            change.refunds,
        )
        for each, (_, change) in changed.items()
        if change.refunds or change.before.refunds
    }
    touched = await late_refunds.save(session, refunded) if refunded else {}
    for customer_id in refunded:
        if customer_id in touched:
            days[customer_id] |= touched[customer_id]
        else:
            del days[customer_id]
    if not days:
        return {}
    await purchase_days.make_some(session, deployment.calendar, days, now)
    found = {}
    for customer_id, one in (
        await purchase_days.read(session, deployment.calendar, list(days))
    ).items():
        number, change = changed[customer_id]
        if one.purchases == change.count - change.refunds and one.days.in_order:
            counted = change.before._replace(
                facts=change.count,
                refunds=change.refunds,
                facts_until=one.facts_until,
                refund_excess=one.refund_excess,
            )
            since = change.since(deployment)
            found[number] = LongHistory(customer_id, one.days, counted, since, resumes=False)
    return found
