"""The one door through which stages move: facts in, summary, ledger and stage out.

The caller has taken the customers (`customers.take`), so nobody else writes them; what is read
here is read in a later statement and is therefore the newest.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from app.days import AsOf, from_micros, to_micros
from app.db import ReadSession, WriteSession
from app.deployment import Deployment
from app.lifecycle.facts import EMPTY, Fact, Point, Summary, extend
from app.lifecycle.history import History, trace
from app.lifecycle.instants import Customers, Override, Segment
from app.lifecycle.policy import Policy, SilenceLimit
from app.services import (
    overrides,
    policies,
    purchase_summaries,
    records,
    rule_facts,
    transitions,
)
from app.services.policies import Regime
from app.services.purchase_summaries import Folded
from app.services.records import Followed


@dataclass(frozen=True, slots=True)
class NewFacts:
    """Facts of one customer that were just written; `replaced` if any took another's place."""

    facts: Sequence[Fact]
    replaced: bool


@dataclass(frozen=True, slots=True)
class _Continued:
    """A folding, and where it begins: None for the whole history."""

    folded: Folded
    since: int | None


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
    session: WriteSession, here: Deployment, customer_ids: Sequence[str], now: datetime
) -> None:
    """Make ledger and stage exact after something else than purchases was written."""
    regime = await policies.regime(session)
    if customer_ids and not regime.is_plain:
        stored = await purchase_summaries.stored(session, customer_ids)
        await _record(session, here, regime, list(customer_ids), {}, stored, now)


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
    folded = await _fold(session, regime, {} if held else until)
    return await _trace(session, here, regime, [customer_id], held, folded, until, decided)


def _continue(
    here: Deployment, before: Summary, after: Summary | None = None, points: Sequence[Point] = ()
) -> _Continued:
    """Go on from where a summary stands, instead of from the first fact."""
    if before.facts_until is None:
        return _Continued(Folded(after or before, list(points)), None)
    day = here.calendar.day_of(from_micros(before.facts_until))
    start = Point(before.facts_until, day, before.state)
    return _Continued(Folded(after or before, [start, *points]), before.facts_until)


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


def _extend(
    here: Deployment, summary: Summary, facts: Sequence[Fact], policy: Policy
) -> _Continued:
    in_order = sorted(facts, key=lambda fact: fact.at)
    after, points = extend(summary, in_order, policy.silence)
    return _continue(here, summary, after, points)


async def _record(
    session: WriteSession,
    here: Deployment,
    regime: Regime,
    customer_ids: Sequence[str],
    extended: Mapping[str, _Continued],
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
        each: max([to_micros(now), *(row.effective_at for row in live.get(each, ()))])
        for each in customer_ids
    }
    others = {each: until[each] for each in customer_ids if each not in held}
    folded = await _fold(session, regime, others)
    ends = {each: one.folded.summary for each, one in held.items()}
    ends |= {each: one.summary for each, one in folded[regime.current.silence].items()}
    await purchase_summaries.save(
        session,
        regime.current,
        {each: end for each, end in ends.items() if end.facts or each in stored},
        known=stored,
    )
    history = await _trace(session, here, regime, customer_ids, held, folded, until, decided)
    return await transitions.record(session, customer_ids, history, live, since, now)


async def _fold(
    session: ReadSession, regime: Regime, until: Mapping[str, int]
) -> dict[SilenceLimit, dict[str, Folded]]:
    limits = list(dict.fromkeys(policy.silence for policy in regime.policies))
    worth = bool(regime.sources & {"money", "model"})
    return await purchase_summaries.fold_by(session, limits, until, worth=worth)


async def _trace(
    session: ReadSession,
    here: Deployment,
    regime: Regime,
    customer_ids: Sequence[str],
    held: Mapping[str, _Continued],
    folded: Mapping[SilenceLimit, Mapping[str, Folded]],
    until: Mapping[str, int],
    decided: Mapping[str, Sequence[Override]],
) -> History:
    """Follow the stages of customers up to an instant each."""
    begun = await _begun(session, regime, [each for each in customer_ids if each not in held],
                         decided)  # fmt: skip
    followed = {
        limit: [
            Followed(each, held[each].folded.points, (), None)
            if each in held
            else Followed(each, found[each].points, found[each].worth, begun.get(each))
            for each in customer_ids
        ]
        for limit, found in folded.items()
    }
    latest = here.as_of(from_micros(max(until.values())))
    found = await records.through_time(session, here, regime.policies, followed, latest)
    segments = [
        Segment(policy, own, start, here.calendar.day_of(from_micros(start)) if number else 0)
        for number, (policy, own, start) in enumerate(
            zip(regime.policies, found, regime.starts, strict=True)
        )
    ]
    customers = Customers(
        until=np.array([until[each] for each in customer_ids], dtype=np.int64),
        until_day=np.array(
            [here.calendar.day_of(from_micros(until[each])) for each in customer_ids],
            dtype=np.int64,
        ),
        known=np.array([each in held and held[each].since is not None for each in customer_ids]),
        overrides={
            number: decided[each] for number, each in enumerate(customer_ids) if each in decided
        },
    )
    return trace(segments, customers, here.calendar.starts)


async def _begun(
    session: ReadSession,
    regime: Regime,
    customer_ids: Sequence[str],
    decided: Collection[str],
) -> dict[str, int]:
    """Return since when customers are known, where the stage before the first fact matters."""
    if regime.is_plain and len(regime.policies) == 1:
        customer_ids = [each for each in customer_ids if each in decided]
    if not customer_ids:
        return {}
    found = await rule_facts.read_profiles(session, customer_ids)
    return {each: to_micros(row["begun_at"]) for each, row in found.items()}
