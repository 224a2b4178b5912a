"""Customers with long histories who are told by the days of their purchases, not by all facts.

Where rules look at money, the facts of some of these days are read, too: see
`app.lifecycle.whole_days`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from app.days import from_micros
from app.deployment import Deployment
from app.lifecycle import whole_days
from app.lifecycle.facts import Summary
from app.lifecycle.history import History
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.money_by_day import Followed, WholeDays
from app.lifecycle.purchase_days import PurchaseDays, fold_days
from app.lifecycle.purchases import Fact
from app.lifecycle.records import Purchases
from app.lifecycle.steps import Worth
from app.lifecycle.summary_columns import NEVER, PointColumns, SummaryColumns
from app.postgres.db import ReadSession
from app.services.common import threads
from app.services.customer_base import money_by_day
from app.services.policies.policies import PolicyTimeline
from app.services.stages.resume_points import ResumePoints


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
        more = await follow_money(session, deployment, timeline, asked)
        kept = {number: one for number, one in self.known.items() if number not in asked}
        return replace(self, known={**kept, **more})


async def follow_money(
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
