"""Who would change stage if another policy came into force: counted before anyone does."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.days import AsOf
from app.deployment import Deployment
from app.errors import FieldError, PreviewExpired, ValidationFailed
from app.lifecycle.instants import Override
from app.lifecycle.policy import Policy
from app.postgres.db import ReadSession, WriteSession, database_time
from app.schemas.common.types import format_instant
from app.services.common import deployment_settings, signing
from app.services.common.stored_documents import Section
from app.services.customer_base import populations
from app.services.customer_base.populations import Population
from app.services.models import model_store
from app.services.operations import operations, parts
from app.services.operations.parts import Part
from app.services.policies import policies
from app.services.policies.policies import PolicyTimeline
from app.services.policy_changes import matrices
from app.services.scores import model_scores
from app.services.stages import following, overrides, placement
from app.services.stages.overridden_stages import FOLLOWED_AT_ONCE

PREVIEW = "policy_preview"
COMPARE = "compare_policies"
COMPARE_PART = 20_000
GOOD_FOR = timedelta(hours=24)


class PreviewRequest(Section):
    """The policy version that a preview is asked for."""

    version: int


@dataclass(frozen=True)
class Compared:
    """Customers, and their stages before and after a policy.

    `lost` are the overrides that it has no stage for, by customer, each as it stood.
    """

    policy: Policy
    population: Population
    before: list[str]
    after: list[str]
    lost: dict[str, Override]

    @property
    def transitions(self) -> int:
        """Return how many change stage; who is in one that is called otherwise does not."""
        called = self.policy.maps
        pairs = zip(self.before, self.after, strict=True)
        return sum(called.get(before, before) != after for before, after in pairs)


async def submit(session: WriteSession, version: int, *, now: datetime, by: str) -> dict[str, Any]:
    """Start to count who would change stage."""
    await policies.stored(session, version, keep=True)
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
    cells = matrices.count(found.population, zip(found.before, found.after, strict=True), values)
    lost = {customer_id: override.stage for customer_id, override in found.lost.items()}
    await parts.note(session, part, {"cells": matrices.listed(cells), "lost": matrices.noted(lost)})


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
    overridden = [each for each in await overrides.overridden(session, after, up_to)
                  if each in found]  # fmt: skip
    lost: dict[str, Override] = {}
    for start in range(0, len(overridden), FOLLOWED_AT_ONCE):
        decided = await overrides.of(
            session, deployment, overridden[start : start + FOLLOWED_AT_ONCE]
        )
        history = await following.follow_overridden(session, deployment, follows, decided, as_of)
        owners = list(decided)
        for owner, row in history.last_rows().items():
            found[owners[owner]], new[owners[owner]] = history.step(row)
            if row in history.overruled.lost:
                lost[owners[owner]] = history.overruled.lost[row]
    ends_after = [new.get(each, found[each]) for each in found]
    return Compared(candidate, population, list(found.values()), ends_after, lost)


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
    values: list[float] = (
        await model_scores.lifetime_values(session, model, population, as_of)
    ).tolist()
    return values


async def result(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> dict[str, Any]:
    """Return the matrix of a finished preview, and the token that activation takes."""
    outcomes = await parts.noted(session, part)
    cells = matrices.add_up(outcomes)
    policy = await policies.get(session, part.context["version"])
    expires_at = now + GOOD_FOR
    content = {"operation_id": part.operation_id, "expires_at": expires_at.isoformat()}
    secret = bytes.fromhex(
        await deployment_settings.get(session, deployment_settings.CURSOR_SECRET)
    )
    return {
        "policy_version": policy.version,
        "active_policy_version": (await deployment_settings.pointers(session)).policy_version,
        "as_of": format_instant(datetime.fromisoformat(part.context["as_of"])),
        **matrices.totals(policy, cells, outcomes),
        "matrix": matrices.matrix(deployment, policy, cells),
        "token": signing.sign(content, secret),
        "token_expires_at": format_instant(expires_at),
    }


async def redeem(session: ReadSession, token: str, version: int) -> str:
    """Return the preview that a token belongs to, if it is of this version and not too old.

    How old it is, is said by the clock of the database, as it was when the token was made.
    """
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
    if datetime.fromisoformat(content["expires_at"]) < await database_time(session):
        raise PreviewExpired
    return str(content["operation_id"])


def _refused(detail: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError("/token", "invalid_token", detail)])
