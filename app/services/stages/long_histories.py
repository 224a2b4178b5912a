"""Facts of long histories that do not come in order: gone on with by days, without a fact read.

What is proven here to follow from the days on which purchases were made costs by what lies after
the earliest change; for the rest, the caller folds all facts. Where rules look at money, the facts
of some of these days are read, too: see `app.lifecycle.whole_days`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from app.days import from_micros, to_day, to_micros
from app.deployment import Deployment
from app.lifecycle import whole_days
from app.lifecycle.dated import Bools, Ints
from app.lifecycle.facts import Summary
from app.lifecycle.history import History
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.money_by_day import Followed, WholeDays
from app.lifecycle.purchase_days import PurchaseDays, fold_days
from app.lifecycle.purchases import Fact, Key
from app.lifecycle.records import Purchases
from app.lifecycle.steps import Worth
from app.lifecycle.summary_columns import NEVER, PointColumns, SummaryColumns
from app.postgres.db import ReadSession, WriteSession
from app.services.common import threads
from app.services.customer_base import late_refunds, money_by_day, purchase_days
from app.services.customer_base.summary_rows import StoredSummaries
from app.services.policies.policies import PolicyTimeline
from app.services.stages.resume_points import ResumePoints
from app.services.stages.resuming import NewFacts, Removed


@dataclass(frozen=True, slots=True)
class LongHistory:
    """The purchase days of a customer, as they are now, and up to when nothing of them is new.

    That is `since`, up to which the ledger has certainly been brought, too: who `resumes` is gone
    on with from there. `money` follows what purchases are worth, if any rule looks at that, of
    which it is asked for `each` purchase of some days.
    """

    customer_id: str
    days: PurchaseDays
    counted: Summary
    since: int
    resumes: bool
    each: frozenset[int] = frozenset()
    money: Followed | None = None

    def __len__(self) -> int:
        return len(self.days.day) + len(self.days.turns)

    @property
    def worth(self) -> Worth:
        return Worth.none() if self.money is None else self.money.worth

    @property
    def purchases(self) -> Purchases | None:
        return None if self.money is None else self.money.purchases

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

    def asks(self, timeline: PolicyTimeline) -> money_by_day.Asked:
        """Say what has to be known of the money."""
        return money_by_day.Asked(
            self.since if self.resumes else NEVER,
            self.counted.refunds > 0,
            self.each,
            whole_days.need_facts(timeline.terms),
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose new facts are all purchases behind the old ones, and who of them goes on from there.

    Who is `overridden` is followed from the first day.
    """

    in_order: Bools
    going_on: Bools
    overridden: Collection[str] = ()


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

    def resume(self, deployment: Deployment, timeline: PolicyTimeline) -> ResumePoints:
        """Go on from before the earliest change with those of whom something came before it."""
        resumed = {number: one for number, one in self.known.items() if one.resumes}
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
        worth = [
            one.worth.of_owners(np.array([place])) for place, one in enumerate(resumed.values())
        ]
        return ResumePoints(
            np.array(list(resumed), dtype=np.int64),
            np.array([one.since for one in resumed.values()], dtype=np.int64),
            np.full(len(resumed), NEVER),
            SummaryColumns.of(summaries),
            points,
            Worth.join(worth),
        )

    async def told_more(
        self, session: ReadSession, deployment: Deployment, timeline: PolicyTimeline, found: History
    ) -> "DaysWritten | None":
        """Read the facts of the days whose sums do not tell all of what was found; None if none."""
        parts = {number: one.money.whole for number, one in self.known.items() if one.money}
        undecided = whole_days.undecided(found, WholeDays.join(parts)) if parts else {}
        if not undecided:
            return None
        asked = {
            number: replace(self.known[number], each=self.known[number].each | days)
            for number, days in undecided.items()
        }
        more = await _followed(session, deployment, timeline, asked)
        kept = {number: one for number, one in self.known.items() if number not in asked}
        return replace(self, known={**kept, **more})


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
        await _followed(session, deployment, timeline, resumed), in_order, outdated=True
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
    return DaysWritten(await _followed(session, deployment, timeline, known))


async def _followed(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    known: Mapping[int, LongHistory],
) -> dict[int, LongHistory]:
    """Follow the money of customers, if rules look at it; leave out whose days do not tell it."""
    if not known or not any(policy.follows_transactions for policy in timeline.policies):
        return dict(known)
    asked = {one.customer_id: one.asks(timeline) for one in known.values()}
    told = await money_by_day.read(session, deployment.calendar, asked)
    return {
        number: replace(
            one,
            money=await threads.compute(len(one), told[one.customer_id].followed, one.days),
        )
        for number, one in known.items()
        if one.customer_id in told
    }


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
            since = change.since(deployment)
            found[number] = LongHistory(customer_id, one.days, counted, since, resumes=False)
    return found
