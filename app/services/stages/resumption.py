"""Who can go on from an instant instead of from the first fact, and what is known of them then.

The instant has to lie before all that is new, not before the last purchase known, of which the
summary tells, and not after what the ledger has been brought up to: by whoever wrote a fact, or,
for everybody, by the activation of the policy in force.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from app.days import from_micros
from app.lifecycle import column_fold
from app.lifecycle.dated import Bools, Ints
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.records import Columns
from app.lifecycle.summary_columns import NEVER, NO_MORE, SummaryColumns
from app.postgres.db import ReadSession, fetch_rows
from app.services.common import deployment_settings, sql_numbers
from app.services.customer_base import purchase_facts, rule_facts
from app.services.customer_base.summary_rows import StoredSummaries
from app.services.policies.policies import PolicyTimeline
from app.services.stages.resume_points import Standing

# Who told of it when it had happened brought the ledger up to then.
_LAST_TOLD = (
    f"SELECT asked.customer_id, {sql_numbers.micros('last.occurred_at')}"  # noqa: S608  # no value of a caller
    " FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[])"
    " AS asked (customer_id, since, until) CROSS JOIN LATERAL ("
    "SELECT i.occurred_at FROM interactions i WHERE i.customer_id = asked.customer_id"
    " AND i.occurred_at > asked.since AND i.occurred_at < asked.until"
    " AND i.received_at >= i.occurred_at AND ($4::text[] IS NULL OR i.kind = ANY($4))"
    " ORDER BY i.occurred_at DESC LIMIT 1) AS last"
)


async def find(
    session: ReadSession,
    timeline: PolicyTimeline,
    customer_ids: Sequence[str],
    kept: StoredSummaries,
    asked: Bools,
    first: Ints,
    now: int,
    *,
    created: Collection[str] = (),
) -> tuple[Bools, Standing]:
    """Say who of those asked for can go on, and what is known of them where they do.

    Nothing is new of a customer before `first`; what purchases have amounted to since the last one
    known is what the summary says. Those `created` are known by what they bought now alone.
    """
    known = kept.summaries
    can = asked & kept.exact & _counts_lives_alike(timeline, known) & (known.facts_until <= first)
    if timeline.is_plain and len(timeline.policies) == 1:
        return can, Standing.of(known)
    can &= known.facts_until < first
    since = np.full(len(can), NEVER)
    rows = np.flatnonzero(can)
    since[rows] = await _recorded(
        session, timeline, [customer_ids[row] for row in rows.tolist()],
        known.facts_until[rows], first[rows], created,
    )  # fmt: skip
    begun_at = await _begun(session, customer_ids, known, can, np.minimum(first, now), created)
    since, begun_at = (
        np.where(begun_at > since, NEVER, since),
        np.where(begun_at > since, begun_at, NEVER),
    )
    lives: dict[InactivityLimit, Columns] = {}
    for limit in {policy.inactivity_limit for policy in timeline.policies}:
        if limit != timeline.current.inactivity_limit:
            needed = can & (since < _last_in_force(timeline, limit)) & (known.facts > 0)
            lives[limit], found = await _lives(session, timeline, customer_ids, known, needed,
                                               since, limit)  # fmt: skip
            can &= found | ~needed
    return can, Standing(known, since, lives, begun_at)


def _counts_lives_alike(timeline: PolicyTimeline, known: SummaryColumns) -> Bools:
    """Say whose lives are those that the silence of the policy in force ends."""
    limit = timeline.current.inactivity_limit
    alike = [
        version
        for version in np.unique(known.policy_version).tolist()
        if timeline.inactivity_limit_of(version) == limit
    ]
    found: Bools = (known.facts == 0) | np.isin(known.policy_version, alike)
    return found


def _last_in_force(timeline: PolicyTimeline, limit: InactivityLimit) -> int:
    """Return the instant at which the last policy with a limit was replaced."""
    ends = zip(timeline.policies, (*timeline.starts[1:], NO_MORE), strict=True)
    return max(end for policy, end in ends if policy.inactivity_limit == limit)


async def _recorded(
    session: ReadSession,
    timeline: PolicyTimeline,
    customer_ids: Sequence[str],
    facts_until: Ints,
    first: Ints,
    created: Collection[str],
) -> Ints:
    """Return the last instant of each customer up to which the ledger has certainly been brought.

    That is before all that is new, and `NEVER` if there is none.
    """
    since, told_from = facts_until, NEVER
    if len(timeline.policies) > 1:
        activated = timeline.starts[-1]
        told_from = timeline.writers_until
        if (since < activated).any() and await _is_settled(session, timeline):
            since = np.maximum(since, np.minimum(first - 1, activated))
    if timeline.kinds == frozenset():
        return since
    after = np.maximum(since, told_from)
    new = set(created)
    rows = [
        row
        for row in np.flatnonzero(after < first - 1).tolist()
        if customer_ids[row] not in new
    ]  # fmt: skip
    if rows:
        since = since.copy()
        number = {customer_ids[row]: row for row in rows}
        kinds = None if timeline.kinds is None else sorted(timeline.kinds)
        found = await fetch_rows(
            session, _LAST_TOLD, list(number), _instants(after[rows]), _instants(first[rows]), kinds
        )
        for customer_id, at in found:
            since[number[customer_id]] = at
    return since


async def told_until(
    session: ReadSession,
    timeline: PolicyTimeline,
    customer_ids: Sequence[str],
    until: Ints,
    created: Collection[str],
) -> Ints:
    """Return up to when the ledger of each has to go, beyond `until` where more was told already.

    Somebody whose clock is ahead has brought it up to then, and others rely on that.
    """
    if timeline.kinds == frozenset():
        return until
    new = set(created)
    number = {each: row for row, each in enumerate(customer_ids) if each not in new}
    if not number:
        return until
    kinds = None if timeline.kinds is None else sorted(timeline.kinds)
    after = until[list(number.values())]
    ahead = _instants(np.full(len(after), NO_MORE))
    rows = await fetch_rows(session, _LAST_TOLD, list(number), _instants(after), ahead, kinds)
    until = until.copy()
    for customer_id, at in rows:
        until[number[customer_id]] = at
    return until


async def _is_settled(session: ReadSession, timeline: PolicyTimeline) -> bool:
    """Say whether the activation of the policy in force has been recorded for everybody."""
    settled = await deployment_settings.get(session, deployment_settings.SETTLED_POLICY)
    return bool(settled == timeline.current.version)


def _instants(micros: Ints) -> list[object]:
    low, high = -62_135_510_400_000_000, 253_370_764_800_000_000  # the years 1 and 9999
    return [from_micros(at) for at in np.clip(micros, low, high).tolist()]


async def _begun(
    session: ReadSession,
    customer_ids: Sequence[str],
    known: SummaryColumns,
    can: Bools,
    made_at: Ints,
    created: Collection[str],
) -> Ints:
    """Return since when those are known of whom no purchase tells; `NEVER` for all others."""
    begun_at, new = np.full(len(can), NEVER), set(created)
    rows = np.flatnonzero(can & (known.facts_until == NEVER)).tolist()
    asked = [row for row in rows if customer_ids[row] not in new]
    found = await rule_facts.first_seen(session, [customer_ids[row] for row in asked])
    for row in asked:
        begun_at[row] = found[customer_ids[row]]
    made = [row for row in rows if customer_ids[row] in new]
    begun_at[made] = made_at[made]
    return begun_at


async def _lives(
    session: ReadSession,
    timeline: PolicyTimeline,
    customer_ids: Sequence[str],
    known: SummaryColumns,
    needed: Bools,
    since: Ints,
    limit: InactivityLimit,
) -> tuple[Columns, Bools]:
    """Return the states of customers by another silence, and of whom they are found.

    Whose one life no shorter silence has ended has one by a longer one, too; of others, the
    purchase days are read. Those may have been refunded if anything was.
    """
    found = needed & (known.states.lives == 1)
    if not _allows_more(limit, timeline.current.inactivity_limit):
        found = needed & (known.states.purchase_days == 1)
    others = np.flatnonzero(needed & ~found & (known.refunds == 0))
    if not len(others):
        return known.states, found
    found[others] = True
    bought, _ = await purchase_facts.columns(
        session, [customer_ids[row] for row in others.tolist()]
    )
    bought = bought.take(bought.at <= since[others][bought.owner])
    after, _ = column_fold.extend(SummaryColumns.empty(len(others)), bought, limit)
    return _put(known.states, others, after.states), found


def _put(states: Columns, rows: Ints, own: Columns) -> Columns:
    columns: Mapping[str, Ints] = {name: getattr(states, name).copy() for name in _FIELDS}
    for name, column in columns.items():
        column[rows] = getattr(own, name)
    return Columns(**columns)


_FIELDS = tuple(Columns.__dataclass_fields__)


def _allows_more(limit: InactivityLimit, other: InactivityLimit) -> bool:
    """Say whether a limit ends no life that another one does not."""
    return (
        limit.season == other.season
        and limit.floor_days >= other.floor_days
        and limit.gap_multiple >= other.gap_multiple
        and limit.gap_margin_days >= other.gap_margin_days
    )
