"""The ledger of transitions: reading its live rows, and making it say what the facts say."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import text

from app.days import from_micros, to_micros
from app.db import ReadSession, WriteSession, copy_rows
from app.lifecycle.history import History, Transition
from app.lifecycle.version import DERIVATION_VERSION

_EVER = datetime(1, 1, 2, tzinfo=UTC)


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

    @property
    def content(self) -> tuple[object, ...]:
        return self[1:-1]


_LIVE = text(
    "SELECT t.customer_id, t.transition_id, t.from_stage, t.to_stage, t.effective_at, t.cause,"
    " t.rule, t.policy_version, t.reason, t.actor, CAST(t.evidence AS text)"
    " FROM unnest(CAST(:customer_ids AS text[]), CAST(:since AS timestamptz[]))"
    " AS asked (customer_id, since)"
    " JOIN stage_transitions t ON t.customer_id = asked.customer_id"
    " AND t.effective_at > asked.since AND t.voided_at IS NULL"
    " ORDER BY t.customer_id, t.effective_at"
)


async def live(session: ReadSession, since: Mapping[str, int | None]) -> dict[str, list[LiveRow]]:
    """Return the live rows of customers after an instant each (None: all), in order of time."""
    rows = await session.execute(
        _LIVE,
        {
            "customer_ids": list(since),
            "since": [_EVER if at is None else from_micros(at) for at in since.values()],
        },
    )
    found: dict[str, list[LiveRow]] = {}
    for customer_id, transition_id, before, after, at, *rest in rows:
        row = LiveRow(transition_id, before, after, to_micros(at), *rest)
        found.setdefault(customer_id, []).append(row)
    return found


async def record(
    session: WriteSession,
    owners: Sequence[str],
    history: History,
    live: Mapping[str, Sequence[LiveRow]],
    since: Mapping[str, int | None],
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
        (customer_id, row.content): row for customer_id, rows in live.items() for row in rows
    }
    added: list[Transition] = []
    for transition in history.transitions():
        key = owners[transition.owner], transition[1:-1]
        row = unclaimed.get(key)
        # A fact from before a transition may leave it as it is, and yet change its evidence.
        if row is not None and json.loads(row.evidence) == json.loads(transition.evidence):
            del unclaimed[key]
        else:
            added.append(transition)
    await _void(session, {key: row.transition_id for key, row in unclaimed.items()}, now)
    await copy_rows(
        session,
        "stage_transitions",
        _ADDED,
        [_row(owners, transition, now) for transition in added],
    )
    called = history.called_anew()
    await _rename(session, {owners[owner]: stage for owner, stage in called.items()}, history)
    changed = {each for each, _ in unclaimed} | {owners[transition.owner] for transition in added}
    if rewrite:
        changed |= set(owners)
    if changed:
        ends = dict(zip(owners, history.last(len(owners)), strict=True))
        # Where the ledger was gone on with, its last row tells since when a stage has held.
        known = {
            customer_id: ends[customer_id]
            for customer_id in changed
            if since[customer_id] is None or ends[customer_id][1]
        }
        await _move(
            session,
            known,
            {customer_id: ends[customer_id] for customer_id in changed if customer_id not in known},
        )
    return len(added) + len(unclaimed)


async def _rename(session: WriteSession, stages: Mapping[str, str], history: History) -> None:
    """Call the recorded stages of customers as given, where they have a name of before still."""
    codes = {code for period in history.periods for code in period.policy.maps}
    if stages:
        await session.execute(
            text(
                "UPDATE customers c SET stage = called.stage, stage_version = c.stage_version + 1"
                " FROM unnest(CAST(:customer_ids AS text[]), CAST(:stages AS text[]))"
                " AS called (customer_id, stage) WHERE c.customer_id = called.customer_id"
                " AND c.customer_id = ANY(CAST(:customer_ids AS text[]))"
                " AND c.stage = ANY(CAST(:codes AS text[])) AND c.stage <> called.stage"
            ),
            {
                "customer_ids": list(stages),
                "stages": list(stages.values()),
                "codes": sorted(codes),
            },
        )


async def _void(session: WriteSession, rows: Mapping[tuple[str, Any], int], now: datetime) -> None:
    if rows:
        await session.execute(
            text(
                "UPDATE stage_transitions t SET voided_at = :now"
                " FROM unnest(CAST(:customer_ids AS text[]), CAST(:transition_ids AS bigint[]))"
                " AS gone (customer_id, transition_id)"
                " WHERE t.customer_id = gone.customer_id AND t.transition_id = gone.transition_id"
            ),
            {
                "now": now,
                "customer_ids": [each for each, _ in rows],
                "transition_ids": list(rows.values()),
            },
        )


_ADDED = (
    "customer_id",
    "from_stage",
    "to_stage",
    "effective_at",
    "cause",
    "rule",
    "policy_version",
    "reason",
    "actor",
    "evidence",
    "recorded_at",
    "derivation_version",
)


def _row(owners: Sequence[str], transition: Transition, now: datetime) -> tuple[object, ...]:
    return (
        owners[transition.owner],
        *transition[1:3],
        from_micros(transition.at),
        *transition[4:],
        now,
        DERIVATION_VERSION,
    )


async def _move(
    session: WriteSession,
    ends: Mapping[str, tuple[str, int | None]],
    others: Mapping[str, tuple[str, int | None]],
) -> None:
    """Set the recorded stage of customers; of the others the ledger says since when it holds."""
    known = {
        customer_id: (stage, None if at is None else from_micros(at))
        for customer_id, (stage, at) in {**ends, **others}.items()
    }
    for customer_id, rows in (await live(session, dict.fromkeys(others)) if others else {}).items():
        known[customer_id] = (others[customer_id][0], from_micros(rows[-1].effective_at))
    await session.execute(
        text(
            "UPDATE customers c SET stage = moved.stage, stage_since = moved.since,"
            " stage_version = c.stage_version + 1"
            " FROM unnest(CAST(:customer_ids AS text[]), CAST(:stages AS text[]),"
            " CAST(:since AS timestamptz[])) AS moved (customer_id, stage, since)"
            " WHERE c.customer_id = moved.customer_id"
        ),
        {
            "customer_ids": list(known),
            "stages": [stage for stage, _ in known.values()],
            "since": [at for _, at in known.values()],
        },
    )
