"""The ledger of transitions: reading its live rows, and making it say what the facts say."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from app.days import to_micros
from app.lifecycle.dated import Ints
from app.lifecycle.history import History, Transition
from app.lifecycle.summary_columns import NEVER
from app.lifecycle.version import DERIVATION_VERSION
from app.postgres import binary_copy
from app.postgres.binary_copy import Column
from app.postgres.db import ReadSession, WriteSession, fetch_rows
from app.services.common import sql_numbers
from app.services.common.id_texts import NAMED, listed, named

Ends = dict[str, tuple[str, int | None]]
"""The stage of each customer, and since when it has held."""


class LiveRow(NamedTuple):
    """A row of the ledger that is not voided."""

    transition_id: int
    from_stage: str
    to_stage: str
    effective_at: int
    cause: str
    rule: str
    policy_version: int
    reason: str | None
    actor: str | None
    evidence: str

    def says(self, transition: Transition) -> bool:
        """Whether this is the row of a transition."""
        return self[1:-1] == transition[1:-1] and (
            self.evidence == transition.evidence
            or (
                _may_say_the_same(self.evidence, transition.evidence)
                and json.loads(self.evidence) == json.loads(transition.evidence)
            )
        )


def _may_say_the_same(stored: str, written: str) -> bool:
    """Whether texts that differ may be the same JSON: `written` is as jsonb has it but for numbers.

    Those have several spellings: 1e+20 is kept with all its digits, -0 as 0, and 1.50 as it was.
    """
    return "." in stored or any(sign in written for sign in (".", "e+", "e-", "-0"))


_ROW = (
    "SELECT t.customer_id, t.transition_id, t.from_stage, t.to_stage,"
    f" {sql_numbers.micros('t.effective_at')}, t.cause, t.rule, t.policy_version, t.reason,"
    " t.actor, CAST(t.evidence AS text)"
)
# A subquery with OFFSET is asked for each customer, by the index: joined, all live rows are read.
_LIVE = (
    f"{_ROW} FROM unnest({NAMED}, $2::int8[]) AS asked (customer_id, since)"  # noqa: S608
    " CROSS JOIN LATERAL (SELECT * FROM stage_transitions l"
    " WHERE l.customer_id = asked.customer_id AND l.voided_at IS NULL"
    f" AND l.effective_at > {sql_numbers.instant_of('asked.since')} OFFSET 0) t"
    " ORDER BY t.customer_id, t.effective_at"
)
_ALL_LIVE = (
    f"{_ROW} FROM stage_transitions t WHERE t.customer_id = ANY({NAMED}) AND t.voided_at IS NULL"
    " ORDER BY t.customer_id, t.effective_at"
)


async def live(
    session: ReadSession,
    customer_ids: Sequence[str],
    since: Ints | None = None,
    *,
    created: Collection[str] = (),
) -> dict[str, list[LiveRow]]:
    """Return the live rows of customers after an instant each (else all), in order of time.

    Of those just `created` there is none.
    """
    after = [NEVER] * len(customer_ids) if since is None else since.tolist()
    asked = {
        customer_id: at
        for customer_id, at in zip(customer_ids, after, strict=True)
        if customer_id not in created
    }
    whole = [customer_id for customer_id, at in asked.items() if at == NEVER]
    later = {customer_id: at for customer_id, at in asked.items() if at != NEVER}
    rows = await fetch_rows(session, _ALL_LIVE, named(whole)) if whole else []
    if later:
        rows += await fetch_rows(session, _LIVE, named(later), list(later.values()))
    found: dict[str, list[LiveRow]] = {}
    for customer_id, *row in rows:
        found.setdefault(customer_id, []).append(LiveRow(*row))
    return found


async def record(
    session: WriteSession,
    owners: Sequence[str],
    history: History,
    live: Mapping[str, Sequence[LiveRow]],
    since: Ints,
    now: datetime,
    *,
    rewrite: bool = False,
) -> int:
    """Make the ledger after `since` hold exactly what was found; return how many rows changed.

    A row that no longer follows from the facts is voided, never edited; what is missing is added.
    The recorded stage is written where the ledger has changed, or of everybody with `rewrite`.
    Where a transition still follows, but from other evidence, that is another row, too.
    """
    unclaimed = {
        (customer_id, row.effective_at): row for customer_id, rows in live.items() for row in rows
    }
    added: list[Transition] = []
    for transition in history.transitions():
        key = owners[transition.owner], transition.at
        row = unclaimed.get(key)
        # A fact from before a transition may leave it as it is, and yet change its evidence.
        if row is not None and row.says(transition):
            del unclaimed[key]
        else:
            added.append(transition)
    await _void(session, {key: row.transition_id for key, row in unclaimed.items()}, now)
    await _add(session, owners, added, now)
    called = history.called_anew()
    await _rename(session, {owners[owner]: stage for owner, stage in called.items()}, history)
    changed = {each for each, _ in unclaimed} | {owners[transition.owner] for transition in added}
    if rewrite:
        changed |= set(owners)
    if changed:
        ends = history.last(len(owners))
        # Where the ledger was gone on with, its last row tells since when a stage has held.
        known: Ends = {}
        others: Ends = {}
        for owner, at in enumerate(since.tolist()):
            if owners[owner] in changed:
                told = known if at == NEVER or ends[owner][1] is not None else others
                told[owners[owner]] = ends[owner]
        await _move(session, known, others)
    return len(added) + len(unclaimed)


async def _rename(session: WriteSession, stages: Mapping[str, str], history: History) -> None:
    """Call the recorded stages of customers as given, where they have a name of before still."""
    codes = {code for period in history.periods for code in period.policy.maps}
    if stages:
        named = list(stages), list(stages.values()), sorted(codes)
        await fetch_rows(session, _RENAME, *named)


_RENAME = (
    "UPDATE customers c SET stage = called.stage, stage_version = c.stage_version + 1"
    " FROM unnest($1::text[], $2::text[]) AS called (customer_id, stage)"
    " WHERE c.customer_id = called.customer_id AND c.customer_id = ANY($1::text[])"
    " AND c.stage = ANY($3::text[]) AND c.stage <> called.stage"
)


async def _void(session: WriteSession, rows: Mapping[tuple[str, int], int], now: datetime) -> None:
    if rows:
        owners = named(customer_id for customer_id, _ in rows)
        await fetch_rows(session, _VOID, now, owners, list(rows.values()))


# By whole keys alone: with ANY beside them, all rows of the customers are read for each.
_VOID = (
    "UPDATE stage_transitions t SET voided_at = $1"  # noqa: S608  # no value of a caller
    f" FROM unnest({listed(2)}, $3::bigint[]) AS gone (customer_id, transition_id)"
    " WHERE t.customer_id = gone.customer_id AND t.transition_id = gone.transition_id"
)


async def _add(
    session: WriteSession, owners: Sequence[str], added: Sequence[Transition], now: datetime
) -> None:
    if not added:
        return
    owner, before, after, at, cause, rule, version, reason, actor, evidence = zip(
        *added, strict=True
    )
    columns = {
        "customer_id": Column("text", [owners[number] for number in owner]),
        "from_stage": Column("text", before),
        "to_stage": Column("text", after),
        "effective_at": Column("timestamptz", at),
        "cause": Column("text", cause),
        "rule": Column("text", rule),
        "policy_version": Column("int4", version),
        "reason": _texts(reason),
        "actor": _texts(actor),
        "evidence": Column("jsonb", evidence),
        "recorded_at": Column("timestamptz", [to_micros(now)] * len(added)),
        "derivation_version": Column("int4", [DERIVATION_VERSION] * len(added)),
    }
    await binary_copy.write(session, "stage_transitions", columns)


def _texts(values: Sequence[str | None]) -> Column:
    return Column("text", [value or "" for value in values], [value is None for value in values])


async def _move(
    session: WriteSession,
    ends: Ends,
    others: Ends,
) -> None:
    """Set the recorded stage of customers; of the others the ledger says since when it holds."""
    known = {**ends, **others}
    for customer_id, rows in (await live(session, list(others)) if others else {}).items():
        known[customer_id] = (others[customer_id][0], rows[-1].effective_at)
    stages, since = zip(*known.values(), strict=True)
    await fetch_rows(session, _MOVE, named(known), named(stages), list(since))


_MOVE = (
    "UPDATE customers c SET stage = moved.stage,"  # noqa: S608  # no value of a caller
    f" stage_since = {sql_numbers.instant_of('moved.since')}, stage_version = c.stage_version + 1"
    f" FROM unnest({NAMED}, {listed(2)}, $3::int8[]) AS moved (customer_id, stage, since)"
    f" WHERE c.customer_id = moved.customer_id AND c.customer_id = ANY({NAMED})"
)
