"""The one door through which stages change: facts in, summary, ledger and stage out.

The caller has locked the customers (`customers.lock_or_create`), so nobody else writes them; what
is read here is read in a later statement and is therefore the newest.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import numpy as np

from app.days import to_micros
from app.deployment import Deployment
from app.lifecycle.column_fold import PurchaseColumns
from app.lifecycle.instants import Override
from app.lifecycle.summary_columns import NEVER, NO_MORE
from app.postgres.db import ReadSession, WriteSession
from app.services.common import deployment_settings, threads
from app.services.customer_base import (
    interaction_counts,
    purchase_summaries,
    refund_allocations,
    rule_facts,
    summary_rows,
)
from app.services.customer_base.summary_rows import StoredSummaries
from app.services.customers import derived_profiles
from app.services.policies import policies
from app.services.policies.policies import PolicyTimeline
from app.services.stages import (
    kept_days,
    long_histories,
    overrides,
    resuming,
    resumption,
    tracing,
    transitions,
)
from app.services.stages.resume_points import ResumePoints
from app.services.stages.resuming import Change, NewFacts, Start
from app.services.stages.told_by_days import DaysWritten

_NO_DAYS = DaysWritten()


async def settle(
    session: WriteSession, deployment: Deployment, new: NewFacts, now: datetime
) -> None:
    """Make summary, ledger and stage of each customer exact after purchases were written."""
    timeline, floor = await _in_force(session)
    ids = list(new.facts.customer_ids)
    kept = await summary_rows.read(session, ids, created=new.created)
    going_on, first = resuming.can_extend(kept, new, to_micros(now))
    if (kept.summaries.refunds[going_on] > 0).any():
        going_on &= ~await resuming.awaited(session, kept, new)
    # The days that another release has left are made anew, not added to.
    in_order = going_on & (kept.summaries.policy_version > 0)
    going_on, standing = await resumption.find(
        session, timeline, ids, kept, going_on, first, to_micros(now), created=new.created
    )
    overridden = await _overridden(session, deployment, ids, new.created)
    if overridden:
        going_on &= [customer_id not in overridden for customer_id in ids]
    asked = long_histories.Asked(in_order, going_on, overridden)
    days = await long_histories.read(session, deployment, timeline, kept, new, asked, now)
    facts = new.facts
    bought = PurchaseColumns(facts.owner, facts.at, facts.day, facts.value)
    start = Start(going_on, standing, bought)
    await _record(
        session, deployment, timeline, ids, start, kept, now, floor,
        created=new.created, overridden=overridden, days=days,
    )  # fmt: skip


async def _in_force(session: ReadSession) -> tuple[PolicyTimeline, int]:
    """Return which policies were in force, and up to when all that time changes is recorded."""
    pointers = await deployment_settings.pointers(session)
    timeline = await policies.timeline(session, pointers.timeline)
    return timeline, to_micros(datetime.fromisoformat(pointers.recorded_until))


async def _overridden(
    session: ReadSession,
    deployment: Deployment,
    customer_ids: Sequence[str],
    created: Collection[str],
) -> dict[str, list[Override]]:
    new = set(created)
    before = [customer_id for customer_id in customer_ids if customer_id not in new]
    return await overrides.of(session, deployment, before) if before else {}


async def revise(
    session: WriteSession, deployment: Deployment, changes: Mapping[str, Change], now: datetime
) -> None:
    """Make ledger and stage exact after something else than purchases was written.

    Where no rule has ever looked at that, it matters only if there is a customer earlier now.
    """
    timeline, floor = await _in_force(session)
    firsts = {customer_id: own.first(timeline) for customer_id, own in changes.items()}
    unseen = {each: changes[each].begun_from for each, first in firsts.items() if first is None}
    begun = await _begun_anew(session, timeline, unseen) if unseen else set()
    ids = [each for each, first in firsts.items() if first is not None or each in begun]
    if not ids:
        return
    kept = await summary_rows.read(session, ids)
    first = np.array([NEVER if (at := firsts[each]) is None else at for each in ids])
    going_on, standing = await resumption.find(
        session, timeline, ids, kept, resuming.holds_at(kept, to_micros(now)), first, to_micros(now)
    )
    overridden = await _overridden(session, deployment, ids, ())
    if overridden:
        going_on &= [customer_id not in overridden for customer_id in ids]
    asked = long_histories.Asked(going_on, going_on, overridden)
    days = await long_histories.unchanged(
        session, deployment, timeline, kept, ids, first, asked, now
    )
    start = Start(going_on, standing, PurchaseColumns.none())
    await _record(
        session, deployment, timeline, ids, start, kept, now, floor,
        overridden=overridden, days=days,
    )  # fmt: skip


async def _begun_anew(
    session: ReadSession, timeline: PolicyTimeline, since: Mapping[str, int | None]
) -> set[str]:
    """Return the customers who may begin at another instant now, where that matters.

    If purchases alone decide, it does before the policy changed.
    """
    if timeline.is_plain and len(timeline.policies) == 1:
        return set()
    last = timeline.starts[-1] if timeline.is_plain else NO_MORE
    asked = {each: at for each, at in since.items() if at is not None and at <= last}
    first_seen = await rule_facts.first_seen(session, list(asked)) if asked else {}
    # Of whom was heard before the first instant that has changed, was heard before, too.
    return {customer_id for customer_id, at in asked.items() if first_seen[customer_id] >= at}


async def advance(
    session: WriteSession,
    deployment: Deployment,
    customer_ids: Sequence[str],
    now: datetime,
    *,
    invalid_from: datetime | None = None,
    rewrite: bool = False,
) -> int:
    """Bring customers up to `now` when no fact was written; return how many transitions it took.

    What was recorded from `invalid_from` on is looked at anew, too; with `rewrite` stages are
    written also of those without a transition.
    """
    timeline, floor = await _in_force(session)
    ids = list(customer_ids)
    kept = await summary_rows.read(session, ids)
    first = np.full(len(ids), NO_MORE)
    if invalid_from is not None:
        first[:] = to_micros(invalid_from) - 1
    going_on, standing = await resumption.find(
        session, timeline, ids, kept, resuming.holds_at(kept, to_micros(now)), first, to_micros(now)
    )
    start = Start(going_on, standing, PurchaseColumns.none())
    return await _record(
        session, deployment, timeline, ids, start, kept, now, floor, rewrite=rewrite
    )


async def rebuild(
    session: WriteSession, deployment: Deployment, customer_ids: Sequence[str], now: datetime
) -> None:
    """Make what is kept of customers say what all their facts say, whatever it says now."""
    await interaction_counts.keep(session, customer_ids)
    await derived_profiles.rewrite(session, deployment, customer_ids)
    timeline, floor = await _in_force(session)
    ids = list(customer_ids)
    kept = await summary_rows.read(session, ids)
    start = Start.anew(len(ids))
    days = DaysWritten(outdated=True, all_of_them=True)
    await _record(
        session, deployment, timeline, ids, start, kept, now, floor, days=days, rewrite=True
    )


async def confirm(session: WriteSession, customer_ids: Sequence[str]) -> None:
    """Say of what older rules derived for customers, who are locked, that these derive the same.

    Days of long histories are made anew: another release has kept none, or not kept them up.
    """
    await purchase_summaries.confirm(session, customer_ids)
    await kept_days.make(session, customer_ids)


async def _record(
    session: WriteSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    customer_ids: Sequence[str],
    start: Start,
    kept: StoredSummaries,
    now: datetime,
    floor: int,
    *,
    created: Collection[str] = (),
    overridden: Mapping[str, Sequence[Override]] | None = None,
    days: DaysWritten = _NO_DAYS,
    rewrite: bool = False,
) -> int:
    """Follow the customers, keep their summaries, and record the transitions that follow."""
    if not customer_ids:
        return 0
    if overridden is None:
        overridden = await _overridden(session, deployment, customer_ids, created)
    if overridden:
        start.going_on[:] &= [customer_id not in overridden for customer_id in customer_ids]
    going_on = start.resume(deployment, timeline)
    resumed = await _resumed(deployment, timeline, going_on, days)
    since = np.full(len(customer_ids), NEVER)
    since[resumed.owners] = resumed.since
    live = await transitions.live(session, customer_ids, since, created=set(created))
    # What was recorded as having come to pass is not undone, nor left out, by a clock behind.
    until = np.full(len(customer_ids), max(to_micros(now), timeline.starts[-1], floor))
    until = await resumption.told_until(session, timeline, customer_ids, until, created)
    for number, customer_id in enumerate(customer_ids if live or overridden else ()):
        instants = [row.effective_at for row in live.get(customer_id, ())]
        instants += [override.at for override in overridden.get(customer_id, ())]
        until[number] = max([int(until[number]), *instants])
    found = await tracing.derive(
        session, deployment, timeline, customer_ids, resumed, until, overridden, days.known
    )
    while more := await days.told_more(session, deployment, timeline, found.history):
        days, resumed = more, await _resumed(deployment, timeline, going_on, more)
        found = await tracing.derive(
            session, deployment, timeline, customer_ids, resumed, until, overridden, days.known
        )
    refunds = (found.summaries.refunds > 0) | (kept.summaries.refunds > 0)
    with_refunds = [customer_ids[number] for number in np.flatnonzero(refunds).tolist()]
    await refund_allocations.save(
        session, {each: found.set_off[each] for each in with_refunds if each in found.set_off}
    )
    # Of who goes on without a purchase, the summary says what it said.
    changed = kept.summaries.policy_version != timeline.current.version
    changed |= ~start.going_on
    changed[start.bought.owner] = True
    stands = np.flatnonzero(changed & (kept.known | (found.summaries.facts > 0)))
    await summary_rows.save(
        session,
        timeline.current,
        [customer_ids[number] for number in stands.tolist()],
        found.summaries.take(stands),
        known=kept.known[stands],
    )
    await kept_days.keep(session, customer_ids, kept, found.summaries, days)
    return await transitions.record(
        session, customer_ids, found.history, live, since, now, rewrite=rewrite
    )


async def _resumed(
    deployment: Deployment, timeline: PolicyTimeline, going_on: ResumePoints, days: DaysWritten
) -> ResumePoints:
    """Return where all begin who go on, by their summaries or by their days."""
    # Some thousand days are folded one after another where refunds ended some.
    by_days = await threads.compute(
        sum(map(len, days.known.values())), days.resume, deployment, timeline
    )
    return ResumePoints.join([going_on, by_days])
