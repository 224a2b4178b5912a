"""Who goes on from where the summary stands, because all that is new lies behind all that is old.

Everybody else is followed from the first fact.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from app.db import ReadSession
from app.deployment import Deployment
from app.lifecycle.column_fold import PurchaseColumns
from app.lifecycle.dated import Bools
from app.lifecycle.fact_columns import FactColumns
from app.lifecycle.facts import Summary
from app.lifecycle.summary_columns import NEVER, NO_MORE, SummaryColumns
from app.services.customer_base import refund_allocations
from app.services.customer_base.summary_rows import StoredSummaries
from app.services.policies.policies import PolicyTimeline
from app.services.stages.tracing import ResumePoints

Removed = tuple[str, date]
"""Kind and day of a fact that is no longer in force."""


@dataclass(frozen=True, slots=True)
class NewFacts:
    """Facts that were just written, of all customers of whom any was written or taken away.

    `replaced` has what is no longer in force, because a fact took its place or it was voided;
    the customers `created` were made for these facts, so that nothing else is kept of them.
    """

    facts: FactColumns
    replaced: Mapping[str, Sequence[Removed]] = field(default_factory=dict)
    created: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """Who goes on from a state instead of from the first fact, and what was bought since then.

    `before` says the state of each, at its `facts_until`; of the others it says nothing.
    """

    going_on: Bools
    before: SummaryColumns
    bought: PurchaseColumns

    @classmethod
    def anew(cls, customers: int) -> "Start":
        """Begin with the first fact of everybody."""
        nobody = np.zeros(customers, np.bool_)
        return cls(nobody, SummaryColumns.empty(customers), PurchaseColumns.none())

    def resume(self, deployment: Deployment, timeline: PolicyTimeline) -> ResumePoints:
        """Return where those who go on begin, brought up to their last purchase."""
        owners = np.flatnonzero(self.going_on)
        number = np.cumsum(self.going_on) - 1
        own = self.bought.take(self.going_on[self.bought.owner])
        bought = PurchaseColumns(number[own.owner], own.at, own.day, own.value)
        limit = timeline.current.inactivity_limit
        return ResumePoints.of(deployment, owners, self.before.take(owners), bought, limit)


def can_resume(timeline: PolicyTimeline, summary: Summary) -> bool:
    """Whether the state a summary ends with is all that the rules since then look at."""
    if not timeline.is_plain:
        return False
    since = summary.facts_until
    if since is None:
        return len(timeline.policies) == 1
    return timeline.inactivity_limits_since(since) == {
        timeline.inactivity_limit_of(summary.policy_version)
    }


def can_resume_all(timeline: PolicyTimeline, kept: StoredSummaries) -> Bools:
    """Say of many what `can_resume` says of each: it depends on the period and the version."""
    known = kept.summaries
    period = np.searchsorted(timeline.starts, known.facts_until, side="right")
    period[known.facts_until == NEVER] = -1
    kinds = np.stack([period, known.policy_version])
    _, first, kind = np.unique(kinds, axis=1, return_index=True, return_inverse=True)
    can = [can_resume(timeline, one) for one in known.take(first).summaries()]
    found: Bools = kept.exact & np.array(can, dtype=np.bool_)[kind.ravel()]
    return found


def can_extend(timeline: PolicyTimeline, kept: StoredSummaries, new: NewFacts, now: int) -> Bools:
    """Say whose summaries can be added to, because all that is new lies behind all that is old.

    What was refunded is not touched by purchases that are later than all refunds, unless one is
    named by a refund that waits for it, see `awaited`, or is of nothing.
    """
    facts, known, n = new.facts, kept.summaries, len(kept.known)
    first, last = np.full(n, NO_MORE), np.full(n, NEVER)
    np.minimum.at(first, facts.owner, facts.at)
    np.maximum.at(last, facts.owner, facts.at)
    refunds = np.array([named is not None for named in facts.refunds], dtype=np.bool_)
    others = np.zeros(n, np.bool_)
    others[facts.owner[refunds]] = True
    of_nothing = facts.owner[facts.amount == 0]
    others[of_nothing] |= known.refunds[of_nothing] > 0
    if new.replaced:
        others |= np.array([customer_id in new.replaced for customer_id in facts.customer_ids])
    after = np.where(known.refunds > 0, known.facts_until < first, known.facts_until <= first)
    found: Bools = after & (last <= now) & (known.next_fact_at == NO_MORE) & ~others
    if found.any():
        found &= can_resume_all(timeline, kept)
    return found


async def awaited(session: ReadSession, kept: StoredSummaries, new: NewFacts) -> Bools:
    """Say of which customers a refund that waits names what was bought now."""
    facts = new.facts
    owners = np.flatnonzero(kept.summaries.refunds > 0).tolist()
    names = await refund_allocations.awaited(
        session, [facts.customer_ids[owner] for owner in owners]
    )
    found = np.zeros(len(kept.known), np.bool_)
    rows = zip(facts.owner.tolist(), facts.source, facts.fact_id, strict=True)
    for owner, source, fact_id in rows if names else ():
        found[owner] |= (facts.customer_ids[owner], source, fact_id) in names
    return found
