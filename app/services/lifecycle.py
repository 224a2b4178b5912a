"""The one door through which stages move: facts in, summary, ledger and stage out.

The caller has taken the customers (`customers.take`), so nobody else writes them; what is read
here is read in a later statement and is therefore the newest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from app.days import from_micros, to_micros
from app.db import WriteSession
from app.deployment import Deployment
from app.lifecycle.evaluator import Moves, moves
from app.lifecycle.facts import EMPTY, Fact, Point, Summary, extend
from app.lifecycle.policy import Policy
from app.services import purchase_summaries, transitions
from app.services.purchase_summaries import Folded


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
    session: WriteSession,
    here: Deployment,
    policy: Policy,
    written: Mapping[str, NewFacts],
    now: datetime,
) -> None:
    """Make summary, ledger and stage of each customer exact after facts were written."""
    stored = await purchase_summaries.stored(session, list(written))
    micros = to_micros(now)
    extended = {
        each: _extend(here, stored.get(each, EMPTY), new.facts, policy)
        for each, new in written.items()
        if _can_extend(stored.get(each, EMPTY), new, micros)
    }
    others = [each for each in written if each not in extended]
    await _record(session, here, policy, extended, others, stored, now)


async def advance(
    session: WriteSession,
    here: Deployment,
    policy: Policy,
    customer_ids: Sequence[str],
    now: datetime,
) -> int:
    """Bring customers up to `now` when no fact was written; return how many moves it took."""
    stored = await purchase_summaries.stored(session, customer_ids)
    held = {
        each: _continue(here, summary)
        for each, summary in stored.items()
        if purchase_summaries.holds_at(summary, to_micros(now))
    }
    others = [each for each in stored if each not in held]
    return await _record(session, here, policy, held, others, stored, now)


def _continue(
    here: Deployment, before: Summary, after: Summary | None = None, points: Sequence[Point] = ()
) -> _Continued:
    """Go on from where a summary stands, instead of from the first fact."""
    if before.facts_until is None:
        return _Continued(Folded(after or before, list(points)), None)
    day = here.calendar.day_of(from_micros(before.facts_until))
    start = Point(before.facts_until, day, before.state)
    return _Continued(Folded(after or before, [start, *points]), before.facts_until)


def _can_extend(summary: Summary, new: NewFacts, now: int) -> bool:
    """Whether the summary can be added to, because all that is new lies behind all that is old."""
    earliest = min(fact.at for fact in new.facts) if new.facts else now
    return (
        not new.replaced
        and summary.refunds == 0
        and summary.next_fact_at is None
        and all(fact.refunds is None and fact.at <= now for fact in new.facts)
        and (summary.facts_until is None or summary.facts_until <= earliest)
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
    policy: Policy,
    extended: Mapping[str, _Continued],
    others: Sequence[str],
    stored: Mapping[str, Summary],
    now: datetime,
) -> int:
    """Fold the others anew, keep all summaries, and record the moves that follow."""
    since = {each: continued.since for each, continued in extended.items()}
    live = await transitions.live(session, {**since, **dict.fromkeys(others)})
    # What was recorded as having come to pass is not undone by a clock that is a little behind.
    until = {
        each: max([to_micros(now), *(row.effective_at for row in live.get(each, ()))])
        for each in (*extended, *others)
    }
    continued = dict(extended)
    if others:
        folded = await purchase_summaries.fold_facts(
            session, policy.silence, {each: until[each] for each in others}
        )
        continued |= {each: _Continued(folded[each], None) for each in others}
    await purchase_summaries.save(
        session, {each: one.folded.summary for each, one in continued.items()}, known=stored
    )
    found, points = _moves(here, policy, continued, until)
    return await transitions.record(
        session, policy, list(continued), found, points, live=live, since=since, now=now
    )


def _moves(
    here: Deployment, policy: Policy, continued: Mapping[str, _Continued], until: Mapping[str, int]
) -> tuple[Moves, list[Point]]:
    points = [point for one in continued.values() for point in one.folded.points]
    lengths = [len(one.folded.points) for one in continued.values()]
    found = moves(
        policy,
        np.repeat(np.arange(len(lengths)), lengths),
        points,
        until=np.array([until[each] for each in continued], dtype=np.int64),
        day_start=here.calendar.starts,
        first_is_known=np.array([one.since is not None for one in continued.values()], dtype=bool),
    )
    return found, points
