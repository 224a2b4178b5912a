"""Who would change stage if another policy came into force: counted before anyone does."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from heapq import nlargest
from typing import Any

from app.days import AsOf
from app.db import ReadSession, WriteSession
from app.deployment import Deployment
from app.errors import FieldError, PreviewExpired, ValidationFailed
from app.lifecycle.policy import Policy
from app.money import to_amount
from app.schemas.common.types import format_amount, format_instant
from app.services.common import deployment_settings, signing
from app.services.common.stored_documents import Section
from app.services.customer_base import populations
from app.services.customer_base.populations import Population
from app.services.models import model_store
from app.services.operations import operations, parts
from app.services.operations.parts import Part
from app.services.policies import policies
from app.services.policies.policies import PolicyTimeline
from app.services.scores import model_scores
from app.services.scores.cards import cents
from app.services.stages import derivation, overrides, placement

PREVIEW = "policy_preview"
COMPARE = "compare_policies"
COMPARE_PART = 20_000
GOOD_FOR = timedelta(hours=24)
_SAMPLES = 5

Cell = tuple[str, str]
Cells = dict[Cell, list[Any]]
"""By stages from and to: customers, revenue in smallest units, CLV or None, samples."""


class PreviewRequest(Section):
    """The policy version that a preview is asked for."""

    version: int


@dataclass(frozen=True)
class Compared:
    """Customers, and their stages before and after."""

    population: Population
    before: list[str]
    after: list[str]


async def submit(session: WriteSession, version: int, *, now: datetime, by: str) -> dict[str, Any]:
    """Start to count who would change stage."""
    await policies.stored(session, version)
    request = PreviewRequest(version=version)
    row = await operations.submit(session, PREVIEW, request, now=now, requested_by=by)
    return operations.to_response(row)


async def plan_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Split everybody into ranges."""
    del deployment
    await plan(session, part, part.asked(PreviewRequest).version, now)


async def plan(session: WriteSession, part: Part, version: int, now: datetime) -> None:
    """Split everybody into ranges that are compared as of one instant."""
    context = {"version": version, "as_of": now.isoformat()}
    ranges = [
        (COMPARE, {"after": after, "up_to": up_to})
        for after, up_to in await populations.boundaries(session, COMPARE_PART)
    ]
    await parts.plan(session, part, ranges, context)


async def compare_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Count the transitions of a range of customers."""
    del now
    timeline = await policies.timeline(session)
    candidate = await policies.get(session, part.context["version"])
    as_of = deployment.as_of(datetime.fromisoformat(part.context["as_of"]))
    found = await compare(session, deployment, timeline, candidate, as_of, **part.arguments)
    values = await _values(session, found.population, as_of)
    await parts.note(session, part, {"cells": _listed(_count(found, values))})


async def compare(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    candidate: Policy,
    as_of: AsOf,
    *,
    after: str,
    up_to: str,
) -> Compared:
    """Return the stages of a range of customers under the policy in force and the other one."""
    current = timeline.current
    ends = {"after": after, "up_to": up_to}
    population = await populations.read(session, current.inactivity_limit, as_of, **ends)
    then = population
    if candidate.inactivity_limit != current.inactivity_limit:
        then = await populations.read(session, candidate.inactivity_limit, as_of, **ends)
    before = await _stages(session, deployment, current, population, as_of)
    new = dict(zip(then.customer_ids, await _stages(session, deployment, candidate, then, as_of),
                   strict=True))  # fmt: skip
    found = dict(zip(population.customer_ids, before, strict=True))
    follows = timeline.followed_by(candidate, as_of.micros)
    place = {customer_id: row for row, customer_id in enumerate(population.customer_ids)}
    for customer_id in await overrides.overridden(session, after, up_to):
        if customer_id in place:
            summary = population.summaries[place[customer_id]]
            history = await derivation.history(
                session, deployment, follows, customer_id, summary, as_of, whole=True
            )
            found[customer_id], new[customer_id] = history.last_step()
    return Compared(
        population, list(found.values()), [new.get(each, found[each]) for each in found]
    )


async def _stages(
    session: ReadSession,
    deployment: Deployment,
    policy: Policy,
    population: Population,
    as_of: AsOf,
) -> list[str]:
    """Return where rules put customers; overrides are followed one by one."""
    placed = await placement.of_population(
        session, deployment, policy, population, as_of, gap_days=None, overrides={}
    )
    return placed.stages


async def _values(session: ReadSession, population: Population, as_of: AsOf) -> list[float] | None:
    """Return the lifetime value of each customer by the active model, if there is one."""
    model_id = (await deployment_settings.pointers(session)).model_id
    if model_id is None:
        return None
    model = await model_store.load(session, model_id)
    values: list[float] = model_scores.lifetime_values(model, population, as_of).tolist()
    return values


def _count(found: Compared, values: Sequence[float] | None) -> Cells:
    cells: Cells = {}
    population = found.population
    revenues = population.summaries.column("revenue").tolist()
    for row, cell in enumerate(zip(found.before, found.after, strict=True)):
        revenue = revenues[row]
        counted = cells.setdefault(cell, [0, 0, None if values is None else 0.0, []])
        counted[0] += 1
        counted[1] += revenue
        counted[3].append((revenue, population.customer_ids[row]))
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


def matrix(deployment: Deployment, cells: Cells) -> list[dict[str, Any]]:
    """Return cells as the API shows them, transitions first, the largest first."""
    order = sorted(cells.items(), key=lambda item: (item[0][0] == item[0][1], -item[1][0], item[0]))
    return [
        {
            "from": before,
            "to": after,
            "customers": customers,
            "revenue": _money(deployment, to_amount(revenue)),
            "clv": None if clv is None else _money(deployment, cents(clv)),
            "samples": [customer_id for _, customer_id in samples],
        }
        for (before, after), (customers, revenue, clv, samples) in order
    ]


def _money(deployment: Deployment, amount: Decimal) -> dict[str, Any]:
    """Return an amount as it is kept in the result of an operation, which is JSON."""
    return {**deployment.money(amount), "amount": format_amount(amount)}


async def result(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> dict[str, Any]:
    """Return the matrix of a finished preview, and the token that activation takes."""
    cells = add_up(await parts.noted(session, part))
    expires_at = now + GOOD_FOR
    content = {"operation_id": part.operation_id, "expires_at": expires_at.isoformat()}
    secret = bytes.fromhex(
        await deployment_settings.get(session, deployment_settings.CURSOR_SECRET)
    )
    return {
        "policy_version": part.context["version"],
        "active_policy_version": (await deployment_settings.pointers(session)).policy_version,
        "as_of": format_instant(datetime.fromisoformat(part.context["as_of"])),
        "customers": sum(counted[0] for counted in cells.values()),
        "transitions": sum(counted[0] for (a, b), counted in cells.items() if a != b),
        "matrix": matrix(deployment, cells),
        "token": signing.sign(content, secret),
        "token_expires_at": format_instant(expires_at),
    }


async def redeem(session: ReadSession, token: str, version: int, now: datetime) -> str:
    """Return the preview that a token belongs to, if it is of this version and not too old."""
    secret = bytes.fromhex(
        await deployment_settings.get(session, deployment_settings.CURSOR_SECRET)
    )
    content = signing.read(token, secret)
    if content is None or "operation_id" not in content:
        raise _refused("is not a token of a preview")
    preview = await operations.get(session, content["operation_id"])
    asked = PreviewRequest.model_validate(operations.request_of(preview))
    if asked.version != version:
        raise _refused(f"is of a preview of policy {asked.version}")
    if datetime.fromisoformat(content["expires_at"]) < now:
        raise PreviewExpired
    return str(content["operation_id"])


def _refused(detail: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError("/token", "invalid_token", detail)])
