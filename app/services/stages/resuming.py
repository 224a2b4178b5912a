"""What was written, and from where customers are followed after it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from app.deployment import Deployment
from app.lifecycle.column_fold import PurchaseColumns
from app.lifecycle.dated import Bools, Ints
from app.lifecycle.fact_columns import FactColumns
from app.lifecycle.summary_columns import NEVER, NO_MORE, SummaryColumns
from app.postgres.db import ReadSession
from app.services.customer_base import refund_allocations
from app.services.customer_base.summary_rows import StoredSummaries
from app.services.policies.policies import PolicyTimeline
from app.services.stages.resume_points import ResumePoints, Standing

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
    voided: Collection[tuple[str, str, str]] = ()
    """Customer, source and id of those of them that nothing took the place of."""


@dataclass(frozen=True, slots=True)
class Change:
    """What was written of a customer besides purchases, each with the first instant that it is of.

    Since `begun_from` it may be new that there is a customer at all; kinds of interactions, and
    cells of the profile, have nothing new before their instants.
    """

    begun_from: int | None
    kinds: Mapping[str, int] = field(default_factory=dict)
    cells: Mapping[str, int] = field(default_factory=dict)

    def first(self, timeline: PolicyTimeline) -> int | None:
        """Return the instant before which nothing is new to rules, None if they see nothing."""
        kinds, cells = timeline.kinds, timeline.cells
        seen = [at for kind, at in self.kinds.items() if kinds is None or kind in kinds]
        seen += [at for cell, at in self.cells.items() if cell in cells]
        if seen and self.begun_from is not None:
            seen.append(self.begun_from)
        return min(seen, default=None)


@dataclass(frozen=True, slots=True)
class Start:
    """Who goes on from a state instead of from the first fact, and what was bought since then.

    `standing` says the state of each; of the others it says nothing.
    """

    going_on: Bools
    standing: Standing
    bought: PurchaseColumns

    @classmethod
    def anew(cls, customers: int) -> "Start":
        """Begin with the first fact of everybody."""
        nobody = np.zeros(customers, np.bool_)
        return cls(nobody, Standing.of(SummaryColumns.empty(customers)), PurchaseColumns.none())

    def resume(self, deployment: Deployment, timeline: PolicyTimeline) -> ResumePoints:
        """Return where those who go on begin, brought up to their last purchase."""
        owners = np.flatnonzero(self.going_on)
        number = np.cumsum(self.going_on) - 1
        own = self.bought.take(self.going_on[self.bought.owner])
        bought = PurchaseColumns(number[own.owner], own.at, own.day, own.value)
        return ResumePoints.of(deployment, timeline, owners, self.standing.take(owners), bought)


def holds_at(kept: StoredSummaries, at: int) -> Bools:
    """Say whose summary is what the facts up to an instant amount to."""
    found: Bools = (kept.summaries.facts_until <= at) & (at < kept.summaries.next_fact_at)
    return found


def can_extend(kept: StoredSummaries, new: NewFacts, now: int) -> tuple[Bools, Ints]:
    """Say whose summaries can be added to, and the first instant of what is new of each.

    All that is new has to lie behind all that is old. What was refunded is not touched by purchases
    that are later than all refunds, unless one is named by a refund that waits for it, see
    `awaited`, or is of nothing.
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
    return found, first


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
