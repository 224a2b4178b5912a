"""Who would move if another policy came into force: counted before anyone moves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from heapq import nlargest
from typing import Any

from app.days import AsOf
from app.db import ReadSession, WriteSession
from app.deployment import Deployment, to_amount
from app.errors import FieldError, PreviewExpired, ValidationFailed
from app.lifecycle.policy import Policy
from app.schemas.types import format_amount, format_instant
from app.services import (
    lifecycle,
    models,
    operations,
    overrides,
    parts,
    placement,
    policies,
    populations,
    score_cards,
    settings,
    signing,
)
from app.services.parts import Part
from app.services.policies import Regime
from app.services.populations import Population
from app.services.scores import cents

PREVIEW = "policy_preview"
COMPARE = "compare_policies"
COMPARE_PART = 20_000
GOOD_FOR = timedelta(hours=24)
_SAMPLES = 5

Cell = tuple[str, str]
Cells = dict[Cell, list[Any]]
"""By stages from and to: customers, revenue in smallest units, CLV or None, samples."""


@dataclass(frozen=True)
class Compared:
    """Customers, and their stages before and after."""

    people: Population
    before: list[str]
    after: list[str]


async def submit(session: WriteSession, version: int, *, now: datetime, by: str) -> dict[str, Any]:
    """Start to count who would move."""
    await policies.stored(session, version)
    row = await operations.submit(session, PREVIEW, {"version": version}, now=now, requested_by=by)
    return operations.shown(row)


async def plan_part(session: WriteSession, here: Deployment, part: Part, now: datetime) -> None:
    """Split everybody into ranges."""
    del here
    await plan(session, part, part.request["version"], now)


async def plan(session: WriteSession, part: Part, version: int, now: datetime) -> None:
    """Split everybody into ranges that are compared as of one instant."""
    context = {"version": version, "as_of": now.isoformat()}
    ranges = [
        (COMPARE, {"after": after, "up_to": up_to})
        for after, up_to in await populations.boundaries(session, COMPARE_PART)
    ]
    await parts.plan(session, part, ranges, context)


async def compare_part(session: WriteSession, here: Deployment, part: Part, now: datetime) -> None:
    """Count the moves of a range of customers."""
    del now
    regime = await policies.regime(session)
    candidate = await policies.get(session, part.context["version"])
    as_of = here.as_of(datetime.fromisoformat(part.context["as_of"]))
    found = await compare(session, here, regime, candidate, as_of, **part.arguments)
    values = await _values(session, found.people, as_of)
    await parts.note(session, part, {"cells": _listed(_count(found, values))})


async def compare(
    session: ReadSession,
    here: Deployment,
    regime: Regime,
    candidate: Policy,
    as_of: AsOf,
    *,
    after: str,
    up_to: str,
) -> Compared:
    """Return the stages of a range of customers under the policy in force and the other one."""
    current = regime.current
    ends = {"after": after, "up_to": up_to}
    people = await populations.read(session, current.silence, as_of, **ends)
    then = people
    if candidate.silence != current.silence:
        then = await populations.read(session, candidate.silence, as_of, **ends)
    before = await _stages(session, here, current, people, as_of)
    new = dict(zip(then.customer_ids, await _stages(session, here, candidate, then, as_of),
                   strict=True))  # fmt: skip
    found = dict(zip(people.customer_ids, before, strict=True))
    follows = regime.followed_by(candidate, as_of.micros)
    place = {each: row for row, each in enumerate(people.customer_ids)}
    for each in await overrides.decided(session, after, up_to):
        if each in place:
            summary = people.summaries[place[each]]
            history = await lifecycle.history(
                session, here, follows, each, summary, as_of, whole=True
            )
            found[each], new[each] = history.last_step()
    return Compared(people, list(found.values()), [new.get(each, found[each]) for each in found])


async def _stages(
    session: ReadSession, here: Deployment, policy: Policy, people: Population, as_of: AsOf
) -> list[str]:
    """Return where rules put customers; overrides are followed one by one."""
    placed = await placement.of_population(
        session, here, policy, people, as_of, gap_days=None, overrides={}
    )
    return placed.stages


async def _values(session: ReadSession, people: Population, as_of: AsOf) -> list[float] | None:
    """Return the lifetime value of each customer by the active model, if there is one."""
    model_id = (await settings.pointers(session)).model_id
    if model_id is None:
        return None
    model = await models.load(session, model_id)
    values: list[float] = score_cards.lifetime_values(model, people, as_of).tolist()
    return values


def _count(found: Compared, values: Sequence[float] | None) -> Cells:
    cells: Cells = {}
    people = found.people
    revenues = people.summaries.column("revenue").tolist()
    for row, cell in enumerate(zip(found.before, found.after, strict=True)):
        revenue = revenues[row]
        counted = cells.setdefault(cell, [0, 0, None if values is None else 0.0, []])
        counted[0] += 1
        counted[1] += revenue
        counted[3].append((revenue, people.customer_ids[row]))
        if values is not None:
            counted[2] += values[row]
    for counted in cells.values():
        counted[3] = nlargest(_SAMPLES, counted[3])
    return cells


def _listed(cells: Cells) -> list[list[Any]]:
    return [[*cell, *counted] for cell, counted in sorted(cells.items())]


def add_up(outcomes: Iterable[Mapping[str, Any]]) -> Cells:
    """Add up the counts of parts."""
    cells: Cells = {}
    for outcome in outcomes:
        for before, after, customers, revenue, clv, samples in outcome["cells"]:
            counted = cells.setdefault((before, after), [0, 0, clv and 0.0, []])
            counted[0] += customers
            counted[1] += revenue
            counted[2] = None if clv is None else (counted[2] or 0.0) + clv
            counted[3] = nlargest(_SAMPLES, [*counted[3], *map(tuple, samples)])
    return cells


def matrix(here: Deployment, cells: Cells) -> list[dict[str, Any]]:
    """Return cells as the API shows them, moves first, the largest first."""
    order = sorted(cells.items(), key=lambda item: (item[0][0] == item[0][1], -item[1][0], item[0]))
    return [
        {
            "from": before,
            "to": after,
            "customers": customers,
            "revenue": _shown(here, to_amount(revenue)),
            "clv": None if clv is None else _shown(here, cents(clv)),
            "samples": [customer_id for _, customer_id in samples],
        }
        for (before, after), (customers, revenue, clv, samples) in order
    ]


def _shown(here: Deployment, amount: Decimal) -> dict[str, str]:
    return {"amount": format_amount(amount), "currency": here.currency}


async def result(
    session: WriteSession, here: Deployment, part: Part, now: datetime
) -> dict[str, Any]:
    """Return the matrix of a finished preview, and the token that activation takes."""
    cells = add_up(await parts.noted(session, part))
    expires_at = now + GOOD_FOR
    content = {"operation_id": part.operation_id, "expires_at": expires_at.isoformat()}
    secret = bytes.fromhex(await settings.get(session, settings.CURSOR_SECRET))
    return {
        "policy_version": part.context["version"],
        "active_policy_version": (await settings.pointers(session)).policy_version,
        "as_of": format_instant(datetime.fromisoformat(part.context["as_of"])),
        "customers": sum(counted[0] for counted in cells.values()),
        "moving": sum(counted[0] for (a, b), counted in cells.items() if a != b),
        "matrix": matrix(here, cells),
        "token": signing.sign(content, secret),
        "token_expires_at": format_instant(expires_at),
    }


async def redeem(session: ReadSession, token: str, version: int, now: datetime) -> str:
    """Return the preview that a token belongs to, if it is of this version and not too old."""
    secret = bytes.fromhex(await settings.get(session, settings.CURSOR_SECRET))
    content = signing.read(token, secret)
    if content is None or "operation_id" not in content:
        raise _refused("is not a token of a preview")
    preview = await operations.get(session, content["operation_id"])
    if preview.request["version"] != version:
        raise _refused(f"is of a preview of policy {preview.request['version']}")
    if datetime.fromisoformat(content["expires_at"]) < now:
        raise PreviewExpired
    return str(content["operation_id"])


def _refused(detail: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError("/token", "invalid_token", detail)])
