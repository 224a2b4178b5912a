"""The ledger of moves: reading its live rows, and making it say what the facts say."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import text

from app.days import from_micros, to_micros
from app.db import ReadSession, WriteSession, copy_rows
from app.lifecycle.evaluator import CAUSES, Columns, Moves, variables
from app.lifecycle.facts import Point
from app.lifecycle.policy import Policy

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
    evidence: str

    @property
    def content(self) -> tuple[object, ...]:
        return self[1:-1]


_LIVE = text(
    "SELECT t.customer_id, t.transition_id, t.from_stage, t.to_stage, t.effective_at, t.cause,"
    " t.rule, t.policy_version, CAST(t.evidence AS text)"
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
    policy: Policy,
    owners: Sequence[str],
    found: Moves,
    points: Sequence[Point],
    *,
    live: Mapping[str, Sequence[LiveRow]],
    since: Mapping[str, int | None],
    now: datetime,
) -> int:
    """Make the ledger after `since` hold exactly the found moves; return how many rows changed.

    A row that no longer follows from the facts is voided, never edited; what is missing is added.
    """
    unclaimed = {(each, row.content): row for each, rows in live.items() for row in rows}
    evidence = _evidence(policy, found, points)
    names = policy.stages
    added: list[int] = []
    last: dict[str, tuple[str, datetime | None]] = {}
    for index, owner in enumerate(found.owner.tolist()):
        each = owners[owner]
        content = _content(policy, found, index)
        last[each] = (names[found.to_stage[index]], from_micros(found.at[index]))
        row = unclaimed.get((each, content))
        # A fact from before a move may leave the move as it is, and yet change its evidence.
        if row is not None and json.loads(row.evidence) == json.loads(evidence[index]):
            del unclaimed[each, content]
        else:
            added.append(index)
    for each in owners:
        if since.get(each) is None:
            last.setdefault(each, (names[0], None))
    await _void(session, {key: row.transition_id for key, row in unclaimed.items()}, now)
    await _add(session, policy, owners, found, evidence, added, now)
    changed = {each for each, _ in unclaimed} | {owners[found.owner[index]] for index in added}
    if changed:
        await _move(session, {each: last.get(each) for each in changed})
    return len(added) + len(unclaimed)


def _content(policy: Policy, found: Moves, index: int) -> tuple[str, str, int, str, str, int]:
    return (
        policy.stages[found.from_stage[index]],
        policy.stages[found.to_stage[index]],
        int(found.at[index]),
        CAUSES[found.cause[index]],
        policy.rules[found.rule[index]].code,
        policy.version,
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
    "recorded_at",
    "evidence",
)


async def _add(
    session: WriteSession,
    policy: Policy,
    owners: Sequence[str],
    found: Moves,
    evidence: Sequence[str],
    added: Sequence[int],
    now: datetime,
) -> None:
    rows = []
    for index in added:
        before, after, at, cause, rule, version = _content(policy, found, index)
        each = owners[found.owner[index]]
        told = evidence[index]
        rows.append((each, before, after, from_micros(at), cause, rule, version, now, told))
    await copy_rows(session, "stage_transitions", _ADDED, rows)


def _evidence(policy: Policy, found: Moves, points: Sequence[Point]) -> list[str]:
    """Return, as JSON, the values on which each move was decided."""
    columns = Columns.of([points[point].state for point in found.point])
    values = variables(policy, columns, found.day)
    values = {
        name: np.where(columns.purchase_days > 0, value, 0.0) for name, value in values.items()
    }
    form = "{" + ", ".join(f'"{name}": %.10g' for name in values) + "}"
    return [form % row for row in zip(*(value.tolist() for value in values.values()), strict=True)]


async def _move(
    session: WriteSession, stages: Mapping[str, tuple[str, datetime | None] | None]
) -> None:
    """Write the recorded stage of customers; None: whatever the ledger's last live row says."""
    missing = [each for each, stage in stages.items() if stage is None]
    known = {each: stage for each, stage in stages.items() if stage is not None}
    for each, rows in (await live(session, dict.fromkeys(missing)) if missing else {}).items():
        known[each] = (rows[-1].to_stage, from_micros(rows[-1].effective_at))
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
