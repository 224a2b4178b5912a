"""Bringing everybody's membership up to date: what time, runs, models and new rules turn.

A worker begins when segments, the day, the published run or the policy that stages go by are others
than those by which it was last done. It evaluates all rules on one reading of a range of customers.
"""

from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from app.deployment import Deployment
from app.errors import Conflict, OperationRunning
from app.lifecycle.version import DERIVATION_VERSION
from app.postgres.db import WriteSession, fetch_rows
from app.schemas.common.types import format_instant
from app.services.common import deployment_settings, fence
from app.services.common.deployment_settings import Pointers
from app.services.common.stored_documents import Section
from app.services.customer_base import populations
from app.services.customers import customers
from app.services.operations import operations, parts
from app.services.operations.parts import Part
from app.services.runs import query_columns
from app.services.runs.segments import definitions, keeping
from app.services.runs.segments.keeping import Inside

UPDATE, KEEP = "segment_update", "keep_segments"
PART = 5_000
"""Customers of a part, of whom on most days few have changed."""
SLICE = 1_000
"""Customers who are taken and written at once: who writes to one of them waits for that long."""
AWAITED_SECONDS = 20.0
"""How long writers are waited for before the part is put off, so that others are not kept."""
_BY = ("name", "day", "run_id", "policy_version", "derivation_version")
_KEPT = (
    "SELECT customer_id, codes FROM customer_segments WHERE customer_id > $1 AND customer_id <= $2"
)


class UpdateAsked(Section):
    """Nothing: it is always all segments and everybody."""


async def start_due(session: WriteSession, deployment: Deployment, now: datetime) -> None:
    """Begin if what was kept is by other segments, of another day or run, or by other rules."""
    pointers = await deployment_settings.pointers(session)
    if pointers.segments is None or pointers.derivation_version != DERIVATION_VERSION:
        return
    kept = await deployment_settings.get(session, deployment_settings.SEGMENTS_KEPT) or {}
    asked = _by(pointers, deployment, now)
    if all(kept.get(each) == asked[each] for each in _BY):
        return
    try:
        await operations.submit(session, UPDATE, UpdateAsked(), now=now)
    except (OperationRunning, Conflict):
        return


def _by(pointers: Pointers, deployment: Deployment, now: datetime) -> dict[str, Any]:
    """Return by what everybody is kept who is brought up to date now."""
    by = (pointers.segments, deployment.calendar.day_of(now), pointers.run_id,
          pointers.settled_policy_version, pointers.derivation_version)  # fmt: skip
    return dict(zip(_BY, by, strict=True))


async def plan_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Split everybody into ranges, once those have ended who may write by other segments.

    The first time about everybody changes: parts are no more than a slice then, and looked at once.
    """
    if not await fence.have_ended(session, await fence.writers(session), AWAITED_SECONDS):
        raise parts.PutOff("writers")
    pointers = await deployment_settings.pointers(session)
    kept = await deployment_settings.get(session, deployment_settings.SEGMENTS_KEPT)
    ranges = [
        (KEEP, {"after": after, "up_to": up_to})
        for after, up_to in await populations.boundaries(session, PART if kept else SLICE)
    ]
    known = await definitions.named(session, pointers.segments)
    by = {**_by(pointers, deployment, now), "as_of": format_instant(now),
          "versions": {code: each.version for code, each in known.by_code.items()}}  # fmt: skip
    await parts.plan(session, part, ranges, by)


async def keep_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Find who of a range has come into segments or gone out, take them, and look again.

    Where there are many, the first are done here, and the others in parts of their own.
    """
    pointers = await deployment_settings.pointers(session)
    as_of = replace(deployment.as_of(now), is_now=True)
    rules = await keeping.rules_at(session, pointers, as_of)
    found = await query_columns.of_range(
        session, deployment, rules.question, rules=list(rules.rules.values()), **part.arguments
    )
    inside = keeping.inside_of(rules, found)
    bounds = part.arguments["after"], part.arguments["up_to"]
    kept: Inside = {row[0]: frozenset(row[1]) for row in await fetch_rows(session, _KEPT, *bounds)}
    none: frozenset[str] = frozenset()
    differ = [each for each, codes in inside.items() if codes != kept.get(each, none)]
    ends = [*differ[SLICE - 1 : -1 : SLICE], part.arguments["up_to"]]
    differ = differ[:SLICE]
    if differ:
        await customers.lock_or_create(session, differ, now)
        inside = await keeping.evaluated(session, deployment, rules, differ)
        kept = await keeping.kept_of(session, differ)
        changed = await keeping.write(session, rules.known, kept, inside, now)
        session.info.pop(customers.TAKEN, None)  # they have just been looked at
        await parts.note(session, part, {"changed": changed})
    rest = [(KEEP, {"after": after, "up_to": up_to}) for after, up_to in pairwise(ends)]
    if rest:
        await parts.plan(session, part, rest, part.context)


async def result(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> dict[str, Any]:
    """Say by what everybody is kept now."""
    del deployment, now
    noted = await parts.noted(session, part)
    kept = {name: part.context[name] for name in (*_BY, "as_of", "versions")}
    await deployment_settings.put(session, deployment_settings.SEGMENTS_KEPT, kept)
    changed = sum(outcome["changed"] for outcome in noted)
    return {"as_of": kept["as_of"], "segments": len(kept["versions"]), "customers_changed": changed}
