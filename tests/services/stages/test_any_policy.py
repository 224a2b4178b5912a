"""Random policies in force over random facts: every door agrees with the slow evaluator."""

import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.deployment import Deployment
from app.lifecycle import kinds
from app.lifecycle.documents import parse
from app.lifecycle.presets.kinds import CORE
from app.models import Customer, Policy, PolicyActivation, StageTransition
from app.postgres.db import ReadSession, WriteSession
from app.schemas.common.types import format_instant
from app.schemas.customers import ProfilePatch, ProfileWrite
from app.schemas.ingest.interactions import InteractionIn
from app.services.common import deployment_settings
from app.services.ingest import interactions, profiles
from app.services.policies import policies
from app.services.policy_changes import previews
from app.services.stages import due_transitions, stages
from tests.database import NOW
from tests.depth import drawn
from tests.kept import MODEL, as_item, ingest, store_model
from tests.lifecycle import at_random
from tests.slow_history import beginning, history
from tests.slow_policy import Change, Person, Slow, fitted
from tests.slow_profile import Said

PEOPLE = 4
MODELLED = fitted(MODEL)
EVERYBODY = {"after": "", "up_to": "~"}


async def put_in_force(session: WriteSession, version: int, document: dict[str, Any]) -> None:
    """Make a policy the one that has always been in force."""
    copied = kinds.copy_of(CORE, CORE)
    session.add(
        Policy(version=version, document=document, interaction_kinds=copied, created_at=NOW)
    )
    await session.flush()
    await session.execute(update(PolicyActivation).values(version=version))
    await deployment_settings.put(session, deployment_settings.ACTIVE_POLICY, version)
    await deployment_settings.put(session, deployment_settings.SETTLED_POLICY, version)
    await deployment_settings.put(
        session, deployment_settings.POLICY_TIMELINE, deployment_settings.new_name()
    )
    await deployment_settings.put(
        session, deployment_settings.BEGINNING, parse(version, document).beginning
    )


def profile_of(one: Person) -> ProfileWrite:
    return ProfileWrite.model_validate(
        {
            **one.profile,
            **{
                name: one.profile[name] and one.profile[name].isoformat()
                for name in ("contract_ends_on", "birth_date")
            },
            "first_contact_at": format_instant(one.begun_at),
        }
    )


def patch_of(said: Said) -> ProfilePatch:
    """Return what was said since an instant as a merge patch."""
    assert said.since is not None
    body: dict[str, Any] = {"source": said.source, "valid_from": format_instant(said.since)}
    for cell, value in said.values.items():
        plain = value.isoformat() if isinstance(value, date) else value
        if "." in cell:
            body.setdefault("attributes", {})[cell.split(".", 1)[1]] = plain
        else:
            body[cell] = plain
    return ProfilePatch.model_validate(body)


async def post_profile(
    session: WriteSession, deployment: Deployment, each: str, one: Person, now: datetime
) -> None:
    """Say of somebody the profile, and what was said after that up to now."""
    where: dict[str, Any] = {"if_match": None, "now": now, "by": "test"}
    await profiles.put(session, deployment, each, profile_of(one), **where)
    for said in one.said:
        if said.since is not None and said.since <= now:
            await profiles.patch(session, deployment, each, patch_of(said), **where)


async def post_all(
    session: WriteSession, deployment: Deployment, rng: random.Random, people: dict[str, Person],
    now: datetime, *, at_once: int = 1,
) -> None:  # fmt: skip
    """Post profiles, purchases and interactions in any order, also some that lie a little ahead."""
    latest = now + timedelta(hours=20)
    posts: list[tuple[str, Any]] = []
    for each, one in people.items():
        posts.append(("profile", each))
        posts += [("purchase", as_item(each, fact)) for fact in one.facts if fact.at <= latest]
        posts += [
            (
                "interaction",
                InteractionIn.model_validate(
                    {
                        "customer_id": each,
                        "interaction_id": f"i{number}",
                        "occurred_at": format_instant(event.at),
                        "kind": event.kind,
                        "score": event.score,
                    }
                ),
            )
            for number, event in enumerate(one.interactions)
            if event.at <= latest
        ]
    rng.shuffle(posts)
    for start in range(0, len(posts), at_once):
        several = posts[start : start + at_once]
        for kind, what in several:
            if kind == "profile":
                await post_profile(session, deployment, what, people[what], now)
        if bought := [what for kind, what in several if kind == "purchase"]:
            await ingest(session, deployment, bought, now)
        if events := [what for kind, what in several if kind == "interaction"]:
            await interactions.ingest(session, deployment, events, atomic=True, now=now)


async def ledger(session: ReadSession, customer_id: str) -> list[Change]:
    rows = await session.scalars(
        select(StageTransition)
        .where(StageTransition.customer_id == customer_id, StageTransition.voided_at.is_(None))
        .order_by(StageTransition.effective_at)
    )
    return [
        Change(row.from_stage, row.to_stage, row.effective_at, row.cause, row.rule) for row in rows
    ]


def instants(rng: random.Random, people: Sequence[Person]) -> list[datetime]:
    return [at_random.moment(rng, one) for one in people for _ in range(3)]


@pytest.mark.parametrize("seed", range(drawn(8, 100)))
async def test_every_door_agrees_with_the_slow_evaluator(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    rng, zone = random.Random(seed), deployment.calendar.zone
    people = {f"c{number}": at_random.person(rng, zone) for number in range(PEOPLE)}
    document, _ = at_random.policy(rng)
    now = max(instants(rng, list(people.values())) + [one.begun_at for one in people.values()])
    await store_model(session, at_random.MODEL_ID)
    await put_in_force(session, 50 + seed, document)
    await post_all(session, deployment, rng, people, now)
    before = await policies.timeline(session)
    compared = await previews.compare(
        session,
        deployment,
        before,
        await policies.get(session, 1),
        deployment.as_of(now),
        **EVERYBODY,
    )
    for each, one in people.items():
        expected = history(one, [(document, None)], now, model=MODELLED)
        assert await ledger(session, each) == expected
        recorded = await session.scalar(select(Customer.stage).where(Customer.customer_id == each))
        stage = expected[-1].to_stage if expected else beginning(document, zone, now)
        assert (recorded, Slow(one, document, MODELLED).decide(now)[0]) == (stage, stage)
        assert compared.before[compared.population.customer_ids.index(each)] == stage
        for at in (now, *(t for t in instants(rng, [one]) if t <= now)):
            answer, _ = await stages.get(
                session, deployment, each, as_of=deployment.as_of(at), policy_version=None, now=now
            )
            if at >= one.begun_at:
                assert (answer["stage"], answer["rule"]) == Slow(one, document, MODELLED).decide(at)
    # Nobody has transitions to come, at the instant up to which all has been recorded.
    await deployment_settings.put(session, deployment_settings.RECORDED_UNTIL, now.isoformat())
    assert await due_transitions.due(session, deployment, now, **EVERYBODY) == []
