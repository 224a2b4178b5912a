"""The one door through which stages change: facts in, summary, ledger and stage out.

The caller has locked the customers (`customers.lock_or_create`), so nobody else writes them; what
is read here is read in a later statement and is therefore the newest.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from app.days import AsOf, from_micros, to_day, to_micros
from app.db import ReadSession, WriteSession
from app.deployment import Deployment
from app.lifecycle.facts import EMPTY, Point, Summary, extend
from app.lifecycle.history import History
from app.lifecycle.instants import Override
from app.lifecycle.policy import Policy
from app.lifecycle.purchases import Fact
from app.services.customer_base import (
    interaction_counts,
    purchase_summaries,
    refund_allocations,
    rule_facts,
)
from app.services.customer_base.purchase_summaries import Folded
from app.services.customers import derived_profiles
from app.services.policies import policies
from app.services.policies.policies import PolicyTimeline
from app.services.stages import long_histories, overrides, tracing, transitions
from app.services.stages.long_histories import DaysWritten
from app.services.stages.new_facts import NewFacts
from app.services.stages.tracing import ResumePoint

_NO_DAYS = DaysWritten()


async def settle(
    session: WriteSession, deployment: Deployment, written: Mapping[str, NewFacts], now: datetime
) -> None:
    """Make summary, ledger and stage of each customer exact after purchases were written."""
    timeline = await policies.timeline(session)
    stored = await purchase_summaries.stored(session, list(written))
    micros = to_micros(now)
    overridden = await overrides.of(session, deployment, list(written))
    extended = {
        customer_id: _extend(
            deployment, stored.get(customer_id, EMPTY), new.facts, timeline.current
        )
        for customer_id, new in written.items()
        if customer_id not in overridden
        and _can_extend(timeline, stored.get(customer_id, EMPTY), new, micros)
    }
    others = {
        customer_id: new for customer_id, new in written.items() if customer_id not in extended
    }
    long = await long_histories.read(session, deployment, timeline, others, stored, now)
    resumed = long_histories.resumed(deployment, timeline, long, overridden)
    in_order = {customer_id: written[customer_id] for customer_id in extended}
    await _record(
        session, deployment, timeline, list(written), extended | resumed, stored, now,
        overridden=overridden, days=DaysWritten(in_order, others.keys() - long.keys(), long),
    )  # fmt: skip


async def revise(
    session: WriteSession, deployment: Deployment, since: Mapping[str, date | None], now: datetime
) -> None:
    """Make ledger and stage exact after something else than purchases was written.

    It may be new `since` a day that there is a customer at all. Where purchases alone decide,
    that matters if the policy has changed after it.
    """
    timeline = await policies.timeline(session)
    customer_ids = list(since)
    if timeline.is_plain:
        customer_ids = await _begun_anew(session, deployment, timeline, since)
    if customer_ids:
        stored = await purchase_summaries.stored(session, customer_ids)
        await _record(session, deployment, timeline, customer_ids, {}, stored, now)


async def _begun_anew(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    since: Mapping[str, date | None],
) -> list[str]:
    """Return the customers who may begin at another instant now, before the policy changed."""
    if len(timeline.policies) == 1:
        return []
    last = deployment.calendar.day_of(from_micros(timeline.starts[-1]))
    days = {customer_id: to_day(day) for customer_id, day in since.items() if day is not None}
    early = [customer_id for customer_id, day in days.items() if day <= last]
    first_seen = await rule_facts.first_seen(session, early) if early else {}
    # Of whom was heard before the first day that has changed, was heard before, too.
    return [
        customer_id
        for customer_id in early
        if deployment.calendar.day_of(from_micros(first_seen[customer_id])) >= days[customer_id]
    ]


async def advance(
    session: WriteSession,
    deployment: Deployment,
    customer_ids: Sequence[str],
    now: datetime,
    *,
    invalid_from: datetime | None = None,
) -> int:
    """Bring customers up to `now` when no fact was written; return how many transitions it took.

    What was recorded from `invalid_from` on is looked at anew, too.
    """
    doubted = None if invalid_from is None else to_micros(invalid_from)
    timeline = await policies.timeline(session)
    stored = await purchase_summaries.stored(session, customer_ids)
    resumed = {
        customer_id: _resume_from(deployment, summary)
        for customer_id, summary in stored.items()
        if purchase_summaries.holds_at(summary, to_micros(now))
        and _can_resume(timeline, summary)
        and (doubted is None or (summary.facts_until or doubted) < doubted)
    }
    return await _record(session, deployment, timeline, list(customer_ids), resumed, stored, now)


async def rebuild(
    session: WriteSession, deployment: Deployment, customer_ids: Sequence[str], now: datetime
) -> None:
    """Make what is kept of customers say what all their facts say, whatever it says now."""
    await interaction_counts.keep(session, customer_ids)
    await derived_profiles.rewrite(session, deployment, customer_ids)
    timeline = await policies.timeline(session)
    stored = await purchase_summaries.stored(session, customer_ids)
    await _record(
        session, deployment, timeline, customer_ids, {}, stored, now,
        days=DaysWritten(outdated=customer_ids), rewrite=True,
    )  # fmt: skip


async def confirm(session: WriteSession, customer_ids: Sequence[str]) -> None:
    """Say of what older rules derived for customers, who are locked, that these derive the same."""
    await purchase_summaries.confirm(session, customer_ids)


async def history(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    customer_id: str,
    summary: Summary,
    as_of: AsOf,
    *,
    whole: bool = False,
) -> History:
    """Follow one customer up to an instant, from the beginning or from where the summary stands.

    Nothing is written, and nobody needs to have been taken.
    """
    overridden = await overrides.of(session, deployment, [customer_id])
    goes_on = purchase_summaries.holds_at(summary, as_of.micros) and _can_resume(timeline, summary)
    resumed = {}
    if goes_on and not whole and not overridden:
        resumed[customer_id] = _resume_from(deployment, summary)
    until = {customer_id: as_of.micros}
    folded = await tracing.fold(session, timeline, {} if resumed else until)
    return await tracing.trace(
        session, deployment, timeline, [customer_id], resumed, folded, until, overridden
    )


async def follow_overridden(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    overridden: Mapping[str, Sequence[Override]],
    as_of: AsOf,
) -> History:
    """Follow customers with overrides, from their beginnings up to an instant."""
    until = dict.fromkeys(overridden, as_of.micros)
    folded = await tracing.fold(session, timeline, until)
    return await tracing.trace(
        session, deployment, timeline, list(overridden), {}, folded, until, overridden
    )


def _resume_from(
    deployment: Deployment,
    before: Summary,
    after: Summary | None = None,
    points: Sequence[Point] = (),
) -> ResumePoint:
    """Go on from where a summary stands, instead of from the first fact."""
    if before.facts_until is None:
        return ResumePoint(Folded(after or before, list(points)), None)
    day = deployment.calendar.day_of(from_micros(before.facts_until))
    start = Point(before.facts_until, day, before.state)
    return ResumePoint(Folded(after or before, [start, *points]), before.facts_until)


def _can_resume(timeline: PolicyTimeline, summary: Summary) -> bool:
    """Whether the state a summary ends with is all that the rules since then look at."""
    if not timeline.is_plain:
        return False
    since = summary.facts_until
    if since is None:
        return len(timeline.policies) == 1
    return timeline.inactivity_limits_since(since) == {
        timeline.inactivity_limit_of(summary.policy_version)
    }


def _can_extend(timeline: PolicyTimeline, summary: Summary, new: NewFacts, now: int) -> bool:
    """Whether the summary can be added to, because all that is new lies behind all that is old."""
    earliest = min(fact.at for fact in new.facts) if new.facts else now
    return (
        not new.removed
        and summary.refunds == 0
        and summary.next_fact_at is None
        and all(fact.refunds is None and fact.at <= now for fact in new.facts)
        and (summary.facts_until is None or summary.facts_until <= earliest)
        and _can_resume(timeline, summary)
    )


def _extend(
    deployment: Deployment, summary: Summary, facts: Sequence[Fact], policy: Policy
) -> ResumePoint:
    in_order = sorted(facts, key=lambda fact: fact.at)
    after, points = extend(summary, in_order, policy.inactivity_limit)
    return _resume_from(deployment, summary, after, points)


async def _record(
    session: WriteSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    customer_ids: Sequence[str],
    extended: Mapping[str, ResumePoint],
    stored: Mapping[str, Summary],
    now: datetime,
    *,
    overridden: Mapping[str, Sequence[Override]] | None = None,
    days: DaysWritten = _NO_DAYS,
    rewrite: bool = False,
) -> int:
    """Follow the customers, keep their summaries, and record the transitions that follow."""
    if not customer_ids:
        return 0
    if overridden is None:
        overridden = await overrides.of(session, deployment, customer_ids)
    resumed = {
        customer_id: one for customer_id, one in extended.items() if customer_id not in overridden
    }
    since = {
        customer_id: resumed[customer_id].since if customer_id in resumed else None
        for customer_id in customer_ids
    }
    live = await transitions.live(session, since)
    # What was recorded as having come to pass is not undone by a clock that is a little behind:
    # neither a transition nor the activation for whose end this writer has waited.
    until = {
        customer_id: max(
            [
                to_micros(now),
                timeline.starts[-1],
                *(row.effective_at for row in live.get(customer_id, ())),
                *(override.at for override in overridden.get(customer_id, ())),
            ]
        )
        for customer_id in customer_ids
    }
    found = await tracing.derive(
        session, deployment, timeline, resumed, until, overridden, days.known
    )
    had_refunds = {customer_id for customer_id, before in stored.items() if before.refunds}
    await refund_allocations.save(
        session,
        {
            customer_id: netted
            for customer_id, netted in found.set_off.items()
            if found.summaries[customer_id].refunds or customer_id in had_refunds
        },
    )
    await purchase_summaries.save(
        session,
        timeline.current,
        {
            customer_id: end
            for customer_id, end in found.summaries.items()
            if end.facts or customer_id in stored
        },
        known=stored,
    )
    await long_histories.keep(session, stored, found.summaries, days)
    return await transitions.record(
        session, customer_ids, found.history, live, since, now, rewrite=rewrite
    )
