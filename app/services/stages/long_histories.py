"""Facts of long histories that do not come in order: gone on with by days, without a fact read.

What is proven here to follow from the days on which purchases were made costs by what lies after
the earliest change; for the rest, the caller folds all facts.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from app.days import from_micros, to_day, to_micros
from app.deployment import Deployment
from app.lifecycle.dated import Bools
from app.lifecycle.facts import Summary
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.purchase_days import PurchaseDays, fold_days
from app.lifecycle.purchases import Fact, Key
from app.lifecycle.steps import Worth
from app.lifecycle.summary_columns import NEVER, PointColumns, SummaryColumns
from app.postgres.db import WriteSession
from app.services.customer_base import late_refunds, purchase_days, summary_rows
from app.services.customer_base.summary_rows import StoredSummaries
from app.services.policies.policies import PolicyTimeline
from app.services.stages.resume_points import ResumePoints
from app.services.stages.resuming import NewFacts, Removed


@dataclass(frozen=True, slots=True)
class LongHistory:
    """The purchase days of a customer, as they are now, and up to when nothing of them is new.

    That is `since`, up to which the ledger has certainly been brought, too.
    """

    days: PurchaseDays
    counted: Summary
    since: int

    def __len__(self) -> int:
        return len(self.days.day) + len(self.days.turns)

    def folded(self, limit: InactivityLimit) -> tuple[Summary, PointColumns]:
        """Return what all facts fold to."""
        return fold_days(self.days, self.counted, limit)

    def resumed(
        self, deployment: Deployment, limit: InactivityLimit
    ) -> tuple[Summary, PointColumns]:
        """Go on from the state at `since`."""
        summary, points = fold_days(self.days, self.counted, limit, since=self.since)
        at, day = points.at.copy(), points.day.copy()
        at[0], day[0] = self.since, deployment.calendar.day_of(from_micros(self.since))
        return summary, PointColumns(points.owner, at, day, points.states)


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose new facts are all purchases behind the old ones, and who of them goes on from there."""

    in_order: Bools
    going_on: Bools


@dataclass(frozen=True, slots=True)
class DaysWritten:
    """Customers with long histories, by number: whose days are `known`, and who has new purchases.

    Those are `in_order`; everybody else's days are `outdated` if facts were written.
    """

    known: Mapping[int, LongHistory] = field(default_factory=dict)
    in_order: Mapping[int, Sequence[Fact]] = field(default_factory=dict)
    outdated: bool = False
    all_of_them: bool = False
    """Also of who has no long history, and should have no days."""

    def resume(
        self, deployment: Deployment, timeline: PolicyTimeline, overridden: Collection[int]
    ) -> ResumePoints:
        """Go on from before the earliest change with those of whom purchases alone decide."""
        resumed = {
            number: one
            for number, one in self.known.items()
            if timeline.is_plain and number not in overridden and one.days.begun <= one.since
        }
        if not resumed:
            return ResumePoints.none()
        summaries, points = list[Summary](), dict[InactivityLimit, PointColumns]()
        for limit in {policy.inactivity_limit for policy in timeline.policies}:
            own = [one.resumed(deployment, limit) for one in resumed.values()]
            points[limit] = PointColumns.join(
                [each.of_owners(np.array([place])) for place, (_, each) in enumerate(own)]
            )
            if limit == timeline.current.inactivity_limit:
                summaries = [summary for summary, _ in own]
        return ResumePoints(
            np.array(list(resumed), dtype=np.int64),
            np.array([one.since for one in resumed.values()], dtype=np.int64),
            np.full(len(resumed), NEVER),
            SummaryColumns.of(summaries),
            points,
            Worth.none(),
        )


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

    def is_told_by_days(self, now: int) -> bool:
        """Whether days may decide: no fact waits for its time."""
        return (
            purchase_days.is_long(self.count)
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
    if not any(policy.follows_transactions for policy in timeline.policies):
        late = long[~asked.going_on[long] & kept.exact[long]]
        for number, before in zip(
            late.tolist(), kept.summaries.take(late).summaries(), strict=True
        ):
            removed = new.replaced.get(ids[number], ())
            voided = [name[1:] for name in new.voided if name[0] == ids[number]]
            change = _Change(before, facts[number], removed, voided)
            if change.is_told_by_days(to_micros(now)):
                changed[ids[number]] = number, change
    known = await _known(session, deployment, changed, now) if changed else {}
    # The days of those who were looked at have been made anew.
    looked_at = {number for number, _ in changed.values()}
    in_order = {
        number: facts[number]
        for number in long[asked.in_order[long]].tolist()
        if number not in looked_at
    }
    return DaysWritten(known, in_order, outdated=True)


async def _known(
    session: WriteSession,
    deployment: Deployment,
    changed: Mapping[str, tuple[int, _Change]],
    now: datetime,
) -> dict[int, LongHistory]:
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
    await purchase_days.make_some(session, days, now)
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
            found[number] = LongHistory(one.days, counted, change.since(deployment))
    return found


async def keep(
    session: WriteSession,
    customer_ids: Sequence[str],
    before: StoredSummaries,
    after: SummaryColumns,
    written: DaysWritten,
) -> None:
    """Keep the days of those whose history is long: added to where facts came in order.

    They are made anew of those who are outdated or were last written by another release, which may
    not have kept them, and where a fact has begun to count.
    """
    was_long = before.summaries.facts >= purchase_days.LONG_HISTORY
    is_long = (after.facts >= purchase_days.LONG_HISTORY) & (after.facts_until != NEVER)
    counts_more = after.facts_until != before.summaries.facts_until
    of_another_release = before.known & (before.summaries.policy_version == 0)
    outdated = counts_more | of_another_release | written.outdated
    outdated[list(written.known)] = False
    added = {}
    for number, facts in written.in_order.items():
        added[customer_ids[number]] = facts
        outdated[number] = False
    short = ~is_long & (was_long | of_another_release | written.all_of_them)
    await purchase_days.add(session, added)
    await purchase_days.make(
        session,
        {
            customer_ids[number]: int(after.facts_until[number])
            for number in np.flatnonzero(is_long & outdated).tolist()
        },
    )
    await purchase_days.drop(
        session, [customer_ids[number] for number in np.flatnonzero(short).tolist()]
    )


async def make(session: WriteSession, customer_ids: Sequence[str]) -> None:
    """Make the days of customers, who are locked, anew where their summaries tell of many facts."""
    kept = (await summary_rows.read(session, customer_ids)).summaries
    long = (kept.facts >= purchase_days.LONG_HISTORY) & (kept.facts_until != NEVER)
    until = {customer_ids[row]: int(kept.facts_until[row]) for row in np.flatnonzero(long).tolist()}
    await purchase_days.drop(session, set(customer_ids) - set(until))
    await purchase_days.make(session, until)
