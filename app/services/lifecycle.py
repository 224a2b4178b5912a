"""The one door through which stages move: facts in, summary, ledger and stage out.

The caller has taken the customers (`customers.take`), so nobody else writes them; what is read
here is read in a later statement and is therefore the newest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from app.days import AsOf, from_micros, to_day, to_micros
from app.db import ReadSession, WriteSession
from app.deployment import Deployment
from app.lifecycle.facts import EMPTY, Fact, Point, Summary, extend
from app.lifecycle.history import History
from app.lifecycle.instants import Override
from app.lifecycle.policy import Policy
from app.services import (
    histories,
    overrides,
    policies,
    purchase_summaries,
    rule_facts,
    transitions,
)
from app.services.histories import Continued
from app.services.policies import Regime
from app.services.purchase_summaries import Folded


@dataclass(frozen=True, slots=True)
class NewFacts:
    """Facts of one customer that were just written; `replaced` if any took another's place."""

    facts: Sequence[Fact]
    replaced: bool


async def settle(
    session: WriteSession, here: Deployment, written: Mapping[str, NewFacts], now: datetime
) -> None:
    """Make summary, ledger and stage of each customer exact after purchases were written."""
    regime = await policies.regime(session)
    stored = await purchase_summaries.stored(session, list(written))
    micros = to_micros(now)
    extended = {
        each: _extend(here, stored.get(each, EMPTY), new.facts, regime.current)
        for each, new in written.items()
        if _can_extend(regime, stored.get(each, EMPTY), new, micros)
    }
    await _record(session, here, regime, list(written), extended, stored, now)


async def revise(
    session: WriteSession, here: Deployment, since: Mapping[str, date | None], now: datetime
) -> None:
    """Make ledger and stage exact after something else than purchases was written.

    It may be new `since` a day that there is a customer at all. Where purchases alone decide,
    that matters if the policy has changed after it.
    """
    regime = await policies.regime(session)
    customer_ids = list(since)
    if regime.is_plain:
        customer_ids = await _begun_anew(session, here, regime, since)
    if customer_ids:
        stored = await purchase_summaries.stored(session, customer_ids)
        await _record(session, here, regime, customer_ids, {}, stored, now)


async def _begun_anew(
    session: ReadSession, here: Deployment, regime: Regime, since: Mapping[str, date | None]
) -> list[str]:
    """Return the customers who may begin at another instant now, before the policy changed."""
    if len(regime.policies) == 1:
        return []
    last = here.calendar.day_of(from_micros(regime.starts[-1]))
    days = {each: to_day(day) for each, day in since.items() if day is not None}
    early = [each for each, day in days.items() if day <= last]
    begun = await rule_facts.begun(session, early) if early else {}
    # Of whom was heard before the first day that has changed, was heard before, too.
    return [each for each in early if here.calendar.day_of(from_micros(begun[each])) >= days[each]]


async def advance(
    session: WriteSession,
    here: Deployment,
    customer_ids: Sequence[str],
    now: datetime,
    *,
    doubted_from: datetime | None = None,
) -> int:
    """Bring customers up to `now` when no fact was written; return how many moves it took.

    What was recorded from `doubted_from` on is looked at anew, too.
    """
    doubted = None if doubted_from is None else to_micros(doubted_from)
    regime = await policies.regime(session)
    stored = await purchase_summaries.stored(session, customer_ids)
    held = {
        each: _continue(here, summary)
        for each, summary in stored.items()
        if purchase_summaries.holds_at(summary, to_micros(now))
        and _goes_on(regime, summary)
        and (doubted is None or (summary.facts_until or doubted) < doubted)
    }
    return await _record(session, here, regime, list(customer_ids), held, stored, now)


async def history(
    session: ReadSession,
    here: Deployment,
    regime: Regime,
    customer_id: str,
    summary: Summary,
    as_of: AsOf,
    *,
    whole: bool = False,
) -> History:
    """Follow one customer up to an instant, from the beginning or from where the summary stands.

    Nothing is written, and nobody needs to have been taken.
    """
    decided = await overrides.of(session, here, [customer_id])
    goes_on = purchase_summaries.holds_at(summary, as_of.micros) and _goes_on(regime, summary)
    held = {}
    if goes_on and not whole and not decided:
        held[customer_id] = _continue(here, summary)
    until = {customer_id: as_of.micros}
    folded = await histories.fold(session, regime, {} if held else until)
    return await histories.trace(session, here, regime, [customer_id], held, folded, until, decided)


async def follow_decided(
    session: ReadSession,
    here: Deployment,
    regime: Regime,
    decided: Mapping[str, Sequence[Override]],
    as_of: AsOf,
) -> History:
    """Follow customers on whom somebody has decided, from their beginnings up to an instant."""
    until = dict.fromkeys(decided, as_of.micros)
    folded = await histories.fold(session, regime, until)
    return await histories.trace(session, here, regime, list(decided), {}, folded, until, decided)


def _continue(
    here: Deployment, before: Summary, after: Summary | None = None, points: Sequence[Point] = ()
) -> Continued:
    """Go on from where a summary stands, instead of from the first fact."""
    if before.facts_until is None:
        return Continued(Folded(after or before, list(points)), None)
    day = here.calendar.day_of(from_micros(before.facts_until))
    start = Point(before.facts_until, day, before.state)
    return Continued(Folded(after or before, [start, *points]), before.facts_until)


def _goes_on(regime: Regime, summary: Summary) -> bool:
    """Whether the state a summary ends with is all that the rules since then look at."""
    if not regime.is_plain:
        return False
    since = summary.facts_until
    if since is None:
        return len(regime.policies) == 1
    silences = {regime.at(since).silence} | {
        policy.silence
        for policy, start in zip(regime.policies, regime.starts, strict=True)
        if start > since
    }
    return silences == {regime.silence_of(summary.policy_version)}


def _can_extend(regime: Regime, summary: Summary, new: NewFacts, now: int) -> bool:
    """Whether the summary can be added to, because all that is new lies behind all that is old."""
    earliest = min(fact.at for fact in new.facts) if new.facts else now
    return (
        not new.replaced
        and summary.refunds == 0
        and summary.next_fact_at is None
        and all(fact.refunds is None and fact.at <= now for fact in new.facts)
        and (summary.facts_until is None or summary.facts_until <= earliest)
        and _goes_on(regime, summary)
    )


def _extend(here: Deployment, summary: Summary, facts: Sequence[Fact], policy: Policy) -> Continued:
    in_order = sorted(facts, key=lambda fact: fact.at)
    after, points = extend(summary, in_order, policy.silence)
    return _continue(here, summary, after, points)


async def _record(
    session: WriteSession,
    here: Deployment,
    regime: Regime,
    customer_ids: Sequence[str],
    extended: Mapping[str, Continued],
    stored: Mapping[str, Summary],
    now: datetime,
) -> int:
    """Follow the customers, keep their summaries, and record the moves that follow."""
    if not customer_ids:
        return 0
    decided = await overrides.of(session, here, customer_ids)
    held = {each: one for each, one in extended.items() if each not in decided}
    since = {each: held[each].since if each in held else None for each in customer_ids}
    live = await transitions.live(session, since)
    # What was recorded as having come to pass is not undone by a clock that is a little behind.
    until = {
        each: max(
            [
                to_micros(now),
                *(row.effective_at for row in live.get(each, ())),
                *(decision.at for decision in decided.get(each, ())),
            ]
        )
        for each in customer_ids
    }
    others = {each: until[each] for each in customer_ids if each not in held}
    folded = await histories.fold(session, regime, others)
    ends = {each: one.folded.summary for each, one in held.items()}
    ends |= {each: one.summary for each, one in folded[regime.current.silence].items()}
    await purchase_summaries.save(
        session,
        regime.current,
        {each: end for each, end in ends.items() if end.facts or each in stored},
        known=stored,
    )
    history = await histories.trace(
        session, here, regime, customer_ids, held, folded, until, decided
    )
    return await transitions.record(session, customer_ids, history, live, since, now)
